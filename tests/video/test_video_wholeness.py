"""Truncated and damaged files are refused in every container, and whole ones never are."""

from __future__ import annotations

import struct

import av
import numpy as np
import pytest
from making import shapes, write
from PIL import Image

from pytest_vdb import video
from pytest_vdb.errors import ClipFileError

X264 = {"codec": "libx264", "options": {"g": "6", "bf": "2"}}
CONTAINERS = {
    "a.mkv": X264,
    "live.mkv": X264 | {"muxing": {"live": "1"}},
    "pipe.mkv": X264 | {"seekable": False},
    "a.webm": {"codec": "libvpx-vp9"},
    "vp8.webm": {"codec": "libvpx"},
    "a.mp4": X264,
    "mpeg4.mp4": {"codec": "mpeg4", "options": {"bf": "2"}},
    "fragments.mp4": X264 | {"muxing": {"movflags": "frag_keyframe+empty_moov"}},
    "fragments-of-one.mp4": {"options": {"bf": "0"}, "muxing": {"movflags": "frag_every_frame+empty_moov"}},
    "indexed.mp4": X264 | {"muxing": {"movflags": "dash+frag_keyframe+global_sidx"}},
    "pipe.mp4": X264 | {"seekable": False, "muxing": {"movflags": "frag_keyframe+empty_moov"}},
    "a.mov": {"codec": "prores_ks", "pixels": "yuv422p10le"},
    "a.3gp": {"codec": "mpeg4"},
    "a.avi": {"codec": "mpeg4"},
    "mjpeg.avi": {"codec": "mjpeg", "pixels": "yuvj420p"},
    "pipe.avi": {"codec": "mpeg4", "seekable": False},
    "a.ts": X264,
    "blu-ray.m2ts": X264 | {"container": "mpegts", "muxing": {"mpegts_m2ts_mode": "1"}},
    "a.mpg": {"codec": "mpeg2video"},
    "a.flv": {"codec": "flv"},
    "a.ogg": {"codec": "libvpx"},
    "a.wmv": {"codec": "wmv2"},
    "a.mxf": {"codec": "mpeg2video", "rate": 25},
    "a.nut": X264,
    "a.ivf": {"codec": "libvpx-vp9"},
    "a.obu": {"codec": "libsvtav1", "options": {"svtav1-params": "preset=12"}},
    "a.y4m": {"codec": "wrapped_avframe"},
    "a.mjpeg": {"codec": "mjpeg", "pixels": "yuvj420p"},
    "a.gif": {"codec": "gif", "pixels": "rgb8", "rate": 10},
    "a.dv": {"codec": "dvvideo", "rate": 25, "size": (576, 720)},
}


def made(tmp_path, name):
    how = dict(CONTAINERS[name])
    return write(tmp_path / name, shapes(12, *how.pop("size", (64, 96))), **how)


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_whole_file_is_whole_and_a_cut_one_is_refused(tmp_path, name):
    path = made(tmp_path, name)
    assert len(video.read(path).frames) == 12
    data = path.read_bytes()
    for part in (0.3, 0.6, 0.8, 0.95):
        path.write_bytes(data[: int(len(data) * part)])
        with pytest.raises(ClipFileError, match=name.replace(".", r"\.")):
            video.read(path)


def test_a_fragment_that_is_missing_is_missed_where_an_index_names_it(tmp_path):
    path = made(tmp_path, "indexed.mp4")
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"moof") - 4])
    with pytest.raises(ClipFileError, match=r"it ends .* bytes too early"):
        video.read(path)


def test_a_page_of_ogg_that_was_changed_is_damaged(tmp_path):
    path = made(tmp_path, "a.ogg")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ClipFileError, match=r"damaged|could be decoded"):
        video.read(path)


# Whole, though it looks otherwise -----------------------------------------------------------------------------------


def test_a_gif_without_delays_is_whole(tmp_path):
    for number, level in enumerate((0, 255)):
        Image.new("P", (8, 6), level).save(tmp_path / f"{number}.gif")
    first, second = ((tmp_path / f"{number}.gif").read_bytes() for number in (0, 1))
    head = 13 + (3 << (first[10] & 7) + 1)
    picture = second[13 + (3 << (second[10] & 7) + 1) : -1]
    (tmp_path / "old.gif").write_bytes(b"GIF87a" + first[6:head] + first[head:-1] + picture + b";")
    clip = video.read(tmp_path / "old.gif")
    assert (clip.frames.shape, clip.fps) == ((2, 6, 8, 3), 10.0)


def test_silence_that_is_longer_or_shorter_than_the_pictures_is_no_truncation(tmp_path):
    for seconds in (0.1, 3.0):
        for name in ("a.mp4", "a.mkv", "a.ts"):
            path = write(tmp_path / name, shapes(), silence=seconds)
            assert len(video.read(path).frames) == 12


def test_slots_of_an_avi_that_are_empty_are_no_missing_frames(tmp_path):
    path = write(tmp_path / "a.avi", shapes(), "mpeg4", times=[3 * index for index in range(12)])
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames > 12, "the header counts the empty slots"
    clip = video.read(path)
    assert (len(clip.frames), clip.fps) == (12, 8.0)


