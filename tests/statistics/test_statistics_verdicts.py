"""How many prompts would decide, and what so many can see."""

from __future__ import annotations

import math

import pytest
from scipy.special import nctdtr, stdtrit

from pytest_vdb.statistics.verdicts import noncentrality, prompts_that_decide, smallest_change


def test_the_prompts_that_decide_are_six_times_the_squared_ratio_of_spread_to_margin():
    assert prompts_that_decide(0.03, 0.01) == math.ceil(6.1826 * 9)
    assert prompts_that_decide(0.03, 0.01, change=0.005) == math.ceil(6.1826 * 36)
    assert prompts_that_decide(0.0, 0.01) == 2


def test_no_number_decides_what_lies_at_the_margin():
    assert prompts_that_decide(0.03, 0.01, change=0.01) is None
    assert prompts_that_decide(0.03, 0.0) is None
    assert prompts_that_decide(math.nan, 0.01) is None


def test_the_smallest_change_and_the_number_of_prompts_are_each_others_inverse_where_there_are_many():
    change = smallest_change(0.03, 1_000)
    assert prompts_that_decide(0.03, change) == pytest.approx(1_000, rel=0.005)
    assert smallest_change(0.03, 1) is None
    assert smallest_change(math.inf, 10) is None
    assert smallest_change(0.03, 10, confidence=1.0) is None


@pytest.mark.parametrize("degrees", [1, 2, 5, 30])
@pytest.mark.parametrize("confidence", [0.95, 0.9975])
def test_a_change_of_so_many_standard_errors_is_seen_by_a_t_test_with_that_power(degrees, confidence):
    limit = stdtrit(degrees, confidence)
    change = noncentrality(degrees, confidence, 0.8)
    assert 1 - nctdtr(degrees, change, limit) == pytest.approx(0.8, abs=1e-4)


def test_a_limit_beyond_all_use_ends_in_a_number():
    """scipy's own inverse does not come to an end there."""
    assert 1e6 < noncentrality(1, 1 - 1e-8, 0.8) < 1e9
