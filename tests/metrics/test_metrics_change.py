"""Metrics of how a clip changes: known answers and properties. The figures of a reference: test_metrics_parity.py."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_vdb.errors import CannotMeasure, ClipTooShort
from pytest_vdb.metrics.change import (
    cuts,
    disorder,
    frozen_frames,
    looping,
    motion_amount,
    stutter,
    temporal_flicker,
)
from pytest_vdb.metrics.pixels import luma, mean_absolute_difference
from pytest_vdb.records import Clip


def noise(frames=16, height=32, width=48, seed=0) -> Clip:
    return Clip(np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), np.uint8), 8.0)


def still(frames=4, height=32, width=48) -> Clip:
    return Clip(np.repeat(noise(1, height, width).frames, frames, axis=0), 8.0)


def pan(speed: float, frames=6, size=96) -> Clip:
    """A soft pattern that moves right by `speed` pixels per frame."""
    x = np.arange(size)[None, :] - speed * np.arange(frames)[:, None]
    wave = 127 + 100 * np.sin(2 * np.pi * x / 64)
    grey = np.repeat(np.round(wave)[:, None, :], size, axis=1).astype(np.uint8)
    return Clip(np.repeat(grey[..., None], 3, axis=3), 8.0)


def value(result) -> float:
    return getattr(result, "value", result)


def test_uniform_noise_flickers_by_a_third():
    assert temporal_flicker(noise()).value == pytest.approx(1 / 3, abs=0.01)


def test_a_still_clip_is_not_praised_for_not_flickering():
    with pytest.raises(CannotMeasure, match="the clip is frozen"):
        temporal_flicker(still())


def test_flicker_is_the_exact_mean_of_float64():
    clip = noise(5, 33, 47)
    exact = np.abs(np.diff(clip.frames.astype(np.float64) / 255, axis=0)).mean(axis=(1, 2, 3))
    score = temporal_flicker(clip)
    assert score.series == pytest.approx(exact, rel=1e-13)
    assert score.value == pytest.approx(exact.mean(), rel=1e-13)


def test_flicker_reads_frames_larger_than_a_block_and_of_any_memory_order():
    clip = noise(2, 300, 301)
    turned = Clip(clip.frames.transpose(0, 2, 1, 3), 8.0)
    assert temporal_flicker(turned).value == pytest.approx(temporal_flicker(clip).value, rel=1e-13)


@pytest.mark.parametrize("measure", [temporal_flicker, frozen_frames, motion_amount])
def test_one_frame_is_refused(measure):
    with pytest.raises(ClipTooShort, match="needs 2 frames, got 1"):
        measure(still(frames=1))


@pytest.mark.parametrize(("measure", "needed"), [(stutter, 4), (cuts, 4), (disorder, 4), (looping, 8)])
def test_metrics_of_many_frames_say_how_many_they_need(measure, needed):
    with pytest.raises(ClipTooShort, match=f"needs {needed} frames, got {needed - 1}"):
        measure(noise(needed - 1))
    assert value(measure(noise(needed))) is not None


@pytest.mark.parametrize("measure", [stutter, cuts, disorder, looping])
@pytest.mark.parametrize(("height", "width"), [(2, 2), (1, 1), (33, 47)])
def test_metrics_of_many_frames_measure_any_size(measure, height, width):
    assert np.isfinite(value(measure(noise(9, height, width))))


@pytest.mark.parametrize("measure", [stutter, cuts, disorder, looping])
def test_a_still_clip_neither_stutters_nor_jumps(measure):
    assert value(measure(still(9))) == 0


@pytest.mark.parametrize("measure", [temporal_flicker, frozen_frames])
def test_two_by_two_pixels_are_measured(measure):
    assert measure(noise(3, 2, 2)).value is not None


def test_a_still_clip_is_all_frozen_and_noise_is_not():
    assert frozen_frames(still()).value == 1
    assert frozen_frames(noise()).value == 0


def test_the_frozen_half_of_a_clip_is_found():
    frames = noise(9).frames.copy()
    frames[4:] = frames[4]
    score = frozen_frames(Clip(frames, 8.0))
    assert score.value == 0.5
    assert score.series == [0, 0, 0, 0, 1, 1, 1, 1]


def test_something_small_that_moves_is_not_frozen():
    frames = np.full((2, 64, 64, 3), 20, np.uint8)
    frames[1, 40:44, 40:44] = 200
    assert frozen_frames(Clip(frames, 8.0)).value == 0


def test_faint_coding_noise_is_still_frozen():
    frames = np.full((2, 64, 64, 3), 100, np.uint8)
    frames[1, ::2] += 1
    assert frozen_frames(Clip(frames, 8.0)).value == 1


@pytest.mark.parametrize("speed", [0.5, 1, 2, 4])
def test_motion_is_measured_in_pixels_per_frame(speed):
    assert motion_amount(pan(speed)).value == pytest.approx(speed, rel=0.1)


def test_a_still_clip_does_not_move():
    assert motion_amount(still()).value == 0


def test_a_plain_colour_shows_no_motion():
    with pytest.raises(CannotMeasure, match="plain colour"):
        motion_amount(Clip(np.full((3, 16, 16, 3), 7, np.uint8), 8.0))


def test_tiny_frames_show_no_motion():
    with pytest.raises(CannotMeasure, match="smaller than 8x8"):
        motion_amount(noise(3, 2, 2))


def test_steady_motion_does_not_stutter_and_a_held_frame_does():
    steady = pan(2, 17)
    held = steady.frames.copy()
    held[8] = held[7]
    assert stutter(steady).value < 0.1
    assert stutter(Clip(held, 8.0)).value > 2 * stutter(steady).value
    assert int(np.argmax(stutter(Clip(held, 8.0)).series)) in (7, 8)


def test_stutter_grows_with_the_number_of_dropped_frames():
    frames = pan(1, 64).frames
    rng = np.random.default_rng(0)
    order = rng.permutation(np.arange(1, 63))
    values = [stutter(Clip(np.delete(frames, order[:count], axis=0), 8.0)).value for count in (0, 4, 8, 16)]
    assert values == sorted(values)


def test_a_cut_is_found_where_it_is():
    first, second = pan(2, 12, 64), noise(12, 64, 64)
    quiet = Clip(np.repeat(second.frames[:1], 12, axis=0), 8.0)
    score = cuts(Clip(np.concatenate([first.frames, quiet.frames]), 8.0))
    assert score.value == 1
    assert int(np.argmax(score.series)) == 11


def test_neither_noise_nor_fast_motion_nor_its_start_is_a_cut():
    starting = np.concatenate([np.repeat(pan(6, 12).frames[:1], 8, axis=0), pan(6, 12).frames])
    for clip in (noise(12), pan(8, 12), Clip(starting, 8.0)):
        assert cuts(clip).value == 0


def test_shuffled_frames_are_in_disorder():
    steady = pan(1, 24)
    shuffled = Clip(steady.frames[np.random.default_rng(0).permutation(24)], 8.0)
    assert disorder(steady) < 0.4
    assert disorder(shuffled) > 0.8
    assert disorder(noise(24)) == pytest.approx(1, abs=0.05)


def test_a_loop_is_found_and_motion_that_goes_on_is_none():
    rng = np.random.default_rng(0)
    around = np.cumsum(rng.integers(-20, 21, (8, 32, 32, 3)), axis=0) + 128
    around = np.clip(around, 0, 255).astype(np.uint8)
    assert looping(Clip(np.concatenate([around, around]), 8.0)) == 1
    assert looping(pan(1, 24)) < 0.01
    assert looping(noise(24)) < 0.2


def test_luma_is_within_a_level_of_bt601():
    frame = noise(1, 64, 64).frames[0]
    exact = frame @ np.array([0.299, 0.587, 0.114])
    assert np.abs(luma(frame) - exact).max() < 1.5


def test_the_mean_difference_is_exact_block_by_block_and_in_either_order():
    a, b = noise(2, 300, 301).frames
    exact = np.abs(a.astype(int) - b).mean()
    assert mean_absolute_difference(a, b) == mean_absolute_difference(b, a) == pytest.approx(exact, rel=1e-12)
