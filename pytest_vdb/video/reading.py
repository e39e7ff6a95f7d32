"""The one door where a path becomes a clip: a video, an image, an animation, an array, or a folder of frames."""

from __future__ import annotations

from pathlib import Path

from pytest_vdb import files
from pytest_vdb.errors import BadClip, ClipFileError
from pytest_vdb.records import Clip
from pytest_vdb.video import arrays, stills, streams
from pytest_vdb.video.decoded import UNTIMED_FPS, Decoded


def read(path: Path, *, fps: float | None = None) -> Clip:
    """Read a clip: what `decode` reads, without its notes.

    Args:
        path: the file or folder.
        fps: the rate of sources that carry none; `UNTIMED_FPS` if not given. Sources with a rate keep theirs.

    Raises:
        ClipFileError: missing, empty, truncated, damaged, or not a clip; names the file.
    """
    return decode(path, fps=fps).clip


def decode(path: Path, *, fps: float | None = None) -> Decoded:
    """Read a clip, and what to know of it: any video PyAV opens, a GIF, an image, an array, or a folder of images.

    Args:
        path: the file or folder. An `.npz` holds one array, or one named `frames`, and may hold `fps`.
        fps: the rate of sources that carry none; `UNTIMED_FPS` if not given. Sources with a rate keep theirs.

    Raises:
        ClipFileError: missing, empty, truncated, damaged, or not a clip; names the file.
        TooLarge: it would take more memory than the budget.
    """
    path = Path(path)
    rate = UNTIMED_FPS if fps is None else fps
    try:
        if files.is_folder(path):
            return stills.read_folder(path, rate)
        if not files.is_there(path):
            raise ClipFileError("there is no such file or folder", where=path, mend=files.CHECK_THE_PATH)
        if files.regular(path, error=ClipFileError).stat().st_size == 0:
            raise ClipFileError("the file is empty", where=path, mend="write it again")
        return _of_file(path, rate)
    except BadClip as error:
        raise ClipFileError(error.what, where=path, mend=error.mend) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ClipFileError(
            f"cannot be read: {getattr(error, 'strerror', None) or error}", where=path, mend="check its permissions"
        ) from None


def _of_file(path: Path, rate: float) -> Decoded:
    if path.suffix.lower() in arrays.SUFFIXES:
        return arrays.read(path, rate)
    if path.suffix.lower() in stills.STILLS and stills.is_image(path):
        return stills.read_image(path, rate)
    return streams.read(path, rate)
