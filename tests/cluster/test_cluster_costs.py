"""Costs are what was measured of the same recipe on the same hardware, and nothing else."""

from __future__ import annotations

import pytest
from made_shards import make_record

from pytest_vdb.cluster.costs import Setup, estimated_cost, joined, measured_costs
from pytest_vdb.estimates.prediction import Range
from pytest_vdb.records import Measurement


def seconds(name, value):
    return Measurement(name=name, value=value, unit="s", better="lower", kind="performance")


def test_the_load_is_taken_out_of_the_test_that_paid_for_it():
    first = make_record("a", duration_s=70.0, measurements=(seconds("load_time", 40.0), seconds("first_call", 20.0)))
    (cost,) = measured_costs([first, make_record("b", duration_s=12.0)]).values()
    assert cost.load_s == 60.0
    assert cost.test_s.value == pytest.approx((10.0 + 12.0) / 2)
    assert cost.test_s.low < cost.test_s.value < cost.test_s.high


def test_other_hardware_and_recipes_are_never_mixed():
    found = measured_costs([make_record("a"), make_record("b", hardware="L4"), make_record("c", recipe_digest="other")])
    assert len(found) == 3
    assert Setup(model="wan", recipe="r", weights="hub", hardware="L4") in found


def test_what_failed_or_was_reused_says_nothing():
    assert not measured_costs([make_record("a", status="failed"), make_record("b", reused_from="earlier")])


def test_an_assumed_load_is_said_to_be():
    seconds_of_clip = Range(value=30.0, low=20.0, high=45.0)
    cost = estimated_cost(seconds_of_clip, 25.0, "others' runs")
    assert cost.load_s == 50.0
    assert "assumed at 0.5 GB/s" in cost.rests_on
    assert "its load is not known" in estimated_cost(seconds_of_clip, None, "others' runs").rests_on


def test_recipes_of_one_model_are_one_cost():
    one, other = (estimated_cost(Range(value=v, low=v, high=v), gb, "x") for v, gb in ((10.0, 5.0), (30.0, 1.0)))
    assert joined([one, other]).load_s == 10.0
    assert joined([one, other]).test_s.value == 20.0
