"""The index of runs: it spares reading, and whatever becomes of it changes no answer."""

from __future__ import annotations

import dataclasses
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from pytest_vdb.analysis.history import EDITION, in_short
from pytest_vdb.errors import RecordError
from pytest_vdb.records import Environment, Measurement, Record, Run
from pytest_vdb.results import history
from pytest_vdb.results.journal import Journal

HERE = Environment(
    python="3.12", platform="test", hardware="cpu", cpu="cpu", cpu_count=1, memory_mib=1, git_commit="c0ffee"
)


def a_run(output: Path, day: int, *, value: float = 0.5, finished: bool = True) -> Path:
    began = f"2026-01-{day:02}T00:00:00+00:00"
    run = Run(id=f"202601{day:02}-000000-abcdef", started_at=began, environment=HERE)
    journal = Journal.create(output, run)
    measured = (Measurement(name="sharpness", value=value, unit="1", better="higher"),)
    journal.append(
        Record(
            run=run.id,
            nodeid="t",
            benchmark="t.py::t",
            model="m",
            status="passed",
            prompt="p",
            measurements=measured,
        )
    )
    journal.finish(dataclasses.replace(run, finished_at=began if finished else None))
    return journal.folder


def read(*outputs: Path, edition: int = EDITION) -> history.Runs:
    return history.read(outputs, in_short, edition=edition)


def values(runs: history.Runs) -> list[float | None]:
    return [run.asked[0].figures[0].value for run in runs.runs]


@pytest.fixture
def output(tmp_path) -> Path:
    for day in (2, 1, 3):
        a_run(tmp_path / "out", day, value=day / 10)
    return tmp_path / "out"


def test_runs_come_in_their_order_and_are_read_once(output):
    first, second = read(output), read(output)
    assert values(first) == [0.1, 0.2, 0.3]
    assert first.runs == second.runs
    assert (first.read, second.read) == (3, 0)
    assert first.runs[0].commit == "c0ffee"


def test_the_index_lies_in_no_runs_folder(output):
    before = set((output / "runs").rglob("*"))
    read(output)
    assert set((output / "runs").rglob("*")) == before
    assert len(list((output / history.INDEX).iterdir())) == 3


@pytest.mark.parametrize("damage", ["delete", "cut", "turn a bit", "a folder", "another's", "empty"])
def test_whatever_becomes_of_the_index_changes_no_answer(output, damage):
    known = read(output).runs
    one, other, _ = sorted((output / history.INDEX).iterdir())
    whole = one.read_bytes()
    if damage == "delete":
        shutil.rmtree(output / history.INDEX)
    elif damage == "cut":
        one.write_bytes(whole[:-20])
    elif damage == "turn a bit":
        one.write_bytes(whole.replace(b"0.1", b"0.9"))
    elif damage == "a folder":
        one.unlink()
        one.mkdir()
    elif damage == "another's":
        one.write_bytes(other.read_bytes())
    else:
        one.write_bytes(b"")
    again = read(output)
    assert again.runs == known
    assert again.read == (3 if damage == "delete" else 1)


def test_a_run_that_changed_and_another_edition_are_read_again(output):
    read(output)
    records = output / "runs" / "20260102-000000-abcdef" / "records.jsonl"
    times = records.stat()
    records.write_bytes(records.read_bytes().replace(b'"values":[0.2', b'"values":[0.7'))
    os.utime(records, ns=(times.st_atime_ns, times.st_mtime_ns))
    changed = read(output)
    assert values(changed) == [0.1, 0.7, 0.3]
    assert changed.read == 1
    assert read(output, edition=EDITION + 1).read == 3


def test_what_cannot_be_read_is_said_and_stops_nothing(output):
    a_run(output, 4, finished=False)
    (output / "runs" / "20260102-000000-abcdef" / "run.json").write_text("{")
    (output / "runs" / "stray").mkdir()
    with (output / "runs" / "20260103-000000-abcdef" / "records.jsonl").open("a") as file:
        file.write('{"torn')
    for found in (read(output), read(output)):
        assert values(found) == [0.1, 0.3]
        said = "\n".join(found.warnings)
        assert "not JSON" in said
        assert "stray/run.json: there is no such file" in said
        assert "1 run that did not come to an end" in said
        assert "the last line is torn" in said


def test_runs_of_many_machines_stand_in_one_order_each_once(output, tmp_path):
    a_run(tmp_path / "other", 2, value=0.9)
    a_run(tmp_path / "other", 4, value=0.4)
    assert values(read(output, tmp_path / "other", output)) == [0.1, 0.2, 0.3, 0.4]


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(RecordError, match="no runs here"):
        read(tmp_path)


def test_an_index_that_cannot_be_written_is_said_once(output):
    (output / history.INDEX).write_text("in the way")
    found = read(output)
    assert values(found) == [0.1, 0.2, 0.3]
    (said,) = found.warnings
    assert "no index is kept" in said


@pytest.mark.slow
def test_two_processes_build_it_at_once(output):
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        first, second = pool.map(read, [output, output])
    assert first.runs == second.runs == read(output).runs
    assert read(output).read == 0
