"""VMAF through an ffmpeg that may be anything."""

import numpy as np
import pytest

from pytest_vdb.errors import CannotMeasure
from pytest_vdb.metrics.vmaf import find_ffmpeg, vmaf, vmaf_frames
from pytest_vdb.records import Clip


def noise_clip(frames=2, height=40, width=56, seed=0):
    return Clip(np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), np.uint8), 8)


def ramps(frames=2, height=64, width=72):
    """Made of whole numbers only, so that it is the same everywhere; and a worse copy."""
    rows, columns = np.mgrid[0:height, 0:width]
    first = np.stack(
        [np.stack([(rows * (3 + t) + columns * c) % 256 for c in (1, 2, 5)], axis=-1) for t in range(frames)]
    )
    noise = np.random.RandomState(0).randint(-40, 41, first.shape)
    return first.astype(np.uint8), np.clip(first + noise, 0, 255).astype(np.uint8)


def ffmpeg_or_skip():
    try:
        return find_ffmpeg()
    except CannotMeasure as error:
        pytest.skip(str(error))


def test_vmaf_orders_copies_and_takes_odd_sizes():
    ffmpeg = ffmpeg_or_skip()
    first, second = ramps(4, 71, 93)
    same, worse = vmaf_frames(first, first, ffmpeg=ffmpeg), vmaf_frames(second, first, ffmpeg=ffmpeg)
    assert len(same) == len(worse) == 4
    assert 100 >= same.mean() > worse.mean() + 1


@pytest.mark.parametrize("program", [b"#!/bin/sh\necho ' ... scale V->V'\n", b"\x7fELF of another machine"])
def test_without_libvmaf_there_is_no_vmaf_and_the_mend_is_said(tmp_path, monkeypatch, program):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotMeasure, match="there is no ffmpeg"):
        vmaf(noise_clip(), noise_clip(seed=1))
    (tmp_path / "ffmpeg").write_bytes(program)
    (tmp_path / "ffmpeg").chmod(0o755)
    with pytest.raises(CannotMeasure, match="has no libvmaf"):
        vmaf(noise_clip(), noise_clip(seed=1))


def test_ffmpegs_last_words_are_the_reason(tmp_path):
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho 'Out of luck' >&2\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(CannotMeasure, match="ffmpeg failed: Out of luck"):
        vmaf_frames(*ramps(), ffmpeg=program)
