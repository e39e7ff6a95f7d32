"""What was seen beside what other arrangements of the same parts give."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pytest_vdb.statistics.swaps import permutation_p_value


def test_the_arrangement_that_was_seen_counts_as_one():
    assert permutation_p_value(3.0, [1.0, -2.0, 0.5]) == 1 / 4
    assert permutation_p_value(-2.0, [1.0, 2.0, -3.0]) == 3 / 4
    assert permutation_p_value(0.0, [0.0, 0.0]) == 1
    assert permutation_p_value(1.0, []) == 1


def test_rounding_does_not_tell_equal_arrangements_apart():
    assert permutation_p_value(0.3, [0.1 + 0.2, 0.1 + 0.2 - 1e-16]) == 1
    assert permutation_p_value(0.3, [0.3 - 1e-10]) == 1 / 2
    assert permutation_p_value(0.3, [0.3 - 1e-10], rounding=1e-9) == 1


def test_it_agrees_with_scipys_permutation_test():
    differences = np.random.default_rng(1).normal(0.5, 1, 10)
    expected = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf)
    others = expected.null_distribution
    assert permutation_p_value(expected.statistic, others) == pytest.approx(expected.pvalue, abs=2 / len(others))
