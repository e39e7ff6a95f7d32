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
    return {row["model"]: row for row in csv.DictReader((path / "leaderboard.csv").open(encoding="utf-8-sig"))}


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
    of_model = (place / "reports" / "leaderboard-files" / "models" / "worse.html").read_text()
    assert "the clip lies where it was scored" in of_model
    written = json.loads((place / "reports" / "vbench" / "Veo_3_eval_results.json").read_text())
    assert [video["video_path"] for video in written["temporal_flickering"][1]] == ["p0.npy", "p1.npy", "p2.npy"]


def test_what_a_paper_cannot_have_is_said_before_anything_is_written(place, capsys):
    score("veo", "--metrics", "sharpness")
    capsys.readouterr()
    asked = ["report", "reports/scores/veo.jsonl", "-o", "paper", "--formats"]
    for more, said in (
        (["csv", "--latex-standalone"], "--formats: LaTeX is none of the formats"),
        (["latex", "--latex-width", "50"], "--latex-width: 50 points"),
        (["latex", "--latex-rows", "sora"], "--latex-rows: unknown row 'sora'"),
        (["latex", "--overall", "sharpness"], "--overall: unknown score 'sharpness'"),
    ):
        assert main([*asked, *more]) == 1
        assert said in capsys.readouterr().err
        assert not list((place / "paper").glob("*"))


def test_several_sessions_over_the_same_clips_are_one_row(place):
    score("veo")
    score("veo", "--metrics", "psnr", "--reference", "worse")
    assert main(["report", "reports/scores/veo.jsonl", "--formats", "csv"]) == 0
    (row,) = rows(place / "reports").values()
    assert row["tests"] == "3"
    assert row["sharpness_prompts"] == row["psnr_prompts"] == "3"


@pytest.mark.slow
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


# Whose values they are ----------------------------------------------------------------------------------------------


def clips(*folders: str) -> None:
    """One clip each, sharper from folder to folder."""
    for index, folder in enumerate(folders):
        Path(folder).mkdir(parents=True)
        frames = moving_shapes("p0", frames=6, height=24, width=24)
        np.save(Path(folder) / "p0.npy", frames // (len(folders) - index))


def means(path: Path, metric: str = "sharpness") -> dict[str, float]:
    return {name: round(float(row[metric]), 4) for name, row in rows(path).items()}


def results(path: str, **means: float) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps({name: [mean, []] for name, mean in means.items()}))
    return path


def test_two_models_whose_folders_have_one_name_are_two_rows(place):
    clips("wan/videos", "cog/videos")
    score("wan/videos", "--model", "wan")
    score("cog/videos", "--model", "cog")
    assert main(["report", "reports/scores/videos.jsonl"]) == 0
    board = means(place / "reports")
    assert set(board) == {"wan", "cog"}
    assert board["wan"] < board["cog"]


def test_two_folders_of_one_name_and_no_model_are_refused(place, capsys):
    clips("wan/videos", "cog/videos")
    score("wan/videos")
    capsys.readouterr()
    assert main(["score", "cog/videos", "--metrics", "sharpness"]) == 1
    said = capsys.readouterr().err
    assert "'videos' would be two models" in said
    assert "(wan/videos)" in said
    assert "--model NAME" in said
    assert main(["report", "reports/scores/videos.jsonl", "--formats", "csv"]) == 0
    assert rows(place / "reports")["videos"]["tests"] == "1"


def test_two_ledgers_of_one_name_are_never_one_row(place, capsys):
    clips("wan/videos", "cog/videos")
    for model in ("wan", "cog"):
        score(f"{model}/videos", "-o", f"{model}/videos.jsonl")
    capsys.readouterr()
    assert main(["report", "wan/videos.jsonl", "cog/videos.jsonl", "-o", "out"]) == 0
    assert set(rows(place / "out")) == {"wan/videos", "cog/videos"}
    assert "several folders have one name; shown as" in capsys.readouterr().err
    assert main(["report", "Wan=wan/videos.jsonl", "Cog=cog/videos.jsonl", "-o", "out"]) == 0
    board = means(place / "out")
    assert set(board) == {"Wan", "Cog"}
    assert board["Wan"] < board["Cog"]


