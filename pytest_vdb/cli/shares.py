"""Who compares which models, where two large runs are compared by several processes."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_vdb.errors import VdbError

MOST_PROCESSES = 4
"""Each reads over the lines of all models and holds what it glimpsed of them: of 600,000 records four hold 1.7 GB in
all; eight would hold 2.6, and each of them would work nearly as long."""
LARGE = 64_000_000
"""Bytes of records: one process compares fewer in three seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Of one process."""

    every: tuple[str, ...]
    """All models that are compared, in their order."""
    own: frozenset[str]
    """Those that this process compares."""


def shares_of_runs(paths: Sequence[str], chosen: Container[str] | None, *, together: int) -> list[Share]:
    """How the models that two runs share are divided, or nothing where one process is to compare them all.

    Args:
        paths: as they are typed.
        chosen: the models that are asked for; None: all.
        together: as many models as are always compared together, so that whoever compares them finds the same.
    """
    from pytest_vdb.processes import may_fork
    from pytest_vdb.results.environment import cpu_count
    from pytest_vdb.results.lines import models_told

    records = [_records_of_run(path) for path in paths]
    if not may_fork() or None in records:
        return []
    found = [path for path in records if path is not None]
    if sum(path.stat().st_size for path in found) < LARGE:
        return []
    try:
        first, second = (models_told(path) for path in found)
    except VdbError:  # whoever reads it says it
        return []
    every = tuple(sorted(model for model in first & second if chosen is None or model in chosen))
    groups = [every[start : start + together] for start in range(0, len(every), together)]
    processes = min(cpu_count(), len(groups), MOST_PROCESSES)
    if processes < 2:
        return []
    own = (frozenset(model for group in groups[at::processes] for model in group) for at in range(processes))
    return [Share(every=every, own=one) for one in own]


def _records_of_run(path: str) -> Path | None:
    """The file of a run that is named as a whole."""
    from pytest_vdb import files
    from pytest_vdb.results import journal

    folder = files.expanded(path)
    is_run = all(files.is_file(folder / name) for name in (journal.RUN, journal.RECORDS))
    return folder / journal.RECORDS if is_run else None
