"""A folder is emptied of whatever a stranger made in it, and nothing that a link names is touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_vdb.models.isolation.emptying import emptied


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def test_what_links_name_stays(folder, tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("kept")
    (folder / "to-folder").symlink_to(kept)
    (folder / "inner").mkdir()
    (folder / "inner" / "to-folder").symlink_to(kept)
    (folder / "inner" / "to-file").symlink_to(kept / "file")
    os.link(kept / "file", folder / "hard")
    os.mkfifo(folder / "pipe")
    assert emptied(folder)
    assert not list(folder.iterdir())
    assert (kept / "file").read_text() == "kept"


def test_folders_that_shut_us_out_and_lie_deeper_than_python_recurses(folder):
    here = os.open(folder, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", 0o700, dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.mkdir("shut", 0, dir_fd=here)
    os.close(here)
    assert emptied(folder)
    assert not list(folder.iterdir())


def test_it_is_given_up_when_time_is_over(folder):
    (folder / "file").touch()
    assert not emptied(folder, seconds=-1.0)
    assert emptied(folder)
