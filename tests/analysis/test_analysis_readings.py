"""What counts of a record, and why the rest does not."""

from __future__ import annotations

import pytest

from pytest_vdb.analysis.readings import Statement, counting, is_of_set, is_read_once, is_yardstick, why_meaningless
from pytest_vdb.models.registry import Registry
from pytest_vdb.records import Failure, Measurement, Record

QUALITY = Measurement(name="sharpness", value=0.5, unit="1", better="higher")
LATENCY = Measurement(name="latency", value=2.0, unit="s", better="lower", kind="performance")
ABSENT = Measurement(name="sharpness", value=None, unit="1", better="higher", reason="needs 2 frames, got 1")
GREY = Failure(type="BadClip", message="grey")


def record(*measurements, status="passed", **about):
    about = {"prompt": "p1", "seed": 1} | about
    return Record(
        run="r", nodeid="t", benchmark="t", model="m", status=status, measurements=tuple(measurements), **about
    )


@pytest.mark.parametrize(
    ("said", "value", "why"),
    [
        (record(QUALITY), 0.5, ""),
        (record(QUALITY, reused_from="earlier"), 0.5, ""),
        (record(QUALITY, status="failed", failure=GREY), None, "failed: BadClip: grey"),
        (record(ABSENT), None, "needs 2 frames, got 1"),
        (record(), None, "not measured by these tests"),
        (record(published="a paper"), None, "not published"),
    ],
)
def test_a_value_counts_or_says_why_not(said, value, why):
    statement = Statement.of(said, "sharpness")
    assert (statement.value, statement.why_not) == (value, why)


def test_a_reused_clip_was_not_timed_whatever_stands_in_its_record():
    statement = Statement.of(record(LATENCY, reused_from="earlier"), "latency")
    assert statement.value is None
    assert statement.why_not == "the clip came from the cache: nothing was timed"


def test_counting_are_the_values_that_count():
    statements = [Statement.of(one, "sharpness") for one in (record(QUALITY), record(ABSENT), record())]
    assert counting(statements) == [(record(QUALITY), QUALITY)]


def test_what_only_some_tests_tried_is_read_once_per_model_if_it_is_a_cost():
    def once(name, *records):
        return is_read_once(Statement.of(one, name) for one in records)

    assert once("latency", record(LATENCY), record())
    assert not once("latency", record(LATENCY), record(LATENCY))
    assert not once("latency", record(LATENCY), record(status="failed"))
    assert not once("latency", record(LATENCY), record(reused_from="earlier"))
    assert not once("sharpness", record(QUALITY), record())


def test_a_record_of_a_set_answers_no_prompt():
    assert is_of_set(record(prompt=None, seed=None))
    assert not is_of_set(record())


@pytest.mark.parametrize(
    ("kind", "weights", "about", "why"),
    [
        ("quality", "hub", {}, None),
        ("quality", "none", {}, None),
        ("quality", "hub", {"wiring": True}, "computed by random weights: proves the wiring only"),
        ("quality", "random", {}, "the pixels of random weights mean nothing"),
        ("quality", None, {}, "the weights are unknown"),
        ("performance", "random", {}, None),
        ("performance", "tiny", {}, "tiny random weights prove the wiring only"),
        ("performance", None, {}, "the weights are unknown"),
        ("performance", "hub", {"published": "a paper"}, "published in a paper, not measured here"),
    ],
)
def test_what_says_nothing_of_its_model_says_why(kind, weights, about, why):
    assert why_meaningless(kind, weights, **about) == why


def test_yardsticks_are_the_models_that_are_tagged_so():
    cards = Registry.from_catalog().select("all")
    yardsticks = {card.name for card in cards if is_yardstick(card.name)}
    assert yardsticks == {card.name for card in cards if "calibration" in card.tags}
    assert yardsticks
