"""Records come home with their files into a run that every command reads."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from made_shards import HERE, make_record, make_shard

from pytest_vdb.cluster.attempts import Attempt
from pytest_vdb.cluster.jobs import Job, submit
from pytest_vdb.cluster.knowing import known_of
from pytest_vdb.cluster.merging import brought_home, merge
from pytest_vdb.errors import RecordError, StorageError
from pytest_vdb.records import ClipFiles
from pytest_vdb.results import journal

JOB = Job(id="j", arguments=("benchmarks",), folder="/p", tests=3, gpus=1, created_at="2026-01-01T00:00:00+00:00")
CLIP = ClipFiles(digest="d", frames=1, height=1, width=1, fps=8.0, preview="clips/a.mp4", poster="clips/a.jpg")


@pytest.fixture
def job(storage):
    submit(storage, JOB, [make_shard()])
    return storage


def attempt_with(job, folder, *records, environment=HERE, end="finished"):
    attempt = Attempt(job, make_shard(), environment, None)
    for record in records:
        attempt.keep(record, folder)
    assert attempt.end(end, patience_s=10)


def test_a_merged_run_is_an_ordinary_one(job, tmp_path):
    attempt_with(job, tmp_path, make_record("a"), end="preempted")
    attempt_with(job, tmp_path, make_record("a"), make_record("b"), make_record("c", status="failed"))
    folder, account = merge(job, tmp_path / "reports", "merged")
    run, records, warnings = journal.read(folder)
    assert not warnings
    assert [record.prompt for record in records] == ["a", "b", "c"]
    assert {record.run for record in records} == {"merged"}
    assert run.environment == HERE
    assert run.finished_at is not None
    assert run.summary["statuses"] == {"failed": 1, "passed": 2}
    assert run.summary["job"]["duplicates"] == account.duplicates == 1
    assert run.summary["job"]["ended"] == {"finished": 1, "preempted": 1}
    assert journal.shortfall(run, records) is None


def test_files_come_along_and_what_did_not_arrive_is_noted(job, tmp_path):
    there = tmp_path / "there"
    (there / "clips").mkdir(parents=True)
    (there / "clips" / "a.mp4").write_bytes(b"preview")
    attempt_with(job, there, make_record("a", clip=CLIP))
    folder, _ = merge(job, tmp_path / "reports", "merged")
    (record,) = journal.read(folder)[1]
    assert (folder / record.clip.preview).read_bytes() == b"preview"
    assert record.clip.poster is None
    assert record.notes == ("its clips/a.jpg did not reach the storage of the job",)


@pytest.mark.slow
def test_a_storage_that_is_away_for_a_moment_costs_no_file(job, tmp_path):
    (tmp_path / "clips").mkdir()
    for name in (CLIP.preview, CLIP.poster):
        (tmp_path / name).write_bytes(b"picture")
    attempt_with(job, tmp_path, make_record("a", clip=CLIP))
    known = known_of(job, make_shard())
    job.is_away = True
    threading.Timer(0.5, setattr, (job, "is_away", False)).start()
    (record,) = brought_home(job, known, tmp_path / "home", "merged")
    assert (record.clip.poster, record.notes) == (CLIP.poster, ())


@pytest.mark.parametrize("name", ["../../outside.npz", "clips/../../outside.npz", "/tmp/outside.npz", "records.jsonl"])
def test_a_record_cannot_write_beside_its_run_nor_over_it(job, tmp_path, name):
    attempt_with(job, tmp_path, make_record("a", features=name))
    (attempt,) = job.names("attempts/")
    job.put(f"{attempt.removesuffix('.jsonl')}/{name}", b"what was put there")
    folder, _ = merge(job, tmp_path / "reports", "merged")
    (record,) = journal.read(folder)[1]
    assert record.features is None


def test_other_machines_are_told_in_the_summary(job, tmp_path):
    attempt_with(job, tmp_path, make_record("a"), make_record("b"), end="preempted")
    other = replace(HERE, hardware="L4", git_commit="0123")
    attempt_with(job, tmp_path, make_record("c", hardware="L4"), environment=other)
    folder, account = merge(job, tmp_path / "reports", "merged")
    assert account.said_of_devices == ["wan ran on several devices, and has a row for each: H200, L4"]
    told = journal.read(folder)[0].summary["job"]
    assert told["models_on_several_devices"] == ["wan"]
    (environment,) = told["other_environments"]
    assert environment.keys() == {"attempts", "hardware", "git_commit"}


def test_where_nothing_has_ended_nothing_is_made(job, tmp_path):
    with pytest.raises(RecordError, match="no test of the job has ended yet"):
        merge(job, tmp_path / "reports", "merged")
    assert not (tmp_path / "reports").exists()


def test_a_folder_that_is_no_job_is_said(storage, tmp_path):
    with pytest.raises(StorageError, match="there is no job"):
        merge(storage, tmp_path / "reports", "merged")
