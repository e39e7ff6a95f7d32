"""Who cannot be told apart from the best: small cases by hand, invariances, and how rarely an equal is excluded."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pytest_vdb.statistics.best import p_values_against_best
from pytest_vdb.statistics.exchangeable import sign_flip_p_values


def test_the_best_itself_is_never_told_apart_and_a_far_worse_one_is():
    generator = np.random.default_rng(1)
    prompts = generator.normal(0, 1, 20)
    p = p_values_against_best(prompts + np.array([[0.0], [0.05], [-3.0]]) + generator.normal(0, 0.3, (3, 20)))
    assert p.max() == 1
    assert p[2] < 0.01 < p[:2].min()


def test_two_models_are_compared_by_swapping_them():
    merits = np.random.default_rng(2).normal(0, 1, (2, 12)) + np.array([[0.0], [0.9]])
    worse = int(merits.mean(axis=1).argmin())
    exact = sign_flip_p_values((merits[0] - merits[1]).reshape(-1, 1))[0]
    assert p_values_against_best(merits)[worse] == pytest.approx(exact, abs=0.02)


def test_few_prompts_one_model_and_equal_models_tell_nothing():
    assert p_values_against_best(np.array([[1.0, 2], [3, 9]])).tolist() == [1, 1]
    assert p_values_against_best(np.ones((1, 9))).tolist() == [1]
    assert p_values_against_best(np.ones((4, 9))).tolist() == [1] * 4


def test_a_model_that_is_worse_by_the_same_on_every_prompt_is_told_apart():
    merits = np.arange(8.0) + np.array([[0.0], [-1.0], [0.0]])
    assert (p_values_against_best(merits) < 0.05).tolist() == [False, True, False]


def test_hard_prompts_hide_nothing_and_scale_and_order_change_little():
    generator = np.random.default_rng(3)
    merits = generator.normal(0, 1, (6, 25)) + np.linspace(0, 1.2, 6)[:, None]
    p = p_values_against_best(merits)
    assert p_values_against_best(4 * merits + 100 * generator.normal(0, 1, 25)) == pytest.approx(p, abs=1e-9)
    assert p_values_against_best(merits[::-1].copy())[::-1] == pytest.approx(p, abs=0.05)


def test_who_has_left_no_longer_hides_the_others():
    """Two that are plainly worse make every deal's leads larger; without them the third is told apart as well."""
    generator = np.random.default_rng(4)
    merits = generator.normal(0, 1, (4, 40)) - np.array([[0.0], [0.75], [40.0], [60.0]])
    assert (p_values_against_best(merits) < 0.05).tolist() == [False, True, True, True]


@pytest.mark.slow
@pytest.mark.parametrize(("models", "prompts"), [(2, 8), (10, 5), (30, 8)])
def test_equal_models_are_wrongly_excluded_as_rarely_as_said(models, prompts):
    """300 boards of equal models with rare failures on prompts that differ: 5% and four standard errors."""
    generator = np.random.default_rng(5)
    wrong = 0
    for _ in range(300):
        merits = generator.lognormal(0, 1, (models, prompts)) * (generator.random((models, prompts)) < 0.9)
        p = p_values_against_best(merits + generator.normal(0, 1, prompts), deals=199)
        wrong += (p < 0.05).any()
    assert wrong <= stats.binom.isf(1e-4, 300, 0.05)
