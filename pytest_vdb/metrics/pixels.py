"""Whole-number arithmetic on a clip's pixels, in blocks that stay in the cache: exact, and near the speed of memory.

Several metrics start from the same brightness. While the engine measures a clip, it is computed once (`remembering`);
outside of that nothing is kept, so a metric called by hand always sees the pixels as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pytest_vdb.errors import ClipTooShort

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_vdb.records import Clip

BLOCK = 1 << 17
"""Bytes worked on at once: three such blocks fit a level-2 cache."""

LUMA_WEIGHTS = np.array([77, 150, 29], np.uint16)


@dataclass(slots=True)
class _Memory:
    """What was computed of one clip."""

    clip: Clip
    lumas: NDArray[np.uint8] | None = None
    means: dict[int, NDArray[np.float32]] = field(default_factory=dict)


_MEMORY: ContextVar[_Memory | None] = ContextVar("_MEMORY", default=None)


@contextmanager
def remembering(clip: Clip) -> Iterator[None]:
    """Within it, the clip's brightness and block means are computed once. The clip must not be written to meanwhile."""
    token = _MEMORY.set(_Memory(clip))
    try:
        yield
    finally:
        _MEMORY.reset(token)


def _memory_of(clip: Clip) -> _Memory | None:
    memory = _MEMORY.get()
    return memory if memory is not None and memory.clip is clip else None


def luma(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Brightness of one frame `(H, W, 3)` as `(H, W)`, 0 to 255, after ITU-R BT.601.

    The weights 77, 150 and 29 of 256 keep the sum within 16 bits; against exact weights the error is below 1.5 levels.
    """
    height, width, _ = frame.shape
    brightness = np.empty((height, width), np.uint8)
    weights = np.tile(LUMA_WEIGHTS, width)
    rows = max(1, BLOCK // weights.nbytes)
    for start in range(0, height, rows):
        # Red, green and blue stay interleaved, so that all but the last step run over neighbouring bytes.
        weighted = frame[start : start + rows].reshape(-1, 3 * width).astype(np.uint16)
        weighted *= weights
        summed = weighted[:, :-2] + weighted[:, 1:-1]
        summed += weighted[:, 2:]
        brightness[start : start + rows] = summed[:, ::3] >> 8
    return brightness


def lumas(clip: Clip) -> Iterable[NDArray[np.uint8]]:
    """The brightness of each frame, one at a time; all of them are held only while they are remembered."""
    memory = _memory_of(clip)
    if memory is None:
        return (luma(frame) for frame in clip.frames)
    if memory.lumas is None:
        memory.lumas = np.empty(clip.frames.shape[:3], np.uint8)
        for frame, kept in zip(clip.frames, memory.lumas, strict=True):
            kept[:] = luma(frame)
    return memory.lumas


def need_frames(clip: Clip, needed: int) -> None:
    """Refuse a clip with fewer frames.

    Raises:
        ClipTooShort: with both numbers.
    """
    if len(clip.frames) < needed:
        raise ClipTooShort(needed=needed, got=len(clip.frames))


def neighbour_differences(clip: Clip) -> list[float]:
    """Mean absolute difference of each frame and the next, 0 to 1.

    Raises:
        ClipTooShort: the clip has fewer than two frames.
    """
    need_frames(clip, 2)
    pairs = zip(clip.frames, clip.frames[1:], strict=False)
    return [mean_absolute_difference(first, second) / 255 for first, second in pairs]


def mean_absolute_difference(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Mean of `|first - second|` in levels, 0 to 255: exact, whatever the size or the number of threads."""
    left, right = first.reshape(-1), second.reshape(-1)
    larger = np.empty(min(BLOCK, left.size), np.uint8)
    smaller = np.empty_like(larger)
    total = 0
    for start in range(0, left.size, BLOCK):
        a, b = left[start : start + BLOCK], right[start : start + BLOCK]
        high = np.maximum(a, b, out=larger[: a.size])
        np.subtract(high, np.minimum(a, b, out=smaller[: a.size]), out=high)
        total += int(high.sum(dtype=np.uint32))
    return total / left.size


def block_means(clip: Clip, block: int) -> NDArray[np.float32]:
    """Mean brightness of each block x block square of each frame, `(T, rows, columns)`, in levels.

    What is left over at the right and below is left out; a frame smaller than one block is one block.
    """
    memory = _memory_of(clip)
    if memory is not None and block in memory.means:
        return memory.means[block]
    means = np.stack([_frame_block_means(frame, block) for frame in lumas(clip)])
    if memory is not None:
        memory.means[block] = means
    return means


def _frame_block_means(frame: NDArray[np.uint8], block: int) -> NDArray[np.float32]:
    height, width = frame.shape
    tall, wide = min(block, height), min(block, width)
    rows, columns = height // tall, width // wide
    cropped = frame[: rows * tall, : columns * wide]
    down = np.add.reduce(cropped.reshape(rows, tall, -1), axis=1, dtype=np.uint16)
    sums = down.reshape(rows, columns, wide).sum(axis=2, dtype=np.uint32)
    means: NDArray[np.float32] = sums.astype(np.float32) / np.float32(tall * wide)
    return means
