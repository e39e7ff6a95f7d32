"""What every command says: in any encoding, into any pipe, and harmless whatever it was given."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pytest_vdb.cli import main, printing
from pytest_vdb.shapes import moving_shapes

pytestmark = pytest.mark.slow  # commands in processes of their own

VDB = (sys.executable, "-m", "pytest_vdb")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    """Scored clips of a model whose name needs Unicode."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "clips").mkdir()
    for name in ("p1", "p2", "p3"):
        np.save(tmp_path / "clips" / f"{name}.npy", moving_shapes(name, frames=6, height=24, width=24))
    return tmp_path


def vdb(*arguments: str, stdout=subprocess.PIPE, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A real process, whose streams have an encoding of their own."""
    return subprocess.run(
        [*VDB, *arguments],
        env=os.environ | environment,
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
    )


@pytest.mark.parametrize("encoding", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "cp1252"}])
def test_no_encoding_ends_in_a_traceback(encoding):
    for arguments in (
        ("score", "clips", "--metrics", "sharpness,psnr", "--model", "模型 – Ω"),
        ("report", "reports/scores/clips.jsonl"),
        ("models",),
        ("metrics", "sharpness"),
    ):
        done = vdb(*arguments, **encoding)
        assert done.returncode == 0, done.stderr.decode()
        assert b"Traceback" not in done.stderr
        assert done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_disk_that_is_full_is_said():
    with Path("/dev/full").open("wb") as full:
        done = vdb("models", stdout=full)
    assert done.returncode == 1
    assert done.stderr.decode() == (
        "vdb: stdout: cannot be written: No space left on device\n  check the disk's space and permissions\n"
    )


def test_nobody_who_reads_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    done = vdb("models", stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_what_is_typed_is_shown_and_not_obeyed(capsys):
    with pytest.raises(SystemExit):
        main(["nope\x1b[31m\n::error::\u202e"])
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert not [line for line in said.splitlines() if line.startswith("::")]


def test_where_json_is_asked_for_nothing_else_is_printed(place, capsys):
    (place / "mine.py").write_text(
        "from pytest_vdb import Clip, metric\n"
        "print('imported')\n"
        "@metric('size', unit='1', better='higher')\n"
        "def size(clip: Clip) -> float:\n"
        '    """Frames."""\n'
        "    print('measured')\n"
        "    return len(clip.frames)\n"
    )
    assert main(["score", "clips", "--metrics", "size", "--from", "mine.py", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["clips"][0]["measurements"][0]["value"] == 6
    assert "imported\n" in shown.err
    assert "measured\n" in shown.err


def test_json_knows_neither_infinity_nor_not_a_number(capsys):
    printing.print_json({"a": [math.inf, 1.5], "b": (math.nan,)})
    assert json.loads(capsys.readouterr().out) == {"a": [None, 1.5], "b": [None]}