def test_one_model_in_two_ledgers_keeps_the_clips_of_both(place):
    clips("first/videos", "second/videos")
    for batch in ("first", "second"):
        score(f"{batch}/videos", "--model", "wan", "-o", f"{batch}/videos.jsonl")
    assert main(["report", "first/videos.jsonl", "second/videos.jsonl", "-o", "out"]) == 0
    assert rows(place / "out")["wan"]["tests"] == "2"


def test_a_folder_that_was_moved_is_the_same_clips(place, capsys):
    clips("here/videos")
    score("here/videos")
    (place / "there").mkdir()
    (place / "here/videos").rename(place / "there/videos")
    capsys.readouterr()
    score("there/videos")
    assert "1 of them scored before" in capsys.readouterr().err
    assert main(["report", "reports/scores/videos.jsonl"]) == 0
    assert rows(place / "reports")["videos"]["tests"] == "1"


def test_a_name_given_later_is_whose_the_clips_are(place):
    clips("videos")
    score("videos")
    score("videos", "--model", "Wan 2.1")
    assert main(["report", "reports/scores/videos.jsonl"]) == 0
    assert set(rows(place / "reports")) == {"Wan 2.1"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["vb/wan/a_eval_results.json", "vb/wan/b_eval_results.json"],
        ["vb/wan"],
        ["wan=vb/wan"],
        ["wan=vb/wan/*.json"],  # bash leaves it as it is
        ["vb/wan/*.json"],  # and Windows all of them
        ["wan=vb/wan/a_eval_results.json", "wan=vb/wan/b_eval_results.json"],
    ],
)
def test_vbenchs_files_of_one_model_are_one_row(place, capsys, arguments):
    results("vb/wan/a_eval_results.json", scene=0.5)
    results("vb/wan/b_eval_results.json", color=0.25)
    Path("vb/wan/a_full_info.json").write_text("[]")
    assert main(["report", *arguments, "-o", "out"]) == 0
    assert list(rows(place / "out")) == ["wan"]
    assert means(place / "out", "vbench.scene") == {"wan": 0.5}
    assert means(place / "out", "vbench.color") == {"wan": 0.25}
    assert "1 model" in capsys.readouterr().out


def test_a_run_can_be_given_a_name_if_it_has_one_model(place, capsys):
    run = a_run(place, "wan")
    assert main(["report", f"mine={run}", "-o", "out"]) == 0
    assert set(rows(place / "out")) == {"mine"}
    both = a_run(place, "wan", "cog")
    assert main(["report", f"mine={both}", "-o", "out"]) == 1
    assert "it holds 2 models (cog, wan), and 'mine' is one name" in capsys.readouterr().err


def test_a_path_that_holds_an_equals_sign_is_a_path(place):
    results("a=b/sora_eval_results.json", scene=0.5)
    assert main(["report", "a=b/sora_eval_results.json", "-o", "out"]) == 0
    assert list(rows(place / "out")) == ["sora"]


@pytest.mark.parametrize(
    ("argument", "why"),
    [
        ("wan=nowhere", "wan=nowhere: there is no such file or folder"),
        ("wan=nowhere/*.json", "wan=nowhere/*.json: nothing matches"),
        ("=nowhere", "'=nowhere' names no model"),
        ("nowhere", "nowhere: there is no such file or folder"),
        ("x" * 300, "there is no such file or folder"),
        ("~nobody-at-all/x", "there is no such file or folder"),
    ],
)
def test_what_is_not_there_is_an_error(place, capsys, argument, why):
    results("sora_eval_results.json", scene=0.5)
    assert main(["report", "sora_eval_results.json", argument]) == 1
    assert why in capsys.readouterr().err


# What cannot be read ------------------------------------------------------------------------------------------------


def a_run(place: Path, *models: str) -> Path:
    run = vbench.unknown_run(f"20260101-000000-{len(list(place.glob('runs/*'))):06x}")
    journal = Journal.create(place, run)
    sharp = Measurement(name="sharpness", value=0.1, unit="1", better="higher")
    for model in models:
        about = {"benchmark": "test_generation", "model": model, "status": "passed", "weights": "hub"}
        journal.append(Record(run=run.id, nodeid=f"n[{model}]", prompt="p0", measurements=(sharp,), **about))
    journal.finish(run)
    return journal.folder


