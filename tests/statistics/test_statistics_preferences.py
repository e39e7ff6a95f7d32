"""Strengths from votes: known answers, coverage by raters, who clicks at random, agreement by a published example."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_vdb.statistics.preferences import Votes, nominal_alpha, odds_of_a_coin, strengths, telling

MODELS = 6


def votes_of(rows) -> Votes:
    first, second, won, rater = zip(*rows, strict=True)
    return Votes(np.array(first), np.array(second), np.array(won, float), np.array(rater))


def poll(raters: int, each: int, true, *, taste: float = 0.0, clickers: int = 0, seed: int = 0) -> Votes:
    rng = np.random.default_rng(seed)
    n, models = raters * each, len(true)
    rater = np.repeat(np.arange(raters), each)
    first = rng.integers(0, models, n)
    second = (first + rng.integers(1, models, n)) % models
    own = rng.normal(0, taste, (raters, models))
    apart = (true + own)[rater, first] - (true + own)[rater, second]
    won = (rng.random(n) < 1 / (1 + np.exp(-apart))).astype(float)
    coins = rater < clickers
    won[coins] = rng.integers(0, 2, coins.sum())
    return Votes(first, second, won, rater)


def test_two_models_have_the_odds_of_their_wins():
    found = strengths(votes_of([(0, 1, 1, 0)] * 3 + [(1, 0, 1, 1)]), 2)
    assert found.values[0] - found.values[1] == pytest.approx(math.log(3))
    assert found.values.sum() == pytest.approx(0)


def test_a_tie_is_half_a_win_of_each():
    found = strengths(votes_of([(0, 1, 0.5, 0), (1, 0, 0.5, 1), (0, 1, 0.5, 2)]), 2)
    assert found.values.tolist() == pytest.approx([0, 0])


def test_who_won_or_lost_all_has_no_strength_and_the_others_have():
    rows = [(0, 1, 1, 0), (1, 0, 1, 0), (2, 0, 1, 1), (2, 1, 1, 1), (3, 0, 0, 2), (3, 1, 0, 2)]
    found = strengths(votes_of(rows), 5)
    assert found.values[:2].tolist() == pytest.approx([0, 0])
    assert np.isnan(found.values[2:]).all()
    reasons = [found.unranked[model].partition(":")[0] for model in (2, 3, 4)]
    assert reasons == ["it won every vote", "it lost every vote", "nobody voted on it"]


def test_below_three_raters_there_is_no_interval():
    assert np.isnan(strengths(votes_of([(0, 1, 1, 0), (1, 0, 1, 0)]), 2).half_widths()).all()
    assert np.isnan(strengths(votes_of([(0, 1, 1, 0), (1, 0, 1, 1)] * 5), 2).half_widths()).all()
    assert np.isfinite(strengths(votes_of([(0, 1, 1, 0), (1, 0, 1, 1), (0, 1, 0, 2)]), 2).half_widths()).all()


@pytest.mark.slow  # forty polls of a thousand raters
def test_the_strengths_of_a_thousand_raters_lie_within_their_intervals():
    inside = []
    for seed in range(40):
        true = np.random.default_rng([seed, 1]).normal(0, 1, 10)
        found = strengths(poll(1000, 30, true, seed=seed), 10)
        inside += (np.abs(found.values - (true - true.mean())) <= found.half_widths()).tolist()
    assert np.mean(inside) >= 0.93


def test_raters_who_differ_make_intervals_wider():
    true = np.linspace(-1, 1, MODELS)
    alike, apart = (strengths(poll(12, 60, true, taste=taste, seed=3), MODELS) for taste in (0.0, 1.5))
    assert np.mean(apart.half_widths()) > 1.3 * np.mean(alike.half_widths())


def test_a_rater_who_clicks_at_random_is_found_and_the_others_are_not():
    true = np.linspace(-1.5, 1.5, MODELS)
    odds = dict(odds_of_a_coin(poll(30, 100, true, taste=0.3, clickers=2, seed=5), MODELS))
    assert [rater for rater, value in odds.items() if value >= 100] == [0, 1]


def test_one_more_vote_tells_most_where_least_is_known():
    rows = [(0, 1, won, rater) for rater in range(12) for won in (0, 1) for _ in range(4)]
    rows += [(1, 2, rater % 2, rater) for rater in range(6)]
    told = telling(strengths(votes_of(rows), 3))
    assert told[0, 2] > told[0, 1]
    assert told[0, 2] == pytest.approx(told[2, 0])


def test_the_alpha_of_krippendorffs_own_example():
    """Four observers, twelve units, nominal data with missing values: 0.743 (Krippendorff 2011, part C)."""
    table = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    answers = [(unit, value) for row in table for unit, value in enumerate(row) if value is not None]
    assert nominal_alpha(answers) == pytest.approx(0.743, abs=5e-4)


def test_alpha_is_one_where_all_agree_and_none_where_nothing_can_be_said():
    assert nominal_alpha([(0, "a"), (0, "a"), (1, "b"), (1, "b")]) == 1
    assert nominal_alpha([(0, "a"), (1, "b")]) is None
    assert nominal_alpha([(0, "a"), (0, "a")]) is None
