"""Finding clips on disk and the prompts they answer: by manifest, by id, by VBench's names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pytest_vdb import video
from pytest_vdb.errors import ClipFileError, PromptError
from pytest_vdb.models.recordings import clips_in, is_manifest, recordings
from pytest_vdb.records import Clip, Prompt

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
