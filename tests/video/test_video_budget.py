"""No input takes more memory than the budget beside what the process had, and a refusal says how to allow more."""

from __future__ import annotations

import struct
import subprocess
import sys
import zipfile
import zlib

import av
import numpy as np
import pytest
from making import shapes, write
from PIL import Image

from pytest_vdb import video
from pytest_vdb.errors import ClipFileError, TooLarge

MIB = 2**20
pytestmark = [
    pytest.mark.slow,  # processes of their own, whose memory is read
    pytest.mark.skipif(sys.platform == "win32", reason="peak memory is read as on POSIX"),
]

BUDGET = 100
"""MiB."""

MEASURED = """
import resource, sys, threading
from pathlib import Path
import av, numpy, PIL.Image
from PIL import Jpeg2KImagePlugin, TiffImagePlugin, WebPImagePlugin
from pytest_vdb import errors, video
video.read(Path(sys.argv[1]))  # what decoders need once
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    print(video.read(Path(sys.argv[2])).frames.nbytes)
except errors.ClipFileError as error:
    print(error)
unit = 1024 if sys.platform == "linux" else 2**20
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // unit)
"""


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setenv("VDB_BUDGET", f"{BUDGET}M")


def read_apart(tmp_path, path) -> tuple[str, int]:
    """What reading it says, and how many MiB it took."""
    if not (tmp_path / "first.mkv").exists():
        write(tmp_path / "first.mkv", shapes(3))
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, tmp_path / "first.mkv", path], capture_output=True, text=True, check=True
    )
    said, took = done.stdout.rstrip("\n").rsplit("\n", 1)
    return said, int(took)


def grey(path, frames: int, side: int, codec: str = "libx264"):
    """A clip of a few kilobytes that becomes much larger."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=24, options={"preset": "ultrafast"} if codec == "libx264" else {})
        stream.height = stream.width = side
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame(side, side, "yuv420p")
        for index in range(frames):
            frame.pts = index
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def npy_head(shape: tuple[int, ...]) -> bytes:
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def zeros(path, shape):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("frames.npy", "w") as member:
        member.write(npy_head(shape))
        for _ in range(shape[0]):
            member.write(bytes(int(np.prod(shape[1:]))))
    return path


def png_of_zeros(path, side, rows=None):
    packed = zlib.compressobj()
    body = b"".join(packed.compress(bytes(1 + 3 * side)) for _ in range(rows or side)) + packed.flush()
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)), (b"IDAT", body), (b"IEND", b""))
    packed_chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed_chunks))
    return path


def gif_of_a_corner(path, side, frames):
    """A wide canvas, of which each frame changes one pixel."""
    picture = b"!\xf9\x04\0\x0a\0\0\0," + struct.pack("<HHHH", 0, 0, 1, 1) + b"\0\x02\x02D\x01\0"
    head = b"GIF89a" + struct.pack("<HH", side, side) + b"\x80\0\0\0\0\0\xff\xff\xff"
    path.write_bytes(head + picture * frames + b";")
    return path


def folder_of(tmp_path, frames, side):
    folder = tmp_path / "frames"
    folder.mkdir()
    Image.new("RGB", (side, side)).save(folder / "0.png")
    for index in range(1, frames):
        (folder / f"{index}.png").write_bytes((folder / "0.png").read_bytes())
    return folder


TOO_LARGE = {
    "video": lambda tmp_path: grey(tmp_path / "a.mp4", 60, 1024),
    "one frame": lambda tmp_path: grey(tmp_path / "a.mp4", 1, 8000),
    "one frame of another kind": lambda tmp_path: grey(tmp_path / "a.avi", 1, 8000, codec="mpeg4"),
    "gif": lambda tmp_path: gif_of_a_corner(tmp_path / "a.gif", 4000, 50),
    "gif of one size": lambda tmp_path: gif_of_a_corner(tmp_path / "a.gif", 16000, 2),
    "png": lambda tmp_path: png_of_zeros(tmp_path / "a.png", 8000, rows=9),
    "png that Pillow refuses": lambda tmp_path: png_of_zeros(tmp_path / "a.png", 15000, rows=9),
    "folder": lambda tmp_path: folder_of(tmp_path, 60, 1024),
    "npz": lambda tmp_path: zeros(tmp_path / "a.npz", (120, 1000, 1000, 1)),
    "grey npz": lambda tmp_path: zeros(tmp_path / "a.npz", (60, 1000, 1000)),
}


@pytest.mark.parametrize("kind", TOO_LARGE)
def test_what_would_be_more_than_the_budget_is_refused_before_it_is_there(tmp_path, kind):
    path = TOO_LARGE[kind](tmp_path)
    said, took = read_apart(tmp_path, path)
    assert path.name in said
    assert "--vdb-budget" in said or "Pillow refuses it" in said
    assert took < BUDGET


JUST_FITS = {
    "video": lambda tmp_path: grey(tmp_path / "a.mp4", 30, 1024),
    "lossless": lambda tmp_path: grey(tmp_path / "a.mkv", 30, 1024, codec="mpeg4"),
    "folder": lambda tmp_path: folder_of(tmp_path, 26, 1024),
    "png": lambda tmp_path: png_of_zeros(tmp_path / "a.png", 2400),
    "npz": lambda tmp_path: zeros(tmp_path / "a.npz", (30, 1000, 1000, 3)),
    "grey npz": lambda tmp_path: zeros(tmp_path / "a.npz", (24, 1000, 1000)),
}


@pytest.mark.parametrize("kind", JUST_FITS)
def test_what_fits_into_the_budget_is_never_held_twice(tmp_path, kind):
    said, took = read_apart(tmp_path, JUST_FITS[kind](tmp_path))
    assert int(said) > 15 * MIB
    assert took < BUDGET + 24, "the decoder's own pictures beside it"


def test_too_many_frames_are_refused_by_their_number(tmp_path):
    (tmp_path / "a.npy").write_bytes(npy_head((200_000, 1, 1, 3)) + bytes(600_000))
    with pytest.raises(TooLarge, match="200,000 frames, more than 100,000"):
        video.read(tmp_path / "a.npy")


def test_an_array_that_is_shorter_than_its_head_says_is_torn(tmp_path):
    (tmp_path / "a.npy").write_bytes(npy_head((10, 100, 100, 3)) + bytes(1000))
    with pytest.raises(ClipFileError, match=r"a\.npy: cannot be read as an array"):
        video.read(tmp_path / "a.npy")


def test_the_budget_can_be_raised(tmp_path, monkeypatch):
    path = gif_of_a_corner(tmp_path / "a.gif", 2000, 10)
    with pytest.raises(TooLarge, match=r"MiB for 10 frames of 2000x2000, more than 100 MiB"):
        video.read(path)
    monkeypatch.setenv("VDB_BUDGET", "200M")
    assert video.read(path).frames.shape == (10, 2000, 2000, 3)
