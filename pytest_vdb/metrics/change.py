"""How a clip changes from frame to frame, without any network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_vdb.errors import CannotMeasure
from pytest_vdb.metrics.contract import Score, metric
from pytest_vdb.metrics.pixels import block_means, need_frames, neighbour_differences
from pytest_vdb.records import Clip

if TYPE_CHECKING:
    from numpy.typing import NDArray


@metric(
    "temporal_flicker",
    unit="1",
    better="lower",
    bounds=(0, 1),
    frames=2,
    orders=("noise", "shuffled", "dropped"),
    papers=("huang2024vbench",),
)
def temporal_flicker(clip: Clip) -> Score:
    """Mean absolute change between neighbouring frames.

    Args:
        clip: at least two frames.

    Returns:
        A value in (0, 1]: about 1/3 for uniform noise; the series has one value per pair of frames.

    Raises:
        ClipTooShort: the clip has fewer than two frames.
        CannotMeasure: the clip is frozen; a still picture is no video without flicker.

    Source: the complement of VBench's temporal flickering (arXiv 2311.17982). Motion raises it as well as flicker does.
    """
    series = neighbour_differences(clip)
    if not any(series):
        raise CannotMeasure("the clip is frozen: all frames are the same, so nothing could flicker")
    return Score.mean_of(series)


STILL_LEVELS = 1
"""A block whose mean brightness moves by less than this (of 255) stands still; video coding alone moves it by less."""


@metric("frozen_frames", unit="1", better="lower", bounds=(0, 1), frames=2, orders=("frozen",))
def frozen_frames(clip: Clip) -> Score:
    """Share of neighbouring frames between which nothing moves.

    A pair is frozen when no block of 16x16 pixels changes its mean brightness by 1 level of 255 or more.

    Args:
        clip: at least two frames.

    Returns:
        A value in [0, 1]: 1 for a still clip; the series is 1 for each frozen pair.

    Raises:
        ClipTooShort: the clip has fewer than two frames.
    """
    need_frames(clip, 2)
    means = block_means(clip, 16)
    frozen = np.abs(np.diff(means, axis=0)).reshape(len(means) - 1, -1).max(axis=1) < STILL_LEVELS
    return Score.mean_of(frozen)


MOTION_CELL = 4


@metric(
    "motion_amount",
    unit="px/frame",
    better="neutral",
    bounds=(0, None),
    frames=2,
    papers=("horn1981flow",),
)
def motion_amount(clip: Clip) -> Score:
    """How far the picture moves per frame, estimated without optical flow.

    Where brightness is carried along by motion, its change in time is the motion times its slope in space; the ratio of
    the two, summed over the frame, estimates the mean speed along the slope. Measured on 4x4 means, so that noise of
    single pixels counts little; motion by more than about 8 pixels per frame is underestimated.

    Args:
        clip: at least two frames of at least 8x8 pixels.

    Returns:
        Pixels per frame, 0 for a still clip; the series has one value per pair of frames. Neither more nor less is
        better in itself.

    Raises:
        ClipTooShort: the clip has fewer than two frames.
        CannotMeasure: the frames are smaller than 8x8 or have no slope anywhere (a plain colour).

    Source: the brightness constancy of Horn and Schunck, Determining optical flow, 1981.
    """
    need_frames(clip, 2)
    height, width = clip.frames.shape[1:3]
    if min(height, width) < 2 * MOTION_CELL:
        raise CannotMeasure(f"frames of {width}x{height} pixels are smaller than 8x8")
    small = block_means(clip, MOTION_CELL)
    middle = (small[1:] + small[:-1]) / 2
    slope = np.hypot(np.diff(middle, axis=1)[:, :, :-1], np.diff(middle, axis=2)[:, :-1, :]).sum(axis=(1, 2))
    change = np.abs(np.diff(small, axis=0))[:, :-1, :-1].sum(axis=(1, 2))
    if not slope.all():
        raise CannotMeasure("a pair of frames of one plain colour shows no motion, moving or not")
    series = MOTION_CELL * change / slope
    return Score.mean_of(series)


@metric("stutter", unit="1", better="lower", bounds=(0, None), frames=4, orders=("dropped",), default=False)
def stutter(clip: Clip) -> Score:
    """How unevenly a clip changes: the change of each pair of frames against that of its neighbours.

    Args:
        clip: at least four frames.

    Returns:
        Mean of `|change - usual| / (usual + 1 level)`, where `usual` is the median change of up to four pairs on either
        side. 0 for steady motion and for a still clip; single held or skipped frames raise it. One value per pair.

    Raises:
        ClipTooShort: the clip has fewer than four frames.
    """
    need_frames(clip, 4)
    change = _changes(clip)
    usual = _usual(change)
    series = np.abs(change - usual) / (usual + 1)
    return Score.mean_of(series)


@metric(
    "disorder",
    unit="1",
    better="lower",
    bounds=(0, None),
    frames=4,
    orders=("shuffled", "noise", "dropped"),
    default=False,
)
def disorder(clip: Clip) -> float:
    """How little the order of the frames matters: neighbours against frames further apart.

    What moves on is further away after several frames than after one; where frames come in any order, it is not.

    Args:
        clip: at least four frames.

    Returns:
        Mean absolute difference of neighbouring frames over that of frames 2 to 8 apart (0.1 level is added to the
        latter), on 8x8 means: 0 for a still clip, 0.2 to 0.4 for most real ones, about 1 for frames in random order.

    Raises:
        ClipTooShort: the clip has fewer than four frames.
    """
    need_frames(clip, 4)
    means = block_means(clip, 8)
    near, *far = (float(np.abs(means[lag:] - means[:-lag]).mean()) for lag in range(1, min(9, len(means))))
    return near / (float(np.mean(far)) + 0.1)


CUT = 4.0
"""How many times the usual change makes a cut; the fastest pan that speeds up evenly stays below 2."""
CUT_FLOOR_LEVELS = 2.0
"""Added to the usual change: in a still scene a small movement is no cut."""


@metric("cuts", unit="cuts", better="neutral", bounds=(0, None), frames=4)
def cuts(clip: Clip) -> Score:
    """Number of cuts and jumps: neighbouring frames that differ far more than the frames around them.

    Args:
        clip: at least four frames.

    Returns:
        How many pairs change by at least four times the usual change (the median of up to four pairs on either side,
        plus 2 levels of 255, on 8x8 means). The series has that ratio for each pair. A dissolve is no cut.

    Raises:
        ClipTooShort: the clip has fewer than four frames.
    """
    need_frames(clip, 4)
    change = _changes(clip)
    series = change / (_usual(change) + CUT_FLOOR_LEVELS)
    return Score(float((series >= CUT).sum()), series.tolist())


@metric("looping", unit="1", better="neutral", bounds=(0, 1), frames=8, default=False)
def looping(clip: Clip) -> float:
    """How far a clip returns to what it showed before: 1 for a perfect loop, near 0 for motion that goes on.

    For each lag the frames that far apart are compared (mean absolute difference of 8x8 means, averaged over the clip).
    Where the difference first grows with the lag and then falls, the clip comes back; the deepest such fall, relative
    to the peak before it, is the value. A clip played forwards and then backwards does not count.

    Args:
        clip: at least eight frames.

    Raises:
        ClipTooShort: the clip has fewer than eight frames.
    """
    need_frames(clip, 8)
    means = block_means(clip, 8).reshape(len(clip.frames), -1)
    lags = range(1, len(means) - 1)  # at least two pairs per lag: one pair may be alike by chance
    difference = np.array([np.abs(means[lag:] - means[:-lag]).mean() for lag in lags])
    peak = np.maximum.accumulate(difference)
    return float((1 - difference[1:] / peak[:-1]).max(initial=0)) if peak[0] >= STILL_LEVELS / 8 else 0.0


def _changes(clip: Clip) -> NDArray[np.float32]:
    """Mean absolute change of each pair of frames, in levels, on 8x8 means."""
    change: NDArray[np.float32] = np.abs(np.diff(block_means(clip, 8), axis=0)).mean(axis=(1, 2))
    return change


def _usual(change: NDArray[np.float32], reach: int = 4) -> NDArray[np.float64]:
    """The median of up to `reach` neighbours on either side of each value, itself left out."""
    around = [
        np.concatenate((change[max(0, i - reach) : i], change[i + 1 : i + 1 + reach])) for i in range(len(change))
    ]
    return np.array([np.median(neighbours) for neighbours in around])
