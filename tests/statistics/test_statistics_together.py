"""Whole prompts turned round: exact by hand, the same in any order, and as rarely wrong as said."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pytest_vdb.statistics.together import COUNTED_UP_TO, least_p_value, reachable_level, turned_p_values


def by_hand(worse: np.ndarray) -> np.ndarray:
    """Step-down by the largest t of every pattern, column by column."""
    n, k = worse.shape

    def figures(signs) -> np.ndarray:
        turned = np.asarray(signs)[:, None] * worse
        return turned.sum(axis=0) / np.sqrt((turned**2).sum(axis=0))

    observed = figures(np.ones(n))
    order, p, before = np.argsort(-observed, kind="stable"), np.ones(k), 0.0
    for rank, column in enumerate(order):
        left = order[rank:]
        patterns = [figures(signs)[left].max() for signs in itertools.product((1, -1), repeat=n)]
        before = p[column] = max(before, np.mean(np.array(patterns) >= observed[column] - 1e-9))
    return p


@pytest.mark.parametrize("seed", range(4))
def test_every_pattern_is_counted(seed):
    worse = np.random.default_rng(seed).normal(0.3, 1, (6, 4))
    assert turned_p_values(worse) == pytest.approx(by_hand(worse))


def test_one_column_is_fishers_sign_flip_test():
    from scipy.stats import permutation_test

    worse = np.random.default_rng(1).normal(0.4, 1, 9)
    expected = permutation_test(
        (worse,), np.mean, permutation_type="samples", alternative="greater", n_resamples=np.inf
    ).pvalue
    assert turned_p_values(worse[:, None])[0] == pytest.approx(expected)


def test_equal_differences_are_as_extreme_as_can_be():
    assert turned_p_values(np.full((6, 1), 0.2))[0] == 1 / 64 == least_p_value(6)
    assert turned_p_values(np.zeros((6, 1)))[0] == 1


def test_neither_the_order_nor_the_unit_matters():
    worse = np.random.default_rng(2).normal(0.3, 1, (8, 5))
    p = turned_p_values(worse)
    assert turned_p_values(worse[::-1, ::-1])[::-1] == pytest.approx(p)
    assert turned_p_values(worse * [1, 10, 1e-6, 1e6, 2]) == pytest.approx(p)


def test_a_copy_of_a_column_costs_nothing():
    worse = np.random.default_rng(5).normal(0.5, 1, (8, 1))
    assert turned_p_values(np.repeat(worse, 20, axis=1)) == pytest.approx(turned_p_values(worse)[0])


def test_a_prompt_without_a_value_says_nothing():
    worse = np.random.default_rng(4).normal(0.5, 1, (8, 1))
    with_gap = np.concatenate([worse, [[np.nan]]])
    assert turned_p_values(with_gap) == pytest.approx(turned_p_values(worse))
    assert turned_p_values(np.full((4, 1), np.nan))[0] == 1


def test_a_rule_on_few_prompts_is_no_bar_to_one_on_many():
    worse = np.full((8, 2), 0.9)
    worse[3:, 1] = np.nan
    assert turned_p_values(worse).tolist() == [1 / 2**8, 1 / 2**3]


def test_many_prompts_are_turned_by_a_group_of_patterns_and_always_alike():
    worse = np.random.default_rng(6).normal(0.2, 1, (COUNTED_UP_TO + 20, 3))
    p = turned_p_values(worse)
    assert p.tolist() == turned_p_values(worse).tolist()
    assert turned_p_values(worse + 5).max() == 1 / 2**COUNTED_UP_TO == least_p_value(COUNTED_UP_TO + 20)


@pytest.mark.slow
@pytest.mark.parametrize(
    "law",
    [
        lambda rng, size: rng.normal(size=size),
        lambda rng, size: rng.lognormal(sigma=1.5, size=size),
        lambda rng, size: rng.standard_t(2, size=size),
        lambda rng, size: (rng.random(size) < 0.9).astype(float),
        lambda rng, size: rng.normal(size=(size[0], 1)) + 0.1 * rng.normal(size=size),
    ],
    ids=["normal", "skewed", "heavy tails", "0 and 1", "twenty metrics of one thing"],
)
def test_twenty_rules_of_which_nothing_changed_alarm_in_one_of_twenty_runs(law):
    rng = np.random.default_rng(11)
    runs = [turned_p_values(law(rng, (8, 20)) - law(rng, (8, 20))).min() < 0.05 for _ in range(1000)]
    assert np.mean(runs) <= 0.059


def test_what_got_worse_for_sure_is_found_among_twenty_on_six_prompts():
    rng = np.random.default_rng(12)
    worse = rng.normal(-0.02, 0.03, (6, 20))
    worse[:, 3] = rng.normal(0.9, 0.03, 6)
    assert turned_p_values(worse)[3] < 0.05
    assert np.delete(turned_p_values(worse), 3).min() > 0.05


def test_a_level_is_the_largest_p_below_it_that_so_many_prompts_have():
    assert reachable_level(0.05, 4) == 0
    assert reachable_level(0.05, 5) == 1 / 32
    assert reachable_level(1 / 32, 5) == 0  # a p must lie below
    assert reachable_level(0.05, 6) == 3 / 64
    assert reachable_level(0.05, 200) == pytest.approx(0.05, abs=0.0005)
