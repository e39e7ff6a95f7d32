"""A clip is a file: what it is called is no address, what it names is not opened, and devices are no clips."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
from making import shapes, write

from pytest_vdb import video
from pytest_vdb.errors import ClipFileError
from pytest_vdb.records import Clip


@pytest.fixture
def knocks():
    """Who connects to a port of this machine."""
    listening = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []

    def answer() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            heard.append(connection.recv(200))
            connection.close()

    threading.Thread(target=answer, daemon=True).start()
    yield listening.getsockname()[1], heard
    listening.close()


@pytest.mark.parametrize("protocol", ["http", "rtmp", "tcp", "ftp", "concat", "file", "pipe", "data", "subfile"])
def test_a_folder_that_is_called_like_a_protocol_is_a_folder(tmp_path, monkeypatch, knocks, protocol):
    port, heard = knocks
    monkeypatch.chdir(tmp_path)
    folder = Path(f"{protocol}:", f"127.0.0.1:{port}")
    clip = Clip(shapes(3), 8.0)
    for name, put in (
        ("a.mkv", video.write_lossless),
        ("a.mp4", video.write_preview),
        ("a.jpg", video.write_poster),
    ):
        put(clip, folder / name)
        assert video.read(folder / name).frames.shape[1:] == (64, 96, 3)
    np.testing.assert_array_equal(video.read(folder / "a.mkv").frames, clip.frames)
    assert video.holds_video(folder / "a.mkv")
    assert heard == []


def test_a_playlist_is_no_clip_and_what_it_names_is_not_opened(tmp_path, monkeypatch, knocks):
    port, heard = knocks
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "inner.ts", shapes(3))
    address = f"http://127.0.0.1:{port}/clip.ts"
    for place in (address, "inner.ts", f"{tmp_path}/inner.ts"):
        for name, text in (
            ("a.m3u8", f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{place}\n#EXT-X-ENDLIST\n"),
            ("a.txt", f"ffconcat version 1.0\nfile '{place}'\n"),
            ("a.sdp", f"v=0\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n"),
        ):
            for called in (name, "a.mp4", "a.ts"):
                (tmp_path / called).write_text(text)
                with pytest.raises(ClipFileError, match="cannot be decoded"):
                    video.read(tmp_path / called)
    assert heard == []


@pytest.mark.parametrize(
    "name", ["a cat: at 12:30.mp4", "100%d.mkv", "-x.mkv", "a|b.mkv", "f%03d.mkv", "caf\udce9.mkv"]
)
def test_any_name_is_a_name(tmp_path, name):
    write(tmp_path / "a.mkv", shapes(3))
    try:
        (tmp_path / "a.mkv").rename(tmp_path / name)
    except (OSError, UnicodeError):
        pytest.skip("this file system has no such names")
    assert len(video.read(tmp_path / name).frames) == 3


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes and devices as files here")
def test_pipes_devices_and_sockets_are_refused_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "socket.mp4"))
        for path, what in (
            (tmp_path / "pipe.mp4", "a pipe"),
            (tmp_path / "socket.mp4", "a socket"),
            ("/dev/zero", "a device"),
        ):
            with pytest.raises(ClipFileError, match=f"{what}, not a file"):
                video.read(path)


def test_a_name_that_no_file_can_have_is_an_error_of_ours():
    for name in ("a\0b.mp4", "a" * 300 + ".mp4"):
        with pytest.raises(ClipFileError):
            video.read(name)
