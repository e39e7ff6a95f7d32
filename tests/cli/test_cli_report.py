"""`vdb report`: one leaderboard over runs, scored clips and published figures."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from pytest_vdb.cli import main
from pytest_vdb.records import Measurement, Record, to_json
from pytest_vdb.results import vbench
from pytest_vdb.results.journal import Journal
from pytest_vdb.shapes import moving_shapes

PROMPTS = "".join(f'{{"id": "p{i}", "text": "text {i}"}}\n' for i in range(3))


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder with three scored clips of a closed model and their noisier copies."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "prompts.jsonl").write_text(PROMPTS)
    for folder, reach in (("veo", 0), ("worse", 20)):
        (tmp_path / folder).mkdir()
        for index in range(3):
            frames = moving_shapes(f"p{index}", frames=6, height=24, width=24)
            noise = np.random.default_rng(index).integers(-reach, reach + 1, frames.shape)
            np.save(tmp_path / folder / f"p{index}.npy", np.clip(frames + noise, 0, 255).astype(np.uint8))
    return tmp_path


def score(folder: str, *more: str) -> None:
    metrics = () if "--metrics" in more else ("--metrics", "vbench.temporal_flickering,sharpness")
    assert main(["score", folder, "--prompts", "prompts.jsonl", "--device", "cpu", *metrics, *more]) == 0


def rows(path: Path) -> dict[str, dict[str, str]]:
    return {row["model"]: row for row in csv.DictReader((path / "leaderboard.csv").open())}


def test_scored_clips_get_the_same_leaderboard(place, capsys):
    score("veo", "--model", "Veo 3")
    score("worse")
    capsys.readouterr()
    assert main(["report", "reports/scores/veo.jsonl", "reports/scores/worse.jsonl"]) == 0
    board = rows(place / "reports")
    assert set(board) == {"Veo 3", "worse"}
    assert float(board["Veo 3"]["vbench.temporal_flickering"]) > float(board["worse"]["vbench.temporal_flickering"])
    assert board["Veo 3"]["vbench.temporal_flickering_prompts"] == "3"
    page = (place / "reports" / "leaderboard.html").read_text()
    assert "clips from files" in page
    assert "the clip lies where it was scored" in page
    written = json.loads((place / "reports" / "vbench" / "Veo_3_eval_results.json").read_text())
    assert [video["video_path"] for video in written["temporal_flickering"][1]] == ["p0.npy", "p1.npy", "p2.npy"]


def test_several_sessions_over_the_same_clips_are_one_row(place):
    score("veo")
    score("veo", "--metrics", "psnr", "--reference", "worse")
    assert main(["report", "reports/scores/veo.jsonl", "--formats", "csv"]) == 0
    (row,) = rows(place / "reports").values()
    assert row["tests"] == "3"
    assert row["sharpness_prompts"] == row["psnr_prompts"] == "3"


def test_metrics_of_the_whole_set_stand_in_the_same_row(place):
    score("veo", "--metrics", "sharpness,diversity", "--tiny")
    assert main(["report", "reports/scores/veo.jsonl", "--formats", "csv"]) == 0
    (row,) = rows(place / "reports").values()
    assert row["sharpness_missing"] == "0"
    assert "diversity" in row


def test_scored_clips_and_published_figures_stand_beside_a_runs_models(place, capsys):
    run = vbench.unknown_run("20260101-000000-abcdef")
    journal = Journal.create(place / "reports", run)
    for index in range(3):
        sharp = Measurement(name="sharpness", value=0.1 + index, unit="1", better="higher")
        flicker = Measurement(name="vbench.temporal_flickering", value=0.9, unit="1", better="higher")
        about = {"benchmark": "test_generation", "model": "wan", "status": "passed", "weights": "hub"}
        journal.append(
            Record(run=run.id, nodeid=f"n{index}", prompt=f"p{index}", measurements=(sharp, flicker), **about)
        )
    journal.finish(run)
    score("veo")
    (place / "sora_eval_results.json").write_text('{"temporal_flickering": [0.99, []], "scene": [0.5, []]}')
    capsys.readouterr()
    paths = ["reports/runs/20260101-000000-abcdef", "reports/scores/veo.jsonl", "sora_eval_results.json"]
    assert main(["report", *paths]) == 0
    board = rows(place / "reports")
    assert set(board) == {"wan", "veo", "sora"}
    assert {row["benchmark"] for row in board.values()} == {"test_generation"}
    assert board["sora"]["weights"] == "published"
    assert float(board["sora"]["vbench.temporal_flickering"]) == 0.99
    assert "not measured here" in board["sora"]["vbench.temporal_flickering_why_unranked"]
    assert not board["veo"]["sharpness_why_unranked"]
    printed = " ".join(capsys.readouterr().out.split())  # lines are wrapped
    assert "published by others and not measured here" in printed
    assert "published, not measured here" in (place / "reports" / "leaderboard.html").read_text()
    assert not (place / "reports" / "vbench" / "sora_eval_results.json").exists()


def test_a_published_model_of_the_same_name_is_a_row_of_its_own(place):
    score("veo")
    (place / "veo_eval_results.json").write_text('{"temporal_flickering": [0.99, []]}')
    assert main(["report", "reports/scores/veo.jsonl", "veo_eval_results.json"]) == 0
    assert "veo (published)" in (place / "reports" / "leaderboard.md").read_text()


def test_a_file_that_is_nothing_to_report_on_is_refused(place, capsys):
    (place / "x.json").write_text("{}")
    (place / "x.jsonl").write_text("")
    assert main(["report", "x.json"]) == 1
    assert main(["report", "x.jsonl"]) == 1
    assert "no record of a scored clip" in capsys.readouterr().err


def test_a_line_that_is_no_record_is_said(place, capsys):
    score("veo")
    path = place / "reports" / "scores" / "veo.jsonl"
    path.write_text(
        path.read_text()
        + "{\n"
        + to_json(Record(run="r", nodeid="n", benchmark="score", model="veo", status="passed"))
        + "\n"
    )
    assert main(["report", str(path), "--formats", "csv"]) == 0
    assert "veo.jsonl:4" in capsys.readouterr().err
