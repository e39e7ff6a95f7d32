"""Whatever a pipeline returned, as one clip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_vdb.errors import BadClip
from pytest_vdb.models.contract import described
from pytest_vdb.records import Clip

SOUND = ("audio", "sound")
"""Where they put the sound that comes with the frames."""

if TYPE_CHECKING:
    from numpy.typing import NDArray

PLACES = ("frames", "videos", "images", "video")
"""Where pipelines put their frames."""


def clip_of(output: Any, fps: float, *, where: str) -> Clip:
    """The frames of a pipeline's output as `uint8 (T, H, W, 3)`.

    Args:
        output: what `__call__` returned: an object with one of `PLACES`; batched or not; arrays in [0, 1], tensors, or
            PIL images.
        fps: the rate to play it at.
        where: the model, for error messages.

    Raises:
        BadClip: no frames, more than one clip, NaN or infinite values (with their number), levels that are none, or no
            three channels.
    """
    return _clip_of_frames(_frames_in(output, where), fps, where)


def clips_of(output: Any, fps: float, count: int, *, where: str) -> tuple[Clip, ...]:
    """The clips of a call that was asked for several, all of one size.

    Args:
        output: as for `clip_of`, batched.
        fps: the rate to play them at.
        count: how many were asked for.
        where: the model, for error messages.

    Raises:
        BadClip: another number of clips, or what `clip_of` raises.
    """
    frames = _frames_in(output, where)
    if frames.ndim != 5 or len(frames) != count:
        what = f"frames of shape {frames.shape} where {count} clips were asked for"
        raise BadClip(what, where=where, mend=f"a batch is ({count}, T, H, W, 3)")
    return tuple(_clip_of_frames(one, fps, where) for one in frames)


def _frames_in(output: Any, where: str) -> NDArray[Any]:
    found = next((value for place in PLACES if (value := getattr(output, place, None)) is not None), None)
    if found is None:
        raise BadClip(f"returned {described(output)}, which has none of {', '.join(PLACES)}", where=where)
    try:
        return _as_array(found)
    except (TypeError, ValueError, OverflowError) as error:  # images of several sizes, objects that are no frames
        raise BadClip(f"returned {described(found)} for frames: {error}", where=where) from None


def _clip_of_frames(frames: NDArray[Any], fps: float, where: str) -> Clip:
    return Clip(np.ascontiguousarray(_eight_bits(_one_clip(frames, where), where)), fps)


def has_sound(output: Any) -> bool:
    """Whether sound came with the frames."""
    return any(getattr(output, place, None) is not None for place in SOUND)


def _as_array(value: Any) -> NDArray[Any]:
    if hasattr(value, "detach"):  # a tensor
        tensor = value.detach().cpu()
        return np.asarray(tensor.float() if tensor.is_floating_point() else tensor)
    if isinstance(value, list | tuple):
        return np.stack([_as_array(item) for item in value])
    return np.asarray(value)  # an array or a PIL image


def _one_clip(frames: NDArray[Any], where: str) -> NDArray[Any]:
    """`(T, H, W, 3)` out of `(1, T, H, W, 3)`, channels first or last."""
    if frames.ndim == 5 and len(frames) == 1:
        frames = frames[0]
    if frames.ndim == 4 and frames.shape[-1] != 3 and frames.shape[1] == 3:
        frames = frames.transpose(0, 2, 3, 1)
    if frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise BadClip(f"frames of shape {frames.shape}", where=where, mend="a clip is (T, H, W, 3)")
    return frames


def _eight_bits(frames: NDArray[Any], where: str) -> NDArray[np.uint8]:
    """Levels from 0 to 255, out of the same or out of floats in [0, 1]."""
    if frames.dtype.kind == "f":
        _refuse_unfinite(frames, where)
        frames = np.rint(np.clip(frames, 0, 1) * 255)
    elif frames.dtype.kind not in "iu" or frames.min() < 0 or frames.max() > 255:
        raise BadClip(
            f"frames of type {frames.dtype} with values from {frames.min()} to {frames.max()}",
            where=where,
            mend="levels are whole numbers from 0 to 255, or floats from 0 to 1",
        )
    levels: NDArray[np.uint8] = frames.astype(np.uint8, copy=False)
    return levels


def _refuse_unfinite(frames: NDArray[Any], where: str) -> None:
    bad = int(frames.size - np.isfinite(frames).sum())
    if bad:
        raise BadClip(
            f"{bad} of {frames.size} values are NaN or infinite",
            where=where,
            mend="try --vdb-recipe dtype=bfloat16 or dtype=float32: half precision overflows in some models",
        )
