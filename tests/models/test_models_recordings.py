"""Finding clips on disk and the prompts they answer: by manifest, by id, by VBench's names."""

from __future__ import annotations

import json
import os
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from pytest_vdb import video
from pytest_vdb.errors import ClipFileError, PromptError
from pytest_vdb.models.recordings import clips_in, find, is_manifest, recordings
from pytest_vdb.records import Clip, Prompt
from pytest_vdb.shapes import moving_shapes

PROMPTS = (Prompt(id="p001", text="A cat runs, fast."), Prompt(id="p002", text="a dog/wolf sleeps"))


def place(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.zeros((2, 4, 4, 3), np.uint8))
    return folder


def answered(folder: Path, **more) -> dict[str, tuple[str | None, int]]:
    found = recordings(folder, PROMPTS, **more)
    return {one.name: (one.prompt.id if one.prompt else None, one.sample_index) for one in found}


def test_a_clip_is_joined_by_the_id_in_its_name(tmp_path):
    place(tmp_path, "p001.npy", "p001-s1.npy", "sub/p002_2.npy", "other.npy")
    assert answered(tmp_path) == {
        "other.npy": (None, 0),
        "p001-s1.npy": ("p001", 1),
        "p001.npy": ("p001", 0),
        "sub/p002_2.npy": ("p002", 2),
    }


def test_a_clip_is_joined_by_the_text_in_its_name_as_vbench_writes_it(tmp_path):
    place(tmp_path, "A cat runs, fast.-0.npy", "A cat runs, fast.-4.npy", "a dog wolf sleeps-1.npy")
    assert list(answered(tmp_path).values()) == [("p001", 0), ("p001", 4), ("p002", 1)]


def test_a_manifest_wins_over_names_and_may_bring_prompts_of_its_own(tmp_path):
    place(tmp_path, "p001.npy", "x.npy", "y.npy")
    rows = [
        {"file": "p001.npy", "id": "p002", "sample": 3},
        {"file": "x.npy", "prompt": "A cat runs, fast."},
        {"file": "y.npy", "prompt": "something new", "category": "new"},
    ]
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert answered(tmp_path) == {"p001.npy": ("p002", 3), "x.npy": ("p001", 0), "y.npy": ("y", 0)}


def test_a_manifest_elsewhere_names_files_of_the_folder(tmp_path):
    place(tmp_path / "clips", "a.npy")
    manifest = tmp_path / "which.csv"
    manifest.write_text("file,prompt\na.npy,hello\n")
    assert is_manifest(manifest)
    (found,) = recordings(tmp_path / "clips", manifest=manifest)
    assert found.prompt == Prompt(id="a", text="hello")


def test_a_manifest_that_names_a_missing_file_says_which_row(tmp_path):
    place(tmp_path, "a.npy")
    (tmp_path / "manifest.jsonl").write_text('{"file": "b.npy", "prompt": "x"}\n')
    with pytest.raises(PromptError, match=r"row 1 names 'b\.npy'"):
        recordings(tmp_path)


def test_clips_come_in_natural_order_and_a_folder_of_images_is_one(tmp_path):
    place(tmp_path, "c10.npy", "c2.npy")
    clip = Clip(np.zeros((1, 8, 8, 3), np.uint8), 8)
    for frame in range(2):
        video.write_poster(clip, tmp_path / "c3" / f"{frame}.jpg")
    (tmp_path / "readme.md").write_text("not a clip")
    assert [path.name for path in clips_in(tmp_path)] == ["c2.npy", "c3", "c10.npy"]
    assert clips_in(tmp_path / "c3") == (tmp_path / "c3",)


def test_an_empty_folder_and_a_wrong_path_say_so(tmp_path):
    with pytest.raises(ClipFileError, match="holds no clip"):
        clips_in(tmp_path)
    with pytest.raises(ClipFileError, match="no such file"):
        clips_in(tmp_path / "nowhere")


