"""Pictures that are stored turned or mirrored, as phones store them: how they are meant to be seen.

A turn is one of the eight orientations that EXIF numbers: 1 as stored, 3 upside down, 6 and 8 a quarter clockwise and
counter-clockwise, the others mirrored.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

AS_STORED = 1

_OF_SIGNS = {
    (1, 0, 0, 1): 1,
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}
_NEARLY_NONE = 0.02
"""Below this part of the largest entry an entry of a matrix is rounding: one degree, as ffmpeg has it."""


def of_matrix(matrix: bytes) -> int | None:
    """The turn of a display matrix (nine integers, as MP4 has them); None: by an angle that is no quarter turn."""
    if len(matrix) < 36:
        return AS_STORED
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:36])
    least = _NEARLY_NONE * max(abs(a), abs(b), abs(c), abs(d))
    if least == 0:
        return AS_STORED
    signs = tuple((entry > least) - (entry < -least) for entry in (a, b, c, d))
    return _OF_SIGNS.get(signs)


def size(height: int, width: int, turn: int) -> tuple[int, int]:
    """Height and width as seen of a picture as stored."""
    return (width, height) if turn > 4 else (height, width)


def as_stored(seen: NDArray[np.uint8], turn: int) -> NDArray[np.uint8]:
    """A view of a picture as it is seen that can be written to as it is stored."""
    match turn:
        case 2:
            return seen[:, ::-1]
        case 3:
            return seen[::-1, ::-1]
        case 4:
            return seen[::-1]
        case 5:
            return seen.swapaxes(0, 1)
        case 6:
            return np.rot90(seen, 1)
        case 7:
            return seen[::-1, ::-1].swapaxes(0, 1)
        case 8:
            return np.rot90(seen, -1)
    return seen
