"""Clips as files: lossless FFV1 for metrics, H.264 and a JPEG for people."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from pytest_vdb import files
from pytest_vdb.errors import OutputError
from pytest_vdb.records import Clip
from pytest_vdb.video.converting import Converter
from pytest_vdb.video.streams import DIGEST_TAG, FPS_TAG, FRAMES_TAG, SIZE_TAG

_SLOWEST, _FASTEST = Fraction(1, 1000), Fraction(1_000_000)
"""Rates that containers can hold; the exact one of a clip stands among the tags of its lossless file."""


def write_lossless(clip: Clip, path: Path) -> None:
    """Write FFV1 (RGB, every pixel exact) into Matroska; `read` gives back the same frames and rate.

    The same clip gives the same bytes. The file carries the digest of its pixels, so `read` notices any damage.

    Raises:
        OutputError: the file cannot be written.
    """
    frames, height, width, _ = clip.frames.shape
    tags = {FPS_TAG: repr(float(clip.fps)), FRAMES_TAG: str(frames), DIGEST_TAG: clip.digest()}
    if min(height, width) < 2:  # FFV1 has no slices for lines of pixels: pad, and cut when reading
        tags[SIZE_TAG] = f"{height}x{width}"
        clip = _padded_clip(clip, max(2 - height, 0), max(2 - width, 0))
    _write_video(
        clip,
        path,
        container="matroska",
        codec="ffv1",
        pixel_format="bgr0",
        options={"level": "3", "slices": str(_slices(clip)), "g": "1"},
        tags=tags,
    )


def write_preview(clip: Clip, path: Path) -> None:
    """Write H.264 in MP4 for people to watch: lossy, odd sides padded by one row or column. Never measure it.

    The same clip gives the same bytes, for which x264 must not look ahead by macroblock trees: one file in a hundred
    came out otherwise.

    Raises:
        OutputError: the file cannot be written.
    """
    _, height, width, _ = clip.frames.shape
    if height % 2 or width % 2:
        clip = _padded_clip(clip, height % 2, width % 2)
    _write_video(
        clip,
        path,
        container="mp4",
        codec="libx264",
        pixel_format="yuv420p",
        options={"crf": "18", "preset": "veryfast", "threads": "1", "mbtree": "0"},
        movflags="+faststart",
    )


def write_poster(clip: Clip, path: Path) -> None:
    """Write the middle frame as a JPEG.

    Raises:
        OutputError: the file cannot be written.
    """
    import av

    middle = clip.frames[len(clip.frames) // 2]
    encoder: Any = av.CodecContext.create("mjpeg", "w")
    encoder.height, encoder.width = middle.shape[:2]
    encoder.pix_fmt, encoder.time_base = "yuvj444p", Fraction(1, 25)
    encoder.qmin = encoder.qmax = 3
    encoder.flags |= av.codec.context.Flags.bitexact
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(middle), format="rgb24")
    full_range = {"src_color_range": "JPEG", "dst_color_range": "JPEG", "dst_colorspace": "ITU601"}
    frame = Converter()(frame, encoder.pix_fmt, **full_range)
    data = b"".join(bytes(packet) for step in (frame, None) for packet in encoder.encode(step))
    files.write(path, data)


def _padded_clip(clip: Clip, rows: int, columns: int) -> Clip:
    """Repeat the last row and column."""
    return Clip(np.pad(clip.frames, ((0, 0), (0, rows), (0, columns), (0, 0)), mode="edge"), clip.fps)


def _slices(clip: Clip) -> int:
    """A fixed number, so that the file does not depend on the machine's cores."""
    _, height, width, _ = clip.frames.shape
    return 4 if height * width <= 1_000_000 else 16


def _write_video(
    clip: Clip,
    path: Path,
    *,
    container: str,
    codec: str,
    pixel_format: str,
    options: dict[str, str],
    tags: dict[str, str] | None = None,
    movflags: str = "",
) -> None:
    import av

    rate = min(max(Fraction(clip.fps), _SLOWEST), _FASTEST).limit_denominator(1_000_000)
    converted = Converter()
    muxing = {"fflags": "+bitexact"} | ({"movflags": movflags} if movflags else {})

    def write(part: Path) -> None:
        with av.open(f"file:{part}", "w", format=container, options=muxing) as out:
            out.metadata.update(tags or {})
            stream: Any = out.add_stream(codec, rate=rate, options=options)
            stream.height, stream.width = clip.frames.shape[1:3]
            stream.pix_fmt = pixel_format
            stream.codec_context.flags |= av.codec.context.Flags.bitexact
            stream.codec_context.time_base = 1 / rate
            for index, pixels in enumerate(clip.frames):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
                if pixel_format == "bgr0":
                    frame = converted(frame, pixel_format)
                frame.pts, frame.time_base = index, 1 / rate
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))

    try:
        files.write_by(path, write)
    except av.error.FFmpegError as error:
        raise OutputError(
            f"cannot be encoded as {codec}: {error.strerror or error}", where=path, mend="make smaller frames"
        ) from None
