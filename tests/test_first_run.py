"""What a newcomer does first, end to end: the default benchmarks on real pipelines, their page in a real browser."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_vdb.results import journal

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
BASELINE = ROOT / "fixtures" / "baselines" / "main.json"


def benchmarks(folder: Path, *options: str) -> str:
    """`pytest benchmarks/` in a process of its own; its output."""
    environment = {**os.environ, "VDB_CACHE_DIR": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
    environment.pop("GITHUB_STEP_SUMMARY", None)
    output = f"--vdb-output={folder / 'reports'}"
    command = [sys.executable, "-m", "pytest", "benchmarks/", "-p", "no:cacheprovider", output, *options]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The folder of the first run: no flag but where to write, and the shipped baseline to hold it to."""
    folder = tmp_path_factory.mktemp("first")
    gate = (f"--vdb-baseline={BASELINE}", "--vdb-fail-on=sharpness:-2%,temporal_flicker:+2%,frozen_frames:0.01")
    (folder / "terminal.txt").write_text(benchmarks(folder, *gate))
    return folder


def records_of(folder: Path):
    (run,) = (folder / "reports" / "runs").iterdir()
    _, records, warnings = journal.read(run)
    assert not warnings
    return {record.nodeid: record for record in records}


def test_three_pipelines_and_four_calibration_models_answer_the_smoke_prompts(first):
    records = records_of(first)
    generated = [record for record in records.values() if record.benchmark_name == "test_generation"]
    assert len({record.model for record in generated}) == 7
    assert len(generated) == 42
    assert {record.status for record in records.values()} == {"passed"}
    assert {record.weights for record in generated} == {"tiny", "none"}


def test_tiny_networks_mark_their_values_as_wiring(first):
    for record in records_of(first).values():
        similarity = record.measurement("clip_similarity")
        assert similarity is None or similarity.wiring


def test_the_terminal_shows_the_leaderboard_and_the_gates(first):
    printed = (first / "terminal.txt").read_text()
    assert "vdb leaderboard" in printed
    assert "calibration-shapes" in printed
    assert "vdb gates" in printed


def test_xdist_makes_the_same_clips_and_values(first, tmp_path):
    benchmarks(tmp_path, "-n2", "--vdb-cache=never", "--vdb-report=none", "-k", "generation")
    alone, shared = records_of(first), records_of(tmp_path)
    assert shared
    for nodeid, record in shared.items():
        assert record.clip.digest == alone[nodeid].clip.digest
        quality = [measured for measured in record.measurements if measured.kind == "quality"]
        assert quality == [measured for measured in alone[nodeid].measurements if measured.kind == "quality"]


def test_a_browser_shows_the_page_without_asking_anyone(first):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    page = first / "reports" / "leaderboard.html"
    command = [browser, "--headless", "--no-sandbox", "--enable-logging=stderr", "--dump-dom", page.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "wan2.1-t2v-1.3b" in shown.stdout
    assert "CONSOLE" not in shown.stderr, shown.stderr
    assert not re.search(r'(src|href)="https?:', page.read_text())


def test_latex_compiles_the_table(first, tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex on this machine")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", str(first / "reports" / "leaderboard.tex")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
