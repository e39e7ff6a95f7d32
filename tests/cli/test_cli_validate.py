"""`vdb validate`, as a user types it."""

from __future__ import annotations

import json

import numpy as np

from pytest_vdb.cli import main
from pytest_vdb.shapes import moving_shapes

TABLE = "model,prompt,vmaf,rating\n" + "".join(
    f"{model},p{i},{i + shift},{i // 2}\n" for shift, model in enumerate("abc") for i in range(8)
)


def test_validate_prints_a_table_over_clips_and_models(tmp_path, capsys):
    path = tmp_path / "all.csv"
    path.write_text(TABLE)
    assert main(["validate", "vmaf", "--human", str(path), "--resamples", "50"]) == 0
    shown = capsys.readouterr().out
    assert "tau-c" in shown
    assert "vmaf: 24 of 24 rated clips" in shown


def test_validate_as_json_names_each_coefficient(tmp_path, capsys):
    path = tmp_path / "all.csv"
    path.write_text(TABLE)
    assert main(["validate", "vmaf", "--human", str(path), "--resamples", "20", "--json"]) == 0
    clips = json.loads(capsys.readouterr().out)["agreement"][0]
    assert clips["n"] == 24
    assert 0.8 < clips["spearman"]["value"] < 1
    assert len(clips["kendall_c"]["interval"]) == 2


def test_scores_and_ratings_of_different_clips_are_an_error(tmp_path, capsys):
    scores, ratings = tmp_path / "scores.csv", tmp_path / "ratings.csv"
    scores.write_text("model,prompt,vmaf\na,x,1\n")
    ratings.write_text("model,prompt,rating\nb,x,1\n")
    assert main(["validate", "vmaf", "--human", str(ratings), "--scores", str(scores)]) == 1
    assert "no clip has both" in capsys.readouterr().err


def test_what_vdb_score_wrote_is_validated_against_ratings(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gen").mkdir()
    rows = ["model,prompt,rating"]
    for index in range(4):
        name = f"p{index}"
        np.save(tmp_path / "gen" / f"{name}.npy", moving_shapes(name, frames=2 + index, height=16, width=16))
        rows.append(f"gen,{name},{index}")
    (tmp_path / "ratings.csv").write_text("\n".join(rows))
    (tmp_path / "prompts.jsonl").write_text("".join(f'{{"id": "p{i}", "text": "text {i}"}}\n' for i in range(4)))
    assert main(["score", "gen", "--prompts", "prompts.jsonl", "--metrics", "sharpness", "--device", "cpu"]) == 0
    scores = "reports/scores/gen.jsonl"
    assert main(["validate", "sharpness", "--human", "ratings.csv", "--scores", scores, "--resamples", "9"]) == 0
    assert "sharpness: 4 of 4 rated clips" in capsys.readouterr().out
