"""The frames of one clip while they are read: one array that grows in place, never beyond the budget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pytest_vdb.budget import budget
from pytest_vdb.errors import ClipFileError
from pytest_vdb.video import turns

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Frames:
    """Gathers frames of one size.

    Args:
        where: the file, for messages.
        expected: how many there will be, as far as that is known.
    """

    def __init__(self, where: Path, *, expected: int = 0) -> None:
        self._where = where
        self._expected = expected
        self._array: NDArray[np.uint8] | None = None
        self._count = 0
        self._budget = budget()
        self._budget.check_frames(expected, where=where)

    def __len__(self) -> int:
        return self._count

    def next(self, height: int, width: int, turn: int = turns.AS_STORED) -> NDArray[np.uint8]:
        """The place of the next frame: `(height, width, 3)`, to be written before the next one is asked for.

        Args:
            height: as stored.
            width: as stored.
            turn: how the frame is seen.

        Raises:
            ClipFileError: it has another size than those before it.
            TooLarge: the frames would be more than the budget.
        """
        shape = (*turns.size(height, width, turn), 3)
        if self._array is None:
            self._array = self._reserved(shape)
        elif self._array.shape[1:] != shape:
            sizes = sorted({self._array.shape[1:3], shape[:2]})
            shown = ", ".join(f"{height}x{width}" for height, width in sizes)
            raise ClipFileError(
                f"its frames differ in size: {shown}", where=self._where, mend="give all frames one size"
            )
        if self._count == len(self._array):
            self._budget.check_frames(self._count + 1, where=self._where)
            self._resize(self._count + 1 + self._count // 8, shape)
        self._count += 1
        return turns.as_stored(self._array[self._count - 1], turn)

    def all(self) -> NDArray[np.uint8]:
        """What was gathered: `(T, H, W, 3)`, with no room left; `next` is not called again.

        Raises:
            ClipFileError: nothing was.
        """
        if self._array is None:
            raise ClipFileError("it holds no frame", where=self._where, mend="give a clip of at least one frame")
        if self._count < len(self._array):
            self._resize(self._count, self._array.shape[1:])
        return self._array

    def _reserved(self, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
        """Room is taken only where it is written to."""
        frames = max(self._expected, 1)
        self._check(frames, shape)
        return np.empty((frames, *shape), np.uint8)

    def _resize(self, frames: int, shape: tuple[int, ...]) -> None:
        """In place: the frames are never held twice."""
        assert self._array is not None
        if frames > len(self._array):
            self._check(frames, shape)
        self._array.resize((frames, *shape), refcheck=False)

    def _check(self, frames: int, shape: tuple[int, ...]) -> None:
        size = frames * shape[0] * shape[1] * shape[2]
        self._budget.check(size, where=self._where, what=f"for {frames:,} frames of {shape[0]}x{shape[1]}")
