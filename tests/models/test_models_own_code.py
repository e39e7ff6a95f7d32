"""A clip is made anew when code of the user's own behind its model has changed, wherever it stands."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from pytest_vdb.models.own_code import OwnCode


@pytest.fixture
def models(tmp_path, monkeypatch) -> Path:
    """A project of a conftest, a package and what that needs."""
    files = {
        "mine_own.py": "import numpy\nfrom mypipes.fast import Fast\n\ndef model(prompt):\n    return Fast()\n",
        "mypipes/__init__.py": "",
        "mypipes/fast.py": "from . import blur\n\nclass Fast:\n    def run(self):\n        from .late import late\n",
        "mypipes/blur.py": "STRENGTH = 1\n",
        "mypipes/late.py": "late = 1\n",
        "mypipes/unused.py": "unused = 1\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] in {"mine_own", "mypipes"}]:
        del sys.modules[name]


def digest() -> str:
    return OwnCode().digest(importlib.import_module("mine_own").model)


@pytest.mark.parametrize("name", ["mine_own.py", "mypipes/__init__.py", "mypipes/fast.py", "mypipes/blur.py"])
def test_an_edit_of_what_is_imported_is_seen(models, name):
    before = digest()
    assert digest() == before
    (models / name).write_text((models / name).read_text() + "\n# edited\n")
    assert digest() != before


def test_an_import_inside_a_function_counts(models):
    before = digest()
    (models / "mypipes/late.py").write_text("late = 2\n")
    assert digest() != before


def test_what_is_not_imported_changes_nothing(models):
    before = digest()
    (models / "mypipes/unused.py").write_text("unused = 2\n")
    assert digest() == before


def test_a_file_that_is_no_python_is_read_as_text(models):
    before = digest()
    (models / "mypipes/late.py").write_text("this is no Python\n")
    assert digest() != before


def test_the_code_of_an_inherited_method_counts(models):
    (models / "mine_own.py").write_text("from mypipes.fast import Fast\n\nclass model(Fast):\n    pass\n")
    before = digest()
    (models / "mypipes/late.py").write_text("late = 2\n")
    assert digest() != before


def test_what_is_made_at_run_time_is_never_found_again():
    one, other = (eval("lambda: 1") for _ in range(2))
    assert OwnCode().digest(one) != OwnCode().digest(other)
