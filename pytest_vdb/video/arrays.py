"""Clips as numpy keeps them: an `.npy`, or an `.npz` with one array or one named `frames`, and perhaps `fps`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_vdb.arrays import read_npy, read_npz
from pytest_vdb.budget import budget
from pytest_vdb.errors import ClipFileError, TooLarge
from pytest_vdb.records import Clip
from pytest_vdb.video.decoded import Decoded

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIXES = frozenset({".npy", ".npz"})

_MEND = "write it with numpy.save"


def read(path: Path, rate: float) -> Decoded:
    """The array of a file as a clip.

    Raises:
        ClipFileError: it is torn, pickled, of another shape or type, or holds several arrays.
    """
    try:
        if path.suffix.lower() == ".npy":
            return Decoded(Clip(_as_frames(read_npy(path, error=ClipFileError, mend=_MEND), path), rate))
        arrays = read_npz(path, error=ClipFileError, mend=_MEND)
    except TooLarge:
        raise
    except ClipFileError as error:
        raise ClipFileError(f"cannot be read as an array: {error.what}", where=path, mend=error.mend) from None
    stated = arrays.pop("fps", None)
    if "frames" not in arrays and len(arrays) != 1:
        raise ClipFileError(f"it holds the arrays {list(arrays)}", where=path, mend="name the one to read 'frames'")
    frames = arrays.pop("frames") if "frames" in arrays else arrays.popitem()[1]
    return Decoded(Clip(_as_frames(frames, path), rate if stated is None else _rate_of(stated, path)))


def _rate_of(array: NDArray[Any], path: Path) -> float:
    """A rate."""
    if array.size != 1 or array.dtype.kind not in "fiu":
        raise ClipFileError(
            f"its fps is an array of {array.dtype} and shape {array.shape}", where=path, mend="write fps=24.0"
        )
    return float(array.reshape(-1)[0])


def _as_frames(array: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    """Check an array of frames; grey ones get three channels, an alpha channel is dropped."""
    shape = array.shape
    if array.dtype != np.uint8 or len(shape) not in (3, 4) or shape[3:] not in ((), (1,), (3,), (4,)):
        raise ClipFileError(
            f"an array of {array.dtype} and shape {shape} is no clip",
            where=path,
            mend="save uint8 frames as (T, H, W, 3), values 0..255",
        )
    budget().check_frames(shape[0], where=path)
    if shape[3:] == (3,) and array.flags.c_contiguous:
        return array
    frames = shape[0] * shape[1] * shape[2]
    budget().check(array.nbytes + 3 * frames, where=path, what="for its three channels")
    found = np.empty((*shape[:3], 3), np.uint8)
    found[...] = array[..., :3] if len(shape) == 4 else array[..., None]
    return found
