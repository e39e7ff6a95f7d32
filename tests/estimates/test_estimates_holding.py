"""A latency is held against its device where both are known; one that cannot be true is None and fails the test."""

from __future__ import annotations

import dataclasses

import pytest

from pytest_vdb.errors import FasterThanPhysics
from pytest_vdb.estimates.holding import held
from pytest_vdb.models import counts, recipes
from pytest_vdb.models.registry import Registry
from pytest_vdb.profiling.latency import LATENCY, THROUGHPUT
from pytest_vdb.profiling.probe import Reading
from pytest_vdb.profiling.rounds import of_rounds
from pytest_vdb.records import Recipe

CARD = Registry.from_catalog().get("wan2.1-t2v-1.3b")
RECIPE = recipes.resolve(CARD, Recipe(), "hub")
H100 = "NVIDIA H100 80GB HBM3"
MEMORY = Reading("peak_memory", "MiB")


def readings(seconds: float):
    return (LATENCY.of(seconds), THROUGHPUT.of(81 / seconds), MEMORY.of(9000.0))


def test_a_latency_that_can_be_true_stays_and_says_how_near_the_peak_it_came(tmp_path):
    *others, intensity, share = held(CARD, RECIPE, H100, readings(95.4), tmp_path).readings
    assert tuple(others) == readings(95.4)
    assert share.value == pytest.approx(0.30, abs=0.005)
    assert f"{intensity.value:,.0f} operations per byte" in share.reason
    assert share.reason.startswith("of NVIDIA H100 SXM, limited by compute: ")
    assert "published" not in share.reason
    assert "more than any published run" in held(CARD, RECIPE, H100, readings(35.0), tmp_path).readings[-1].reason


def test_a_clip_that_devices_share_is_not_held_against_one_of_them(tmp_path):
    shared = recipes.resolve(CARD, Recipe(parallel="ulysses:4"), "hub")
    found = held(CARD, shared, H100, readings(95.4 / 4), tmp_path)
    assert found.error is None
    *others, share = found.readings
    assert tuple(others) == readings(95.4 / 4)
    assert (share.name, share.value) == ("mfu", None)
    assert "4 devices share the clip" in share.reason


def test_one_that_cannot_be_true_is_none_with_the_reason_and_fails(tmp_path):
    found = held(CARD, RECIPE, H100, readings(95.4 / 4), tmp_path)
    latency, throughput, memory, intensity, share = found.readings
    assert (latency.value, throughput.value, memory.value, share.value) == (None, None, 9000.0, None)
    assert intensity.value is not None  # a count, whatever the clock says
    assert latency.reason == share.reason
    assert latency.reason.startswith("impossible: 1.21 of the peak")
    with pytest.raises(FasterThanPhysics, match="was the device synchronised"):
        raise found.error


def test_the_median_of_several_calls_is_held_in_the_same_way(tmp_path):
    possible = held(CARD, RECIPE, H100, of_rounds([95.4, 95.3, 95.5], frames=81, fps=16), tmp_path)
    assert possible.readings[-1].value == pytest.approx(0.30, abs=0.005)
    found = held(CARD, RECIPE, H100, of_rounds([20.0, 21.0, 22.0], frames=81, fps=16), tmp_path)
    assert [one.name for one in found.readings if one.value is not None] == ["operation_intensity"]
    assert found.error is not None


def test_counts_that_nobody_made_or_that_are_torn_cost_the_share_alone(tmp_path):
    fewer = dataclasses.replace(RECIPE, frames=5)
    assert "vdb estimate does" in held(CARD, fewer, H100, readings(95.4), tmp_path).readings[-1].reason
    counts.place_of(counts.key_of(CARD, fewer), tmp_path).parent.mkdir(parents=True, exist_ok=True)
    counts.place_of(counts.key_of(CARD, fewer), tmp_path).write_text("{")
    *others, share = held(CARD, fewer, H100, readings(95.4), tmp_path).readings
    assert tuple(others) == readings(95.4)
    assert share.value is None
    assert str(tmp_path) in share.reason


def test_a_call_of_several_clips_is_held_against_all_of_their_operations(tmp_path):
    timed = tuple(of_rounds([95.4], frames=81, fps=16.0, clips=4))
    assert held(CARD, RECIPE, H100, timed, tmp_path).error is None
    found = held(CARD, dataclasses.replace(RECIPE, batch=4), H100, timed, tmp_path)
    assert found.error is not None
    refused = [one for one in found.readings if one.name != "operation_intensity"]
    assert [one.value for one in refused] == [None] * (len(timed) + 1)
    assert all(one.reason.startswith("impossible") for one in refused)


@pytest.mark.parametrize(
    ("device", "changes"),
    [("AMD EPYC (2 cores)", {}), (H100, {"weights": "tiny"})],
    ids=["an unknown device", "tiny weights"],
)
def test_what_is_not_known_is_left_alone(tmp_path, device, changes):
    found = held(CARD, dataclasses.replace(RECIPE, **changes), device, readings(1e-3), tmp_path)
    assert found.readings == readings(1e-3)
    assert found.error is None
