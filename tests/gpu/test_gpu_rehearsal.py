"""`python -m benchmarks.gpu` without a card: all that would be called is there, and the script runs to its end."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pynvml
import pytest

from benchmarks.gpu import names, report
from benchmarks.gpu.__main__ import main
from benchmarks.gpu.cards import Processor
from benchmarks.gpu.plan import REHEARSAL, SECONDS_OF_PARTS

PROJECT = Path(__file__).parent.parent.parent


def rehearsed(*arguments):
    """In a process of its own; where there is a card a rehearsal has to be asked for."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")])}
    asked = ["--rehearsal"] if shutil.which("nvidia-smi") else []
    command = [sys.executable, "-m", "benchmarks.gpu", *asked, *arguments]
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.heavy
def test_a_rehearsal_runs_every_part_and_says_that_its_figures_are_of_nothing(tmp_path):
    kept = sorted((PROJECT / "docs" / "gpu").iterdir())
    done = rehearsed("--output", str(tmp_path / "out"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("No GPU is checked: ")
    found = report.read(tmp_path / "out" / "rehearsal.json")
    assert found.rehearsal
    assert {part.name: part.failed for part in found.parts} == dict.fromkeys(SECONDS_OF_PARTS)
    assert {part.name for part in found.parts if not (part.checks or part.figures or part.models)} == set()
    assert all(check.passed for check in found.parts[0].checks)
    assert [model.model for part in found.parts for model in part.models if model.latency_s is None] == []
    text = (tmp_path / "out" / "rehearsal.md").read_text()
    assert "No figure here is a result" in text
    assert text.strip() in done.stdout
    assert not [path for path in (tmp_path, Path.home(), PROJECT) if str(path) in text]
    assert sorted((PROJECT / "docs" / "gpu").iterdir()) == kept


@pytest.mark.slow
def test_when_the_time_is_over_what_there_is_is_kept_and_that_is_no_failure(tmp_path):
    done = rehearsed("--rehearsal", "--minutes", "0.1", "--output", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    last = report.read(tmp_path / "rehearsal.json").parts[-1]
    assert (last.cut, last.failed) == ("the 0.1 minutes were over", None)
    assert "It was cut: the 0.1 minutes were over." in (tmp_path / "rehearsal.md").read_text()


def test_a_rehearsal_is_not_kept_among_the_results(monkeypatch):
    monkeypatch.chdir(PROJECT)
    with pytest.raises(SystemExit, match="a rehearsal is no result"):
        main(["--rehearsal", "--output", "docs/gpu"])


@pytest.mark.slow
def test_a_function_of_nvml_that_is_gone_fails_by_its_name(monkeypatch):
    monkeypatch.delattr(pynvml, "nvmlDeviceGetPowerUsage")
    failed = [row for row in names.rows(REHEARSAL, Processor(), lambda: 1.0) if not row.passed]
    assert [(row.what, row.reason) for row in failed] == [("functions of NVML that we call", "nvmlDeviceGetPowerUsage")]
