"""Images through Pillow: one picture, an animation, or a folder whose pictures are the frames of one clip.

Pillow and OpenCV give the same pixels for JPEG's subsampled colours; FFmpeg's scaler repeats them. An orientation in
EXIF is followed, and an image of several frames (APNG, animated WebP, a TIFF of several pages) is a clip of its own.
"""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_vdb import files
from pytest_vdb.budget import budget
from pytest_vdb.errors import ClipFileError, TooLarge, VdbError
from pytest_vdb.files import is_folder
from pytest_vdb.records import Clip
from pytest_vdb.video import times, turns
from pytest_vdb.video.decoded import Decoded
from pytest_vdb.video.gathering import Frames
from pytest_vdb.video.pixels import refuse_hdr

if TYPE_CHECKING:
    from numpy.typing import NDArray

STILLS = frozenset(
    (
        ".png",
        ".apng",
        ".jpg",
        ".jpeg",
        ".jfif",
        ".bmp",
        ".webp",
        ".avif",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".pnm",
        ".jp2",
    )
)
"""Suffixes of the images that are read from a folder."""

_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000", "GIF")
"""What Pillow may take a file for: never what starts another program (EPS) or opens other files."""

_ANIMATED = frozenset({"PNG", "WEBP", "AVIF", "TIFF", "GIF"})
"""Whose further pictures are frames. Those of a phone's JPEG (MPO) are the same picture, deeper or brighter."""

_WORKSPACE = 16
"""Bytes a pixel that Pillow holds besides, at most: the picture, the one before it and the file's own layout."""

_ROWS = 256
"""How many rows are copied at a time, so that a picture is never held in a third copy."""

_ORIENTATION = 0x0112
_REDUCED = 0x00FE


def is_image(path: Path) -> bool:
    """Whether Pillow takes a file for an image, whatever its name."""
    try:
        with _opened(path):
            return True
    except (VdbError, OSError):
        return False


def is_animated(path: Path) -> bool:
    """Whether an image is a clip of its own; False for what cannot be read."""
    try:
        with _opened(path) as image:
            return _frame_count(image) > 1
    except (VdbError, OSError):
        return False


def read_image(path: Path, rate: float) -> Decoded:
    """One image: a clip of one frame, or of all that an animated one has.

    Raises:
        ClipFileError: it cannot be decoded.
    """
    with _opened(path) as image:
        count = _frame_count(image)
        budget().check_frames(count, where=path)
        frames = Frames(path, expected=count)
        delays = []
        for index in range(_first_frame(image), _first_frame(image) + count):
            image.seek(index)
            _add(frames, image, path)
            delays.append(Fraction(image.info.get("duration") or 0) / 1000)
        timed = count > 1 and image.format != "TIFF"
        found, notes = times.rate_of(times.of_delays(delays), tick=Fraction(1, 1000)) if timed else (None, ())
        return Decoded(Clip(frames.all(), found or rate), notes)


def read_folder(folder: Path, rate: float) -> Decoded:
    """The images of a folder as frames, in natural order of their names.

    Raises:
        ClipFileError: there is none, one cannot be decoded or is a clip of its own, or their sizes differ.
    """
    entries, litter = files.entries(folder, error=ClipFileError)
    images = sorted((one for one in entries if one.suffix.lower() in STILLS and not is_folder(one)), key=natural)
    if not images:
        raise ClipFileError("the folder holds no image", where=folder, mend=f"put frames in it: {sorted(STILLS)}")
    frames = Frames(folder, expected=len(images))
    for path in images:
        with _opened(path) as image:
            if _frame_count(image) > 1:
                raise ClipFileError(
                    "it is animated: a clip of its own, no frame of its folder's",
                    where=path,
                    mend="give the clip itself, or take it out of the folder",
                )
            _add(frames, image, path)
    return Decoded(Clip(frames.all(), rate), files.left_out(litter))


