"""What people said and what metrics gave, from files as people have them: each fault names its file, line and value."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_vdb.analysis.ratings import Table, pair_up, read_ratings, read_scores
from pytest_vdb.errors import RecordError, UnknownName
from pytest_vdb.records import Measurement, Record
from pytest_vdb.results import baselines, vbench
from pytest_vdb.results.journal import Journal
from pytest_vdb.results.ledger import Ledger


def file(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_null_an_empty_cell_and_nan_are_no_ratings(tmp_path):
    table = Table(by_id={("m", "p1"): 2.0}, by_text={("m", "a cat"): 2.0})
    nested = {"p1": {"prompt": "a cat", "models": {"m": [1, None, 3], "n": [None]}}}
    assert read_ratings(file(tmp_path, "r.json", json.dumps(nested))) == table
    rows = "model,id,text,rating\nm,p1,a cat,1\nm,p1,a cat,\nm,p1,a cat,nan\nm,p1,a cat,3\n"
    assert read_ratings(file(tmp_path, "r.csv", rows)) == table
    lines = [{"model": "m", "id": "p1", "text": "a cat", "rating": value} for value in (1, None, 3)]
    assert read_ratings(file(tmp_path, "r.jsonl", "\n".join(map(json.dumps, lines)))) == table


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("r.json", b"\xff", "r.json:1: not UTF-8"),
        ("r.json", "[" * 5_000 + "]" * 5_000, "r.json: not JSON: nested too deeply"),
        ("r.json", "[]", "r.json: not a file of ratings: it is no object but []"),
        ("r.json", '{"p": 1}', "r.json: not a file of ratings: the entry 'p' is no object but 1"),
        ("r.json", '{"p": {}}', "r.json: not a file of ratings: `models` of 'p' is missing"),
        ("r.json", '{"p": {"models": {"m": ["good"]}}}', "r.json: a rating of 'm' in 'p' is 'good'"),
        ("r.json", f'{{"p": {{"models": {{"m": {"7" * 400}}}}}}}', "r.json: a rating of 'm' in 'p' is 777"),
        ("r.jsonl", '{"model": "m", "id": "p", "rating": 1}\nnull', "r.jsonl:2: no object but None"),
        ("r.jsonl", '{"model": "m", "id": "p", "rating": []}', "r.jsonl:1: rating is []"),
        ("r.jsonl", '{"model": null, "id": "p", "rating": 1}', "r.jsonl:1: model is None"),
        ("r.jsonl", '{"model": "m", "id": "p", "rating": 1}\n{"id": "p", "rating": 1}', "r.jsonl:2: model is None"),
        ("r.jsonl", '{"rating": "\\ud800"}', "r.jsonl:1: not JSON: it holds half a character"),
        ("r.jsonl", "", "r.jsonl: it holds no rows"),
        ("r.csv", "model,id,rating\nm,p,high\n", "r.csv:2: rating is 'high'"),
        ("r.csv", "model,id,rating\nm,p,1e999\n", "r.csv:2: rating is '1e999'"),
        ("r.csv", "model,id,rating\nm,p,1,2\n", "r.csv:2: more cells than the header"),
        ("r.csv", f'model,id,rating\nm,"{"x" * 200_000}",1\n', "r.csv:2: not CSV: field larger than field limit"),
        ("r.csv", "a,b\n1,2\n", "r.csv: no column of ratings among a, b"),
        ("r.csv", "rating\n1\n", "r.csv: no column names the prompt among rating"),
        ("nowhere.csv", None, "nowhere.csv: there is no such file"),
    ],
)
def test_what_is_wrong_is_said_with_file_line_and_value(tmp_path, name, content, why):
    path = tmp_path / name if content is None else file(tmp_path, name, content)
    with pytest.raises(RecordError) as refused:
        read_ratings(path)
    assert why in str(refused.value)


def test_characters_that_end_no_line_end_none(tmp_path):
    text = "a cat\u2028and a dog\x85"
    lines = [{"model": "m", "text": text, "rating": 1}]
    path = file(tmp_path, "r.jsonl", "\n".join(json.dumps(line, ensure_ascii=False) for line in lines))
    assert read_ratings(path).by_text == {("m", text): 1.0}


def test_a_column_that_is_not_there_is_answered_with_those_that_are(tmp_path):
    path = file(tmp_path, "r.csv", "model,id,ratings\nm,p,1\n")
    with pytest.raises(UnknownName, match=r"unknown column 'rating'\n.*did you mean 'ratings'"):
        read_ratings(path, "rating")


def test_scores_come_from_a_run_a_ledger_a_baseline_and_a_table(tmp_path):
    """The same value, whatever keeps it; a clip that was scored again counts once, and each model has its own."""
    run = vbench.unknown_run("20260101-000000-abcdef")
    measured = (Measurement(name="sharpness", value=0.5, unit="1", better="higher"),)
    about = {"benchmark": "t.py::t", "model": "m", "status": "passed", "prompt": "p1", "measurements": measured}
    record = Record(run=run.id, nodeid="t.py::t[m-p1]", **about)
    journal = Journal.create(tmp_path, run)
    journal.append(record)
    journal.finish(run)
    baselines.save([record], run, tmp_path / "base.json")
    book = Ledger(tmp_path / "scores.jsonl")
    for model, value in (("m", 0.1), ("m", 0.5), ("n", 0.25)):
        again = Measurement(name="sharpness", value=value, unit="1", better="higher")
        clip = {"model": model, "measurements": (again,)}
        recipe = {"file": "f", "prompt": ["p1", "a cat"], "folder": f"{model}/videos"}
        about |= {"run": "score-1", "nodeid": "p1.mp4", "benchmark": "score", "recipe": recipe, **clip}
        book.append(Record(**about))
    expected = {("m", "p1"): 0.5}
    for path in (journal.folder, tmp_path / "base.json", file(tmp_path, "s.csv", "model,id,sharpness\nm,p1,0.5\n")):
        assert read_scores(path, "sharpness").by_id == expected
    lines = json.dumps({"model": "m", "id": "p1", "sharpness": 0.5})
    assert read_scores(file(tmp_path, "s.jsonl", lines), "sharpness").by_id == expected
    assert read_scores(book.path, "sharpness").by_id == {**expected, ("n", "p1"): 0.25}
    with pytest.raises(RecordError, match="names no prompts"):
        read_scores(file(tmp_path, "x_eval_results.json", '{"scene": [1, []]}'), "scene")


def test_pairs_are_joined_by_what_fits_better():
    scores = Table(by_id={("m", "p1"): 1.0}, by_text={("m", "a"): 1.0, ("m", "b"): 2.0})
    ratings = Table(by_id={("m", "p1"): 3.0}, by_text={("m", "a"): 3.0, ("m", "b"): 4.0})
    assert [(pair.prompt, pair.score, pair.rating) for pair in pair_up(scores, ratings)] == [("a", 1, 3), ("b", 2, 4)]
