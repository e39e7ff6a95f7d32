"""Whether a file ends where its container says that it ends.

Decoders play what is there and say nothing of what is missing. But containers carry lengths: boxes, elements, chunks,
pages and packets say how long they are, and some end with a trailer. They are followed from one to the next without
reading what is in them. What carries no length (a raw H.265 stream, a live recording that was cut between two frames)
cannot be told from a whole file, and nothing is guessed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from pytest_vdb.video import checksums

Walk = Callable[["Source"], Iterator["int | str"]]
"""Yields where each part of the file ends, one after the other; or what is wrong with one."""

_MOST_PARTS = 2_000_000
"""A file of more is taken for whole: following a gigabyte of empty elements would last for hours."""

_WALKS: dict[str, Walk] = {}
"""By the names that libavformat gives its demuxers."""


class Source:
    """A file of which a few bytes here and there are read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = os.fstat(file.fileno()).st_size

    def at(self, place: int, count: int) -> bytes:
        """`count` bytes; fewer, or none, at the end of the file."""
        if not 0 <= place < self.size:
            return b""
        self._file.seek(place)
        return self._file.read(count)

    def number(self, place: int, count: int) -> int:
        """The most significant byte first."""
        return int.from_bytes(self.at(place, count), "big")

    def little(self, place: int, count: int) -> int:
        """The least significant byte first."""
        return int.from_bytes(self.at(place, count), "little")


def what_is_missing(path: Path, container: str) -> str | None:
    """Why a file is not whole; None if it is, or if its container does not tell.

    Args:
        path: the file.
        container: libavformat's name of its demuxer.
    """
    walk = next((_WALKS[name] for name in container.split(",") if name in _WALKS), None)
    if walk is None:
        return None
    with path.open("rb") as file:
        source = Source(file)
        for end in islice(walk(source), _MOST_PARTS):
            if isinstance(end, str):
                return end
            if end > source.size:
                return f"it ends {end - source.size:,} bytes too early"
    return None


def _walk_of(*containers: str) -> Callable[[Walk], Walk]:
    def declare(walk: Walk) -> Walk:
        _WALKS.update(dict.fromkeys(containers, walk))
        return walk

    return declare


# What begins with its size ------------------------------------------------------------------------------------------


@_walk_of("mov")
def _boxes(file: Source) -> Iterator[int | str]:
    """MP4, MOV and their relatives: boxes. An index of segments says how long those are, too."""
    place = 0
    while place < file.size:
        size, kind = file.number(place, 4), file.at(place + 4, 4)
        if size == 1:
            size = file.number(place + 8, 8)
        if len(kind) == 4 and (size < 8 or not re.fullmatch(rb"[\w \xa9-]{4}", kind)):
            return  # it lasts to the end, or this is no box: zeros, or what a phone appends
        yield place + max(size, 8)
        if kind == b"sidx":
            yield place + size + _length_of_segments(file, place + 8)
        place += size


def _length_of_segments(file: Source, place: int) -> int:
    """From the end of an index of segments to the end of the last of them."""
    wide = 8 if file.number(place, 1) else 4
    first, count = place + 12 + wide, file.number(place + 14 + 2 * wide, 2)
    sizes = (file.number(first + wide + 4 + 12 * entry, 4) & 0x7FFFFFFF for entry in range(count))
    return file.number(first, wide) + sum(sizes)


_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675


@_walk_of("matroska", "webm")
def _elements(file: Source) -> Iterator[int | str]:
    """Matroska and WebM: elements. Segments and clusters that were written live have no size: those are entered."""
    place = 0
    while place < file.size:
        kind, after_kind = _variable(file, place, marked=True)
        size, content = _variable(file, after_kind)
        yield content
        if size == (1 << 7 * (content - after_kind)) - 1:  # all ones: not known
            if kind not in (_SEGMENT, _CLUSTER):
                return
            size = 0
        place = content + size
        yield place


