"""A shard is an ordinary session: its tests alone, not those that are done, and every record in the storage."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import msgspec
import pytest

from pytest_vdb.cluster.attempts import Event
from pytest_vdb.cluster.jobs import NOT_STORED, PREEMPTED, Job, Shard, address_of, cancel, submit
from pytest_vdb.cluster.knowing import known_of
from pytest_vdb.storage import storage_at

JOB = Job(id="j", arguments=(), folder="/p", tests=3, gpus=0, created_at="2026-01-01T00:00:00+00:00")
PROMPTS = ("one-49e9fc", "two-b85d38", "three-097a4d")
SLOW = """
    import numpy as np, time
    from pytest_vdb import Clip, model

    @model("slow", frames=4, height=16, width=16, fps=8.0)
    def slow(prompt, recipe, seed):
        if prompt.text == "two":
            time.sleep(60)
        return Clip(np.random.default_rng(seed).integers(0, 256, (4, 16, 16, 3), np.uint8), recipe.fps)
"""


SPLITS = """
    import os, time
    from dataclasses import replace
    from pathlib import Path
    import numpy as np
    from pytest_vdb import Clip, model
    from pytest_vdb.cluster.jobs import shard_at
    from pytest_vdb.records import to_json

    @model("splits", frames=4, height=16, width=16, fps=8.0)
    def splits(prompt, recipe, seed):
        if prompt.text == "one":
            storage, shard = shard_at(str(Path(__file__).parent / "job" / "shards" / "one.0000.json"))
            smaller = replace(shard, prompts=shard.prompts[:2], tests=4)
            storage.put(shard.name, to_json(smaller).encode())
            time.sleep(2.5)
        if prompt.text == "two":
            time.sleep(2)  # the worker is told when the first one has ended
        return Clip(np.random.default_rng(seed).integers(0, 256, (4, 16, 16, 3), np.uint8), recipe.fps)
