"""One valid file of every kind that is read, made once for all damages: what a small project has after a day."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from commands import Place, runs_of
from PIL import Image
from projects import make_project
from safetensors.torch import save_file

from pytest_vdb.cli import main
from pytest_vdb.models.weights import tiny

MODELS = ("fast-a", "fast-b")
MANY = range(6)


def _jsonl(rows: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    stream = io.StringIO()
    table = csv.DictWriter(stream, rows[0], lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return stream.getvalue()


def _write_prompts(place: Place) -> None:
    rows = [{"id": f"p{at:02}", "text": f"a red ball rolls {at}", "category": "c"} for at in MANY]
    more = {"tags": ["x", "y"], "negative": "blurry"}
    place.writes("prompts.jsonl", _jsonl([{"suite": "mine", "version": "1"}, *(row | more for row in rows)]))
    place.writes("prompts.csv", _csv([row | {"tags": "x y"} for row in rows]))
    place.writes("prompts.txt", "# comment\n" + "".join(row["text"] + "\n" for row in rows))
    published = [{"prompt_en": row["text"], "dimension": ["scene", "color"]} for row in rows]
    place.writes("prompts.json", json.dumps(published))


def _write_manifests(place: Place) -> None:
    rows = [{"file": f"p{at:02}.mkv", "prompt": f"a ball {at}", "id": f"i{at}"} for at in MANY]
    place.writes("manifest.jsonl", _jsonl([row | {"category": "c", "sample": 0} for row in rows]))
    place.writes("manifest.csv", _csv(rows))


def _write_ratings(place: Place) -> None:
    rows = [
        {"model": model, "prompt_id": f"p{at:02}", "rating": (at * 7 + number) % 5}
        for number, model in enumerate(MODELS)
        for at in MANY
    ]
    place.writes("human.jsonl", _jsonl(rows))
    place.writes("human.csv", _csv(rows))
    rated = {
        f"p{at:02}": {"prompt": f"a red ball rolls {at}", "models": {"fast-a": [at % 5, 3], "fast-b": [2, at % 3]}}
        for at in MANY
    }
    place.writes("human.json", json.dumps(rated))


def _write_vbench(place: Place) -> None:
    one = {"video_path": "a.mp4", "video_results": 0.9}
    results = {"subject_consistency": [0.9, [one]], "dynamic_degree": [0.5, [one | {"video_results": True}]]}
    place.writes("others_eval_results.json", json.dumps(results))


def _write_media(folder: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), np.uint8)
    np.save(folder / "clip.npy", frames)
    np.savez(folder / "clip.npz", frames=frames, fps=8.0)
    with av.open(str(folder / "clip.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=8)
        stream.height = stream.width = 32
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode(None))
    first, *others = [Image.fromarray(frame) for frame in frames]
    first.save(folder / "clip.gif", save_all=True, append_images=others)
    first.save(folder / "frame.png")
    first.save(folder / "frame.jpg")


def _write_weights(folder: Path) -> None:
    weights = {"a.weight": torch.zeros(3, 4), "b": torch.ones(5)}
    save_file(weights, folder / "weights.safetensors")
    torch.save({"state_dict": weights}, folder / "weights.pt")


def make_inputs(place: Place) -> None:
    """All of it, in the folder of this place; what torch is needed for is made in this process."""
    _write_prompts(place)
    _write_manifests(place)
    _write_ratings(place)
    _write_vbench(place)
    _write_media(place.folder)
    _write_weights(place.folder)
    metrics = "--vdb-metrics=sharpness,temporal_flicker,fvd,kvd"
    session = make_project(place, models=MODELS, prompts=len(MANY), seconds=0)
    place.runs(*session, metrics, "--vdb-weights=tiny", "--vdb-report=none").ends(0)
    (run,) = runs_of(place.folder / "reports")
    shutil.move(run, place.folder / "run")
    clips = place.folder / "clips"
    clips.mkdir()
    for at, clip in zip(MANY, sorted(place.cache.glob("clips/??/*.mkv")), strict=False):
        shutil.copy(clip, clips / f"p{at:02}.mkv")
    with contextlib.chdir(place.folder):
        score = ("score", "clips", "--metrics", "sharpness,fvd,kvd", "--tiny", "--model", "m")
        for command in (
            ("reference", "build", "clips", "-o", "real.npz", "--tiny"),
            (*score, "--reference", "real.npz", "-o", "scores/s.jsonl"),
            ("baseline", "save", "run", "-o", "base.json"),
        ):
            assert main(list(command)) == 0, command


def make_pipeline(folder: Path) -> None:
    """A complete folder of `local` weights."""
    shutil.copytree(tiny.ensure("WanPipeline", folder.parent / "tiny"), folder)
