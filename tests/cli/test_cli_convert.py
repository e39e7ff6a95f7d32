"""`vdb convert`: a run for another tool, and back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pytest_vdb.cli import main
from pytest_vdb.shapes import moving_shapes


@pytest.fixture(scope="module")
def scored(tmp_path_factory) -> Path:
    """A project with three scored clips."""
    place = tmp_path_factory.mktemp("project")
    (place / "veo").mkdir()
    for index in range(3):
        np.save(place / "veo" / f"p{index}.npy", moving_shapes(f"p{index}", frames=6, height=24, width=24))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("VDB_CACHE_DIR", str(place / "cache"))
        assert main(["score", "veo", "--device", "cpu", "--metrics", "sharpness,temporal_flicker"]) == 0
    return place


@pytest.fixture
def place(scored, monkeypatch) -> Path:
    monkeypatch.chdir(scored)
    return scored


def test_the_list_says_what_each_target_is_and_needs(capsys):
    assert main(["convert", "--list", "--json"]) == 0
    listed = {one["target"]: one for one in json.loads(capsys.readouterr().out)}
    assert listed["mlflow"]["extra"] == "mlflow"
    assert listed["bencher"]["missing"] == []
    assert {name for name, one in listed.items() if one["reads"]} == {"parquet", "pytest-benchmark"}
    assert main(["convert", "--list"]) == 0
    assert "Bencher Metric Format" in capsys.readouterr().out


def test_scored_clips_go_to_their_own_place_and_the_answer_counts(place, capsys):
    assert main(["convert", "reports/scores/veo.jsonl", "--to", "bencher", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (path,) = told["places"]
    assert path.startswith("exports/score-")
    assert path.endswith(".bmf.json")
    assert told["values"] == 2
    assert set(json.loads((place / path).read_text())["score[veo]"]) == {"sharpness", "temporal-flicker"}


def test_there_and_back_gives_a_run_that_every_command_takes(place, capsys):
    pytest.importorskip("pyarrow", reason="needs the extra parquet")
    assert main(["convert", "reports/scores/veo.jsonl", "--to", "parquet:values.parquet"]) == 0
    assert main(["convert", "values.parquet", "--to", "run:again", "--json"]) == 0
    captured = capsys.readouterr().out
    (folder,) = json.loads(captured[captured.index("{") :])["places"]
    assert main(["report", "reports/scores/veo.jsonl", "-o", "first", "--formats", "csv"]) == 0
    assert main(["report", folder, "-o", "second", "--formats", "csv"]) == 0
    first, second = ((place / name / "leaderboard.csv").read_text() for name in ("first", "second"))
    assert first.splitlines()[1].split(",")[7:] == second.splitlines()[1].split(",")[7:]
    assert main(["convert", "values.parquet", "--to", "run:again"]) == 1, "the run is there already"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["reports/scores/veo.jsonl"], "no target"),
        (["--to", "parquet"], "no run"),
        (["reports/scores/veo.jsonl", "--to", "benchr"], "did you mean 'bencher'?"),
        (["nowhere", "--to", "bencher"], "there is no such file"),
        (["reports/scores/veo.jsonl", "--to", "bencher:veo"], "a folder, not a file"),
    ],
)
def test_what_cannot_be_done_is_said_with_the_mend(place, capsys, asked, said):
    assert main(["convert", *asked]) == 1
    assert said in capsys.readouterr().err


def test_a_name_that_is_not_utf_8_is_spelled_out(place, capsys):
    for target in ("pytest-benchmark", "bencher", "junit"):
        assert main(["convert", "m\udce9=reports/scores/veo.jsonl", "--to", f"{target}:named"]) == 0
        assert "Traceback" not in capsys.readouterr().err
    assert r'vdb.model" value="m\udce9"' in (place / "named").read_text(encoding="utf-8")


def test_what_is_left_out_is_counted_and_said(place, capsys):
    assert main(["convert", "reports/scores/veo.jsonl", "--to", "pytest-benchmark:x.json"]) == 0
    shown = capsys.readouterr().out
    assert "0 values for pytest-benchmark; 6 left out:" in shown
    assert "3 x sharpness: pytest-benchmark knows seconds, not 1: only in extra_info" in shown