def natural(path: Path) -> list[tuple[int, str]]:
    """Sorts frame_2 before frame_10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]


# One picture --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """An image whose head was read. Whatever Pillow raises becomes an error that names the file."""
    from PIL import Image, Jpeg2KImagePlugin, TiffImagePlugin, WebPImagePlugin  # noqa: F401 - each adds its format

    formats: tuple[str, ...] = _FORMATS
    with contextlib.suppress(ImportError):  # of Pillow 11.3
        from PIL import AvifImagePlugin  # noqa: F401

        formats = (*_FORMATS, "AVIF")
    files.regular(path, error=ClipFileError)
    try:
        with path.open("rb") as file, Image.open(file, formats=formats) as image:
            yield image
    except VdbError:
        raise
    except Image.DecompressionBombError as error:
        raise TooLarge(f"Pillow refuses it: {error}", where=path, mend="give a smaller image") from None
    except Image.UnidentifiedImageError:
        raise ClipFileError("cannot be decoded: it is no image", where=path, mend="replace the image") from None
    except Exception as error:  # noqa: BLE001 - Pillow raises a dozen kinds on a torn file
        said = getattr(error, "strerror", None) or error
        raise ClipFileError(f"cannot be decoded: {said}", where=path, mend="replace the image") from None


def _frame_count(image: Any) -> int:
    """Of its frames, without an APNG's still that is shown where animations are not."""
    if image.format not in _ANIMATED:
        return 1
    if image.format == "TIFF":
        return _pages_of_tiff(image)
    return max(int(getattr(image, "n_frames", 1)) - _first_frame(image), 1)


def _first_frame(image: Any) -> int:
    return 1 if getattr(image, "default_image", False) else 0


def _pages_of_tiff(image: Any) -> int:
    """Of a TIFF, up to the first one that is only a smaller copy of another."""
    count = int(image.n_frames)
    for index in range(1, count):
        image.seek(index)
        if image.tag_v2.get(_REDUCED, 0) & 1:
            count = index
            break
    if count > 1 or image.n_frames > 1:
        image.seek(0)
    return count


def _turn(image: Any) -> int:
    """How its EXIF says that it is seen; as stored where that cannot be read."""
    try:
        turn = int(image.getexif().get(_ORIENTATION, turns.AS_STORED))
    except Exception:  # noqa: BLE001 - EXIF is written by anything; viewers show the picture without it
        return turns.AS_STORED
    return turn if 1 <= turn <= 8 else turns.AS_STORED


def _add(frames: Frames, image: Any, path: Path) -> None:
    """Decode the picture that an image stands at, into its place among the frames."""
    budget().check(image.width * image.height * _WORKSPACE, where=path, what="to decode it")
    refuse_hdr(_transfer(image, path), path)
    image.load()
    turn = _turn(image)  # after the picture: Pillow turns TIFFs itself, and PNGs have their EXIF at the end
    place = frames.next(image.height, image.width, turn)
    for top in range(0, image.height, _ROWS):
        rows = image.crop((0, top, image.width, min(top + _ROWS, image.height)))
        place[top : top + _ROWS] = _rgb_of_rows(rows, image, path)


def _rgb_of_rows(rows: Any, image: Any, path: Path) -> NDArray[np.uint8]:
    """Eight bits a colour, whatever the picture has: of sixteen the upper ones, as Pillow, OpenCV and libpng do it."""
    if rows.mode.startswith("I;16") or (rows.mode == "I" and image.format in ("PNG", "PPM")):
        grey = (np.asarray(rows).astype(np.int64) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)
    if rows.mode in ("I", "F"):
        raise ClipFileError(
            "its values are of 32 bits: nothing says which is white", where=path, mend="save it with 8 or 16 bits"
        )
    if rows.mode in ("P", "PA"):  # by way of RGBA, or Pillow warns of transparent palettes
        rows = rows.convert("RGBA")
    return np.asarray(rows if rows.mode == "RGB" else rows.convert("RGB"))


def _transfer(image: Any, path: Path) -> int:
    """The transfer function that a picture names, which Pillow does not tell; 0 where it names none."""
    if image.format not in ("PNG", "AVIF"):
        return 0
    with path.open("rb") as file:
        if image.format == "AVIF":
            named = re.search(rb"colrnclx..(..)", file.read(2**16), re.DOTALL)
            return int.from_bytes(named[1], "big") if named else 0
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"cICP":
                return file.read(2)[-1] if length >= 2 else 0
            if kind == b"IDAT":
                return 0
            file.seek(length + 4, 1)
    return 0
