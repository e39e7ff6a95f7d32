"""`vdb init`, `vdb run`, `vdb report` and `vdb baseline`, in a project that starts from nothing."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pytest_vdb.cli import main
from pytest_vdb.records import Record, Run, Status, to_json
from pytest_vdb.results import baselines, vbench
from pytest_vdb.results.journal import Journal

pytestmark = pytest.mark.slow  # whole sessions


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """What `vdb init` makes, after one run of its noise model."""
    folder = tmp_path_factory.mktemp("project")
    assert main(["init", str(folder)]) == 0
    options = ["--vdb-models=noise", "--vdb-prompts=smoke:2", "--vdb-metrics=spread,sharpness", "-k", "generation"]
    vdb_run(folder, *options)
    return folder


def vdb_run(folder, *options):
    environment = {**os.environ, "VDB_CACHE_DIR": str(folder / "cache")}
    command = [sys.executable, "-m", "pytest_vdb", "run", *options]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_new_project_runs_its_own_model_and_metric(project):
    csv = (project / "reports" / "leaderboard.csv").read_text()
    assert "noise" in csv
    assert "spread" in csv


def test_init_overwrites_nothing(project, capsys):
    conftest = project / "benchmarks" / "conftest.py"
    conftest.write_text(conftest.read_text() + "# mine\n")
    assert main(["init", str(project)]) == 0
    assert conftest.read_text().endswith("# mine\n")
    assert "kept" in capsys.readouterr().out


def test_reports_are_rebuilt_from_records_alone(project, tmp_path, capsys):
    (run,) = (project / "reports" / "runs").iterdir()
    assert main(["report", str(run), "-o", str(tmp_path)]) == 0
    written = {path.name for path in tmp_path.iterdir()}
    formats = {f"leaderboard.{ending}" for ending in ("html", "tex", "bib", "csv", "md", "json")}
    assert written == {*formats, "leaderboard-files", "leaderboard-methods.tex", "standings.csv", "values.csv"}
    assert "noise" in capsys.readouterr().out


def test_a_torn_last_line_is_read_up_to_and_said(project, tmp_path, capsys):
    (run,) = (project / "reports" / "runs").iterdir()
    torn = tmp_path / "runs" / "torn"
    torn.mkdir(parents=True)
    (torn / "run.json").write_text((run / "run.json").read_text())
    (torn / "records.jsonl").write_text((run / "records.jsonl").read_text()[:-40])
    assert main(["report", str(torn), "-o", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert "records.jsonl" in printed.err
    assert "1 test" in printed.out


def test_a_baseline_is_saved_and_gates(project):
    (run,) = (project / "reports" / "runs").iterdir()
    saved = project / "fixtures" / "baselines" / "main.json"
    assert main(["baseline", "save", str(run), "-o", str(saved)]) == 0
    options = ["--vdb-models=noise", "--vdb-prompts=smoke:2", "--vdb-metrics=spread", "-k", "generation"]
    printed = vdb_run(project, *options, f"--vdb-baseline={saved}", "--vdb-fail-on=spread:-2%", "--vdb-output=again")
    assert "equivalent" in printed


def test_what_is_no_run_is_said(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err


# An existing project ------------------------------------------------------------------------------------------------

README_EXAMPLE = """
from pytest_vdb import Clip, metric, model

