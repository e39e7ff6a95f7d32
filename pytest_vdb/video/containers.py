"""Files as containers of streams, opened through PyAV: which of the videos is the main one, and whether there is any.

libavformat is given an opened file, never a name: a folder may be called `http:`, and a playlist names other files.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from pytest_vdb.budget import budget
from pytest_vdb.errors import ClipFileError


class _Named:
    """An opened file with the one thing of its name that libavformat may know: the suffix."""

    def __init__(self, file: BinaryIO, suffix: str) -> None:
        self.name = f"clip{suffix}" if re.fullmatch(r"\.\w{1,8}", suffix, re.ASCII) else "clip"
        self.read, self.tell = file.read, file.tell
        self._seek = file.seek

    def seek(self, offset: int, whence: int = 0) -> int:
        """A damaged file sends its reader anywhere: what cannot be is told in libavformat's way, never raised."""
        try:
            return self._seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -errno.EINVAL


@contextlib.contextmanager
def opened(path: Path, *, container: str | None = None) -> Iterator[Any]:
    """A file as a container; where that is named, without a look at what its streams hold."""
    import av

    # What a file names besides itself is not opened, by whatever protocol; and no decoder takes more than the budget.
    options = {"protocol_whitelist": "none", **({"probesize": "32"} if container else largest_picture())}
    with (
        path.open("rb") as file,
        av.open(
            _Named(file, path.suffix),
            format=container,
            options=options,
            buffer_size=2**18,
            **_whatever_its_tags_are_written_in(),
        ) as found,
    ):
        yield found


def _whatever_its_tags_are_written_in() -> dict[str, str]:
    """Tags that are not UTF-8 end no reading: PyAV 19 keeps their bytes by itself, and has no argument for it."""
    import av

    return {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


def packets(container: Any, *streams: Any) -> Iterator[Any]:
    """What a container holds, of all streams or of some. Empty packets stand for the frame before, shown longer."""
    try:
        for packet in container.demux(*streams):
            if packet.size > 0:
                yield packet
    except IndexError:  # PyAV, after the last packet, of streams that turned up on the way
        return


def largest_picture() -> dict[str, str]:
    """What decoders are told, when they are asked what a stream holds and when they decode it."""
    return {"max_pixels": str(max(budget().size // 3, 1))}


def videos(container: Any) -> list[Any]:
    """The videos of a file, without cover pictures and thumbnails."""
    from av.stream import Disposition

    covers = Disposition.attached_pic | Disposition.timed_thumbnails
    return [stream for stream in container.streams.video if not stream.disposition & covers]


def main(container: Any) -> Any | None:
    """The video that players show: the default one, then the largest."""
    from av.stream import Disposition

    return max(
        videos(container),
        key=lambda stream: (bool(stream.disposition & Disposition.default), area(stream), -stream.index),
        default=None,
    )


def refuse_tiles(container: Any, path: Path) -> None:
    """Refuse a photo (HEIC) that is stored in tiles, each of them a stream."""
    from av.stream import Disposition

    tiles = sum(bool(stream.disposition & Disposition.dependent) for stream in container.streams.video)
    if tiles:
        raise ClipFileError(
            f"a picture in {tiles} tiles (HEIC), which is not read", where=path, mend="save it as JPEG or PNG"
        )


def area(stream: Any) -> int:
    """Pixels of a picture; 0 where nothing tells."""
    context = stream.codec_context
    return 0 if context is None else int(context.width * context.height)


def stated_area(path: Path, container: Any) -> int:
    """As the container has it, where the decoder refused to tell: because it was told what is too large."""
    with opened(path, container=container.format.name) as unprobed:
        stream = main(unprobed)
        return 0 if stream is None else area(stream)


def holds_video(path: Path) -> bool:
    """Whether PyAV finds a video in a file, whatever its name; not a picture, nor text that could be one."""
    import av

    try:
        if _is_text(path):
            return False
        with opened(path) as container:
            stream = None if container.format.name.endswith("_pipe") else main(container)
            return stream is not None and area(stream) > 0
    except (av.error.FFmpegError, OSError, ValueError):
        return False


def _is_text(path: Path) -> bool:
    """Asked first: a project holds thousands of text files, and some could be taken for pictures of a terminal."""
    with path.open("rb") as file:
        head = file.read(512)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # the last character may be cut
    except UnicodeDecodeError:
        return False
    return b"\0" not in head