"""
"""While its first prompt runs, the last one is split from the shard."""


class OneShard:
    """Runs sessions on a shard of the small project."""

    def __init__(self, project, model="good", prompts=PROMPTS):
        self.project = project
        self.storage = storage_at(str(project.path / "job"))
        self.shard = Shard(
            id="one.0000", model=model, prompts=prompts, has_others=True, tests=len(prompts), expected_s=None
        )
        submit(self.storage, JOB, [self.shard])
        self.option = f"--vdb-shard={address_of(self.storage, self.shard)}"

    def run(self, *more, models="good,also-good,raises"):
        return self.project.run(models, self.option, *more)

    def known(self):
        return known_of(self.storage, self.shard)

    def statuses(self):
        return {record.prompt: record.status for record in self.known().records.values()}

    def has_died_in(self, prompt, times):
        for number in range(times):
            nodeid = f"test_generation.py::test_generation[{self.shard.model}--{prompt}]"
            events = Event(event="start", at=1.0), Event(event="begin", at=2.0, nodeid=nodeid)
            lines = b"\n".join([*map(msgspec.json.encode, events), b""])
            self.storage.put(f"attempts/{self.shard.id}/2026-{number}.jsonl", lines)


@pytest.mark.slow
def test_only_its_own_tests_are_run_and_told(project):
    shard = OneShard(project, prompts=PROMPTS[:2])
    shard.run().assert_outcomes(passed=2)
    assert shard.statuses() == dict.fromkeys(PROMPTS[:2], "passed")
    (told,) = shard.known().attempts
    assert told.ended == "finished"
    assert told.environment == project.read()[0].environment
    lines = (project.runs()[-1] / "records.jsonl").read_bytes().splitlines()
    assert {msgspec.json.decode(line)["schema"] for line in lines} == {2}, "shards are merged by the thousand"


@pytest.mark.slow
def test_what_is_done_is_not_run_again(project):
    OneShard(project, prompts=PROMPTS[:1]).run().assert_outcomes(passed=1)
    shard = OneShard(project)
    result = shard.run()
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["vdb shard: one.0000, 2 of 3 tests are left"])
    assert not shard.known().duplicates
    assert shard.run().ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert [told.ended for told in shard.known().attempts] == ["finished"] * 3


def test_a_failed_test_is_done(project):
    shard = OneShard(project, model="raises")
    assert shard.run().ret == pytest.ExitCode.TESTS_FAILED
    assert set(shard.statuses().values()) == {"failed"}
    assert shard.known().is_finished(shard.shard)


def test_a_test_in_which_three_sessions_died_fails_with_the_reason(project):
    shard = OneShard(project)
    shard.has_died_in("two-b85d38", 3)
    shard.run().assert_outcomes(passed=2, failed=1)
    assert shard.statuses()["two-b85d38"] == "quarantined"
    (record,) = (one for one in shard.known().records.values() if one.status == "quarantined")
    assert "3 sessions died in this test" in record.failure.message
    assert record.seed is not None
    assert shard.run().ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_two_deaths_are_not_enough(project):
    shard = OneShard(project)
    shard.has_died_in("two-b85d38", 2)
    shard.run().assert_outcomes(passed=3)


def test_gates_and_metrics_of_sets_wait_for_the_whole_run(project):
    project.run("good")
    baseline = project.runs()[-1]
    shard = OneShard(project)
    result = shard.run(f"--vdb-baseline={baseline}", "--vdb-fail-on=brightness:+0.0001", "--vdb-metrics=fvd,brightness")
    result.assert_outcomes(passed=3)
    assert len(shard.statuses()) == 3


@pytest.mark.slow
def test_a_cancelled_shard_ends_without_a_failure(project):
    project.pytester.makeconftest(SLOW.replace("time.sleep(60)", "time.sleep(2)"))
    shard = OneShard(project, model="slow")
    cancel(shard.storage)
    result = project.run("slow", "--vdb-metrics=none", shard.option)
    assert result.ret == pytest.ExitCode.OK, result.stdout.str()
    assert shard.known().attempts[-1].ended == "cancelled"
    assert 0 < len(shard.statuses()) < 3


@pytest.mark.slow
@pytest.mark.parametrize("workers", [(), ("-n1",)])
def test_what_is_split_from_it_while_it_runs_does_not_begin(project, workers):
    project.pytester.makeconftest(SPLITS)
    later = (project.path / "test_generation.py").read_text()
    (project.path / "test_later.py").write_text(later)
    shard = OneShard(project, model="splits")
    result = project.run_in_subprocess("splits", "--vdb-metrics=none", shard.option, *workers)
    result.assert_outcomes(passed=4)  # the module of the last one is torn down, else the next one has errors
    assert shard.statuses() == dict.fromkeys(PROMPTS[:2], "passed")
    (told,) = shard.known().attempts
    assert (told.ended, told.unfinished) == ("finished", set())


@pytest.mark.parametrize("address", ["job", "job/shards/none.json", "job/shards/"])
def test_an_address_that_is_no_shard_is_said_before_anything_runs(project, address):
    result = project.run("good", f"--vdb-shard={project.path / address}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert not (project.path / "reports").exists()


@pytest.mark.slow
def test_workers_run_the_same_tests(project):
    shard = OneShard(project, prompts=PROMPTS[:2])
    shard.has_died_in("two-b85d38", 3)
    project.run_in_subprocess("good,also-good", shard.option, "-n2").assert_outcomes(passed=1, failed=1)
    assert shard.statuses() == {"one-49e9fc": "passed", "two-b85d38": "quarantined"}
    assert shard.known().attempts[-1].ended == "finished"


@pytest.mark.slow
def test_a_machine_that_is_taken_away_ends_the_session_with_a_status_of_its_own(project):
    project.pytester.makeconftest(SLOW)
    shard = OneShard(project, model="slow")
    command = [sys.executable, "-m", "pytest", *project.arguments("slow", "--vdb-metrics=none"), shard.option]
    session = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=project.path)
    until = time.monotonic() + 60
    while not any(told.records for told in shard.known().attempts) and time.monotonic() < until:
        time.sleep(0.1)
    session.send_signal(signal.SIGTERM)
    said, _ = session.communicate(timeout=60)
    assert session.returncode == PREEMPTED, said
    (told,) = shard.known().attempts
    assert told.ended == "preempted"
    assert not shard.known().strikes
    assert shard.statuses() == {"one-49e9fc": "passed"}


@pytest.mark.heavy
def test_a_session_whose_storage_is_gone_says_what_is_lost(project):
    shard = OneShard(project)
    project.pytester.makepyfile(
        test_generation="""
        from pathlib import Path

        def test_generation(vdb, vdb_model, vdb_prompt, vdb_seed):
            job = Path(__file__).parent / "job"
            if job.is_dir():
                job.rename(job.with_name("gone"))  # in one step: the session writes there meanwhile
                job.write_text("in the way")
            vdb.measure(vdb.generate(vdb_model, vdb_prompt, vdb_seed))
        """
    )
    result = shard.run()
    assert result.ret == NOT_STORED
    result.stdout.fnmatch_lines(["*not all records are in the storage*"])
