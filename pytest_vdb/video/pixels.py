"""From a decoded frame to RGB: what swscale must be told, and what it must not be asked.

Interlaced frames in 4:2:0 come in two kinds that no flag tells apart. By the standards each field has its own colour
lines; but an encoder that is given frames that were never interlaced (a converter, ffmpeg without `interl=1`) marks
them so, too, with the colour lines of whole frames. Taken for the other kind each loses 5 to 20 dB, so the lines
themselves are asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_vdb.errors import ClipFileError
from pytest_vdb.video.converting import Converter

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HDR = {16: "PQ (SMPTE ST 2084)", 18: "HLG (ARIB STD-B67)"}
"""Transfer functions by their numbers in ITU-T H.273 whose values are no SDR pixels."""

_TONE_MAP = (
    "tone-map it first, by a rule that you choose: ffmpeg -i IN -vf "
    "zscale=t=linear:npl=100,tonemap=hable,zscale=p=bt709:t=bt709:m=bt709,format=yuv420p OUT"
)


def refuse_hdr(transfer: int, where: Path) -> None:
    """Refuse what would be wrong if it were read as SDR.

    Raises:
        ClipFileError: the transfer function is one of HDR; with its name.
    """
    if transfer in _HDR:
        raise ClipFileError(f"its colours are HDR, {_HDR[transfer]}, not SDR", where=where, mend=_TONE_MAP)


class ToRgb:
    """Turns the frames of one stream into RGB.

    Interlaced frames need a memory: what kind the stream's colours are is decided by all frames so far.
    """

    def __init__(self) -> None:
        self._woven = _WovenColours()
        self._converted = Converter()

    def __call__(self, frame: Any) -> NDArray[np.uint8]:
        """`uint8 (H, W, 3)`, as stored."""
        if not frame.interlaced_frame or not _subsampled_downwards(frame):
            return self._rgb_of_frame(frame)
        if not self._woven.seen(frame):
            return self._rgb_of_frame(_picture(frame, slice(None)))
        upper, lower = (self._rgb_of_frame(_picture(frame, slice(field, None, 2))) for field in (0, 1))
        rows = np.empty((frame.height, frame.width, 3), np.uint8)
        rows[0::2], rows[1::2] = upper, lower
        return rows

    def _rgb_of_frame(self, frame: Any) -> NDArray[np.uint8]:
        pixels: NDArray[np.uint8] = self._converted(frame, "rgb24").to_ndarray()
        return pixels


class _WovenColours:
    """Whether the colour lines of interlaced frames belong to fields.

    Lines of a whole frame differ the more the farther apart they are, and each is equally far from both neighbours.
    Lines of two fields, woven, are one row from one neighbour and three from the other; and where something moves, the
    next line but one, of the same field, is nearer than those before and after it.
    """

    def __init__(self) -> None:
        self._steps = np.zeros(4)
        """How much lines differ that are so many lines apart."""
        self._within = self._between = 0.0

    def seen(self, frame: Any) -> bool:
        """After this frame and all before it."""
        kind = "<u2" if frame.format.components[0].bits > 8 else "u1"
        for plane, rows in zip(frame.planes[1:3], _planes(frame)[1:3], strict=True):
            lines = rows.view(kind)[: len(rows) // 2 * 2, : plane.width].astype(np.int32)
            if len(lines) < 4:
                continue
            for apart in (1, 2, 3):
                self._steps[apart] += np.abs(lines[apart:] - lines[:-apart]).mean()
            self._within += float(np.abs(lines[1::2] - lines[0::2]).mean())
            self._between += float(np.abs(lines[2::2] - lines[1:-1:2]).mean())
        moving = (self._steps[1] + self._steps[3]) / 2 > _NEARER * self._steps[2]
        return bool(moving or self._between > _FARTHER * self._within)


_NEARER, _FARTHER = 1.03, 2.0
"""Whole frames of five real clips, of shapes and of noise gave .92 to .99 and up to 1.5; fields above 1.09 or 2.8."""


def _subsampled_downwards(frame: Any) -> bool:
    """Whether the colours have fewer rows than the picture, in planes of their own."""
    planes = frame.planes
    return len(planes) > 1 and planes[1].height * 2 <= frame.height + 1 and frame.height % 4 == 0


def _planes(frame: Any) -> list[NDArray[Any]]:
    """Each plane's rows of samples, without the padding of its lines."""
    found = []
    for plane in frame.planes:
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height]
        found.append(rows)
    return found


def _picture(frame: Any, rows: slice) -> Any:
    """A frame of some of another's rows, without the mark of interlacing."""
    import av

    height = len(range(*rows.indices(frame.height)))
    picture = av.VideoFrame(frame.width, height, frame.format.name)
    picture.colorspace, picture.color_range = frame.colorspace, frame.color_range
    for source, plane in zip(_planes(frame), picture.planes, strict=True):
        chosen = source[rows]
        padded = np.zeros((plane.buffer_size // plane.line_size, plane.line_size), np.uint8)
        wide = min(chosen.shape[1], plane.line_size)
        padded[: len(chosen), :wide] = chosen[:, :wide]
        plane.update(padded.tobytes())
    return picture
