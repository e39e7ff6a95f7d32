"""`--from FILE`: the user's own models and metrics, tagged in a Python file or an installed module."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from pytest_vdb.errors import OptionError


def imported(source: str) -> ModuleType:
    """A Python file, or a module by its name.

    Raises:
        OptionError: neither.
    """
    path = Path(source)
    if path.suffix == ".py" and path.is_file():
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(path.stem, module)
        spec.loader.exec_module(module)
        return module
    try:
        return importlib.import_module(source)
    except ModuleNotFoundError as error:
        raise OptionError(
            f"{source!r}: {error}", where="--from", mend="give a Python file, or a module that can be imported"
        ) from None
