"""Two clips frame by frame: of the same length and size, at a short side that both reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_vdb.errors import CannotMeasure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_vdb.records import Clip

SHORT_SIDES = (256, 512, 1024)
"""Values at one size compare across models that make other sizes."""


def need_same_length(clip: Clip, reference: Clip) -> None:
    """Refuse to pair clips of different lengths.

    Raises:
        CannotMeasure: with both lengths.
    """
    if len(clip.frames) != len(reference.frames):
        raise CannotMeasure(
            f"the clip has {len(clip.frames)} frames and its reference {len(reference.frames)}",
            mend="give a reference of as many frames",
        )


def need_same_size(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> None:
    """Refuse to pair frames of different sizes.

    Raises:
        CannotMeasure: with both sizes.
    """
    if first.shape[1:3] != second.shape[1:3]:
        raise CannotMeasure(
            f"frames of {_pixels(first)} and of {_pixels(second)} pixels",
            mend="give a reference of the same resolution",
        )


def to_short_side(frames: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """`uint8 (T, H, W, 3)` -> the same frames with a short side of `side`; the very array if it is that already.

    Raises:
        CannotMeasure: the frames are smaller.
    """
    short = min(frames.shape[1:3])
    if short == side:
        return frames
    if short < side:
        raise CannotMeasure(f"frames of {_pixels(frames)} pixels are smaller than {side}: enlarging adds nothing")
    from pytest_vdb.backbones.networks import frames as framing

    smaller = framing.resize_short_side(framing.to_device(frames, "cpu"), side)
    return np.ascontiguousarray(smaller.permute(0, 2, 3, 1).numpy())


def _pixels(frames: NDArray[np.uint8]) -> str:
    return f"{frames.shape[2]}x{frames.shape[1]}"
