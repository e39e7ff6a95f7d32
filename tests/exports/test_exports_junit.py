"""JUnit XML: what CI reads of each test."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from pytest_vdb.exports.junit import properties_of
from pytest_vdb.records import Measurement, Record


@pytest.fixture
def suite(written, tmp_path) -> ElementTree.Element:
    written("junit", "x.xml")
    return ElementTree.parse(tmp_path / "x.xml").getroot().find("testsuite")


def test_a_value_is_a_property_with_its_unit_and_direction(board, suite):
    (row,) = (row for row in board.rows if row.model == "veo")
    record = row.records[0]
    name = record.nodeid.partition("::")[2]
    (case,) = (case for case in suite.iter("testcase") if case.get("name") == name)
    told = {one.get("name"): one.get("value") for one in case.iter("property")}
    assert float(told["vdb.latency"]) == record.measurement("latency").value
    assert (told["vdb.latency.unit"], told["vdb.latency.better"]) == ("s", "lower")
    assert (told["vdb.model"], told["vdb.weights"], told["vdb.seed"]) == ("veo", "hub", "1234")
    assert "vdb.clip_similarity" not in told
    assert "are not here" in told["vdb.clip_similarity.missing"]


def test_tests_failures_and_skips_are_counted(suite):
    assert {name: suite.get(name) for name in ("tests", "failures", "skipped")} == {
        "tests": "54",
        "failures": "1",
        "skipped": "6",
    }
    assert "one constant colour" in suite.find(".//failure").get("message")
    assert suite.get("hostname") is None


def test_an_interval_n_and_proof_of_wiring_are_told_and_nothing_is_obeyed():
    odd = Measurement(name="a\x1b", value=1.0, unit="1", better="higher", n=16, interval=(0.5, 1.5), wiring=True)
    record = Record(run="r", nodeid="n", benchmark="b", model="m", status="passed", measurements=(odd,))
    told = dict(properties_of(record))
    assert told["vdb.a\\x1b"] == "1.0"
    assert [told[f"vdb.a\\x1b.{part}"] for part in ("n", "low", "high", "wiring")] == ["16", "0.5", "1.5", "true"]
