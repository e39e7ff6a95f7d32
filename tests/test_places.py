"""Errors that name two places give file and line of both, though both files are called `conftest`."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pytest_vdb import places

HERE = Path(__file__)


def _line(text: str) -> int:
    return HERE.read_text(encoding="utf-8").splitlines().index(text) + 1


def tagged(thing):
    return thing


@tagged
class Outer:
    """A class."""

    size = 3

    class Inner:
        def generate(self):
            return None

    @staticmethod
    def static():
        return None


@functools.cache
def cached():
    return None


def plain():
    return None


def test_a_function_and_a_class_are_found_by_file_and_line(monkeypatch):
    monkeypatch.chdir(HERE.parent)
    assert places.where_is(plain) == f"test_places.py:{_line('def plain():')} (plain)"
    assert places.where_is(Outer) == f"test_places.py:{_line('class Outer:') - 1} (Outer)"
    assert places.where_is(Outer.Inner) == f"test_places.py:{_line('    class Inner:')} (Outer.Inner)"
    assert places.where_is(cached) == f"test_places.py:{_line('def cached():') - 1} (cached)"


def test_what_has_no_source_is_called_by_its_module():
    assert places.where_is(np.add) == "numpy.add"
    assert places.where_is(type("Made", (), {})).endswith("Made")


@pytest.mark.slow
def test_two_conftests_that_tag_one_name_are_both_told(tmp_path):
    """As `vdb init` beside the README's example makes them."""
    (tmp_path / "benchmarks").mkdir()
    model = "from pytest_vdb import metric, model\n\n\n@model('noise')\nclass Noise:\n    def generate(self): ...\n"
    spread = "\n@metric('spread', unit='1', better='higher')\ndef spread(clip): return 1.0\n"
    (tmp_path / "conftest.py").write_text(model)
    (tmp_path / "benchmarks" / "conftest.py").write_text("# mine\n" + model)
    (tmp_path / "benchmarks" / "test_a.py").write_text("def test_a(vdb_model): ...\n")
    command = [sys.executable, "-m", "pytest", "-q", "benchmarks", "--vdb-models=noise", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert "there are two models named 'noise': in " in said
    assert "in conftest.py:4 (Noise)" in said
    assert "in benchmarks/conftest.py:5 (Noise)" in said
    assert "INTERNALERROR" not in said
    (tmp_path / "conftest.py").write_text(model.replace("'noise'", "'other'") + spread)
    (tmp_path / "benchmarks" / "conftest.py").write_text("# mine\n" + model + spread)
    (tmp_path / "benchmarks" / "test_a.py").write_text("def test_a(vdb, vdb_model): vdb.measure(None)\n")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert "two metrics are called 'spread': in " in said
    assert "in conftest.py:8 (spread)" in said
    assert "in benchmarks/conftest.py:9 (spread)" in said


def test_code_is_another_when_a_file_of_its_folder_changes_appears_or_gets_another_name(tmp_path):
    (tmp_path / "a.py").write_text("one = 1\n")
    before = places.code_beside(str(tmp_path / "a.py"))
    (tmp_path / "notes.txt").write_text("no code\n")
    assert places.code_beside(str(tmp_path / "a.py")) == before
    seen = {before}
    (tmp_path / "a.py").write_text("one = 2\n")
    seen.add(places.code_beside(str(tmp_path / "a.py")))
    (tmp_path / "b.py").write_text("")
    seen.add(places.code_beside(str(tmp_path / "a.py")))
    (tmp_path / "b.py").rename(tmp_path / "c.py")
    seen.add(places.code_beside(str(tmp_path / "a.py")))
    assert len(seen) == 4
