"""The code behind a tagged model that its author may edit between two runs: its file, and what that imports of theirs.

What pip installed is known by its version. What lies elsewhere (the project's modules, an editable installation) has
no version that changes with it, so its text stands for it. Imports are read in the source, nothing is imported for it;
one inside a function counts like any other.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import inspect
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pytest_vdb.files import is_file
from pytest_vdb.places import file_of, is_installed
from pytest_vdb.records import digest


class OwnCode:
    """Reads each file once: what changes while a session runs is not what it imported."""

    def __init__(self) -> None:
        self._texts: dict[Path, str] = {}
        self._imports: dict[Path, tuple[Path, ...]] = {}

    def digest(self, target: Callable[..., Any]) -> str:
        """Of a function or class and of all the code of the user's own that it can reach by imports."""
        files = _files_of_target(target)
        if not files:
            return digest([repr(target)])  # made at run time: names an address, so its clips are not found again
        texts = [self._texts[path] for path in sorted(self._reached(files))]
        return digest([f"{target.__module__}.{target.__qualname__}", *texts])

    def _reached(self, starts: Iterable[Path]) -> set[Path]:
        reached: set[Path] = set()
        waiting = list(starts)
        while waiting:
            path = waiting.pop()
            if path not in reached:
                reached.add(path)
                waiting += self._imported(path)
        return reached

    def _imported(self, path: Path) -> tuple[Path, ...]:
        if path not in self._imports:
            self._texts[path] = text = path.read_text(encoding="utf-8", errors="replace")
            try:
                tree = ast.parse(text)
            except (SyntaxError, ValueError):
                tree = ast.Module([], [])
            self._imports[path] = tuple(dict.fromkeys(_own(_files_of_imports(tree, path.parent))))
        return self._imports[path]


def _files_of_target(target: Callable[..., Any]) -> list[Path]:
    """Where a function stands; of a class, where its own and its inherited methods stand."""
    kinds = inspect.getmro(target)[:-1] if inspect.isclass(target) else (target,)
    files = {file for kind in kinds if (file := file_of(kind)) is not None}
    if not files:  # a class without a method of its own
        with contextlib.suppress(OSError, TypeError):
            files.add(inspect.getfile(target))
    return [Path(file).resolve() for file in sorted(files) if is_file(file)]


def _own(paths: Iterable[Path]) -> Iterator[Path]:
    return (path for path in map(Path.resolve, paths) if not is_installed(path))


def _files_of_imports(tree: ast.AST, folder: Path) -> Iterator[Path]:
    """The files of every module that a source names in an import, of the packages around them, too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files_of_module(alias.name.split("."), folder)
        elif isinstance(node, ast.ImportFrom):
            above = folder
            for _ in range(node.level - 1):
                above = above.parent
            names = (node.module or "").split(".") if node.module else []
            for alias in node.names:
                if node.level:
                    yield from _files_below(above, [*names, alias.name])
                else:
                    yield from _files_of_module([*names, alias.name], folder)


def _files_of_module(names: list[str], folder: Path) -> Iterator[Path]:
    """A module by its full name: as the interpreter finds it, else beside the file that imports it."""
    try:
        found = importlib.util.find_spec(names[0])
    except (ImportError, ValueError, AttributeError):
        found = None
    places = list(found.submodule_search_locations or ()) if found is not None else []
    if found is not None and found.has_location and found.origin:
        yield Path(found.origin)
        if is_installed(Path(found.origin)):
            return
    elif not places:
        yield from _files_below(folder, names)
    for place in places:
        yield from _files_below(Path(place), names[1:])


def _files_below(folder: Path, names: list[str]) -> Iterator[Path]:
    """The file of each part of a dotted name that there is; the last part may be no module but a name in one."""
    for name in names:
        package = folder / name / "__init__.py"
        module = folder / f"{name}.py"
        yield from (path for path in (package, module) if is_file(path))
        folder = folder / name
