"""What a target declares, what it is given, and what it answers."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pytest_vdb.analysis.tables import Leaderboard
from pytest_vdb.errors import LibraryMissing
from pytest_vdb.records import Record, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where it goes, as the user says it."""

    place: str
    """A file, a folder, a database or a project: what stands behind the target's name and a colon."""
    dataset: str | None = None
    """The data set of the Hub that holds the prompts, `ORG/NAME`."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What the tool was not told, and why."""

    metric: str
    reason: str
    n: int
    """How many values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written."""

    places: tuple[str, ...]
    """Files and folders, or what the tool calls its own places."""
    values: int
    """Figures that the tool now has and that were measured."""
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    """What the reader must know of how the tool takes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """How a file of the tool becomes records again."""

    recognises: Callable[[Path], bool]
    """Whether an ordinary file is one, by looking into it."""
    read: Callable[[Path], tuple[Run, list[Record]]]
    """Raises RecordError where it is damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One tool that takes what was measured."""

    name: str
    """As `--to` takes it."""
    about: str
    """What is written, in one line."""
    place: str
    """What stands behind the colon: `FILE`, `FOLDER`, ..."""
    default: str
    """That place, where the user names none; `{run}` is the run's id."""
    write: Callable[[Leaderboard, Destination], Written]
    """May raise LibraryMissing, OptionError and OutputError."""
    libraries: tuple[str, ...] = ()
    """Modules that must be there, besides what pytest-vdb itself needs."""
    extra: str | None = None
    """The extra of pytest-vdb that installs them."""
    reader: Reader | None = None
    """None: there is no way back."""

    @property
    def missing(self) -> tuple[str, ...]:
        """The libraries that are not installed."""
        return tuple(name for name in self.libraries if not _is_installed(name))

    def require(self) -> None:
        """Check that it can be written or read here.

        Raises:
            LibraryMissing: a library is not installed; with the extra that brings it.
        """
        if self.missing:
            raise LibraryMissing(
                f"{self.name} needs {' and '.join(self.missing)}, not installed here",
                mend=f"pip install 'pytest-vdb[{self.extra}]'",
            )


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # what it lies in is not there
        return False


def counted(reasons: Iterable[tuple[str, str, int]]) -> tuple[LeftOut, ...]:
    """(metric, reason, how many) of several rows, each metric and reason once, the most frequent first."""
    total: Counter[tuple[str, str]] = Counter()
    for metric, reason, n in reasons:
        total[metric, reason] += n
    ordered = sorted(total.items(), key=lambda item: (-item[1], item[0]))
    return tuple(LeftOut(metric, reason, n) for (metric, reason), n in ordered if n)
