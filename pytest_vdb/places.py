"""Where something that a user tagged stands: its file and line, for errors that name two places."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from pytest_vdb.files import is_file


def where_is(thing: Callable[..., Any]) -> str:
    """`benchmarks/conftest.py:12 (Noise)` of a function or class, relative to the working folder where it lies in it.

    A module's name would not do: every `conftest.py` is called `conftest`, and only the last one can be looked up.
    """
    code = next(_codes(thing), None)
    if code is None:
        return f"{thing.__module__}.{thing.__qualname__}"
    path, line = Path(code.co_filename), code.co_firstlineno
    if inspect.isclass(thing):
        line = _line_of_class(path, thing.__name__, line)
    with contextlib.suppress(ValueError):
        path = path.relative_to(Path.cwd())
    return f"{path}:{line} ({thing.__qualname__})"


def file_of(thing: Callable[..., Any]) -> str | None:
    """The file in which a function or class stands; None: it is made of no source."""
    code = next(_codes(thing), None)
    return None if code is None else code.co_filename


def code_beside(file: str) -> str:
    """The digest of every Python file of a module's folder: what they make may be another thing once one changes.

    Args:
        file: the module's `__file__`.
    """
    state = hashlib.sha256()
    for source in sorted(Path(file).parent.glob("*.py")):
        state.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return state.hexdigest()


def is_installed(path: Path) -> bool:
    """Whether a file belongs to Python, to this package or to what pip copied: not what a user edits."""
    ours = Path(__file__).parent
    parts = {"site-packages", "dist-packages"} & set(path.parts)
    return bool(parts) or path.is_relative_to(ours) or path.is_relative_to(sys.base_prefix)


def raised_at(error: BaseException) -> str | None:
    """`mine.py:12`, the last line of the user's own files that an error passed; None: it passed none."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if is_file(path) and not is_installed(path):
            with contextlib.suppress(ValueError):
                path = path.relative_to(Path.cwd())
            return f"{path}:{frame.lineno}"
    return None


def _codes(thing: Callable[..., Any]) -> Iterator[CodeType]:
    """A function's own code; of a class that of its methods."""
    for one in vars(thing).values() if inspect.isclass(thing) else [thing]:
        function = inspect.unwrap(getattr(one, "__func__", one)) if callable(getattr(one, "__func__", one)) else None
        if isinstance(function, FunctionType) and is_file(function.__code__.co_filename):
            yield function.__code__


def _line_of_class(path: Path, name: str, inside: int) -> int:
    """The line of the class of that name around a line, its decorators included; that line where the source is gone."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return inside
    around = [
        min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name == name and node.lineno <= inside <= (node.end_lineno or 0)
    ]
    return max(around, default=inside)
