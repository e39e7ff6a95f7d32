import resource
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

from pytest_vdb import video
from pytest_vdb.errors import ClipFileError, OutputError
from pytest_vdb.records import Clip
from pytest_vdb.shapes import moving_shapes


def noise(frames=4, height=18, width=26, fps=8.0):
    return Clip(np.random.default_rng(0).integers(0, 256, (frames, height, width, 3), np.uint8), fps)


def shapes(frames=12, height=64, width=96, fps=8.0):
    return Clip(moving_shapes("clip", frames=frames, height=height, width=width), fps)


@pytest.mark.parametrize("size", [(1, 1, 1), (1, 2, 2), (3, 33, 47), (2, 1, 70), (2, 70, 1), (9, 64, 64)])
def test_lossless_keeps_every_pixel_at_any_size(tmp_path, size):
    clip = noise(*size)
    video.write_lossless(clip, tmp_path / "clip.mkv")
    np.testing.assert_array_equal(video.read(tmp_path / "clip.mkv").frames, clip.frames)


@pytest.mark.parametrize("fps", [8.0, 24.0, 24000 / 1001, 7.3, 3.14159265, 1000.0, 0.5])
def test_lossless_keeps_the_frame_rate_exactly(tmp_path, fps):
    video.write_lossless(noise(fps=fps), tmp_path / "clip.mkv")
    assert video.read(tmp_path / "clip.mkv").fps == fps


def test_the_same_clip_makes_the_same_files(tmp_path):
    for name, write in (("a.mkv", video.write_lossless), ("a.mp4", video.write_preview), ("a.jpg", video.write_poster)):
        write(shapes(), tmp_path / name)
        first = (tmp_path / name).read_bytes()
        write(shapes(), tmp_path / name)
        assert (tmp_path / name).read_bytes() == first


