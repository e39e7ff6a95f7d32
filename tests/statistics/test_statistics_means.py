"""The statistics, against scipy and against what is known of them."""

import numpy as np
import pytest
from scipy import stats

from pytest_vdb.statistics.best import p_values_against_best
from pytest_vdb.statistics.exchangeable import sign_flip_intervals, sign_flip_p_values
from pytest_vdb.statistics.intervals import mean_intervals, mean_p_values
from pytest_vdb.statistics.means import by_size, mean_of, paired_t_p_values
from pytest_vdb.statistics.stopping import symmetric_e_values


def test_the_paired_t_test_is_scipys_and_knows_its_limits():
    differences = np.random.default_rng(4).normal((0.0, 0.1, 0.7), 1, (200, 3))
    assert paired_t_p_values(differences) == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, rel=1e-9)
    assert paired_t_p_values(np.zeros((200, 1))) == 1
    assert paired_t_p_values(np.full((200, 1), 0.1)) == 0


def test_a_mean_loses_nothing_to_the_order_of_its_sum():
    assert mean_of([1e16, 1.0, -1e16]) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "judge",
    [
        sign_flip_p_values,
        sign_flip_intervals,
        mean_intervals,
        mean_p_values,
        p_values_against_best,
        symmetric_e_values,
    ],
)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_was_not_measured_is_never_tested(judge, value):
    values = np.random.default_rng(5).random((6, 4))
    values[2, 1] = value
    with pytest.raises(ValueError, match="1 of 24 values are not finite"):
        judge(values)


def test_the_mean_of_values_whose_sum_is_no_number_is_one():
    assert mean_of([1.7e308, 1.7e308]) == 1.7e308
    assert mean_of([-1.7e308, 1.7e308, 1.7e308]) == pytest.approx(1.7e308 / 3)


def test_samples_of_one_size_stand_side_by_side():
    found = list(by_size([[1.0, 2.0], [3.0], [4.0, 5.0]]))
    assert [places for places, _ in found] == [[0, 2], [1]]
    assert found[0][1].tolist() == [[1.0, 4.0], [2.0, 5.0]]
