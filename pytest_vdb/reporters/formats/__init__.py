"""Which formats reports have: every module of this room declares one, as its `FORMAT`.

A new format is one file here: a function from a `Leaderboard` to the text of its files, and the line that declares it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pytest_vdb.analysis.tables import Leaderboard
from pytest_vdb.errors import UnknownName

ALL, NONE = "all", "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One way to write a leaderboard."""

    name: str
    """As `--vdb-report` takes it."""
    files: Callable[[Leaderboard, Path], Mapping[str, str | bytes]]
    """The content of each file, by its path relative to the output folder, which is given: pages link into it."""
    is_shared_out: bool = False
    """Whether each file's content is made when it is asked for: then several processes may make a share of them."""
    folders: tuple[str, ...] = ()
    """Of these paths those that are folders of its own: each is written whole, and holds nothing else afterwards. The
    files beside them lead to those within."""
    on_request: bool = False
    """Whether it is none of `all`: what needs an extra, and takes seconds."""


@cache
def formats() -> Mapping[str, Format]:
    """Every format by its name, in the order of the names."""
    declared = [importlib.import_module(f"{__name__}.{found.name}").FORMAT for found in pkgutil.iter_modules(__path__)]
    return {one.name: one for one in sorted(declared, key=lambda one: one.name)}


def chosen(text: str, *, where: str | None = None) -> tuple[str, ...]:
    """Names of formats, comma-separated, `all` (but for those on request) or `none`.

    Raises:
        UnknownName: no such format.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == [NONE]:
        return ()
    usual = [name for name, one in formats().items() if not one.on_request]
    every = [one for name in names for one in (usual if name == ALL else [name])]
    return checked(tuple(dict.fromkeys(every)), where=where)


def checked(names: Sequence[str], *, where: str | None = None) -> tuple[str, ...]:
    """The same names.

    Raises:
        UnknownName: no such format, with what it may have meant.
    """
    for name in names:
        if name not in formats():
            mend = f"One of: {', '.join((*formats(), ALL, NONE))}."
            raise UnknownName("report format" if where is None else "value", name, formats(), where=where, mend=mend)
    return tuple(names)
