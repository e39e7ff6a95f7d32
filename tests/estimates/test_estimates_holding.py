"""A latency is held against its device where both are known; one that cannot be true is None and fails the test."""

from __future__ import annotations

import dataclasses

import pytest

from pytest_vdb.estimates.holding import held
from pytest_vdb.models import recipes
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
    found = held(CARD, RECIPE, H100, readings(95.4), tmp_path)
    assert found.readings == readings(95.4)
    assert found.error is None
    assert found.note == "30% of the peak of NVIDIA H100 SXM (MFU), limited by compute"


def test_one_that_cannot_be_true_is_none_with_the_reason_and_fails(tmp_path):
    found = held(CARD, RECIPE, H100, readings(95.4 / 4), tmp_path)
    latency, throughput, memory = found.readings
    assert (latency.value, throughput.value, memory.value) == (None, None, 9000.0)
    assert latency.reason.startswith("impossible: 1.21 of the peak")
    with pytest.raises(Exception, match="was the device synchronised"):
        raise found.error


def test_a_call_of_several_clips_is_held_against_all_of_their_operations(tmp_path):
    timed = tuple(of_rounds([95.4], frames=81, fps=16.0, clips=4))
    assert held(CARD, RECIPE, H100, timed, tmp_path).error is None
    found = held(CARD, dataclasses.replace(RECIPE, batch=4), H100, timed, tmp_path)
    assert found.error is not None
    assert {one.name: one.value for one in found.readings} == dict.fromkeys(one.name for one in timed)
    assert all(one.reason.startswith("impossible") for one in found.readings)


@pytest.mark.parametrize(
    ("device", "changes"),
    [("AMD EPYC (2 cores)", {}), (H100, {"weights": "tiny"}), (H100, {"frames": 5})],
    ids=["an unknown device", "tiny weights", "a recipe that was not counted"],
)
def test_what_is_not_known_is_left_alone(tmp_path, device, changes):
    found = held(CARD, dataclasses.replace(RECIPE, **changes), device, readings(1e-3), tmp_path)
    assert found.readings == readings(1e-3)
    assert found.note is None
    assert found.error is None
