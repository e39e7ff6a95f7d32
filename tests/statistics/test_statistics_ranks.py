"""Between which ranks models lie: small cases by hand, invariances, and that no other model decides between two."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pytest_vdb.statistics.exchangeable import sign_flip_p_values
from pytest_vdb.statistics.ranks import MANY_MODELS, ranks_between, told_apart


def merits_of(levels: list[float], prompts: int, *, seed: int = 1, spread: float = 0.3) -> np.ndarray:
    generator = np.random.default_rng(seed)
    noise = generator.normal(0, spread, (len(levels), prompts))
    return np.array(levels)[:, None] + generator.normal(0, 1, prompts) + noise


def test_models_that_are_far_apart_have_a_rank_each_and_equal_ones_share_theirs():
    assert ranks_between(merits_of([0, 2, 4], 12)).tolist() == [[3, 3], [2, 2], [1, 1]]
    assert ranks_between(merits_of([4, 0, 0], 12)).tolist() == [[1, 1], [2, 3], [2, 3]]
    assert ranks_between(np.ones((4, 9))).tolist() == [[1, 4]] * 4


def test_five_prompts_and_one_model_tell_nothing_and_six_do():
    assert ranks_between(merits_of([0, 9, 18], 5)).tolist() == [[1, 3]] * 3
    assert ranks_between(merits_of([0, 9, 18], 6)).tolist() == [[3, 3], [2, 2], [1, 1]]
    assert ranks_between(np.ones((1, 9))).tolist() == [[1, 1]]


@pytest.mark.parametrize("seed", range(8))
def test_two_models_are_told_apart_where_flipping_signs_tells_them_apart(seed):
    merits = merits_of([0.0, 0.5], 10, seed=seed, spread=0.6)
    p = sign_flip_p_values((merits[0] - merits[1]).reshape(-1, 1))[0]
    assert told_apart(merits).any() == (p < 0.05)


def test_a_model_that_is_better_by_the_same_everywhere_is_told_apart_whatever_the_prompts_are():
    assert told_apart(np.arange(8.0) * 1e3 + np.array([[0.0], [1.0]])).tolist() == [[False, False], [True, False]]


def test_what_prompts_have_in_common_and_the_scale_and_the_order_change_nothing():
    merits = merits_of([0.0, 0.1, 0.4, 0.5, 2.0], 20, seed=3)
    ranks = ranks_between(merits).tolist()
    assert len(set(map(tuple, ranks))) > 2
    shifted = 7 * merits + np.random.default_rng(4).normal(0, 1e3, 20)
    assert ranks_between(shifted).tolist() == ranks
    assert ranks_between(merits[::-1]).tolist() == ranks[::-1]


def test_another_model_decides_nothing_between_two_however_far_or_wild_it_is():
    pair = merits_of([0.0, 0.4], 12, seed=5)
    assert told_apart(pair).any()
    wild = 1e4 * np.random.default_rng(6).normal(0, 1, (1, 12)) - 1e6
    assert (told_apart(np.concatenate([pair, wild]))[:2, :2] == told_apart(pair)).all()


def test_who_has_left_the_family_no_longer_hides_the_others():
    """Of eight models at one prompt more than six, all 28 pairs together are told apart step by step."""
    merits = np.arange(8.0)[:, None] + 0.01 * np.random.default_rng(7).normal(0, 1, (8, 7))
    assert ranks_between(merits).tolist() == [[at, at] for at in range(8, 0, -1)]


def test_very_many_models_are_asked_otherwise_and_with_the_same_answer():
    levels = [0.0] * (MANY_MODELS + 1)
    levels[0], levels[1] = 2.0, -2.0
    for prompts in (60, 200):
        ranks = ranks_between(merits_of(levels, prompts)).tolist()
        assert ranks[:2] == [[1, 1], [len(levels)] * 2]
        assert ranks[2][1] - ranks[2][0] > MANY_MODELS // 2


def test_a_value_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        ranks_between(np.array([[1.0, np.nan, 2.0], [1.0, 2.0, 3.0]]))


@pytest.mark.slow
@pytest.mark.parametrize(("models", "prompts"), [(2, 8), (5, 8), (12, 20)])
def test_equal_models_are_placed_apart_as_rarely_as_said_beside_one_that_fails(models, prompts):
    """300 boards of skewed values, and one more model that is far worse: 5% and four standard errors."""
    generator = np.random.default_rng(8)
    wrong = 0
    for _ in range(300):
        merits = generator.lognormal(0, 1, (models + 1, prompts)) + generator.normal(0, 1, prompts)
        merits[-1] -= 30
        wrong += told_apart(merits)[:-1, :-1].any()
    assert wrong <= stats.binom.isf(1e-4, 300, 0.05)
