"""Intervals beside margins, and how many prompts would decide."""

from __future__ import annotations

import math

import pytest

from pytest_vdb.statistics.verdicts import judge_worsening, prompts_that_decide, smallest_change


@pytest.mark.parametrize(
    ("ends", "margin", "judgement"),
    [
        ((0.03, 0.05), 0.02, "regressed"),
        ((0.02, 0.05), 0.02, "inconclusive"),
        ((-0.01, 0.019), 0.02, "equivalent"),
        ((0.005, 0.019), 0.02, "equivalent"),
        ((-0.01, 0.02), 0.02, "inconclusive"),
        ((-0.05, -0.03), 0.02, "improved"),
        ((-0.05, -0.01), 0.02, "equivalent"),
        ((0.001, 0.002), 0.0, "regressed"),
        ((0.0, 0.0), 0.0, "equivalent"),
        ((0.0, 0.0), 0.02, "equivalent"),
        ((-math.inf, math.inf), 0.02, "inconclusive"),
        (None, 0.02, "inconclusive"),
    ],
)
def test_a_verdict_needs_the_whole_interval_on_its_side(ends, margin, judgement):
    assert judge_worsening(ends, margin) == judgement


def test_the_prompts_that_decide_are_six_times_the_squared_ratio_of_spread_to_margin():
    assert prompts_that_decide(0.03, 0.01) == math.ceil(6.1826 * 9)
    assert prompts_that_decide(0.03, 0.01, change=0.005) == math.ceil(6.1826 * 36)
    assert prompts_that_decide(0.0, 0.01) == 2


def test_two_published_runs_within_each_others_noise_decide_nothing_and_say_how_many_would():
    """MLPerf v6.0: one system's two runs lie .77 apart, the margin is .705, one run's standard deviation is .24."""
    spread = math.sqrt(2) * 0.24
    assert judge_worsening((0.77 - 1.96 * spread, 0.77 + 1.96 * spread), 0.705) == "inconclusive"
    assert prompts_that_decide(spread, 0.705, change=0.77) == 169


def test_no_number_decides_what_lies_at_the_margin():
    assert prompts_that_decide(0.03, 0.01, change=0.01) is None
    assert prompts_that_decide(0.03, 0.0) is None
    assert prompts_that_decide(math.nan, 0.01) is None


def test_the_smallest_change_and_the_number_of_prompts_are_each_others_inverse():
    change = smallest_change(0.03, 100)
    assert prompts_that_decide(0.03, change * 1.0001) == 100
    assert smallest_change(0.03, 1) is None
