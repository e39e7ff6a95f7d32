"""Ctrl-C, SIGTERM and SIGHUP in the middle of a long command: what is finished is kept, and one sentence says so."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pytest_vdb.cli import main
from pytest_vdb.results import journal
from pytest_vdb.shapes import moving_shapes

pytestmark = pytest.mark.slow  # commands in processes of their own

VDB = (sys.executable, "-m", "pytest_vdb")

SLOW = """
import time
from pathlib import Path
from pytest_vdb import Clip, metric, model
import numpy as np

@metric("slow", unit="1", better="higher")
def slow(clip: Clip) -> float:
    \"\"\"Fast for the first clips, endless for the others.\"\"\"
    if len(clip.frames) > 9:
        Path("begun").touch()
        time.sleep(60)
    return float(clip.frames.mean())

@model("quick", frames=4, height=32, width=32)
def quick(prompt, recipe, seed):
    \"\"\"Noise.\"\"\"
    rng = np.random.default_rng([seed, *prompt.text.encode()])
    return Clip(rng.integers(0, 256, (recipe.frames, recipe.height, recipe.width, 3), np.uint8), recipe.fps or 8.0)

@model("slow", frames=4, height=32, width=32)
def slow_model(prompt, recipe, seed):
    \"\"\"Endless.\"\"\"
    Path("begun").touch()
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "mine.py").write_text(SLOW)
    (tmp_path / "clips").mkdir()
    for index in range(6):
        frames = 9 if index < 2 else 10
        np.save(tmp_path / "clips" / f"p{index}.npy", moving_shapes(str(index), frames=frames, height=24, width=24))
    return tmp_path


def stopped(number: signal.Signals, *arguments: str, finished: str = ".") -> tuple[int, str, str, float]:
    """Status, stdout, stderr and how long it took, of a command that got a signal once it had begun its long part and
    a first part was finished: a file that is there then."""
    process = subprocess.Popen(
        [*VDB, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    deadline = time.monotonic() + 60
    there = (Path("begun"), Path(finished))
    while not all(path.exists() for path in there) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    begun = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err, time.monotonic() - begun


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_score_that_is_stopped_keeps_what_is_finished_and_goes_on(place, number, status, capsys):
    arguments = ("score", "clips", "--metrics", "slow", "--from", "mine.py")
    returned, _, said, seconds = stopped(number, *arguments, finished="reports/scores/clips.jsonl")
    records, warnings = journal.read_records(place / "reports" / "scores" / "clips.jsonl")
    assert returned == status
    assert seconds < 10, "nobody waits for the clips that are being measured"
    assert warnings == []
    assert f"{len(records)} of 6 clips are in reports/scores/clips.jsonl; the same command goes on" in said
    assert "Traceback" not in said
    assert 1 <= len(records) <= 2
    (place / "mine.py").write_text(SLOW.replace("time.sleep(60)", "pass"))
    assert main([*arguments]) == 0
    assert f"6 clips, {len(records)} of them scored before, 0 failed" in capsys.readouterr().err


def test_a_check_that_is_stopped_hands_over_the_models_that_it_examined(place):
    returned, out, said, _ = stopped(
        signal.SIGTERM, "check", "quick,slow", "--from", "mine.py", "-o", "report.md", "--json"
    )
    assert returned == 143
    assert [report["model"] for report in json.loads(out)["reports"]] == ["quick"]
    assert "## quick: passed" in (place / "report.md").read_text()
    assert "stopped by SIGTERM: 1 of 2 models were examined" in said


def test_a_reference_that_is_stopped_leaves_the_old_one(place):
    clips = list((place / "clips").iterdir())
    (place / "real.npz").write_bytes(b"old")
    for number in range(200):  # it shall not be over before it is stopped
        for clip in clips:
            shutil.copy(clip, clip.with_name(f"{number}-{clip.name}"))
    process = subprocess.Popen(
        [*VDB, "reference", "build", "clips", "-o", "real.npz", "--tiny"], stderr=subprocess.PIPE, text=True
    )
    time.sleep(1.5)  # somewhere on the way: importing, opening the network, or measuring
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[1]
    assert process.returncode in {143, -15}  # -15: before the command had begun
    assert "Traceback" not in said
    assert (place / "real.npz").read_bytes() == b"old"
    assert not list(place.glob(".*.part"))
