"""At which sizes a clip is compared with its reference, and the one way frames are made smaller for that.

A paired metric is measured at the clip's own size and with a short side of 256, 512 and 1024 pixels: the values at one
size compare across models that make other sizes. Frames are made smaller by antialiased bicubic interpolation as Pillow
does it (rounded to 8 bits; the long side rounded down), and never larger: that would add nothing that can be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_vdb.backbones.pairs import SHORT_SIDES, need_same_length, need_same_size, to_short_side
from pytest_vdb.errors import CannotMeasure
from pytest_vdb.metrics.contract import Score
from pytest_vdb.records import Clip

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PARTS = ("", *(str(side) for side in SHORT_SIDES))
"""What a paired metric declares: its own size first."""

Comparison = Callable[["NDArray[np.uint8]", "NDArray[np.uint8]"], Score]


def at_each_size(clip: Clip, reference: Clip, compare: Comparison) -> dict[str, Score]:
    """Compare two clips frame by frame at their own size and at each short side, as the parts of one metric.

    Args:
        clip: what is measured.
        reference: of as many frames.
        compare: two arrays `uint8 (T, H, W, 3)` of one shape -> a score; may raise `CannotMeasure`.

    Returns:
        A score by part; None with the reason where the size cannot be compared.

    Raises:
        CannotMeasure: another number of frames.
    """
    need_same_length(clip, reference)
    return {part: _at(int(part) if part else None, clip, reference, compare) for part in PARTS}


def _at(side: int | None, clip: Clip, reference: Clip, compare: Comparison) -> Score:
    try:
        both = clip.frames, reference.frames
        first, second = both if side is None else (to_short_side(both[0], side), to_short_side(both[1], side))
        need_same_size(first, second)
        return compare(first, second)
    except CannotMeasure as error:
        return Score(None, reason="; ".join(line.strip() for line in str(error).splitlines()))
