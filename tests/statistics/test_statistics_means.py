"""The statistics, against scipy and against what is known of them."""

import numpy as np
import pytest
from scipy import stats

from pytest_vdb.statistics.means import mean_of, paired_t_p_values, t_interval


def test_the_t_interval_is_scipys():
    values = np.random.default_rng(0).normal(0.3, 0.05, 12).tolist()
    expected = stats.t.interval(0.95, 11, np.mean(values), stats.sem(values))
    assert t_interval(values) == pytest.approx(expected, rel=1e-12)


def test_one_value_has_no_interval():
    assert t_interval([0.5]) is None
    assert t_interval([]) is None


def test_the_paired_t_test_is_scipys_and_knows_its_limits():
    differences = np.random.default_rng(4).normal(0.3, 1, (7, 3))
    assert paired_t_p_values(differences) == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    assert paired_t_p_values(np.zeros((5, 1))) == 1
    assert paired_t_p_values(np.full((5, 1), 0.1)) == 0
    assert paired_t_p_values(np.full((2, 1), 0.1)) == 1


def test_a_mean_loses_nothing_to_the_order_of_its_sum():
    assert mean_of([1e16, 1.0, -1e16]) == pytest.approx(1 / 3)
