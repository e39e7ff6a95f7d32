"""Bencher Metric Format, held to the schema on Bencher's own page of reference."""

from __future__ import annotations

import json

import pytest

from pytest_vdb.analysis.tables import Column
from pytest_vdb.exports.bencher import measure_of

ALLOWED = {"value", "lower_value", "upper_value"}
"""https://bencher.dev/v0/bmf.json: benchmark -> measure -> these, all of them numbers, `value` required."""


@pytest.fixture
def content(written, tmp_path) -> dict:
    written("bencher", "x.json")
    return json.loads((tmp_path / "x.json").read_text())


def test_it_is_as_the_schema_has_it(content):
    assert content
    for measures in content.values():
        assert measures
        for name, metric in measures.items():
            assert len(name) <= 64
            assert {"value"} <= set(metric) <= ALLOWED
            assert all(type(number) is float for number in metric.values())


def test_values_and_intervals_are_the_leaderboards(board, content):
    (table,) = board.tables
    (row,) = (row for row in table.rows if row.model == "veo")
    cells = {column.name: cell for column, cell in zip(table.columns, row.cells, strict=True)}
    latency = content["test_generation[veo]"]["latency-s"]
    assert (latency["value"], (latency["lower_value"], latency["upper_value"])) == (
        cells["latency"].mean,
        cells["latency"].interval,
    )


def test_what_is_missing_is_absent_and_what_proves_the_wiring_is_left_out(written, content):
    assert "clip-similarity" not in content["test_generation[veo]"]
    assert "clip-similarity" not in content["test_generation[wan2.1-t2v-1.3b] (tiny weights)"]
    assert "test_generation[hunyuanvideo]" not in content
    reasons = {(one.metric, one.reason) for one in written("bencher", "x.json").left_out}
    assert ("clip_similarity", "computed by random weights, and the format has no place to say so") in reasons
    assert any(metric == "latency" and "skipped" in reason for metric, reason in reasons)


@pytest.mark.parametrize(
    ("name", "unit", "measure"),
    [
        ("latency", "s", "latency-s"),
        ("throughput", "frames/s", "throughput-frames-s"),
        ("vbench.subject_consistency", "1", "vbench-subject-consistency"),
    ],
)
def test_a_measure_is_told_from_bencher_s_own_by_its_unit(name, unit, measure):
    assert measure_of(name, Column(name=name, unit=unit, better="lower", kind="quality", version="1")) == measure
