"""Clips made worse: always in the same way, always further from the clip."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest

from pytest_vdb.degradations import DEGRADATIONS, degraded
from pytest_vdb.errors import BadClip
from pytest_vdb.metrics import contract
from pytest_vdb.records import Clip
from pytest_vdb.shapes import moving_shapes


def scene(frames: int = 16, side: int = 64) -> Clip:
    return Clip(moving_shapes("p001", frames=frames, height=side, width=side), 8.0)


def distance(first: Clip, second: Clip) -> float:
    return float(np.abs(first.frames.astype(float) - second.frames).mean())


def test_they_are_those_that_metrics_may_claim():
    assert set(DEGRADATIONS) == set(contract.DEGRADATIONS)


@pytest.mark.parametrize("degradation", sorted(set(DEGRADATIONS) - {"dropped"}))
def test_each_severity_is_further_from_the_clip(degradation):
    clip = scene()
    far = [distance(clip, degraded(clip, degradation, severity)) for severity in range(6)]
    assert far[0] == 0
    assert all(earlier < later for earlier, later in itertools.pairwise(far))


def test_each_severity_drops_more_of_the_same_frames():
    clip = scene()
    kept = [degraded(clip, "dropped", severity).frames for severity in range(6)]
    assert [len(frames) for frames in kept] == [16, 15, 13, 12, 11, 10]
    held = [{frame.tobytes() for frame in frames} for frames in kept]
    assert all(later < earlier for earlier, later in itertools.pairwise(held))


def test_shuffling_keeps_every_frame_and_freezing_ends_in_a_still():
    clip = scene()
    shuffled, frozen = degraded(clip, "shuffled", 5), degraded(clip, "frozen", 5)
    assert sorted(frame.tobytes() for frame in shuffled.frames) == sorted(frame.tobytes() for frame in clip.frames)
    assert not np.diff(frozen.frames.astype(int), axis=0).any()


@pytest.mark.parametrize("degradation", DEGRADATIONS)
@pytest.mark.parametrize("size", [(1, 1, 1), (2, 3, 5), (7, 31, 18)])
def test_any_clip_can_be_degraded(degradation, size):
    frames, height, width = size
    clip = Clip(moving_shapes("odd", frames=frames, height=height, width=width), 8.0)
    for severity in range(6):
        worse = degraded(clip, degradation, severity)
        assert worse.frames.shape[1:] == clip.frames.shape[1:]
        assert worse.fps == clip.fps


@pytest.mark.slow
def test_another_process_makes_the_same_bytes():
    code = (
        "from pytest_vdb.degradations import *; from pytest_vdb.records import Clip;"
        "from pytest_vdb.shapes import moving_shapes;"
        "clip = Clip(moving_shapes('p001', frames=16, height=64, width=64), 8.0);"
        "print([degraded(clip, d, 3).digest() for d in DEGRADATIONS])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == str([degraded(scene(), degradation, 3).digest() for degradation in DEGRADATIONS])


def test_an_unknown_degradation_or_severity_is_refused():
    with pytest.raises(BadClip, match="no degradation 'rain'"):
        degraded(scene(), "rain", 1)
    with pytest.raises(BadClip, match="severity 6"):
        degraded(scene(), "blur", 6)