@pytest.mark.parametrize("size", [(1, 1, 1), (5, 33, 47), (4, 64, 64)])
def test_a_preview_plays_everywhere_and_looks_like_the_clip(tmp_path, size):
    clip = shapes(*size)
    video.write_preview(clip, tmp_path / "clip.mp4")
    with av.open(str(tmp_path / "clip.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == Fraction(8)
    seen = video.read(tmp_path / "clip.mp4").frames
    frames, height, width = size
    assert seen.shape == (frames, height + height % 2, width + width % 2, 3)
    assert np.abs(seen[:, :height, :width].astype(float) - clip.frames).mean() < 12
    data = (tmp_path / "clip.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "a browser can start before the end arrives"


def test_a_poster_is_a_jpeg_of_the_middle_frame(tmp_path):
    clip = shapes(frames=5, height=33, width=47)
    video.write_poster(clip, tmp_path / "clip.jpg")
    assert (tmp_path / "clip.jpg").read_bytes()[:3] == b"\xff\xd8\xff"
    with av.open(str(tmp_path / "clip.jpg")) as container:
        seen = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert np.abs(seen.astype(float) - clip.frames[2]).mean() < 6


def test_frames_need_not_be_contiguous(tmp_path):
    clip = Clip(noise().frames[::-1, :, ::2], 8)
    video.write_lossless(clip, tmp_path / "clip.mkv")
    np.testing.assert_array_equal(video.read(tmp_path / "clip.mkv").frames, clip.frames)


# What users have ----------------------------------------------------------------------------------------------------


def test_a_folder_of_images_is_read_in_natural_order(tmp_path):
    for number in (1, 2, 10):
        write_png(tmp_path / f"frame_{number}.png", np.full((4, 6, 3), number, np.uint8))
    (tmp_path / "notes.txt").write_text("not a frame")
    clip = video.read(tmp_path, fps=24)
    assert (clip.frames[:, 0, 0, 0].tolist(), clip.fps) == ([1, 2, 10], 24)


def test_arrays_are_read_whatever_their_channels(tmp_path):
    frames = noise().frames
    np.save(tmp_path / "rgb.npy", frames)
    np.save(tmp_path / "grey.npy", frames[..., 0])
    np.save(tmp_path / "alpha.npy", np.concatenate([frames, frames[..., :1]], -1))
    np.savez(tmp_path / "named.npz", frames=frames, fps=12, other=np.zeros(3))
    assert video.read(tmp_path / "rgb.npy").fps == video.UNTIMED_FPS
    assert (video.read(tmp_path / "grey.npy").frames == frames[..., :1]).all()
    assert (video.read(tmp_path / "alpha.npy").frames == frames).all()
    assert video.read(tmp_path / "named.npz").fps == 12


def test_a_gif_is_read_with_its_rate(tmp_path):
    clip = Clip(np.repeat(np.array([[[[0, 0, 0]]], [[[255, 255, 255]]]], np.uint8), 16, 1).repeat(16, 2), 10)
    with av.open(str(tmp_path / "clip.gif"), "w") as out:
        stream = out.add_stream("gif", rate=10)
        stream.height, stream.width, stream.pix_fmt = 16, 16, "rgb8"
        for frame in clip.frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode(None))
    read = video.read(tmp_path / "clip.gif")
    assert (read.frames.shape, read.frames[:, 0, 0, 0].tolist()) == (clip.frames.shape, [0, 252])  # eight-bit palette
    assert read.fps == 10


# What goes wrong ----------------------------------------------------------------------------------------------------


def damaged(tmp_path, kind):
    path = tmp_path / kind
    if kind == "empty-folder":
        path.mkdir()
    elif kind in ("truncated.mp4", "truncated.mkv"):
        (video.write_preview if kind.endswith("mp4") else video.write_lossless)(shapes(), path)
        data = path.read_bytes()
        path.write_bytes(data[: len(data) * 9 // 10])
    elif kind == "flipped.mkv":
        video.write_lossless(noise(frames=8, height=64, width=64), path)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data)
    elif kind == "floats.npy":
        np.save(path, np.zeros((2, 4, 4, 3)))
    elif kind == "pickle.npy":
        np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    elif kind == "sizes":
        path.mkdir()
        write_png(path / "1.png", np.zeros((4, 4, 3), np.uint8))
        write_png(path / "2.png", np.zeros((6, 4, 3), np.uint8))
    elif kind == "broken-frame":
        path.mkdir()
        (path / "1.png").write_bytes(b"\x89PNG nothing")
    elif kind != "missing.mp4":
        path.write_bytes({"empty.mp4": b"", "letter.mp4": b"Dear Sir or Madam\n" * 99, "torn.npz": b"PK\x03\x04"}[kind])
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing.mp4", "no such file"),
        ("empty.mp4", "the file is empty"),
        ("letter.mp4", "cannot be decoded"),
        ("truncated.mp4", "frames could be decoded"),
        ("truncated.mkv", "only 1[01] of 12 frames"),
        ("flipped.mkv", "not those that were written"),
        ("empty-folder", "holds no image"),
        ("sizes", "differ in size: 4x4, 6x4"),
        ("broken-frame", r"1\.png: cannot be decoded"),
        ("floats.npy", "float64"),
        ("pickle.npy", "cannot be read as an array"),
        ("torn.npz", "cannot be read as an array"),
    ],
)
def test_a_bad_source_is_named_and_never_read_halfway(tmp_path, kind, message):
    path = damaged(tmp_path, kind)
    with pytest.raises(ClipFileError, match=message) as caught:
        video.read(path)
    assert kind in str(caught.value)


def test_a_full_disk_is_said_and_leaves_nothing_behind(tmp_path):
    script = f"""
import resource, pathlib
from pytest_vdb import errors, video
from pytest_vdb.records import Clip
import numpy as np
clip = Clip(np.random.default_rng(0).integers(0, 256, (20, 90, 90, 3), np.uint8), 8)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
for write, name in ((video.write_lossless, "a.mkv"), (video.write_preview, "a.mp4")):
    try:
        write(clip, pathlib.Path({str(tmp_path)!r}) / name)
    except errors.OutputError as error:
        print(error.where, error.what)
"""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] != 0
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.count("cannot be written") == 2
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_of_the_folder_is_an_output_error(tmp_path):
    (tmp_path / "clips").write_text("in the way")
    with pytest.raises(OutputError, match=r"a\.mkv"):
        video.write_lossless(noise(), tmp_path / "clips" / "a.mkv")


def write_png(path, pixels):
    encoder = av.CodecContext.create("png", "w")
    encoder.height, encoder.width = pixels.shape[:2]
    encoder.pix_fmt, encoder.time_base = "rgb24", Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    path.write_bytes(b"".join(bytes(packet) for step in (frame, None) for packet in encoder.encode(step)))
