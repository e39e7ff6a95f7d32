"""Videos as players show them: upright, the main stream, its rate, its colours; and HDR refused by name."""

from __future__ import annotations

import os
import struct

import av
import numpy as np
import pytest
from making import shapes, write
from PIL import Image

from pytest_vdb import video
from pytest_vdb.errors import ClipFileError
from pytest_vdb.records import Clip

# Turns --------------------------------------------------------------------------------------------------------------

ONE = 65536
TURNS = {  # the matrix of a track's header -> what players do with the stored picture
    "upright": ((ONE, 0, 0, ONE), lambda frames: frames),
    "quarter clockwise": ((0, ONE, -ONE, 0), lambda frames: np.rot90(frames, -1, (1, 2))),
    "upside down": ((-ONE, 0, 0, -ONE), lambda frames: np.rot90(frames, 2, (1, 2))),
    "quarter counter-clockwise": ((0, -ONE, ONE, 0), lambda frames: np.rot90(frames, 1, (1, 2))),
    "mirrored": ((-ONE, 0, 0, ONE), lambda frames: frames[:, :, ::-1]),
    "mirrored upside down": ((ONE, 0, 0, -ONE), lambda frames: frames[:, ::-1]),
    "transposed": ((0, ONE, ONE, 0), lambda frames: frames.swapaxes(1, 2)),
    "transversed": ((0, -ONE, -ONE, 0), lambda frames: frames[:, ::-1, ::-1].swapaxes(1, 2)),
    "of no size": ((0, 0, 0, 0), lambda frames: frames),
}


def turned(path, matrix):
    """With another matrix in the head of its track."""
    a, b, c, d = matrix
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 2**30)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", TURNS)
def test_a_phones_video_is_read_as_it_is_seen(tmp_path, name):
    matrix, seen = TURNS[name]
    stored = video.read(write(tmp_path / "a.mp4", shapes(3))).frames
    np.testing.assert_array_equal(video.read(turned(tmp_path / "a.mp4", matrix)).frames, seen(stored))


def test_an_angle_that_is_no_quarter_turn_is_refused(tmp_path):
    path = turned(write(tmp_path / "a.mp4", shapes(3)), (56756, 32768, -32768, 56756))
    with pytest.raises(ClipFileError, match="no quarter turn"):
        video.read(path)


# Which stream -------------------------------------------------------------------------------------------------------


def two_streams(path, *, default: int | None = None, cover: bool = False):
    """A small stream, then a large one; or a picture of the cover, larger than the video."""
    from av.stream import Disposition

    sizes = [(96, 128), (48, 64)] if cover else [(48, 64), (96, 128)]
    with av.open(str(path), "w") as out:
        streams = []
        for index, (height, width) in enumerate(sizes):
            stream = out.add_stream("mjpeg" if cover and index == 0 else "libx264", rate=24)
            stream.height, stream.width = height, width
            stream.pix_fmt = "yuvj420p" if cover and index == 0 else "yuv420p"
            stream.disposition = Disposition.default if index == default else Disposition(0)
            streams.append(stream)
        if cover:
            streams[0].disposition = Disposition.attached_pic
        for stream, size in zip(streams, sizes, strict=True):
            for picture in shapes(1 if cover and stream is streams[0] else 5, *size):
                out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            out.mux(stream.encode(None))
    return path


def test_of_two_videos_the_largest_is_read_and_said(tmp_path):
    decoded = video.decode(two_streams(tmp_path / "a.mkv"))
    assert decoded.clip.frames.shape == (5, 96, 128, 3)
    assert decoded.notes == ("of 2 video streams number 1 was read, 96x128",)


def test_of_two_videos_the_default_one_is_read(tmp_path):
    assert video.read(two_streams(tmp_path / "a.mkv", default=0)).frames.shape == (5, 48, 64, 3)
    assert video.read(two_streams(tmp_path / "b.mkv", default=1)).frames.shape == (5, 96, 128, 3)
    assert video.read(two_streams(tmp_path / "c.mp4", default=1)).frames.shape == (5, 96, 128, 3)


def test_a_cover_is_no_video(tmp_path):
    decoded = video.decode(two_streams(tmp_path / "a.mp4", cover=True))
    assert decoded.clip.frames.shape == (5, 48, 64, 3)
    assert decoded.notes == ()


