"""Videos through PyAV: everything that libavformat opens, read so that nothing is missing, turned or taken for SDR.

A file is gone through twice. The first time only its packets are counted: how many frames there are to be decoded, and
whether they fit into the budget. The second time they are decoded into an array of that size.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from pytest_vdb.budget import budget
from pytest_vdb.errors import ClipFileError
from pytest_vdb.records import Clip
from pytest_vdb.video import checksums, containers, pixels, stills, times, turns, wholeness
from pytest_vdb.video.decoded import Decoded
from pytest_vdb.video.gathering import Frames

FPS_TAG, FRAMES_TAG, SIZE_TAG, DIGEST_TAG = "VDB_FPS", "VDB_FRAMES", "VDB_SIZE", "VDB_PIXELS"
"""What `write_lossless` notes in its files."""

_DAMAGED = "it is truncated, damaged or not a video"
_AGAIN = "copy or render it again"

_IN_SLOTS = "avi"
"""The container that has a slot for every tick: an empty one repeats the frame before, is counted as a frame, and the
order of slots is that of decoding."""

_CHECKS = {"hevc": {"err_detect": "crccheck+explode"}}
"""Decoders that compare the checksums of their frames only if they are asked to."""

_FRAME_A_PACKET = frozenset({"h264", "hevc", "vvc"})
"""Codecs of which every packet is a frame that is shown, unless it is interlaced."""


def read(path: Path, rate: float) -> Decoded:
    """The main video of a file.

    Args:
        path: a regular file.
        rate: for a video that states none.

    Raises:
        ClipFileError: no video, or truncated, damaged, HDR, turned by an odd angle.
        TooLarge: it does not fit into the budget.
    """
    import av

    try:
        with containers.opened(path) as container:
            if container.format.name.endswith("_pipe") or container.format.name == "apng":
                return stills.read_image(path, rate)
            containers.refuse_tiles(container, path)
            survey = _surveyed(container, path)
            if container.format.name == "gif" and _is_without_delays(survey, path):
                return stills.read_image(path, rate)
        with containers.opened(path) as container:
            return _decoded(container, survey, path, rate)
    except av.error.FFmpegError as error:
        raise ClipFileError(f"cannot be decoded: {error.strerror or error}", where=path, mend=_DAMAGED) from None


# The first time: packets --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Survey:
    """What a file holds, as far as its packets tell."""

    index: int
    """Of its main video among the streams."""
    packets: int = 0
    first_key: int = 0
    """How many come before the first from which can be decoded."""
    damaged: int = 0
    checked: int = 0
    """Packets whose own checksums hold, where they have some; `unchecked` are the others."""
    unchecked: int = 0
    announced: int = 0
    shown: set[int] = field(default_factory=set)
    """The times of those that are to be seen."""
    slots: list[int] = field(default_factory=list)
    """The times in the order of decoding."""
    has_key: bool = False

    def add(self, packet: Any, *, with_checksums: bool) -> None:
        """Count one packet of the video."""
        if packet.is_keyframe and not self.has_key:
            self.first_key, self.has_key = self.packets, True
        self.packets += 1
        if packet.pts is not None and not packet.is_discard:
            self.shown.add(packet.pts)
        if packet.dts is not None:
            self.slots.append(packet.dts)
        if with_checksums:
            holds = checksums.ffv1_holds(bytes(packet))
            self.checked += holds
            self.unchecked += not holds


def _surveyed(container: Any, path: Path) -> _Survey:
    stream = containers.main(container)
    if stream is None:
        raise ClipFileError("it holds no video", where=path, mend="give a video file")
    if stream.codec_context is None:
        raise ClipFileError("no decoder for its codec", where=path, mend="convert it, e.g. to H.264")
    pixels.refuse_hdr(stream.codec_context.color_trc, path)
    budget().check(
        3 * (containers.area(stream) or containers.stated_area(path, container)), where=path, what="for one frame"
    )
    survey = _Survey(index=stream.index)
    with_checksums = stream.codec_context.name == "ffv1" and DIGEST_TAG not in container.metadata
    for packet in containers.packets(container):
        survey.damaged += packet.is_corrupt
        if packet.stream_index != stream.index:
            continue
        survey.add(packet, with_checksums=with_checksums)
        if survey.packets > budget().frames:
            budget().check_frames(survey.packets, where=path)
    if survey.checked:  # FFV1 has checksums in all of its frames, or in none
        survey.damaged += survey.unchecked
    if container.format.name != _IN_SLOTS:
        survey.announced = stream.frames
    return survey


def _is_without_delays(survey: _Survey, path: Path) -> bool:
    """A GIF of 1987: libavformat takes all its pictures for one packet, of which the first is decoded."""
    return survey.packets < survey.announced and wholeness.what_is_missing(path, "gif") is None


# The second time: frames --------------------------------------------------------------------------------------------


def _decoded(container: Any, survey: _Survey, path: Path, rate: float) -> Decoded:
    import av

    stream, tags = container.streams[survey.index], container.metadata
    is_ours = DIGEST_TAG in tags
    # Threads lose what a decoder says of damage, unless each frame is decoded from one packet and nothing else. Of our
    # own files the digest of the pixels tells.
    stream.codec_context.options = containers.largest_picture() | _CHECKS.get(stream.codec_context.name, {})
    stream.thread_type = "AUTO" if is_ours or stream.codec_context.codec.intra_only else "NONE"
    frames, seen = Frames(path, expected=len(survey.shown) or survey.packets), _Seen()
    to_rgb = pixels.ToRgb()
    try:
        for frame in _frames_of(container, stream, survey.first_key):
            pixels.refuse_hdr(stream.codec_context.color_trc, path)
            seen.add(frame, path)
            frames.next(frame.height, frame.width, seen.turn)[...] = to_rgb(frame)
    except av.error.FFmpegError:
        if not seen.shown:
            raise
        raise _only(len(frames), _announced(container, survey) or survey.packets, path) from None
    _check_whole(container, survey, seen, path)
    found, notes = _rate(container, stream, survey, seen)
    pixels_of_clip = frames.all()
    size = re.fullmatch(r"(\d{1,5})x(\d{1,5})", tags.get(SIZE_TAG, ""))
    if size:
        pixels_of_clip = pixels_of_clip[:, : int(size[1]), : int(size[2])]
    clip = Clip(pixels_of_clip, _tagged_rate(tags) or found or rate)
    if is_ours and tags[DIGEST_TAG] != clip.digest():
        raise ClipFileError("its pixels are not those that were written", where=path, mend="the file is damaged")
    return Decoded(clip, (*_notes_of(container, survey), *notes))


def _frames_of(container: Any, stream: Any, skipped: int) -> Iterator[Any]:
    for packet in islice(containers.packets(container, stream), skipped, None):
        yield from packet.decode()
    yield from stream.decode(None)


@dataclass(slots=True)
class _Seen:
    """What the decoded frames tell besides their pixels."""

    turn: int = turns.AS_STORED
    interlaced: bool = False
    shown: list[int | None] = field(default_factory=list)
    last: int = 0

    def add(self, frame: Any, path: Path) -> None:
        """Look at one frame, and refuse it if it is not what it should be."""
        from av.sidedata.sidedata import Type

        if frame.is_corrupt:
            raise ClipFileError(
                f"its frame {len(self.shown)} is damaged", where=path, mend="copy or render the file again"
            )
        if not self.shown and (matrix := frame.side_data.get(Type.DISPLAYMATRIX)) is not None:
            turn = turns.of_matrix(bytes(matrix))
            if turn is None:
                raise ClipFileError(
                    "it is shown turned by an angle that is no quarter turn", where=path, mend="render it upright"
                )
            self.turn = turn
        self.interlaced |= frame.interlaced_frame
        self.shown.append(frame.pts)
        self.last = frame.duration or 0


def _rate(container: Any, stream: Any, survey: _Survey, seen: _Seen) -> tuple[float | None, tuple[str, ...]]:
    stated, tick = stream.average_rate or stream.guessed_rate, Fraction(stream.time_base)
    lasting = (stream.duration or 0) * tick
    return times.rate_of(
        _times(container, stream, survey, seen),
        tick=tick,
        stated=Fraction(stated) if stated else None,
        stated_is_mean=bool(stated and lasting and abs(stream.frames / lasting / stated - 1) < Fraction(1, 1000)),
        last_counts=container.format.name == "gif",
    )


def _times(container: Any, stream: Any, survey: _Survey, seen: _Seen) -> list[Fraction]:
    """How long each frame is shown, in seconds; nothing where the container does not tell."""
    from av.format import Flags

    if container.format.flags & Flags.no_timestamps.value:  # those it has are made up from the rate
        return []
    shown = survey.slots if container.format.name == _IN_SLOTS else seen.shown
    at = [time for time in shown if time is not None]
    if len(at) < len(shown):
        return []
    found = [(after - time) * Fraction(stream.time_base) for time, after in pairwise(at)]
    found.append(seen.last * Fraction(stream.time_base))
    return times.of_delays(found) if container.format.name == "gif" else found


def _check_whole(container: Any, survey: _Survey, seen: _Seen, path: Path) -> None:
    """Refuse a file of which something is missing.

    Raises:
        ClipFileError: frames that were announced, that packets hold or that the file's own length promises.
    """
    announced, count, packets = _announced(container, survey), len(seen.shown), survey.packets
    # An edit list may hide frames of a whole file on purpose: what counts is whether all its packets are there.
    if not count or packets < announced:
        raise _only(min(packets, count), announced or "its", path)
    codec = container.streams[survey.index].codec_context.codec
    if codec.name in _FRAME_A_PACKET and not seen.interlaced and seen.shown[0] is not None:
        first = seen.shown[0]
        lost = {time for time in survey.shown if time > first} - set(seen.shown)
        if lost:
            raise _only(count, count + len(lost), path)
    if codec.intra_only and count < len(survey.shown):
        raise _only(count, len(survey.shown), path)
    missing = wholeness.what_is_missing(path, container.format.name)
    if missing is not None or survey.damaged:
        raise ClipFileError(missing or "some of its packets are damaged", where=path, mend=_AGAIN)


def _announced(container: Any, survey: _Survey) -> int:
    tag = container.metadata.get(FRAMES_TAG, "")
    return int(tag) if re.fullmatch(r"\d{1,9}", tag) else survey.announced


def _only(found: int, expected: int | str, path: Path) -> ClipFileError:
    return ClipFileError(
        f"only {found} of {expected} frames could be decoded",
        where=path,
        mend=f"the file is truncated or damaged: {_AGAIN}",
    )


def _notes_of(container: Any, survey: _Survey) -> Iterator[str]:
    stream = container.streams[survey.index]
    videos = containers.videos(container)
    if len(videos) > 1:
        yield f"of {len(videos)} video streams number {stream.index} was read, {stream.height}x{stream.width}"
    if survey.first_key:
        yield f"the {survey.first_key} frames before its first key frame cannot be shown"


def _tagged_rate(tags: dict[str, str]) -> float | None:
    """The exact rate that `write_lossless` noted: Matroska keeps it in whole nanoseconds only."""
    try:
        return float(tags[FPS_TAG])
    except (KeyError, ValueError):
        return None
