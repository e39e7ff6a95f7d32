"""The quick look that leaves out models which are plainly worse than the best."""

from __future__ import annotations

import numpy as np

from pytest_vdb.statistics.best import p_values_against_best
from pytest_vdb.statistics.contenders import LEAST_PROMPTS_FOR_T, PLAINLY_WORSE, p_values_of_plainly_worse


def test_equal_models_all_stay_for_skewed_values_as_well():
    rng = np.random.default_rng(7)
    left = 0
    for _ in range(100):
        prompts = rng.lognormal(0, 1, (1, 200))
        left += (p_values_of_plainly_worse(prompts * rng.lognormal(0, 1, (30, 200))) < PLAINLY_WORSE).any()
    assert left == 0


def test_who_is_plainly_worse_is_told_apart_by_the_test_as_well():
    rng = np.random.default_rng(8)
    merits = rng.normal(0.8, 0.05, (12, 250)) + np.repeat([0, -0.01, -0.05], 4)[:, None]
    plainly = p_values_of_plainly_worse(merits) < PLAINLY_WORSE
    assert plainly.tolist() == [False] * 8 + [True] * 4
    assert (p_values_against_best(merits)[plainly] < 0.05).all()


def test_the_leader_stays_and_few_prompts_leave_nobody_out():
    merits = np.array([[1.0], [0.0], [0.5]]) + np.random.default_rng(1).normal(0, 0.01, (3, LEAST_PROMPTS_FOR_T))
    assert p_values_of_plainly_worse(merits)[0] == 1
    assert p_values_of_plainly_worse(merits[:, :-1]).tolist() == [1, 1, 1]
    assert p_values_of_plainly_worse(merits[:1]).tolist() == [1]
