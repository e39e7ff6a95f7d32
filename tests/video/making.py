"""Files as users have them: any codec in any container, through the encoders that PyAV brings."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from pytest_vdb.shapes import moving_shapes


def shapes(frames: int = 12, height: int = 64, width: int = 96) -> np.ndarray:
    return moving_shapes("clip", frames=frames, height=height, width=width)


def write(
    path: Path,
    frames: np.ndarray,
    codec: str = "libx264",
    *,
    container: str | None = None,
    pixels: str = "yuv420p",
    rate: int = 24,
    times: list[int] | None = None,
    options: dict[str, str] | None = None,
    muxing: dict[str, str] | None = None,
    seekable: bool = True,
    prepare=lambda stream: None,
    frame_of=None,
    silence: float = 0,
    tags: dict[str, str] | None = None,
) -> Path:
    """Encode frames.

    Args:
        times: when each frame is shown, in ticks of the rate.
        seekable: whether the writer may go back and fill in sizes; False is a pipe.
        prepare: what else to set on the stream.
        frame_of: makes an encoder's frame of an array.
        silence: seconds of an audio stream beside the video.
    """
    pipe = _Pipe()
    place = str(path) if seekable else pipe
    with _scheduled_as_before(), av.open(place, "w", format=container or _format(path), options=muxing or {}) as out:
        out.metadata.update(tags or {})
        stream = out.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        prepare(stream)
        audio = out.add_stream("aac", rate=8000) if silence else None
        for index, picture in enumerate(frames):
            frame = frame_of(picture) if frame_of else av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = times[index] if times else index
            frame.time_base = Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if audio is not None:
            samples = np.zeros((1, int(8000 * silence)), np.float32)
            quiet = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            quiet.sample_rate, quiet.pts = 8000, 0
            out.mux(audio.encode(quiet))
            out.mux(audio.encode(None))
    if not seekable:
        path.write_bytes(pipe.getvalue())
    return path


@contextlib.contextmanager
def _scheduled_as_before() -> Iterator[None]:
    """SVT-AV1 takes the highest real-time priority where it runs as root, and keeps it: all others would starve."""
    if not hasattr(os, "sched_setscheduler"):
        yield
        return
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, priority)


def _format(path: Path) -> str:
    kinds = {
        ".mkv": "matroska",
        ".ts": "mpegts",
        ".mpg": "mpeg",
        ".wmv": "asf",
        ".h264": "h264",
        ".y4m": "yuv4mpegpipe",
    }
    return kinds.get(path.suffix, path.suffix[1:])


class _Pipe:
    """What can only be written on and on."""

    def __init__(self) -> None:
        written = io.BytesIO()
        self.write, self.getvalue = written.write, written.getvalue
