"""How a clip changes from frame to frame, without any network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_vdb.errors import CannotMeasure
from pytest_vdb.metrics.contract import Score, metric
from pytest_vdb.metrics.pixels import lumas, mean_absolute_difference, need_frames
from pytest_vdb.records import Clip

if TYPE_CHECKING:
    from numpy.typing import NDArray


@metric("temporal_flicker", unit="1", better="lower", orders=("noise", "shuffled", "dropped"))
def temporal_flicker(clip: Clip) -> Score:
    """Mean absolute change between neighbouring frames.

    Args:
        clip: at least two frames.

    Returns:
        A value in [0, 1]: 0 for a still clip, about 1/3 for uniform noise; the series has one value per pair of frames.

    Raises:
        ClipTooShort: the clip has fewer than two frames.

    Source: the complement of VBench's temporal flickering (arXiv 2311.17982). Motion raises it as well as flicker does.
    """
    need_frames(clip, 2)
    pairs = zip(clip.frames, clip.frames[1:], strict=False)
    series = [mean_absolute_difference(first, second) / 255 for first, second in pairs]
    return Score(float(np.mean(series)), series)


STILL_LEVELS = 1
"""A block whose mean brightness moves by less than this (of 255) stands still; video coding alone moves it by less."""
BLOCK_PIXELS = 16


@metric("frozen_frames", unit="1", better="lower", orders=("frozen",))
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
    means = np.stack([_block_means(frame) for frame in lumas(clip)])
    frozen = np.abs(np.diff(means, axis=0)).reshape(len(means) - 1, -1).max(axis=1) < STILL_LEVELS
    return Score(float(frozen.mean()), frozen.astype(float).tolist())


@metric("motion_amount", unit="px/frame", better="neutral")
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
    """
    need_frames(clip, 2)
    if min(clip.frames.shape[1:3]) < 2 * MOTION_CELL:
        raise CannotMeasure(f"frames of {clip.frames.shape[2]}x{clip.frames.shape[1]} pixels are smaller than 8x8")
    small = np.stack([_block_means(frame, MOTION_CELL) for frame in lumas(clip)])
    middle = (small[1:] + small[:-1]) / 2
    slope = np.hypot(np.diff(middle, axis=1)[:, :, :-1], np.diff(middle, axis=2)[:, :-1, :]).sum(axis=(1, 2))
    change = np.abs(np.diff(small, axis=0))[:, :-1, :-1].sum(axis=(1, 2))
    if not slope.all():
        raise CannotMeasure("a pair of frames of one plain colour shows no motion, moving or not")
    series = MOTION_CELL * change / slope
    return Score(float(series.mean()), series.tolist())


MOTION_CELL = 4


def _block_means(frame: NDArray[np.uint8], block: int = BLOCK_PIXELS) -> NDArray[np.float32]:
    """Mean of each block x block square, `float32`; what is left over at the right and below is left out.

    A frame smaller than one block is one block.
    """
    height, width = frame.shape
    tall, wide = min(block, height), min(block, width)
    rows, columns = height // tall, width // wide
    cropped = frame[: rows * tall, : columns * wide]
    down = np.add.reduce(cropped.reshape(rows, tall, -1), axis=1, dtype=np.uint16)
    sums = down.reshape(rows, columns, wide).sum(axis=2, dtype=np.uint32)
    means: NDArray[np.float32] = sums.astype(np.float32) / np.float32(tall * wide)
    return means