def test_a_song_with_a_cover_holds_no_video(tmp_path):
    from av.stream import Disposition

    with av.open(str(tmp_path / "a.mp4"), "w") as out:
        song, cover = out.add_stream("aac", rate=8000), out.add_stream("mjpeg", rate=1)
        cover.height, cover.width, cover.pix_fmt = 48, 64, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        quiet = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        quiet.sample_rate, quiet.pts = 8000, 0
        for stream, frame in ((song, quiet), (cover, av.VideoFrame.from_ndarray(shapes(1, 48, 64)[0]))):
            out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    with pytest.raises(ClipFileError, match="it holds no video"):
        video.read(tmp_path / "a.mp4")


# Rates --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_frames_shown_for_unequal_times_are_said(tmp_path, name):
    times = [0, 1, 2, 3, 6, 9, 12, 13, 14, 24]
    decoded = video.decode(write(tmp_path / name, shapes(10), times=times, options={"bf": "0"}))
    assert len(decoded.clip.frames) == 10
    assert 9 <= decoded.clip.fps <= 10
    (note,) = decoded.notes
    assert note.startswith("its frames are shown for 4"), note
    assert "read as 10 frames at their mean rate" in note


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.flv", "a.avi", "a.ts", "a.nut", "a.mpg"])
@pytest.mark.parametrize("rate", [24, 30])
def test_equal_times_are_a_rate_without_a_word_however_they_were_rounded(tmp_path, name, rate):
    codec = {"a.webm": "libvpx", "a.flv": "flv", "a.avi": "mpeg4", "a.mpg": "mpeg2video"}.get(name, "libx264")
    decoded = video.decode(write(tmp_path / name, shapes(12), codec, rate=rate))
    assert (decoded.clip.fps, decoded.notes) == (rate, ())


def test_b_frames_in_an_avi_do_not_unsettle_its_rate(tmp_path):
    decoded = video.decode(write(tmp_path / "a.avi", shapes(24), options={"bf": "3", "b_strategy": "0"}))
    assert (len(decoded.clip.frames), decoded.clip.fps, decoded.notes) == (24, 24.0, ())


def test_a_raw_stream_has_no_times_of_its_own(tmp_path):
    decoded = video.decode(write(tmp_path / "a.h264", shapes(12), options={"bf": "2"}))
    assert (len(decoded.clip.frames), decoded.notes) == (12, ())


def test_a_gif_of_thirty_frames_a_second_is_as_even_as_its_clock_allows(tmp_path):
    images = [Image.fromarray(frame) for frame in shapes(12)]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=[30, 30, 40] * 4)
    decoded = video.decode(tmp_path / "a.gif")
    assert (round(decoded.clip.fps, 6), decoded.notes) == (30.0, ())


# HDR ----------------------------------------------------------------------------------------------------------------


def colours(transfer: int, primaries: int = 9, matrix: int = 9):
    def prepare(stream):
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace = transfer, primaries, matrix

    return prepare


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1"])
@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused_by_name(tmp_path, codec, transfer, name):
    quiet = {
        "libx265": {"x265-params": "log-level=none"},
        "libsvtav1": {"preset": "12"},
        "libvpx-vp9": {"profile": "2"},
    }.get(codec, {})
    path = write(tmp_path / "a.mkv", shapes(3), codec, pixels="yuv420p10le", prepare=colours(transfer), options=quiet)
    with pytest.raises(ClipFileError, match=f"HDR, {name}.*\n.*tone-map it first"):
        video.read(path)
    if hasattr(os, "sched_getscheduler"):
        assert os.sched_getscheduler(0) == os.SCHED_OTHER, "an encoder of these tests took a real-time priority"


def test_wide_colours_that_are_sdr_are_read(tmp_path):
    path = write(tmp_path / "a.mkv", shapes(3), pixels="yuv420p10le", prepare=colours(14))
    assert len(video.read(path).frames) == 3


# Interlaced ---------------------------------------------------------------------------------------------------------


def decibels(a: np.ndarray, b: np.ndarray) -> float:
    return 10 * np.log10(255**2 / np.square(a.astype(float) - b).mean())


def interlaced(stream):
    flags = av.codec.context.Flags
    stream.codec_context.flags |= flags.interlaced_dct | flags.interlaced_me


