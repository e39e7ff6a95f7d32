"""`vdb hardware`: what is known, what is here, and what was measured."""

from __future__ import annotations

import json

import pytest

from pytest_vdb.cli import main
from pytest_vdb.profiling import hardware


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VDB_CACHE_DIR", str(tmp_path))


def told(capsys, *arguments: str) -> dict:
    assert main(["hardware", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_known_card_is_listed_and_this_machine_is_named(capsys):
    assert main(["hardware"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n{name} " in shown for name in hardware.known())
    assert "here: cpu, " in shown
    assert "not measured (vdb hardware --measure)" in shown


@pytest.mark.slow  # a second of work for each dtype, and torch
def test_what_is_measured_is_kept_for_the_next_time(capsys):
    (processor,) = (one for one in told(capsys, "--measure")["here"] if one["device"] == "cpu")
    assert processor["measured"]["teraflops"]["float32"] > 0
    assert processor["memory_mib"] > 0
    (again,) = (one for one in told(capsys)["here"] if one["device"] == "cpu")
    assert again["measured"] == processor["measured"]