@model("noise", task="t2v")
class Noise: ...
"""


def test_init_beside_the_readmes_example_does_not_tag_its_names_again(tmp_path, capsys):
    (tmp_path / "conftest.py").write_text(README_EXAMPLE)
    assert main(["init", str(tmp_path)]) == 0
    assert not (tmp_path / "benchmarks" / "conftest.py").exists()
    assert f"left out {tmp_path}/benchmarks/conftest.py ({tmp_path}/conftest.py:4 tags 'noise' already)" in (
        capsys.readouterr().out
    )
    (tmp_path / "conftest.py").write_text("def test(: ...")  # no Python: whoever runs it will say so
    assert main(["init", str(tmp_path)]) == 0
    assert (tmp_path / "benchmarks" / "conftest.py").exists()


def test_init_extends_a_pyproject_as_it_is_written(tmp_path, capsys):
    pyproject = tmp_path / "pyproject.toml"
    for before in (b'[project]\r\nname = "x"\r\n', b'[project]\nname = "x"', b"", b"[tool.black]\n"):
        pyproject.write_bytes(before)
        assert main(["init", str(tmp_path)]) == 0
        after = pyproject.read_bytes()
        assert after.startswith(before)
        assert tomllib.loads(after.decode())["tool"]["vdb"]["gate"]["sharpness"] == "-5%"
        assert (b"\r\n" in before) == (b"\r\n" in after)
        assert after.count(b"\n") == after.count(b"\r\n") or b"\r\n" not in before
        assert main(["init", str(tmp_path)]) == 0
        assert pyproject.read_bytes() == after
    assert "kept     " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"x = ", "pyproject.toml: not TOML"),
        (b"\xff", "pyproject.toml:1: not UTF-8"),
        (b"tool = {black = {}}", "pyproject.toml: no [tool.vdb.gate] can be added"),
    ],
)
def test_a_pyproject_that_cannot_be_extended_is_said_and_nothing_is_written(tmp_path, capsys, content, why):
    (tmp_path / "pyproject.toml").write_bytes(content)
    assert main(["init", str(tmp_path)]) == 1
    assert why in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["pyproject.toml"]
    assert (tmp_path / "pyproject.toml").read_bytes() == content


def test_a_section_of_any_kind_is_left_alone(tmp_path, capsys):
    for content in ("[tool]\nvdb = 3\n", "[tool.vdb]\n", "[[tool.vdb.gate]]\n"):
        (tmp_path / "pyproject.toml").write_text(content)
        assert main(["init", str(tmp_path)]) == 0
        assert (tmp_path / "pyproject.toml").read_text() == content


def test_init_writes_through_no_link(tmp_path):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "conftest.py").symlink_to(tmp_path / "nowhere")
    assert main(["init", str(tmp_path)]) == 0
    assert (tmp_path / "benchmarks" / "conftest.py").is_symlink()
    assert not (tmp_path / "nowhere").exists()


# Baselines ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"collected": 2}, "the run was stopped before its end: it has 1 of 2 tests; a later run is compared with"),
        ({"collected": 1}, None),  # killed while it wrote its reports: every record is there
        ({"collected": 1, "finished_at": "2026-01-01T00:00:00+00:00"}, None),
        ({}, "the run was stopped before its end: it has 1 test;"),
    ],
)
def test_a_baseline_of_a_run_that_was_cut_short_says_so(tmp_path, capsys, how, said):
    run = save_run(tmp_path, dataclasses.replace(vbench.unknown_run("20260101-000000-abcdef"), **how))
    assert main(["baseline", "save", str(run), "-o", str(tmp_path / "base.json")]) == 0
    told = capsys.readouterr().err
    assert (told == "") if said is None else said in told
    assert len(baselines.load(tmp_path / "base.json").records) == 1


def test_tests_that_were_interrupted_are_counted(tmp_path, capsys):
    ended = dataclasses.replace(vbench.unknown_run("20260101-000000-abcdef"), collected=2, finished_at="2026")
    run = save_run(tmp_path, ended, "passed", "interrupted")
    assert main(["baseline", "save", str(run), "-o", str(tmp_path / "base.json")]) == 0
    assert "the run was interrupted: 1 of 2 tests did not come to their end" in capsys.readouterr().err


def save_run(output: Path, run: Run, *statuses: Status) -> Path:
    journal = Journal.create(output, run)
    for number, status in enumerate(statuses or ("passed",)):
        journal.append(Record(run=run.id, nodeid=f"t[{number}]", benchmark="t.py::t", model="m", status=status))
    journal.finish(run)
    return journal.folder


def test_what_is_no_run_is_no_baseline(tmp_path, capsys):
    run = save_run(tmp_path, vbench.unknown_run("20260101-000000-abcdef"))
    assert main(["baseline", "save", str(run), "-o", str(tmp_path / "base.json")]) == 0
    clip = Record(run="score-1", nodeid="a.mp4", benchmark="score", model="m", status="passed")
    (tmp_path / "clips.jsonl").write_text(to_json(clip) + "\n")
    (tmp_path / "r_eval_results.json").write_text('{"scene": [1, []]}')
    (tmp_path / "empty").mkdir()
    for name, what in (
        ("base.json", "a baseline already, no run"),
        ("clips.jsonl", "what vdb score wrote, no run"),
        ("r_eval_results.json", "a result file of VBench, no run"),
        ("empty", "a folder without a run.json"),
        ("nowhere", "there is no such file"),
    ):
        assert main(["baseline", "save", str(tmp_path / name), "-o", str(tmp_path / "new.json")]) == 1
        assert f"{name}: {what}" in capsys.readouterr().err
    assert not (tmp_path / "new.json").exists()
