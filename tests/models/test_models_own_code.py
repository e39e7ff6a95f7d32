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
        "own_models.py": "import numpy\nfrom own_pipes.fast import Fast\n\ndef model(prompt):\n    return Fast()\n",
        "own_pipes/__init__.py": "",
        "own_pipes/fast.py": "from . import blur\n\nclass Fast:\n    def run(self):\n        from .late import late\n",
        "own_pipes/blur.py": "STRENGTH = 1\n",
        "own_pipes/late.py": "late = 1\n",
        "own_pipes/unused.py": "unused = 1\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] in {"own_models", "own_pipes"}]:
        del sys.modules[name]


def digest() -> str:
    return OwnCode().digest(importlib.import_module("own_models").model)


@pytest.mark.parametrize("name", ["own_models.py", "own_pipes/__init__.py", "own_pipes/fast.py", "own_pipes/blur.py"])
def test_an_edit_of_what_is_imported_is_seen(models, name):
    before = digest()
    assert digest() == before
    (models / name).write_text((models / name).read_text() + "\n# edited\n")
    assert digest() != before


def test_an_import_inside_a_function_counts(models):
    before = digest()
    (models / "own_pipes/late.py").write_text("late = 2\n")
    assert digest() != before


def test_what_is_not_imported_changes_nothing(models):
    before = digest()
    (models / "own_pipes/unused.py").write_text("unused = 2\n")
    assert digest() == before


def test_a_file_that_is_no_python_is_read_as_text(models):
    before = digest()
    (models / "own_pipes/late.py").write_text("this is no Python\n")
    assert digest() != before


def test_the_code_of_an_inherited_method_counts(models):
    (models / "own_models.py").write_text("from own_pipes.fast import Fast\n\nclass model(Fast):\n    pass\n")
    before = digest()
    (models / "own_pipes/late.py").write_text("late = 2\n")
    assert digest() != before


def test_what_is_made_at_run_time_is_never_found_again():
    one, other = (eval("lambda: 1") for _ in range(2))
    assert OwnCode().digest(one) != OwnCode().digest(other)
