"""A job on other machines is, in the end, the run of one: test by test, value by value, whoever is killed meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from pytest_vdb.cluster.jobs import CANCEL, JOB, Job, Shard, job_in, shards_in, submit
from pytest_vdb.cluster.knowing import attempts_by_shard, told_in
from pytest_vdb.records import to_json
from pytest_vdb.storage import storage_at

HERE = ("--vdb-on=local", "--vdb-workers=2", "--vdb-cache=never")
SLOWLY = """
    import time

    def pytest_runtest_setup(item):
        time.sleep(0.4)
"""


def quality(records):
    """What must be the same wherever it ran."""
    return {
        record.nodeid: (
            record.status,
            record.clip and record.clip.digest,
            {measured.name: measured.value for measured in record.measurements if measured.kind == "quality"},
        )
        for record in records
    }


def job_of(project):
    (folder,) = (project.path / "reports" / "jobs").iterdir()
    return storage_at(str(folder))


def sessions_in(storage):
    """What attempts have said so far, and the pids of their sessions by the shard's address on their command line."""
    return [told_in(name, storage.get(name)) for names in attempts_by_shard(storage).values() for name in names]


def pids_of(address):
    import psutil

    found = psutil.process_iter(["pid", "cmdline"])
    return [process.pid for process in found if any(address in one for one in process.info["cmdline"] or ())]


@pytest.mark.slow
def test_a_job_with_a_session_killed_half_way_is_the_run_of_one_machine(project):
    models = "good,raises"
    project.run(models, "--vdb-cache=never").assert_outcomes(passed=3, failed=3)
    alone = quality(project.records())
    project.pytester.makepyfile(slowly=SLOWLY)
    command = [sys.executable, "-m", "pytest", *project.arguments(models, *HERE, "-p", "slowly")]
    environment = {**os.environ, "PYTHONPATH": f"{project.path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    job = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=project.path, env=environment)
    victim = None
    until = time.monotonic() + 120
    while victim is None and job.poll() is None and time.monotonic() < until:
        time.sleep(0.1)
        if (project.path / "reports" / "jobs").is_dir():
            told = [one for one in sessions_in(job_of(project)) if one.records and one.ended is None]
            victim = told[0] if told else None
    assert victim is not None
    for pid in pids_of(f"{victim.name.split('/')[1]}.json"):
        os.kill(pid, signal.SIGKILL)
    said, _ = job.communicate(timeout=120)
    assert job.returncode == pytest.ExitCode.TESTS_FAILED, said
    run, records = project.read()
    assert quality(records) == alone
    assert run.summary["job"]["ended"]["without a word"] == 1
    assert run.summary["job"]["duplicates"] == 0
    assert (run.summary["collected"], run.exit_status) == (6, 1)
    assert "3 failed, 3 passed" in said.splitlines()[-1]


LONGER_THAN_FORETOLD = """
    import time
    import pytest

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(pyfuncitem):
        if "[good--" in pyfuncitem.nodeid:
            time.sleep(2.5)
"""


@pytest.mark.heavy  # a minute, nearly all of it asleep: nothing that would be faster is worth a load
def test_what_is_longer_than_foretold_is_split_and_is_the_run_of_one_machine(project):
    (project.path / "three.txt").write_text("".join(f"prompt {number}\n" for number in range(16)))
    models = "good,also-good"
    project.run(models, "--vdb-cache=never").assert_outcomes(passed=32)  # by this run both are foretold
    alone = quality(project.records())
    project.pytester.makepyfile(slowly=LONGER_THAN_FORETOLD)
    command = [sys.executable, "-m", "pytest", *project.arguments(models, *HERE, "-p", "slowly")]
    environment = {**os.environ, "PYTHONPATH": f"{project.path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    said = subprocess.run(command, capture_output=True, text=True, cwd=project.path, env=environment, check=True)
    run, records = project.read()
    assert quality(records) == alone
    assert run.summary["job"]["shards"] > 2, said.stdout
    assert run.summary["job"]["duplicates"] == 0
    parts = [shard for shard in shards_in(job_of(project)) if shard.split_from is not None]
    assert {shard.model for shard in parts} == {"good"}
    assert sum(shard.tests for shard in shards_in(job_of(project))) == 32


@pytest.mark.slow
def test_the_same_command_again_runs_nothing_and_judges_the_same_run(project):
    project.run("good")
    baseline, junit = project.runs()[-1], project.path / "junit.xml"
    gate = (f"--vdb-baseline={baseline}", "--vdb-fail-on=brightness:-0.0001", f"--junitxml={junit}")
    project.run("good", *HERE, *gate).assert_outcomes(passed=4)
    assert "brightness" in junit.read_text()
    first, before = project.records(), len(sessions_in(job_of(project)))
    job_of(project).put(CANCEL, b"")  # whoever types the command again has changed their mind
    result = project.run("good", *HERE, *gate)
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*goes on*"])
    assert len(sessions_in(job_of(project))) == before
    assert quality(project.records()) == quality(first)
    assert not job_of(project).has(CANCEL)


@pytest.mark.slow
def test_who_can_write_to_a_job_chooses_no_arguments_of_its_sessions(project):
    project.run("good", *HERE).assert_outcomes(passed=3)
    storage = job_of(project)
    job = job_in(storage)
    storage.put(JOB, to_json(replace(job, arguments=("-p", "strange"), folder="/")).encode())
    for names in attempts_by_shard(storage).values():
        for name in names:
            storage.remove(name)
    project.run("good", *HERE).assert_outcomes(passed=3)


def test_a_plan_says_what_is_not_known_and_makes_nothing(project):
    result = project.run("good,also-good", *HERE, "--vdb-plan")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        ["6 tests in * shards, 2 at a time", "nobody knows yet what these take*also-good, good"]
    )
    assert not (project.path / "reports" / "jobs").exists()


def test_a_plan_rests_on_earlier_runs(project):
    project.run("good", "--vdb-cache=never").assert_outcomes(passed=3)
    result = project.run("good", *HERE, "--vdb-plan", "--vdb-cache=never")
    result.stdout.fnmatch_lines(["hours of workers: *(* to *)*", "*good: 3 tests, last run *"])


def test_options_of_jobs_need_an_engine(project):
    result = project.run("good", "--vdb-workers=2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--vdb-workers: it is of jobs*"])