def fields_apart(picture: np.ndarray) -> av.VideoFrame:
    """As a camera makes it: each field has colour lines of its own."""
    upper, lower = (
        av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[field::2]), format="rgb24").reformat(format="yuv420p")
        for field in (0, 1)
    )
    woven = av.VideoFrame(picture.shape[1], picture.shape[0], "yuv420p")
    for above, below, plane in zip(upper.planes, lower.planes, woven.planes, strict=True):
        rows = np.zeros((plane.height, plane.line_size), np.uint8)
        for field, source in enumerate((above, below)):
            lines = np.frombuffer(source, np.uint8).reshape(-1, source.line_size)[: source.height]
            rows[field::2, : plane.width] = lines[:, : plane.width]
        plane.update(rows.tobytes())
    return woven


INTERLACED = [("a.mpg", "mpeg2video", {"qmin": "1", "qmax": "1"}), ("a.mp4", "libx264", {"qp": "1"})]


def woven_source(frames: int = 6) -> np.ndarray:
    """What a camera sees: the second field is later."""
    moments = shapes(2 * frames, 96, 128)
    source = moments[0::2].copy()
    source[:, 1::2] = moments[1::2, 1::2]
    return source


@pytest.mark.parametrize(("name", "codec", "options"), INTERLACED)
def test_interlaced_colours_of_a_camera_stay_in_their_fields(tmp_path, name, codec, options):
    source = woven_source()
    path = write(tmp_path / name, source, codec, options=options, prepare=interlaced, frame_of=fields_apart, rate=25)
    ideal = [picture_of_fields(fields_apart(picture)) for picture in source]
    assert decibels(video.read(path).frames, np.stack(ideal)) > 35


def picture_of_fields(frame: av.VideoFrame) -> np.ndarray:
    """Each field turned into RGB by itself."""
    rows = np.empty((frame.height, frame.width, 3), np.uint8)
    for field in (0, 1):
        half = av.VideoFrame(frame.width, frame.height // 2, "yuv420p")
        for source, plane in zip(frame.planes, half.planes, strict=True):
            lines = np.frombuffer(source, np.uint8).reshape(-1, source.line_size)[field : source.height : 2]
            padded = np.zeros((plane.height, plane.line_size), np.uint8)
            padded[:, : plane.width] = lines[:, : plane.width]
            plane.update(padded.tobytes())
        rows[field::2] = half.to_ndarray(format="rgb24")
    return rows


@pytest.mark.parametrize(("name", "codec", "options"), INTERLACED)
def test_whole_frames_that_are_only_marked_as_interlaced_keep_their_colours(tmp_path, name, codec, options):
    source = shapes(6, 96, 128)
    path = write(tmp_path / name, source, codec, options=options, prepare=interlaced, rate=25)
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).interlaced_frame
    plain = write(tmp_path / f"plain-{name}", source, codec, options=options, rate=25)
    best = decibels(video.read(plain).frames, source)
    assert decibels(video.read(path).frames, source) > best - 0.5


# Names and tags -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "refused"),
    [
        ({"VDB_FRAMES": "9" * 5000}, None),
        ({"VDB_SIZE": "9" * 5000 + "x1"}, None),
        ({"VDB_FPS": "nan"}, "nan frames per second"),
        ({"VDB_FPS": "1e999"}, "inf frames per second"),
        ({"VDB_FRAMES": "17"}, "only 3 of 17 frames"),
        ({"VDB_PIXELS": "none of ours"}, "not those that were written"),
    ],
)
def test_tags_that_somebody_else_wrote_end_in_no_exception_of_a_library(tmp_path, tags, refused):
    path = write(tmp_path / "b.mkv", shapes(3), tags=tags)
    if refused is None:
        assert len(video.read(path).frames) == 3
    else:
        with pytest.raises(ClipFileError, match=rf"b\.mkv: .*{refused}"):
            video.read(path)


def test_a_title_that_is_not_utf8_does_not_matter(tmp_path):
    path = write(tmp_path / "a.mkv", shapes(3), tags={"title": "Cafe!"})
    path.write_bytes(path.read_bytes().replace(b"Cafe!", b"Caf\xe9!"))
    assert len(video.read(path).frames) == 3


@pytest.mark.parametrize("rate", [1e-320, 1e-9, 1e9, 1e300])
def test_a_rate_that_no_container_can_hold_is_kept_nevertheless(tmp_path, rate):
    video.write_lossless(Clip(shapes(3), rate), tmp_path / "a.mkv")
    video.write_preview(Clip(shapes(3), rate), tmp_path / "a.mp4")
    assert video.read(tmp_path / "a.mkv").fps == rate
