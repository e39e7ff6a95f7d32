"""Frames of one pixel format as frames of another, with what swscale sets up for the first kept for the next.

Anew for every frame, and with a thread per core, that takes fifty times longer than a small frame's conversion itself.
"""

from __future__ import annotations

from typing import Any

_PIXELS_FOR_THREADS = 2**19
"""Of a frame; below, one thread is done before others have begun (measured: 832x480 is as fast either way)."""


class Converter:
    """Converts the frames of one clip."""

    def __init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter: Any = VideoReformatter()

    def __call__(self, frame: Any, pixel_format: str, **colours: str) -> Any:
        """The frame in another format; as it is where it has that already.

        Args:
            frame: of any size and format.
            pixel_format: in FFmpeg's words: `rgb24`.
            colours: the ranges and matrices that the frame itself does not tell, as PyAV names them.
        """
        threads = 0 if frame.width * frame.height > _PIXELS_FOR_THREADS else 1
        return self._reformatter.reformat(frame, format=pixel_format, threads=threads, **colours)
