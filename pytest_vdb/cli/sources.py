"""`--from FILE`: the user's own models and metrics, tagged in a Python file or an installed module."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from pytest_vdb import files
from pytest_vdb.errors import OptionError, VdbError
from pytest_vdb.files import expanded
from pytest_vdb.places import raised_at

_GIVE = "give a Python file, or a module that can be imported"


def imported(source: str) -> ModuleType:
    """A Python file, or a module by its name.

    Raises:
        OptionError: neither, or its own code raises: with the line.
    """
    path = expanded(source)
    is_file = path.suffix == ".py"
    if is_file and not files.is_file(path):
        raise OptionError(f"{source!r}: there is no such file", where="--from", mend=_GIVE)
    try:
        return _executed(path) if is_file else importlib.import_module(source)
    except VdbError:  # what it tags cannot be used: it says so itself
        raise
    except ModuleNotFoundError as error:
        raise OptionError(f"{source!r}: {error}", where="--from", mend=_GIVE) from None
    except Exception as error:
        where = f"{error.filename}:{error.lineno}" if isinstance(error, SyntaxError) else raised_at(error)
        raise OptionError(
            f"{type(error).__name__}: {error}", where=where or f"--from {source}", mend="mend it"
        ) from error


def _executed(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
    return module
