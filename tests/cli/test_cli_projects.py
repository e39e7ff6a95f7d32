"""`vdb init`, `vdb run`, `vdb report` and `vdb baseline`, in a project that starts from nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pytest_vdb.cli import main


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
    command = [sys.executable, "-c", "import sys; from pytest_vdb.cli import main; sys.exit(main())", "run", *options]
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
    assert written == {"leaderboard.html", "leaderboard.tex", "leaderboard.csv", "leaderboard.md"}
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
