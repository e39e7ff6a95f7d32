"""Which engines there are: the modules of this room that declare an `ENGINE`, and those of installed packages."""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
from collections.abc import Mapping
from pathlib import Path

from pytest_vdb.cluster.engines.contract import Engine
from pytest_vdb.errors import EngineError, UnknownName

GROUP = "pytest_vdb.engines"


def engines() -> Mapping[str, Engine]:
    """Every engine by its name; of two of one name that of the installed package.

    Raises:
        EngineError: an entry point that cannot be imported, or is no engine.
    """
    room = Path(__file__).parent
    modules = [importlib.import_module(f"{__package__}.{found.name}") for found in pkgutil.iter_modules([str(room)])]
    found = {module.ENGINE.name: module.ENGINE for module in modules if hasattr(module, "ENGINE")}
    for entry in importlib.metadata.entry_points(group=GROUP):
        where = f"entry point {entry.name} = {entry.value} of {entry.dist.name if entry.dist else 'unknown package'}"
        try:
            engine = entry.load()
        except (ImportError, AttributeError) as problem:
            raise EngineError(str(problem), where=where, mend="mend or uninstall that package") from problem
        if not isinstance(engine, Engine):
            raise EngineError(f"{engine!r} is no Engine", where=where, mend="mend or uninstall that package")
        found[engine.name] = engine
    return found


def engine_named(name: str, *, where: str) -> Engine:
    """The engine of that name.

    Raises:
        UnknownName: there is none.
        EngineError: see `engines`.
    """
    known = engines()
    if name not in known:
        raise UnknownName("engine", name, known, where=where, mend=f"One of: {', '.join(sorted(known))}.")
    return known[name]
