"""Costs: a new session beside a history of sessions, and blocks in turns."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pytest_vdb.statistics.sessions import (
    most_spread,
    prediction_interval,
    ratio_of_blocks,
    smallest_ratio,
    spread_of_sessions,
)


def test_a_new_session_lies_where_the_t_distribution_of_logarithms_says():
    history = [1.0, 1.1, 0.9, 1.05, 1.0, 0.97]
    logs = np.log(history)
    half = stats.t.ppf(0.995, 5) * logs.std(ddof=1) * np.sqrt(1 + 1 / 6)
    expected = np.exp([logs.mean() - half, logs.mean() + half])
    assert prediction_interval(history).ends == pytest.approx(tuple(expected))


def test_a_cost_is_compared_by_its_factor():
    history = [1.0, 1.1, 0.9, 1.05, 1.0, 0.97]
    low, high = prediction_interval(history).ends
    assert prediction_interval([1000 * cost for cost in history]).ends == pytest.approx((1000 * low, 1000 * high))


def test_few_sessions_and_costs_that_are_none_are_refused():
    assert prediction_interval([1.0] * 4).reason == "4 sessions: at least 5 are needed"
    assert prediction_interval([1.0, 1.0, 0.0, 1.0, 1.0]).reason == "a cost of 0 is not positive"


def test_a_new_session_alarms_as_rarely_as_said():
    """4,000 histories of ten sessions that differ by 5%, and one more: 1% and four standard errors."""
    sessions = np.exp(np.random.default_rng(1).normal(0, 0.05, (4_000, 11)))
    intervals = [prediction_interval(own[:-1].tolist()).ends for own in sessions]
    outside = [not low <= own[-1] <= high for (low, high), own in zip(intervals, sessions, strict=True)]
    assert np.mean(outside) == pytest.approx(0.01, abs=4 * np.sqrt(0.01 * 0.99 / 4_000))


def test_the_smallest_ratio_is_seen_in_four_of_five_nights():
    reach = smallest_ratio(0.05, 10, confidence=0.99)
    rng = np.random.default_rng(2)
    seen = []
    for _ in range(2_000):
        before = rng.normal(0, 0.05, 10)
        error = before.std(ddof=1) * np.sqrt(1 + 1 / 10)
        seen.append(rng.normal(reach, 0.05) - before.mean() > stats.t.ppf(0.99, 9) * error)
    assert np.mean(seen) == pytest.approx(0.8, abs=0.03)
    assert smallest_ratio(0.05, 4) is None


def test_sessions_differ_by_the_deviation_of_their_logarithms():
    assert spread_of_sessions([1.0, 1.1, 0.9]) == pytest.approx(np.log([1.0, 1.1, 0.9]).std(ddof=1))
    assert spread_of_sessions([1.0]) is None
    assert spread_of_sessions([1.0, 0.0]) is None


def test_two_sessions_hardly_show_how_much_sessions_differ():
    """The spread that was seen, times this, is above the true one in 19 of 20."""
    rng = np.random.default_rng(3)
    for count in (2, 5, 10):
        seen = rng.normal(size=(4_000, count)).std(axis=1, ddof=1)
        assert np.mean(seen * most_spread(count) > 1) == pytest.approx(0.95, abs=0.015)


def test_what_both_sides_of_a_block_share_cancels():
    moods = [1.0, 1.3, 0.8, 1.1, 2.0]
    found = ratio_of_blocks(moods, [1.05 * mood for mood in moods])
    assert found.ratio == pytest.approx(1.05)
    assert found.interval.ends == pytest.approx((1.05, 1.05))


def test_the_ratio_has_students_interval_of_the_logarithms():
    base, head = [1.0, 1.02, 0.99, 1.01], [1.06, 1.05, 1.07, 1.04]
    logs = np.log(np.array(head) / base)
    expected = np.exp(stats.t.interval(0.95, 3, logs.mean(), stats.sem(logs)))
    assert ratio_of_blocks(base, head).interval.ends == pytest.approx(tuple(expected))
    turned = ratio_of_blocks(head, base)
    assert turned.ratio == pytest.approx(1 / ratio_of_blocks(base, head).ratio)
    assert turned.interval.ends == pytest.approx(tuple(1 / expected[::-1]))


def test_too_few_blocks_have_a_ratio_and_no_interval():
    found = ratio_of_blocks([1.0, 1.0], [1.1, 1.1])
    assert found.ratio == pytest.approx(1.1)
    assert found.interval.reason == "2 blocks: at least 3 are needed"
    assert ratio_of_blocks([1.0, -1.0, 1.0], [1, 1, 1]).interval.reason == "a cost of -1 is not positive"
    assert ratio_of_blocks([], []).ratio is None


def test_blocks_that_do_not_pair_are_an_error():
    with pytest.raises(ValueError, match="shorter"):
        ratio_of_blocks([1.0, 1.0], [1.0])


def test_a_regression_of_five_percent_at_two_percent_noise_is_caught_by_twelve_blocks():
    generator = np.random.default_rng(2)
    caught = 0
    for _ in range(400):
        mood = np.exp(generator.normal(0, 0.3, 12))
        base, head = mood * np.exp(generator.normal(0, 0.02, 12)), 1.05 * mood * np.exp(generator.normal(0, 0.02, 12))
        caught += ratio_of_blocks(base.tolist(), head.tolist()).interval.ends[0] > 1
    assert caught >= 0.9 * 400


def test_a_cold_first_block_and_a_neighbour_that_came_and_went_are_no_news():
    noise = np.exp(np.random.default_rng(4).normal(0, 0.01, 12))
    base, head = np.ones(12), 1.05 * noise
    base[0], head[5] = 1.4, 1.5
    found = ratio_of_blocks(base.tolist(), head.tolist())
    assert found.ratio == pytest.approx(1.05, abs=0.01)
    assert found.interval.ends[0] > 1.02


def test_from_eight_blocks_on_the_ratio_is_yuens_with_one_degree_less():
    logs = np.sort(np.random.default_rng(5).normal(0.05, 0.02, 12))
    found = ratio_of_blocks([1.0] * 12, np.exp(logs).tolist())
    pulled_in = stats.mstats.winsorize(logs, limits=(0.2, 0.2))
    error = pulled_in.std(ddof=1) * np.sqrt(11 / (8 * 7))
    assert np.log(found.ratio) == pytest.approx(stats.trim_mean(logs, 0.2))
    assert (found.error, found.degrees) == (pytest.approx(error), 6)
