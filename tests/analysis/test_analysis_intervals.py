"""The statistics, against scipy and against what is known of them."""

import numpy as np
import pytest
from scipy import stats

from pytest_vdb.analysis.intervals import (
    benjamini_hochberg,
    holm,
    paired_t_p_values,
    sign_flip_p_value,
    sign_flip_p_values,
    t_interval,
)


def test_the_t_interval_is_scipys():
    values = np.random.default_rng(0).normal(0.3, 0.05, 12).tolist()
    expected = stats.t.interval(0.95, 11, np.mean(values), stats.sem(values))
    assert t_interval(values) == pytest.approx(expected, rel=1e-12)


def test_one_value_has_no_interval():
    assert t_interval([0.5]) is None
    assert t_interval([]) is None


def test_six_pairs_of_one_sign_have_p_two_in_sixty_four():
    assert sign_flip_p_value([1, 2, 3, 4, 5, 6]) == pytest.approx(2 / 64)


def test_five_pairs_can_never_be_significant():
    assert sign_flip_p_value([9, 9, 9, 9, 9]) > 0.05


def test_equal_values_have_p_one():
    assert sign_flip_p_value([0.0] * 8) == 1
    assert sign_flip_p_value([]) == 1


def test_the_exact_p_value_is_scipys_permutation_test():
    differences = np.random.default_rng(1).normal(0.4, 1, 9)
    expected = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
    assert sign_flip_p_value(differences.tolist()) == pytest.approx(expected)


def test_the_sampled_p_value_agrees_with_the_t_test_and_repeats():
    differences = np.random.default_rng(2).normal(0.2, 1, 120)
    p = sign_flip_p_value(differences.tolist())
    assert p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=0.01)
    assert p == sign_flip_p_value(differences.tolist())


def test_the_sign_flip_raises_false_alarms_as_often_as_it_says():
    generator = np.random.default_rng(3)
    p_values = sign_flip_p_values(generator.normal(0, 1, (10, 4_000)))
    assert (p_values < 0.05).mean() == pytest.approx(0.05, abs=0.012)


def test_the_paired_t_test_is_scipys_and_knows_its_limits():
    differences = np.random.default_rng(4).normal(0.3, 1, (7, 3))
    assert paired_t_p_values(differences) == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    assert paired_t_p_values(np.zeros((5, 1))) == 1
    assert paired_t_p_values(np.full((5, 1), 0.1)) == 0
    assert paired_t_p_values(np.full((2, 1), 0.1)) == 1


def test_holm_and_benjamini_hochberg_match_their_published_definitions():
    p_values = [0.01, 0.04, 0.03, 0.005]
    assert holm(p_values) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert benjamini_hochberg(p_values) == pytest.approx(stats.false_discovery_control(p_values))
    assert holm([]) == benjamini_hochberg([]) == ()
