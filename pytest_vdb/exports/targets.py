"""Which targets there are: every module of this room that declares a `TARGET` is one.

A new one is a file here: a function from a `Leaderboard` to what the tool reads, and the line that declares it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pytest_vdb import exports
from pytest_vdb.errors import UnknownName
from pytest_vdb.exports.contract import Target


@cache
def targets() -> Mapping[str, Target]:
    """Every target by its name, in the order of the names."""
    names = [found.name for found in pkgutil.iter_modules(exports.__path__) if found.name != "targets"]
    modules = [importlib.import_module(f"{exports.__name__}.{name}") for name in names]
    declared: list[Target] = [module.TARGET for module in modules if hasattr(module, "TARGET")]
    return {one.name: one for one in sorted(declared, key=lambda one: one.name)}


def chosen(text: str, *, where: str) -> tuple[Target, str]:
    """`parquet:values.parquet` -> the target and its place; without a colon the place is the target's own.

    Raises:
        UnknownName: no such target, with what it may have meant.
    """
    name, _, place = text.partition(":")
    if name not in targets():
        mend = f"One of: {', '.join(targets())}."
        raise UnknownName("target", name, targets(), where=where, mend=mend)
    return targets()[name], place or targets()[name].default


def that_reads(path: Path) -> Target | None:
    """The target whose file this is, if there is a way back from one of them."""
    return next((one for one in targets().values() if one.reader is not None and one.reader.recognises(path)), None)