def test_workers_of_xdist_and_of_a_job_do_not_go_together(project):
    result = project.run("good", *HERE, "-n2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_an_unknown_engine_is_said_before_anything_runs(project):
    result = project.run("good", "--vdb-on=slurmy")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*unknown engine 'slurmy'*"])


def test_names_of_the_environment_are_a_list(project):
    (project.path / "machines.toml").write_text('[local]\nenvironment = "TOKEN"\n')
    result = project.run("good", *HERE, "--vdb-machines=machines.toml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*environment = 'TOKEN'*"])


def test_a_shard_has_as_many_gpus_as_share_a_clip(project, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    told = ("--vdb-on=local", "--vdb-plan", "--vdb-device=cpu")
    project.run("good", *told).stdout.fnmatch_lines(["3 tests in * shards, 4 at a time"])
    shared = (*told, "--vdb-recipe", "parallel=ulysses:2")
    project.run("good", *shared).stdout.fnmatch_lines(["3 tests in * shard*, 2 at a time"])
    (project.path / "machines.toml").write_text("[local]\ngpus = 1\n")
    refused = project.run("good", *shared, "--vdb-machines=machines.toml")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(["*gpus = 1, and the recipe's `parallel` shares each clip over 2*"])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    few = project.run("good", *shared)
    assert few.ret == pytest.ExitCode.USAGE_ERROR
    few.stderr.fnmatch_lines(["*2 GPUs to a shard, and 1 are here*"])


def test_another_job_in_the_same_place_is_refused(project):
    storage = storage_at(str(project.path / "job"))
    other = Job(id="other", arguments=(), folder="/p", tests=1, gpus=0, created_at="2026-01-01T00:00:00+00:00")
    submit(storage, other, [Shard(id="x", model="x", prompts=(), has_others=True, tests=1, expected_s=None)])
    result = project.run("good", *HERE, "--vdb-job=job")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*a job of other tests lies there*"])


@pytest.mark.slow
@pytest.mark.parametrize("settings", [None, "[pytest]\naddopts = -p made\n"])
def test_the_shipped_suite_is_handed_out_where_a_project_has_none(tmp_path, settings):
    """Beside no test of its own pytest chooses another root for it: its tests would have other names."""
    (tmp_path / "made.py").write_text(MADE)
    if settings is not None:
        (tmp_path / "pytest.ini").write_text(settings)
    asked = ["-p", "made"] if settings is None else []
    asked += ["--vdb-models=noise", "--vdb-prompts=smoke:2", "-k", "test_generation", "--vdb-metrics=none"]
    command = [sys.executable, "-m", "pytest_vdb", "run", *asked, *HERE, "--vdb-report=none"]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == pytest.ExitCode.OK, done.stdout
    assert "2 passed" in done.stdout.splitlines()[-1]


MADE = """
import numpy as np
from pytest_vdb import Clip, model

@model("noise", frames=4, height=16, width=16, fps=8.0)
def noise(prompt, recipe, seed):
    return Clip(np.random.default_rng(seed).integers(0, 256, (4, 16, 16, 3), np.uint8), recipe.fps)
"""
