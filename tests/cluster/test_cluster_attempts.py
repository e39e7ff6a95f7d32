"""An attempt loses nothing while the storage is away, and keeps nobody waiting."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from made_shards import HERE, make_record, make_shard

from pytest_vdb.cluster.attempts import Attempt
from pytest_vdb.cluster.jobs import cancel
from pytest_vdb.cluster.knowing import known_of
from pytest_vdb.records import ClipFiles, to_json

PATIENCE_S = 10


@pytest.fixture
def attempt(storage):
    storage.put(make_shard().name, to_json(make_shard()).encode())
    return Attempt(storage, make_shard(), HERE, "node-7")


def wait_until(is_so, seconds=8):
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_everything_that_was_said_can_be_read(storage, attempt, tmp_path):
    attempt.begin("one")
    attempt.keep(make_record("a"), tmp_path)
    attempt.begin(make_record("b").nodeid)
    assert attempt.end("preempted", patience_s=PATIENCE_S)
    (told,) = known_of(storage, make_shard()).attempts
    assert (told.ended, told.worker, told.environment) == ("preempted", "node-7", HERE)
    assert told.records == [make_record("a")]
    assert told.unfinished == {"one", make_record("b").nodeid}
    assert not told.warnings


def test_a_storage_that_is_away_loses_nothing_and_keeps_nobody_waiting(storage, attempt, tmp_path):
    storage.is_away = True
    began = time.monotonic()
    for prompt in "abc":
        attempt.begin(make_record(prompt).nodeid)
        attempt.keep(make_record(prompt), tmp_path)
    assert time.monotonic() - began < 0.5
    wait_until(lambda: attempt.problem is not None)
    storage.is_away = False
    assert attempt.end("finished", patience_s=PATIENCE_S)
    known = known_of(storage, make_shard())
    assert len(known.records) == 3
    assert known.is_finished(make_shard())


def test_a_storage_that_does_not_come_back_is_said(storage, attempt, tmp_path):
    storage.is_away = True
    attempt.keep(make_record("a"), tmp_path)
    assert not attempt.end("finished", patience_s=0.1)
    assert "is away" in attempt.problem


def test_files_are_there_before_the_record_that_names_them(storage, attempt, tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").write_bytes(b"preview")
    clip = ClipFiles(digest="d", frames=1, height=1, width=1, fps=8.0, preview="clips/a.mp4", poster="clips/gone.jpg")
    attempt.keep(make_record("a", clip=clip), tmp_path)
    assert attempt.end("finished", patience_s=PATIENCE_S)
    preview = storage.put_names.index(f"{attempt.name}/clips/a.mp4")
    lines = [place for place, name in enumerate(storage.put_names) if name == f"{attempt.name}.jsonl"]
    assert preview < lines[-1]
    assert f"{attempt.name}/clips/gone.jpg" not in storage.put_names


def test_a_job_that_is_cancelled_is_noticed(storage, attempt):
    cancel(storage)
    attempt.begin("one")
    wait_until(lambda: attempt.is_cancelled)
    attempt.end("cancelled", patience_s=PATIENCE_S)


def test_a_shard_that_is_split_is_noticed(storage, attempt):
    smaller = replace(make_shard(), prompts=("a",), tests=1)
    storage.put(smaller.name, to_json(smaller).encode())
    attempt.begin("one")
    wait_until(lambda: attempt.shard == smaller)
    assert attempt.end("finished", patience_s=PATIENCE_S)
    assert known_of(storage, make_shard()).attempts[0].is_on(smaller)