def _variable(file: Source, place: int, *, marked: bool = False) -> tuple[int, int]:
    """A number of Matroska and where it ends; `marked` keeps the bit that tells its length, as identifiers do."""
    length = 9 - file.number(place, 1).bit_length()
    value = file.number(place, length)
    return value if marked else value & ((1 << 7 * length) - 1), place + length


_MISCOUNT = 8
"""Some writers count the head of an AVI into its size, or leave out the last byte of padding."""


@_walk_of("avi")
def _riff_chunks(file: Source) -> Iterator[int | str]:
    """AVI: RIFF's chunks. Where a size was never filled in (the file went into a pipe), what is inside is followed."""
    place, tolerated = 0, _MISCOUNT
    while place < file.size:
        kind, size = file.at(place, 4), file.little(place + 4, 4)
        if len(kind) == 4 and not re.fullmatch(rb"[\w ]{4}", kind):
            return
        if kind in (b"RIFF", b"LIST") and size in (0, 0xFFFFFFFF):
            place, tolerated = place + 12, 0
            continue
        yield place + size + 8 - tolerated
        place += size + 8 + size % 2


@_walk_of("asf", "asf_o")
def _asf(file: Source) -> Iterator[int | str]:
    """WMV: its head says how large the file is, unless it was broadcast."""
    properties = file.at(0, 4096).find(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"))
    if properties >= 0 and not file.number(properties + 88, 1) & 1:
        yield file.little(properties + 40, 8)


@_walk_of("mxf")
def _mxf(file: Source) -> Iterator[int | str]:
    """MXF: keys of 16 bytes, each followed by a length."""
    place = 0
    while file.at(place, 4) == b"\x06\x0e\x2b\x34":
        length = file.number(place + 16, 1)
        more = length & 0x7F if length > 0x7F else 0
        place += 17 + more + (file.number(place + 17, more) if more else length)
        yield place


@_walk_of("swf")
def _swf(file: Source) -> Iterator[int | str]:
    if file.at(0, 3) == b"FWS":
        yield file.little(4, 4)


# Packets, pages and frames ------------------------------------------------------------------------------------------


@_walk_of("flv", "live_flv", "kux")
def _flv(file: Source) -> Iterator[int | str]:
    """FLV: tags, each followed by its size."""
    place = file.number(5, 4) + 4
    while place < file.size:
        place += 15 + file.number(place + 1, 3)
        yield place


@_walk_of("mpegts")
def _transport_packets(file: Source) -> Iterator[int | str]:
    """MPEG transport streams: packets of one length, each with a mark; Blu-rays put four bytes before it."""
    head = file.at(0, 4096)
    for length in (188, 192, 204):
        synced = re.match(rb"(.{0,300}?)(?:\x47.{%d}){4}" % (length - 1), head, re.DOTALL)
        if synced:
            start = len(synced[1]) - (4 if length == 192 else 0)
            yield file.size + (start - file.size) % length
            return


@_walk_of("mpeg", "vob")
def _program_packets(file: Source) -> Iterator[int | str]:
    """MPEG program streams: packs and packets, each after a start code."""
    place = 0
    while place + 6 <= file.size and file.at(place, 3) == b"\0\0\1":
        kind = file.number(place + 3, 1)
        if kind == 0xBA:
            second = file.number(place + 4, 1) >> 6 == 1
            place += 14 + (file.number(place + 13, 1) & 7) if second else 12
        elif kind > 0xBA:
            place += 6 + file.number(place + 4, 2)
        else:
            return
        yield place


@_walk_of("ogg")
def _ogg_pages(file: Source) -> Iterator[int | str]:
    """Ogg: pages with checksums; every stream has a last one, marked so."""
    place = 0
    unfinished: set[bytes] = set()
    while file.at(place, 4) == b"OggS":
        lengths = file.at(place + 27, file.number(place + 26, 1))
        end = place + 27 + len(lengths) + sum(lengths)
        yield end
        page = file.at(place, end - place)
        if checksums.ieee(page[:22] + bytes(4) + page[26:]) != page[22:26]:
            yield "one of its pages is damaged"
        stream, is_last = page[14:18], page[5] & 4
        unfinished = unfinished - {stream} if is_last else unfinished | {stream}
        place = end
    if place < file.size:
        yield "what follows its pages is none"
    if unfinished:
        yield file.size + 27


@_walk_of("ivf")
def _ivf(file: Source) -> Iterator[int | str]:
    place = file.little(6, 2)
    while place < file.size:
        place += 12 + file.little(place, 4)
        yield place


@_walk_of("obu", "av1")
def _open_bitstream_units(file: Source) -> Iterator[int | str]:
    """AV1 without a container."""
    place = 0
    while place < file.size:
        head = file.number(place, 1)
        if not head & 2:  # no size: another layout
            return
        place += 2 if head & 4 else 1
        groups = re.match(rb"[\x80-\xff]{0,7}[\x00-\x7f]", file.at(place, 8), re.DOTALL)
        yield place + 1
        size = sum((byte & 0x7F) << 7 * index for index, byte in enumerate(groups[0] if groups else b""))
        place += (len(groups[0]) if groups else 1) + size
        yield place


_PLANES = {"mono": (1, 0), "411": (4, 2), "420": (2, 1), "422": (2, 2), "444": (1, 2)}


@_walk_of("yuv4mpegpipe")
def _yuv4mpeg(file: Source) -> Iterator[int | str]:
    """Y4M: frames of one length, each after a line."""
    head = file.at(0, 1024).partition(b"\n")[0]
    fields = {field[:1]: field[1:].decode("ascii", "replace") for field in head.split(b" ")[1:] if field}
    frame = _length_of_picture(fields.get(b"W", ""), fields.get(b"H", ""), fields.get(b"C", "420"))
    place = len(head) + 1
    while frame and place < file.size:
        line = file.at(place, 256).partition(b"\n")[0]
        place += len(line) + 1 + frame
        yield place


def _length_of_picture(width: str, height: str, colours: str) -> int:
    """Bytes of one frame; 0 where the layout is not known."""
    layout = re.match(r"(mono|4\d\d)(alpha)?(?:p(\d+)|mono(\d+))?|mono(\d+)", colours)
    if layout is None or layout[1] not in _PLANES or not (width.isdecimal() and height.isdecimal()):
        return 0
    across, chroma = _PLANES[layout[1]]
    down = 2 if layout[1] == "420" else 1
    samples = int(width) * int(height) * (2 if layout[2] else 1)
    if chroma:
        samples += 2 * -(-int(width) // across) * -(-int(height) // down)
    return samples * (2 if layout[3] and int(layout[3]) > 8 else 1)


@_walk_of("dv")
def _dv(file: Source) -> Iterator[int | str]:
    """DV: frames of one length, which its first byte after the head tells."""
    length = 144_000 if file.number(3, 1) & 0x80 else 120_000
    yield file.size + -file.size % length


# What ends with a trailer -------------------------------------------------------------------------------------------


@_walk_of("gif")
def _gif(file: Source) -> Iterator[int | str]:
    """GIF: blocks of blocks, and a byte that says that this is all."""
    place = 13 + _length_of_palette(file.number(10, 1))
    while (kind := file.at(place, 1)) != b";":
        if kind == b",":
            place = _after_blocks(file, place + 11 + _length_of_palette(file.number(place + 9, 1)))
        elif kind == b"!":
            place = _after_blocks(file, place + 2)
        elif kind:
            yield "what follows its frames is none"
        else:
            place += 1
        yield place


def _length_of_palette(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_blocks(file: Source, place: int) -> int:
    """Each says how long it is; the last one is empty."""
    while place < file.size and (length := file.number(place, 1)):
        place += 1 + length
    return place + 1


@_walk_of("mjpeg")
def _jpegs(file: Source) -> Iterator[int | str]:
    """JPEGs in a row: the last one has an end."""
    if not file.at(max(file.size - 64, 0), 64).rstrip(b"\0\r\n").endswith(b"\xff\xd9"):
        yield file.size + 2
