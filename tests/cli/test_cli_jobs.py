"""`vdb jobs` tells from the storage alone how far a job is."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import msgspec
import pytest

from pytest_vdb.cli import main
from pytest_vdb.cluster.attempts import Event
from pytest_vdb.cluster.jobs import CANCEL, Job, Shard, parts_in, shard_at, submit
from pytest_vdb.records import Record
from pytest_vdb.results.lines import Teller
from pytest_vdb.storage import storage_at

JOB = Job(id="j", arguments=(), folder="/p", tests=8, gpus=1, created_at="2026-01-01T00:00:00+00:00")


@pytest.fixture
def job(tmp_path, monkeypatch):
    """One shard is done, one runs, one was lost, one waits."""
    monkeypatch.chdir(tmp_path)
    storage = storage_at("reports/jobs/one")
    names = ("done", "running", "lost", "waiting")
    shards = [
        Shard(id=name, model="wan", prompts=("a", "b"), has_others=False, tests=2, expected_s=100.0) for name in names
    ]
    submit(storage, JOB, shards)
    say(storage, "done", time.time() - 600, 1, end="finished")
    say(storage, "running", time.time() - 50, 1)
    say(storage, "lost", time.time() - 7200, 0)
    say(storage, "lost", time.time() - 3600, 0)
    return storage


def say(storage, shard, at, records, end=None):
    """An attempt of fifty seconds."""
    teller, lines = Teller(), [msgspec.json.encode(Event(event="start", at=at, worker="node-1"))]
    for number in range(records):
        about = {"nodeid": f"t[{number}]", "prompt": "ab"[number]}
        record = Record(run="r", benchmark="t", model="wan", status="passed", **about)
        lines.append(teller.told(record).whole)
    last = Event(event="end", at=at + 50, why=end) if end else Event(event="alive", at=at + 50)
    storage.put(f"attempts/{shard}/{at:.0f}.jsonl", b"\n".join([*lines, msgspec.json.encode(last), b""]))


def told(capsys, *arguments):
    assert main(["jobs", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_shard_is_in_one_state(job, capsys):
    found = told(capsys, "reports/jobs/one")
    assert {one["id"]: one["state"] for one in found["shard"]} == {
        "done": "done",
        "running": "running",
        "lost": "lost",
        "waiting": "waiting",
    }
    by_id = {one["id"]: one for one in found["shard"]}
    assert (by_id["lost"]["attempts"], by_id["lost"]["retried"]) == (2, 1)
    assert by_id["running"]["left_s"] == pytest.approx(50, abs=1)  # one of two tests took fifty seconds
    assert by_id["waiting"]["left_s"] == 100.0
    assert found["left_s"] == pytest.approx(250, abs=1)
    assert found["worker_hours"] == pytest.approx(200 / 3600, abs=1e-3)


def test_gpu_hours_are_those_of_the_sessions_and_cost_what_the_user_said(job, capsys):
    found = told(capsys, "reports/jobs/one")
    assert found["gpu_hours"] == found["worker_hours"]
    assert (found["cost"], found["currency"]) == (None, None)
    submit(job, replace(JOB, gpus=4, price_gpu_hour=(2.5, "USD")), [])
    found = told(capsys, "reports/jobs/one")
    assert found["gpu_hours"] == pytest.approx(4 * 200 / 3600, abs=1e-3)
    assert found["cost"] == pytest.approx(found["gpu_hours"] * 2.5)
    by_id = {one["id"]: one["gpu_hours"] for one in found["shard"]}
    assert by_id["lost"] == pytest.approx(4 * 100 / 3600, abs=1e-3)
    assert main(["jobs", "reports/jobs/one"]) == 0
    assert "0.22 GPU-hours, 0.56 USD" in capsys.readouterr().out
    (listed,) = told(capsys, "--price=10EUR")
    assert (listed["cost"], listed["currency"]) == (pytest.approx(found["gpu_hours"] * 10), "EUR")


def test_what_runs_on_processors_has_no_gpu_hours_and_no_cost(job, capsys):
    submit(job, replace(JOB, gpus=0, price_gpu_hour=(2.5, "USD")), [])
    found = told(capsys, "reports/jobs/one")
    assert (found["gpu_hours"], found["cost"]) == (None, None)


def test_people_see_tables(job, capsys):
    assert main(["jobs"]) == 0
    assert "reports/jobs/one" in capsys.readouterr().out
    assert main(["jobs", "reports/jobs/one"]) == 0
    said = capsys.readouterr().out
    assert "1 of 4 shards are done, 1 run, 1 wait, 1 were lost, about 4 min left" in said
    assert "node-1" in said


def test_the_shard_that_would_end_last_is_split_by_hand(job, capsys):
    assert main(["jobs", "reports/jobs/one", "--split"]) == 1
    assert "no shard is worth another session" in capsys.readouterr().out
    known = {"tests_of_prompts": (1,) * 9, "expected_s": 910.0, "load_s": 10.0}
    long = Shard(id="long", model="wan", prompts=tuple("abcdefghi"), has_others=False, tests=9, **known)
    submit(job, JOB, [long])
    assert main(["jobs", "reports/jobs/one", "--split"]) == 0
    said = capsys.readouterr().out
    (part,) = parts_in(job, long)
    assert f"long has 5 tests now, and {part.id} the other 4" in said
    assert f"--vdb-shard={job.address}/shards/long/{part.id}.json" in said
    assert shard_at(f"{job.address}/{part.name}")[1] == part


def test_a_job_that_is_still_being_submitted_hides_no_other(job, capsys):
    storage_at("reports/jobs/half").put("shards/x.json", b"{}")
    (only,) = told(capsys)
    assert only["job"] == "reports/jobs/one"


def test_a_job_is_cancelled_by_a_marker(job, capsys):
    assert main(["jobs", "reports/jobs/one", "--cancel"]) == 0
    assert job.has(CANCEL)
    capsys.readouterr()
    assert told(capsys, "reports/jobs/one")["cancelled"] is True


def test_where_there_is_none_it_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["jobs"]) == 0
    assert "no job lies in" in capsys.readouterr().out
    assert main(["jobs", "nowhere"]) == 1
    assert "there is no job" in capsys.readouterr().err
    assert main(["jobs", "--cancel"]) == 1