def test_frames_that_an_edit_list_hides_are_not_missing(tmp_path):
    path = write(tmp_path / "whole.mp4", shapes(24), options={"g": "12", "bf": "2"})
    with av.open(str(path)) as source, av.open(str(tmp_path / "cut.mp4"), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        begin = 5 * 512  # in the middle of the first group of pictures
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - begin, packet.dts - begin, stream
                out.mux(packet)
    clip = video.read(tmp_path / "cut.mp4")
    with av.open(str(tmp_path / "cut.mp4")) as container:
        assert container.streams.video[0].frames == 24, "all of them are in the file"
    assert len(clip.frames) < 24
    np.testing.assert_array_equal(clip.frames[-1], video.read(path).frames[-1])


def test_what_a_phone_appends_to_an_mp4_is_no_box(tmp_path):
    path = write(tmp_path / "a.mp4", shapes())
    for appended in (b"\0" * 100, b"\x00\x00\x10\x00\x01\x02\x03\x04SEFT", struct.pack(">I", 0) + b"free"):
        whole = path.read_bytes()
        (tmp_path / "b.mp4").write_bytes(whole + appended)
        assert len(video.read(tmp_path / "b.mp4").frames) == 12


def test_a_stream_that_begins_amid_a_group_of_pictures_is_read_from_the_next_one_and_says_so(tmp_path):
    path = write(tmp_path / "a.ts", shapes(24), options={"g": "8", "bf": "0", "sc_threshold": "0"})
    with av.open(str(path)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    tables = path.read_bytes()[: 3 * 188]
    (tmp_path / "b.ts").write_bytes(tables + path.read_bytes()[places[3] :])
    decoded = video.decode(tmp_path / "b.ts")
    assert len(decoded.clip.frames) == 16
    np.testing.assert_array_equal(decoded.clip.frames, video.read(path).frames[8:])
    assert any("before its first key frame" in note for note in decoded.notes)


# Damage within ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.h264"])
def test_h264_that_was_overwritten_is_never_read(tmp_path, name):
    path = write(tmp_path / name, shapes(), options={"g": "12", "slices": "4"})
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size > 300]
    whole = path.read_bytes()
    tried = 0
    for packet in packets:
        at = whole.find(packet[-160:-120])
        if at < 0:  # cut up by the container
            continue
        tried += 1
        path.write_bytes(whole[:at] + bytes(range(7, 47)) + whole[at + 40 :])
        for _ in range(3):  # several threads would tell it now and then
            with pytest.raises(ClipFileError, match=r"damaged|could be decoded"):
                video.read(path)
    assert tried


def test_a_frame_that_the_decoder_drops_without_a_word_is_missed(tmp_path):
    path = write(tmp_path / "a.mkv", shapes(), "libx265", options={"x265-params": "log-level=none:bframes=0"})
    with av.open(str(path)) as container:
        last = [bytes(packet) for packet in container.demux(video=0) if packet.size][-1]
    data = bytearray(path.read_bytes())
    data[data.index(last) + 4] = 41 << 1  # a unit of a kind that decoders pass over
    path.write_bytes(data)
    with pytest.raises(ClipFileError, match="only 11 of 12 frames"):
        video.read(path)


def test_checksums_of_ffv1_are_compared_though_its_decoder_goes_on(tmp_path):
    path = write(tmp_path / "a.mkv", shapes(), "ffv1", options={"level": "3", "slices": "4", "slicecrc": "1"})
    whole = path.read_bytes()
    for part in (0.2, 0.5, 0.8):
        at = int(len(whole) * part)
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(ClipFileError, match="some of its packets are damaged"):
            video.read(path)


@pytest.mark.parametrize("options", [{"level": "1"}, {"level": "3", "slicecrc": "0"}, {"level": "3", "slices": "9"}])
def test_ffv1_with_and_without_checksums_is_whole(tmp_path, options):
    path = write(tmp_path / "a.avi", shapes(), "ffv1", options=options)
    assert len(video.read(path).frames) == 12


def test_h265_that_carries_hashes_of_its_pictures_is_held_to_them(tmp_path):
    settings = "log-level=none:hash=1:keyint=12"
    path = write(tmp_path / "a.mkv", shapes(), "libx265", options={"x265-params": settings})
    assert len(video.read(path).frames) == 12
    with av.open(str(path)) as container:
        first = next(bytes(packet) for packet in container.demux(video=0) if packet.size)
    data = bytearray(path.read_bytes())
    data[data.index(first[-400:]) + 100] ^= 16
    path.write_bytes(data)
    with pytest.raises(ClipFileError):
        video.read(path)


def test_a_damaged_file_that_sends_its_reader_far_away_is_refused_in_silence(tmp_path, capfd):
    path = made(tmp_path, "a.wmv")
    data = bytearray(path.read_bytes())
    properties = data.index(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"))
    data[properties + 13 : properties + 17] = b"\xff" * 4
    path.write_bytes(data)
    with pytest.raises(ClipFileError, match=r"a\.wmv"):
        video.read(path)
    assert capfd.readouterr() == ("", "")
