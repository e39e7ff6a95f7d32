"""What calibration does to a good clip: six ways to make it worse, at five severities each.

Severity 0 is the clip itself; each further one is plainly worse than the one before. Everything follows from the clip
and the severity alone: the same bytes on every machine, but for `jpeg`, where the encoder's version counts.

| degradation | severity 1 to 5 |
|---|---|
| `blur` | two box filters each way, half-width 1 to 5 pixels per 128 of the shorter side, at least 1 to 5 |
| `noise` | fresh uniform noise of +- 6, 12, 20, 32, 50 of 255 levels in every frame |
| `frozen` | the last 20% to 100% of the clip held |
| `shuffled` | 10%, 20%, 35%, 60%, 100% of the frames out of their places |
| `dropped` | 8% to 40% of the frames left out, evenly likely anywhere |
| `jpeg` | every frame through JPEG, quality 60, 35, 20, 10, 4 |
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from pytest_vdb.errors import BadClip
from pytest_vdb.records import DEGRADATIONS as DEGRADATIONS  # also for benchmarks, which ask here
from pytest_vdb.records import Clip

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORST = 5
NOISE_LEVELS = (6, 12, 20, 32, 50)
JPEG_QUALITY = (60, 35, 20, 10, 4)
SHUFFLED_SHARE = (0.1, 0.2, 0.35, 0.6, 1.0)
_BLUR_UNIT = 128
_DROPPED_SHARE = 0.08
"""Of the frames, per severity."""


def degraded(clip: Clip, degradation: str, severity: int) -> Clip:
    """The clip made worse.

    Args:
        clip: a good one.
        degradation: one of `DEGRADATIONS`.
        severity: 0 (the clip itself) to 5.

    Raises:
        BadClip: no such degradation or severity.
    """
    if degradation not in _DEGRADE or not 0 <= severity <= WORST:
        raise BadClip(
            f"no degradation {degradation!r} of severity {severity}", mend=f"0 to {WORST} of {', '.join(_DEGRADE)}"
        )
    return clip if severity == 0 else Clip(_DEGRADE[degradation](clip.frames, severity), clip.fps)


def box_blur(frame: NDArray[np.uint8], reach: int) -> NDArray[np.uint8]:
    """Two box filters of half-width `reach` in each direction: close to a Gaussian, in whole numbers."""
    for axis in (0, 1, 0, 1):
        frame = _box_filter(frame, reach, axis)
    return frame


def _blur(frames: NDArray[np.uint8], severity: int) -> NDArray[np.uint8]:
    reach = max(severity, round(min(frames.shape[1:3]) * severity / _BLUR_UNIT))
    return np.stack([box_blur(frame, reach) for frame in frames])


def _noise(frames: NDArray[np.uint8], severity: int) -> NDArray[np.uint8]:
    """The same rolls at every severity, wider: severities are steps of one thing."""
    reach = NOISE_LEVELS[severity - 1]
    rolls = np.frombuffer(_stream("noise", frames, frames.size), np.uint8).reshape(frames.shape)
    noise = ((rolls.astype(np.int32) * (2 * reach + 1)) >> 8) - reach
    return np.clip(frames + noise, 0, 255).astype(np.uint8)


def _frozen(frames: NDArray[np.uint8], severity: int) -> NDArray[np.uint8]:
    held_from = round(len(frames) * (1 - severity / WORST))
    moving = frames[: held_from + 1]
    return np.concatenate([moving, np.repeat(moving[-1:], len(frames) - len(moving), axis=0)])


def _shuffled(frames: NDArray[np.uint8], severity: int) -> NDArray[np.uint8]:
    """The frames that leave their places pass them on in a circle; who leaves at one severity leaves at the next."""
    count = min(len(frames), max(severity + 1, round(len(frames) * SHUFFLED_SHARE[severity - 1])))
    places = np.argsort(_rolls_of_frames("shuffled", frames), kind="stable")[:count]
    order = np.arange(len(frames))
    order[places] = np.roll(places, 1)
    return frames[order]


def _dropped(frames: NDArray[np.uint8], severity: int) -> NDArray[np.uint8]:
    """The same frames go first at every severity; the first and the last stay."""
    order = 1 + np.argsort(_rolls_of_frames("dropped", frames)[1:-1], kind="stable")
    return np.delete(frames, order[: max(severity, round(len(frames) * severity * _DROPPED_SHARE))], axis=0)


def _recoded_as_jpeg(frames: NDArray[np.uint8], severity: int) -> NDArray[np.uint8]:
    from PIL import Image

    def recoded(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        file = io.BytesIO()
        Image.fromarray(frame).save(file, "jpeg", quality=JPEG_QUALITY[severity - 1])
        with Image.open(file) as picture:
            return np.asarray(picture.convert("RGB"))

    return np.stack([recoded(frame) for frame in frames])


_DEGRADE: dict[str, Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]] = {
    "blur": _blur,
    "noise": _noise,
    "frozen": _frozen,
    "shuffled": _shuffled,
    "dropped": _dropped,
    "jpeg": _recoded_as_jpeg,
}
assert tuple(_DEGRADE) == DEGRADATIONS


def _box_filter(frame: NDArray[np.uint8], reach: int, axis: int) -> NDArray[np.uint8]:
    """Mean over `2 * reach + 1` pixels along an axis, the border repeated, rounded to the nearest level."""
    margins = [(0, 0)] * frame.ndim
    margins[axis] = (reach + 1, reach)
    sums = np.pad(frame, margins, mode="edge").cumsum(axis, dtype=np.int32)
    width = 2 * reach + 1
    upper, lower = (sums[width:], sums[:-width]) if axis == 0 else (sums[:, width:], sums[:, :-width])
    mean: NDArray[np.int32] = (upper - lower + reach) // width
    return mean.astype(np.uint8)


def _rolls_of_frames(name: str, frames: NDArray[np.uint8]) -> NDArray[np.float64]:
    """One number in [0, 1) per frame."""
    return np.frombuffer(_stream(name, frames, 4 * len(frames)), "<u4") / 2.0**32


def _stream(name: str, frames: NDArray[np.uint8], size: int) -> bytes:
    """Bytes that follow from what is done and the first frame alone; numpy's generators may change with its version."""
    seed = hashlib.sha256(frames[0].tobytes()).hexdigest()
    return hashlib.shake_256(f"{name}/{seed}".encode()).digest(size)
