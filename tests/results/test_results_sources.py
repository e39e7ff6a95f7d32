"""What a path holds is decided by looking, and what is wrong is said of that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_vdb.errors import RecordError
from pytest_vdb.records import Measurement, Record, Run, to_json
from pytest_vdb.results import baselines, sources, vbench
from pytest_vdb.results.journal import Journal

RUN = vbench.unknown_run("20260101-000000-abcdef")
MEASURED = (Measurement(name="sharpness", value=0.5, unit="1", better="higher"),)
RECORD = Record(
    run=RUN.id, nodeid="t.py::t[m-p]", benchmark="t.py::t", model="m", status="passed", measurements=MEASURED
)


@pytest.fixture
def place(tmp_path) -> Path:
    """One of each: a run, a ledger with its session, a baseline, VBench's results with their list."""
    journal = Journal.create(tmp_path, RUN)
    journal.append(RECORD)
    journal.finish(RUN)
    clip = Record(run="score-1", nodeid="a.mp4", benchmark="score", model="m", status="passed", measurements=MEASURED)
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "m.jsonl").write_text(to_json(clip) + "\n")
    (tmp_path / "scores" / "m.run.json").write_text(to_json(RUN))
    baselines.save([RECORD], RUN, tmp_path / "base.json")
    (tmp_path / "wan").mkdir()
    (tmp_path / "wan" / "r_eval_results.json").write_text('{"scene": [0.5, []]}')
    (tmp_path / "wan" / "r_full_info.json").write_text('[{"prompt_en": "a", "dimension": ["scene"]}]')
    return tmp_path


@pytest.mark.parametrize(
    ("path", "sort"),
    [
        (f"runs/{RUN.id}", "run"),
        (f"runs/{RUN.id}/run.json", "run"),
        (f"runs/{RUN.id}/records.jsonl", "run"),
        ("scores/m.jsonl", "ledger"),
        ("base.json", "baseline"),
        ("wan/r_eval_results.json", "published"),
    ],
)
def test_each_sort_is_known_by_what_it_holds(place, path, sort):
    assert sources.sort_of(place / path) == sort


def test_a_name_is_not_trusted_where_the_content_can_be_read(place):
    ledger, run = place / "scores" / "m.jsonl", place / "runs" / RUN.id
    assert sources.sort_of(ledger.rename(run / "clips.jsonl")) == "ledger"  # beside a run.json
    assert sources.sort_of((place / "base.json").rename(place / "x_baseline.json")) == "baseline"
    assert sources.sort_of((place / "wan" / "r_eval_results.json").rename(place / "mine.json")) == "published"


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("x.json", b"\xff\xfe", "x.json:1: not UTF-8"),
        ("x.json", b"[" * 5_000 + b"]" * 5_000, "x.json: not JSON: nested too deeply"),
        ("x.json", b'{"a": "\\ud800"}', "x.json: not JSON: it holds half a character"),
        ("x.json", b'{"name": 1}', "x.json: JSON with the keys name: none of ours"),
        ("x.json", b"[]", "x.json: JSON of another kind: none of ours"),
        ("x.json", b"", "x.json: not JSON"),
        ("x.csv", b"a,b", "x.csv: a .csv file is none of these"),
        ("x_full_info.json", b"[]", "x_full_info.json: VBench's list of videos, not its results"),
        ("scores/m.run.json", None, "m.run.json: what vdb score said of itself: the clips are in m.jsonl"),
        ("wan", None, "wan: a folder without a run.json"),
        ("nowhere", None, "nowhere: there is no such file"),
        ("a\x00b", None, "cannot be read"),
    ],
)
def test_what_is_none_of_ours_says_what_it_is(place, name, content, why):
    if content is not None:
        (place / name).write_bytes(content)
    with pytest.raises(RecordError) as refused:
        sources.sort_of(place / name)
    assert why in str(refused.value)


def test_a_damaged_one_is_still_told_as_what_it_is(place):
    """So that whoever reads it says what is wrong with a baseline, a ledger, a run."""
    for path, sort in (
        ("base.json", "baseline"),
        ("scores/m.jsonl", "ledger"),
        (f"runs/{RUN.id}/records.jsonl", "run"),
        (f"runs/{RUN.id}/run.json", "run"),
        ("wan/r_eval_results.json", "published"),
    ):
        whole = (place / path).read_bytes()
        (place / path).write_bytes(whole[: len(whole) // 2] + b"\xff{")
        assert sources.sort_of(place / path) == sort


def test_a_folder_stands_for_what_it_holds(place):
    names = [path.name for path in sources.inside(place / "wan")]
    assert names == ["r_eval_results.json"]
    assert [path.name for path in sources.inside(place / "scores")] == ["m.jsonl"]
    assert [path.name for path in sources.inside(place / "runs")] == [RUN.id]
    (place / "empty").mkdir()
    with pytest.raises(RecordError, match="empty: the folder holds no run, no scored clips and no results"):
        sources.inside(place / "empty")


def test_a_run_is_no_result_of_vbench_and_the_other_way_round(place):
    assert not vbench.is_results(place / "runs" / RUN.id / "run.json")
    assert vbench.looks_like_results(json.loads('{"scene": [0.5, []]}'))
    assert not vbench.looks_like_results(json.loads('{"a": []}'))
    assert isinstance(RUN, Run)