def break_run(folder: Path, how: str) -> str:
    """Break a run, and say what must be said of it."""
    if how == "killed in its first test":
        (folder / "run.json").unlink()
        (folder / "records.jsonl").unlink()
        (folder / "clips").mkdir()
        return "a folder without a run.json"
    if how == "no run.json":
        (folder / "run.json").unlink()
        return "there is no run.json here"
    name, content, why = {
        "not UTF-8": ("run.json", b"\xff", "run.json: not JSON"),
        "nested": ("run.json", b"[" * 5_000 + b"]" * 5_000, "run.json: not JSON"),
        "wrong types": ("run.json", b'{"id": 1}', "run.json: not a Run"),
        "newer": ("records.jsonl", b'{"schema": 99}\n', "records.jsonl:1: schema 99 is newer"),
    }[how]
    (folder / name).write_bytes(content)
    return why


@pytest.mark.parametrize(
    "how", ["killed in its first test", "no run.json", "not UTF-8", "nested", "wrong types", "newer"]
)
def test_one_broken_run_never_stops_a_report_of_others(place, capsys, how):
    whole, broken = a_run(place, "wan"), a_run(place, "cog")
    why = break_run(broken, how)
    assert main(["report", str(broken), str(whole), "-o", "out"]) == 0
    said = capsys.readouterr().err
    assert set(rows(place / "out")) == {"wan"}
    assert why in said
    assert broken.name in said
    assert main(["report", str(broken), "-o", "out"]) == 1
    assert why in capsys.readouterr().err


def test_an_output_folder_stands_for_its_runs_and_scores(place, capsys):
    score("veo")
    a_run(place / "reports", "wan")
    broken = a_run(place / "reports", "cog")
    break_run(broken, "killed in its first test")
    for folder, models in (("reports", {"veo", "wan"}), ("reports/runs", {"wan"}), ("reports/scores", {"veo"})):
        capsys.readouterr()
        assert main(["report", folder, "-o", "out"]) == 0
        assert set(rows(place / "out")) == models
        assert (broken.name in capsys.readouterr().err) == (folder != "reports/scores")


def test_a_run_without_records_is_no_leaderboard(place, capsys):
    assert main(["report", str(a_run(place)), "-o", "out"]) == 1
    assert "has no records" in capsys.readouterr().err
    assert main(["report", str(a_run(place)), str(a_run(place, "wan")), "-o", "out"]) == 0
    assert "has no records" in capsys.readouterr().err


def test_of_several_broken_ones_each_is_said(place, capsys):
    broken = [a_run(place, "cog"), a_run(place, "wan")]
    for run in broken:
        break_run(run, "not UTF-8")
    assert main(["report", *map(str, broken)]) == 1
    said = capsys.readouterr().err
    assert all(run.name in said for run in broken)


def test_torn_records_cost_their_line(place, capsys):
    run = a_run(place, "wan", "cog")
    records = run / "records.jsonl"
    records.write_bytes(records.read_bytes()[:-20])
    assert main(["report", str(run), "-o", "out"]) == 0
    assert set(rows(place / "out")) == {"wan"}
    assert "records.jsonl:6: the last line is torn" in capsys.readouterr().err


def test_a_pattern_over_what_vdb_wrote_takes_the_parts_for_parts(place, capsys):
    """`reports/scores/*` and `runs/*`, as a shell expands them."""
    score("veo", "--metrics", "sharpness,diversity", "--tiny")
    a_run(place, "wan")
    capsys.readouterr()
    everything = [str(path) for folder in ("reports/scores", "runs") for path in sorted(Path(folder).iterdir())]
    assert len(everything) == 4
    assert main(["report", *everything, "-o", "out"]) == 0
    assert set(rows(place / "out")) == {"veo", "wan"}
    assert capsys.readouterr().err == ""


def test_a_fault_in_a_result_file_is_said_of_the_result_file(place, capsys):
    Path("sora_eval_results.json").write_text('{"scene": "good"}')
    assert main(["report", "sora_eval_results.json"]) == 1
    assert 'sora_eval_results.json: not a result file of VBench: scene is "good"' in capsys.readouterr().err


def test_a_file_that_is_nothing_to_report_on_is_refused(place, capsys):
    (place / "x.json").write_text("{}")
    (place / "x.jsonl").write_text("")
    assert main(["report", "x.json"]) == 1
    assert "none of ours" in capsys.readouterr().err
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
