"""`--vdb-cache-dir` with an address: clips of one machine are found by another."""

from __future__ import annotations

import shutil

import pytest


def on_machine(project, monkeypatch, name, address, *more):
    """A session of a machine with a cache folder of its own."""
    monkeypatch.setenv("VDB_CACHE_DIR", str(project.path / name))
    result = project.run("good", f"--vdb-cache-dir={address}", *more)
    result.assert_outcomes(passed=3)
    return result


def test_a_clip_that_another_machine_made_is_reused(project, monkeypatch):
    address = f"memory://{project.path.name}/cache"
    on_machine(project, monkeypatch, "one", address)
    made = project.records()
    on_machine(project, monkeypatch, "other", address)
    found = project.records()
    assert {record.reused_from for record in made} == {None}
    assert {record.reused_from for record in found} == {made[0].run}
    assert [record.clip.digest for record in found] == [record.clip.digest for record in made]


@pytest.mark.slow
def test_workers_share_theirs(project, monkeypatch):
    address = f"file://{project.path / 'shared'}"
    on_machine(project, monkeypatch, "one", address, "-n2")
    assert len(list((project.path / "shared" / "clips").rglob("*.mkv"))) == 3


def test_clips_that_did_not_reach_the_others_are_said(project, monkeypatch):
    (project.path / "shared").mkdir()
    (project.path / "shared" / "clips").write_text("in the way")
    result = on_machine(project, monkeypatch, "one", f"file://{project.path / 'shared'}")
    result.stdout.fnmatch_lines(["vdb shared clips: *"])


def test_an_address_that_is_none_is_said_before_anything_is_generated(project):
    result = project.run("good", "--vdb-cache-dir=nowhere://bucket")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*nowhere://bucket*"])
    assert not (project.path / "reports" / "runs").exists()


@pytest.mark.slow
def test_a_metric_of_all_clips_finds_those_that_other_machines_made(project, monkeypatch):
    conftest = (project.path / "conftest.py").read_text()
    whole = "\n@metric('grey', unit='1', better='higher')\ndef grey(clips):\n"
    whole += "    return float(np.mean([clip.frames.mean() for clip in clips]))\n"
    (project.path / "conftest.py").write_text(conftest + whole)
    job = ("--vdb-on=local", "--vdb-workers=1", "--vdb-metrics=grey")
    address = f"file://{project.path / 'shared'}"
    for _ in range(2):
        on_machine(project, monkeypatch, "one", address, *job)
        (value,) = (found.value for one in project.records() for found in one.measurements if found.name == "grey")
        assert value == pytest.approx(127.5, abs=2)
        shutil.rmtree(project.path / "one")  # where the records come home the second time, no clip was ever made


def test_weights_and_networks_need_a_folder(project, monkeypatch):
    monkeypatch.setenv("VDB_CACHE_DIR", "s3://bucket/cache")
    result = project.run("good", "--vdb-cache-dir=s3://bucket/cache")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*VDB_CACHE_DIR: 's3://bucket/cache' is an address*"])