# What users have in their folders -----------------------------------------------------------------------------------


def encoded(path: Path, codec: str, container: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=24)
        stream.height, stream.width, stream.pix_fmt = 144, 176, "yuv420p"
        for frame in moving_shapes("clip", frames=3, height=144, width=176):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "container"),
    [
        ("a.h264", "libx264", None),
        ("a.265", "libx265", "hevc"),
        ("a.y4m", "wrapped_avframe", None),
        ("a.ogv", "libvpx", "ogg"),
        ("a.3gp", "h263", None),
        ("a.mts", "libx264", "mpegts"),
        ("a.vob", "mpeg2video", None),
        ("a.mxf", "mpeg2video", None),
        ("a.nut", "mpeg4", None),
        ("a.movie", "mpeg4", "mov"),
        ("a", "libx264", "matroska"),
    ],
)
def test_whatever_holds_a_video_is_a_clip_whatever_its_suffix(tmp_path, name, codec, container):
    path = encoded(tmp_path / name, codec, container)
    assert clips_in(tmp_path) == (path,)
    assert len(video.read(path).frames) == 3


def test_a_clip_by_its_name_that_cannot_be_read_is_a_clip_nevertheless(tmp_path):
    place(tmp_path, "good.npy")
    for name in ("empty.mp4", "empty.3gp", "empty.h264"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in clips_in(tmp_path)] == ["empty.3gp", "empty.h264", "empty.mp4", "good.npy"]


