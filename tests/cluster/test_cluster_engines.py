"""Engines are found, and cost nothing until they are used; the local one tries again what died."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import replace

import pytest

from pytest_vdb.cluster.engines.contract import RETRIES, Machines, Tasks
from pytest_vdb.cluster.engines.local import VISIBLE
from pytest_vdb.cluster.engines.registry import engine_named, engines
from pytest_vdb.cluster.jobs import DIES_WITH, WORKER
from pytest_vdb.cluster.running import Task, run_shard
from pytest_vdb.errors import EngineError, ShardDied, UnknownName

CONFTEST = """
import os
from pathlib import Path

def pytest_addoption(parser):
    parser.addoption("--deaths", type=int, default=0)
    for ours in ("shard", "output", "report"):
        parser.addoption(f"--vdb-{ours}")

def pytest_sessionfinish(session):
    here = Path(__file__).parent
    tried = len(list(here.glob("tried-*")))
    said = f"{os.environ.get('WORKER')} {os.environ.get('CUDA_VISIBLE_DEVICES')}"
    (here / f"tried-{tried}").write_text(said)
    if tried < session.config.getoption("deaths"):
        print("the driver hangs")
        os._exit(9)
""".replace("'WORKER'", repr(WORKER))
"""A project whose sessions die as often as they are told; no plugin of ours is needed to be run by an engine."""


@pytest.fixture
def task(tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text("def test_it(): pass\n")

    def dying(times):
        arguments = ("-p", "no:randomly", "-q", "-s", f"--deaths={times}", "-p", "no:vdb", "-o", "addopts=")
        return Task(address=f"job/shards/{times}.json", arguments=arguments, folder=str(tmp_path))

    return dying


def test_listing_engines_imports_none_of_their_libraries():
    code = (
        "import sys; from pytest_vdb.cluster.engines.registry import engines; print(sorted(engines()));"
        "print([name for name in ('kubernetes', 'ray', 'submitit', 'torch', 'fsspec') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    names, imported = said.splitlines()
    assert "local" in names
    assert imported == "[]"


def test_an_engine_that_nobody_knows_has_near_misses():
    with pytest.raises(UnknownName, match="did you mean 'local'"):
        engine_named("locl", where="--vdb-on")


def test_as_many_shards_at_a_time_as_there_are_gpus(monkeypatch):
    monkeypatch.setenv(VISIBLE, "GPU-a,GPU-b,GPU-c,GPU-d")
    local = engines()["local"]
    assert local.workers(Machines()) == 4
    assert local.workers(Machines(gpus=2)) == 2
    assert local.workers(Machines(workers=3)) == 3
    assert local.workers(Machines(workers=9)) == 4
    assert local.gpus(Machines()) == 1
    with pytest.raises(EngineError, match="8 GPUs to a shard, and 4 are here"):
        local.workers(Machines(gpus=8))


def test_without_gpus_it_is_one_unless_more_are_asked_for(monkeypatch):
    monkeypatch.setenv(VISIBLE, "")
    local = engines()["local"]
    assert (local.workers(Machines()), local.gpus(Machines())) == (1, 0)
    assert local.workers(Machines(workers=3)) == 3


@pytest.mark.slow
def test_a_shard_runs_all_its_tests_also_where_the_project_stops_at_a_failure(task, tmp_path):
    (tmp_path / "test_it.py").write_text(
        "from pathlib import Path\n"
        "def test_first(): assert False\n"
        "def test_second(): Path(__file__).with_name('second').touch()\n"
    )
    one = task(0)
    assert run_shard(replace(one, arguments=(*one.arguments, "-o", "addopts=-x --ff"))) == pytest.ExitCode.TESTS_FAILED
    assert (tmp_path / "second").exists()


@pytest.mark.slow
def test_a_session_that_died_is_tried_again_in_its_place(task, tmp_path, monkeypatch):
    monkeypatch.setenv(VISIBLE, "GPU-a")
    (ended,) = engines()["local"].run(Tasks([task(2)]), Machines())
    assert ended.problem is None
    assert ended.tries == 3
    assert {path.read_text() for path in tmp_path.glob("tried-*")} == {"local-0 GPU-a"}


@pytest.mark.slow
def test_one_that_dies_again_and_again_is_given_up_with_its_last_words(task, tmp_path, monkeypatch):
    monkeypatch.setenv(VISIBLE, "")
    (ended,) = engines()["local"].run(Tasks([task(99)]), Machines())
    assert "status 9" in ended.problem
    assert "the driver hangs" in ended.problem
    assert len(list(tmp_path.glob("tried-*"))) == RETRIES + 1


@pytest.mark.slow
def test_a_session_is_told_to_go(task):
    with pytest.raises(ShardDied, match="told to go"):
        run_shard(task(0), must_stop=lambda: True)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells a process that its parent has died")
def test_a_session_does_not_outlive_who_started_it():
    code = (
        "import os, subprocess, sys, time\n"
        "child = 'import time; from pytest_vdb.cluster.orphans import die_with_who_started_us as d; d();'\n"
        "child += 'print(1, flush=True); time.sleep(60)'\n"
        f"env = {{**os.environ, {DIES_WITH!r}: str(os.getpid())}}\n"
        "process = subprocess.Popen([sys.executable, '-c', child], env=env, stdout=subprocess.PIPE)\n"
        "process.stdout.readline(); print(process.pid, flush=True); os.kill(os.getpid(), 9)\n"
    )
    import psutil

    started = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(started.stdout.readline())
    orphan = psutil.Process(pid) if psutil.pid_exists(pid) else None
    started.wait()
    if orphan is not None:
        orphan.wait(10)
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize(("name", "library"), [("kubernetes", "kubernetes"), ("ray", "ray"), ("slurm", "submitit")])
def test_an_engine_without_its_library_is_one_sentence_with_the_pip_command(name, library):
    if importlib.util.find_spec(library) is not None:
        pytest.skip(f"{library} is installed here")
    with pytest.raises(EngineError, match=rf"pip install 'pytest-vdb\[{name}\]'"):
        engines()[name].workers(Machines(workers=None if name == "ray" else 2))
