"""How many prompts would decide, and what so many can see."""

from __future__ import annotations

import math

from pytest_vdb.statistics.verdicts import prompts_that_decide, smallest_change


def test_the_prompts_that_decide_are_six_times_the_squared_ratio_of_spread_to_margin():
    assert prompts_that_decide(0.03, 0.01) == math.ceil(6.1826 * 9)
    assert prompts_that_decide(0.03, 0.01, change=0.005) == math.ceil(6.1826 * 36)
    assert prompts_that_decide(0.0, 0.01) == 2


def test_no_number_decides_what_lies_at_the_margin():
    assert prompts_that_decide(0.03, 0.01, change=0.01) is None
    assert prompts_that_decide(0.03, 0.0) is None
    assert prompts_that_decide(math.nan, 0.01) is None


def test_the_smallest_change_and_the_number_of_prompts_are_each_others_inverse():
    change = smallest_change(0.03, 100)
    assert prompts_that_decide(0.03, change * 1.0001) == 100
    assert smallest_change(0.03, 1) is None