def test_what_is_left_out_is_said(tmp_path):
    place(tmp_path, "a.npy", "__MACOSX/._a.npy", "@eaDir/a.npy")
    for name in ("._a.npy", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (tmp_path / name).write_bytes(b"\0\1\2")
    (tmp_path / "notes.txt").write_text("not a clip")
    (tmp_path / "weights.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
    (tmp_path / "manifest.jsonl").write_text('{"file": "a.npy", "prompt": "x"}\n')
    video.write_poster(Clip(np.zeros((1, 8, 8, 3), np.uint8), 8), tmp_path / "a.jpg")
    found = find(tmp_path)
    assert [path.name for path in found.clips] == ["a.npy"]
    assert found.left_out == (
        "left out, as no clips: notes.txt, weights.safetensors",
        "left out, as images beside clips: a.jpg",
        "left out, as systems leave them: .DS_Store, ._a.npy, @eaDir and 3 more",
    )


def test_animated_images_of_a_folder_are_clips_and_single_ones_are_frames(tmp_path):
    frames = [Image.fromarray(frame) for frame in moving_shapes("clip", frames=4, height=24, width=32)]
    for name in ("a/1.png", "a/2.webp", "b/1.png", "b/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        more = {"save_all": True, "append_images": frames[1:]} if name.startswith("a") else {}
        frames[0].save(tmp_path / name, **more)
    found = {path.relative_to(tmp_path).as_posix(): len(video.read(path).frames) for path in clips_in(tmp_path)}
    assert found == {"a/1.png": 4, "a/2.webp": 4, "b": 2}


def test_a_folder_that_links_to_itself_holds_each_clip_once(tmp_path):
    place(tmp_path, "inner/a.npy", "b.npy")
    try:
        (tmp_path / "again").symlink_to(tmp_path)
    except OSError:
        pytest.skip("this file system has no links")
    (tmp_path / "inner" / "up").symlink_to(tmp_path)
    (tmp_path / "another").symlink_to(tmp_path / "inner")
    assert [recording.name for recording in recordings(tmp_path)] == ["b.npy", "inner/a.npy"]


def test_a_name_that_is_not_utf8_is_a_name(tmp_path):
    place(tmp_path, "a.npy")
    try:
        (tmp_path / "a.npy").rename(tmp_path / "caf\udce9.npy")
    except (OSError, UnicodeError):
        pytest.skip("this file system has no such names")
    (found,) = recordings(tmp_path)
    assert found.name == "caf\\udce9.npy"
    assert found.name.encode()
    assert len(video.read(found.path).frames) == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes as files here")
def test_what_is_no_file_is_no_clip(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(ClipFileError, match="a pipe, not a file"):
        clips_in(tmp_path / "a.mp4")
    with pytest.raises(ClipFileError, match="a device, not a file"):
        clips_in(Path("/dev/zero"))
    with pytest.raises(ClipFileError, match="holds no clip"):
        clips_in(tmp_path)


def test_lines_end_where_line_feeds_are(tmp_path):
    place(tmp_path, "a.npy", "b.npy")
    texts = ["one\u2028two\u0085three", "four\x0cfive"]
    rows = [{"file": f"{name}.npy", "prompt": text} for name, text in zip("ab", texts, strict=True)]
    (tmp_path / "manifest.jsonl").write_text("\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    assert [one.prompt.text for one in recordings(tmp_path)] == texts
    written = "\n".join(f'{row["file"]},"{row["prompt"]}"' for row in rows)
    (tmp_path / "which.csv").write_text(f"file,prompt\n{written}\n", encoding="utf-8")
    assert [one.prompt.text for one in recordings(tmp_path, manifest=tmp_path / "which.csv")] == texts


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("manifest.jsonl", b'{"file": "a.npy"}\n{', "manifest.jsonl:2: not JSON"),
        ("manifest.jsonl", b'{"file": "a.npy"}\n[1]', "manifest.jsonl:2: a line that is no JSON object"),
        (
            "manifest.jsonl",
            b'{"file": "a.npy"}\n\n{"file": "./a.npy"}',
            "manifest.jsonl:3: row 2 names './a.npy', as row 1",
        ),
        ("manifest.jsonl", b'{"prompt": "x"}', "manifest.jsonl:1: row 1 names no file"),
        ("manifest.jsonl", b'{"file": ["a.npy"]}', "manifest.jsonl:1: file is ['a.npy'], not text"),
        ("manifest.jsonl", b'{"file": "a.npy", "prompt": {"a": 1}}', "manifest.jsonl:1: prompt is {'a': 1}, not text"),
        ("manifest.jsonl", b'{"file": "a.npy", "prompt": true}', "manifest.jsonl:1: prompt is True, not text"),
        ("manifest.jsonl", b'{"file": "a.npy", "sample": "x"}', "manifest.jsonl:1: sample is 'x', no number"),
        ("manifest.jsonl", b'{"file": "a.npy", "sample": -1}', "manifest.jsonl:1: sample is '-1', no number"),
        ("manifest.jsonl", b'{"file": "a.npy", "sample": ' + b"9" * 5000 + b"}", "manifest.jsonl:1: not JSON"),
        (
            "manifest.jsonl",
            b'{"file": "a\\u0000.npy"}',
            "manifest.jsonl:1: row 1 names 'a\\x00.npy', which is not there",
        ),
        ("manifest.jsonl", b'{"file": "' + b"a" * 300 + b'"}', "which is not there"),
        ("manifest.jsonl", b'{"file": "\\ud800"}', "manifest.jsonl:1: not JSON: it holds half a character"),
        ("manifest.jsonl", b'{"file": "caf\xe9"}', "manifest.jsonl:1: not UTF-8"),
        ("manifest.jsonl", b"[" * 100_000, "manifest.jsonl:1: not JSON"),
        ("manifest.csv", b"file,prompt\na.npy," + b"x" * 200_000, "manifest.csv:2: not CSV"),
        ("manifest.csv", b"file,prompt\nb.npy,x\n", "manifest.csv:2: row 1 names 'b.npy', which is not there"),
    ],
)
def test_a_broken_manifest_names_file_and_line(tmp_path, name, content, said):
    place(tmp_path, "a.npy")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PromptError) as caught:
        recordings(tmp_path)
    assert said in str(caught.value)
