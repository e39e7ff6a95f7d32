"""What is faster than physics is refused, and what was published is not."""

from __future__ import annotations

import dataclasses

import pytest

from pytest_vdb.estimates import limit, prediction
from pytest_vdb.models.counts import Counts, PartCount, StageCount
from pytest_vdb.profiling import hardware
from pytest_vdb.records import Recipe

H100 = hardware.known()["h100"]
BF16 = Recipe(dtype="bfloat16")
PUBLISHED = prediction.published()


def counted(operations: float, *, calls: int = 1, weights: int = 2**30, moved: float = 1e12) -> Counts:
    stage = StageCount(
        stage="denoise",
        part="transformer",
        calls=calls,
        products=operations,
        attention=0.0,
        moved_bytes=moved,
        peak_bytes=0,
        inner_width=2048.0,
        head_width=128.0,
    )
    part = PartCount(parameters=weights // 2, bytes=weights, largest_bytes=2**20)
    return Counts(key="k", steps=calls, diffusers="0", parts={"transformer": part}, stages=(stage,))


def test_half_the_peak_is_a_share_of_a_half():
    found = limit.limit(counted(989.4e12), BF16, H100, 2.0)
    assert found.utilisation == pytest.approx(0.5)
    assert found.least_seconds == pytest.approx(1.0)
    assert not found.is_impossible


def test_faster_than_the_peak_is_impossible():
    found = limit.limit(counted(989.4e12), BF16, H100, 0.9)
    assert found.utilisation is None
    assert found.is_impossible
    assert "1.11 of the peak" in found.reason


def test_faster_than_the_weights_can_be_read_is_impossible():
    few = counted(1e9, calls=100, weights=67 * 10**9)
    assert limit.limit(few, BF16, H100, 1.9).is_impossible  # 6.7 TB at 3.35 TB/s
    assert not limit.limit(few, BF16, H100, 2.1).is_impossible


def test_several_clips_and_devices_do_more():
    alone = limit.limit(counted(989.4e12), BF16, H100, 2.0).utilisation
    assert limit.limit(counted(989.4e12), BF16, H100, 4.0, clips=4, devices=2).utilisation == pytest.approx(alone)


def test_the_roofline_says_what_limits():
    ridge = 989.4e12 / 3.35e12
    assert limit.limit(counted(1e15, moved=1e15 / (2 * ridge)), BF16, H100, 9.0).bound == "compute"
    assert limit.limit(counted(1e15, moved=1e15 / (ridge / 2)), BF16, H100, 9.0).bound == "memory"


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        (dataclasses.replace(BF16, cache="pab:2"), "leaves out calls"),
        (dataclasses.replace(BF16, dtype="float64"), "is not known"),
    ],
)
def test_where_the_count_or_the_peak_is_not_the_calls_there_is_no_share(recipe, reason):
    found = limit.limit(counted(1e15), recipe, H100, 1e-9)
    assert found.utilisation is None
    assert not found.is_impossible
    assert reason in found.reason


def test_eight_bits_may_be_twice_as_fast():
    found = limit.limit(counted(989.4e12), dataclasses.replace(BF16, quantization="torchao-float8"), H100, 0.6)
    assert found.utilisation == pytest.approx(0.833, abs=0.001)


def of(reference: prediction.Reference, seconds: float) -> limit.Limit:
    return limit.limit(reference.counts, reference.recipe, reference.device, seconds)


def test_a_share_that_nobody_published_is_possible_and_doubted():
    assert limit.limit(counted(989.4e12), BF16, H100, 1.4).is_doubtful
    assert not limit.limit(counted(989.4e12), BF16, H100, 1.6).is_doubtful


@pytest.mark.parametrize("one", PUBLISHED, ids=[f"{one.model}-{one.device.name}" for one in PUBLISHED])
def test_what_was_published_passes(one):
    assert 0.1 < of(one, one.seconds).utilisation < 0.7
    assert of(one, one.seconds).bound == "compute"


@pytest.mark.parametrize("one", [one for one in PUBLISHED if one.device.name == "h100"], ids=lambda one: one.model)
def test_what_was_published_on_an_h100_is_refused_four_times_as_fast(one):
    """Of a B200 others reach a sixth of the peak: there only six times as fast is impossible."""
    assert of(one, one.seconds / 4).is_impossible
