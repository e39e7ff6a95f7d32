"""`vdb run`: pytest on the project's benchmarks, whatever folders are called like the values of its options."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # sessions in processes of their own

VDB = (sys.executable, "-m", "pytest_vdb")
ONE_CLIP = ("--vdb-models=calibration-frozen", "--vdb-prompts=smoke:1", "--vdb-metrics=sharpness", "-k", "generation")


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """An empty folder, and another one beside it."""
    for name in ("empty", "elsewhere"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    monkeypatch.setenv("VDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "empty"


def run(*arguments: str, status: int = 0) -> str:
    done = subprocess.run([*VDB, "run", "-q", *arguments], env=os.environ, capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert done.returncode == status, said
    return said


def project(folder: Path) -> None:
    """Benchmarks of the project's own, whose conftest brings an option: it is imported before the options are read."""
    (folder / "benchmarks").mkdir()
    (folder / "benchmarks" / "test_mine.py").write_text("def test_mine(): ...\n")
    (folder / "benchmarks" / "conftest.py").write_text("def pytest_addoption(parser): parser.addoption('--mine')\n")


def test_the_shipped_suite_in_an_empty_folder_writes_there(place):
    run(*ONE_CLIP)
    assert (place / "reports" / "leaderboard.html").is_file()
    assert [path.name for path in (place.parent / "elsewhere").iterdir()] == []


@pytest.mark.parametrize("option", [["--vdb-output=../elsewhere"], ["--vdb-output", "../elsewhere"]])
def test_an_output_that_exists_is_no_test(place, option):
    run(*ONE_CLIP, *option)
    assert (place.parent / "elsewhere" / "leaderboard.html").is_file()
    assert not (place / "reports").exists()


def test_a_folder_that_is_called_like_an_options_value_is_no_test(place):
    project(place)
    for name in ("mine", "2", "no:cacheprovider"):
        (place / name).mkdir()
    arguments = ("--collect-only", "-k", "mine", "-p", "no:cacheprovider", "--maxfail", "2", "--vdb-cache-dir", "mine")
    assert "test_mine.py::test_mine" in run(*arguments)


def test_the_projects_own_suite_is_found_with_its_conftest(place):
    project(place)
    said = run("--collect-only", "--mine=1")
    assert "test_mine.py::test_mine" in said
    assert "test_generation" not in said


def test_tests_that_are_named_are_the_only_ones(place):
    project(place)
    (place / "other").mkdir()
    (place / "other" / "test_other.py").write_text("def test_other(): ...\n")
    said = run("--collect-only", "--", "other/test_other.py::test_other")
    assert "test_other" in said
    assert "test_mine" not in said
