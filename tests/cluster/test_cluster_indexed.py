"""A process that is told its number runs that shard, and ends so that whoever started it knows whether to try again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from fake_kubernetes import waited_for
from made_shards import make_shard

from pytest_vdb.cluster.indexed import DIED, NUMBERS, addresses_in, put_list
from pytest_vdb.cluster.jobs import PREEMPTED, Job, address_of, submit
from pytest_vdb.storage import storage_at

CONFTEST = """
import os, sys, time
from pathlib import Path

def pytest_addoption(parser):
    parser.addoption("--does")
    for ours in ("shard", "output", "report"):
        parser.addoption(f"--vdb-{ours}")

def pytest_sessionfinish(session):
    Path("began").write_text(session.config.getoption("--vdb-shard"))
    if session.config.getoption("does") == "wait":
        time.sleep(60)
    if session.config.getoption("does") == "die":
        print("the driver hangs")
        os._exit(9)
"""
"""A project whose session does as it is told; our plugin is not needed to be started by number."""


class Started:
    """The process that a pod or a task of an array is, in a project."""

    def __init__(self, folder, **environment):
        self.folder = folder
        self.environment = {name: value for name, value in os.environ.items() if name not in NUMBERS} | environment
        (folder / "conftest.py").write_text(CONFTEST)
        (folder / "test_it.py").write_text("def test_it(): assert False\n")
        self.place = put_list([f"{folder}/job/shards/{name}.json" for name in "abc"], "one")

    @staticmethod
    def asked(does):
        return "-p", "no:randomly", "-p", "no:vdb", "-o", "addopts=", "-s", f"--does={does}"

    def begins(self, does):
        command = [sys.executable, "-m", "pytest_vdb.cluster.indexed", self.place, *self.asked(does)]
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, stderr=subprocess.PIPE, text=True)

    def ends(self, does):
        process = self.begins(does)
        _, said = process.communicate(timeout=60)
        return process.returncode, said


@pytest.mark.parametrize("address", ["{folder}/job", "memory:/{folder}/job"])
def test_a_shard_is_found_by_its_number_in_a_list_and_among_all(tmp_path, address):
    storage = storage_at(address.format(folder=tmp_path))
    shards = [make_shard(id=f"wan.{number:04}") for number in range(3)]
    job = Job(id="j", arguments=(), folder="/p", tests=9, gpus=0, created_at="2026-01-01T00:00:00+00:00")
    submit(storage, job, shards)
    addresses = [address_of(storage, shard) for shard in shards]
    assert addresses_in(put_list([addresses[2], addresses[0]], "one")) == [addresses[2], addresses[0]]
    assert addresses_in(storage.address) == addresses
    part = replace(shards[0], id="wan.0000.a1b2c3", split_from="wan.0000")
    submit(storage, job, [part])
    assert addresses_in(storage.address) == [*addresses, address_of(storage, part)]
    assert addresses_in(put_list([address_of(storage, part)], "two")) == [address_of(storage, part)]


@pytest.mark.slow
@pytest.mark.parametrize("name", NUMBERS)
def test_failed_tests_are_no_reason_to_try_again(tmp_path, name):
    started = Started(tmp_path, **{name: "1"})
    assert started.ends("fail") == (0, "")
    assert (tmp_path / "began").read_text() == f"{tmp_path}/job/shards/b.json"


@pytest.mark.slow
def test_a_session_that_died_is_and_its_last_words_are_said(tmp_path):
    status, said = Started(tmp_path, JOB_COMPLETION_INDEX="2").ends("die")
    assert status == DIED
    assert "c.json: its session ended with status 9" in said
    assert "the driver hangs" in said


@pytest.mark.slow
def test_who_is_told_to_go_ends_with_the_status_that_does_not_count(tmp_path):
    process = Started(tmp_path, JOB_COMPLETION_INDEX="0").begins("wait")
    waited_for((tmp_path / "began").is_file)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == PREEMPTED
    assert "told to go" in said


@pytest.mark.parametrize(("number", "says"), [({}, "no number"), ({NUMBERS[0]: "7"}, "there is no shard 7")])
def test_without_a_number_that_a_shard_has_nothing_is_run(tmp_path, number, says):
    status, said = Started(tmp_path, **number).ends("fail")
    assert status == DIED
    assert says in said
    assert not (tmp_path / "began").exists()


def test_without_a_place_it_is_one_sentence():
    asked = subprocess.run(
        [sys.executable, "-m", "pytest_vdb.cluster.indexed"], capture_output=True, text=True, check=False
    )
    assert (asked.returncode, asked.stderr.startswith("which job")) == (1, True)
