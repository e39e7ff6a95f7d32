"""All finished runs of output folders in short, and an index that spares reading their records again.

A file per run lies in `OUTPUT/.history`, never in a run's own folder. It is a cache and nothing else: it counts only
while the run's two files are what it was made of, and whole (a digest stands above it). So whoever deletes, damages or
writes it at the same time changes no answer. Files were taken after measuring: `docs/history.md` has the figures.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from pytest_vdb import files
from pytest_vdb.errors import OutputError, RecordError, VdbError
from pytest_vdb.records import Better, Kind, Record, Run, WeightsMode
from pytest_vdb.results import journal

INDEX = ".history"
"""The folder of an output folder that may be deleted at any time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What one run says of one metric: the median of costs, the mean over prompts of all else."""

    metric: str
    version: str
    unit: str
    better: Better
    kind: Kind
    value: float | None
    n: int
    """Prompts; of a set metric clips."""
    over: str
    """Digest of the prompts and samples that have a value: a mean over others is another thing."""
    why: str = ""
    """Why there is no value, or why some prompts have none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A model that was asked in one way, in one run."""

    benchmark: str
    model: str
    parameters: dict[str, str] = field(default_factory=dict)
    weights: WeightsMode | None
    recipe: str | None
    """Its digest."""
    hardware: str | None
    revision: str | None
    prompts: str
    """Digest of what was asked: the prompts, their samples, the suite, the base seed."""
    why: str = ""
    """Of a model without any figure: what became of its tests."""
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInShort:
    """One finished run."""

    run: str
    began: str
    """ISO 8601, UTC."""
    commit: str | None
    dirty: bool
    """Whether files differed from the commit."""
    branch: str | None
    asked: tuple[Asked, ...]
    warnings: tuple[str, ...] = ()
    """Lines of its records that could not be read."""


InShort = Callable[[Run, Sequence[Record]], tuple[Asked, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """What lies in output folders."""

    runs: tuple[RunInShort, ...]
    """The oldest first, each once."""
    warnings: tuple[str, ...]
    """Runs that could not be read or have not ended, and an index that could not be written."""
    read: int
    """Runs whose records had to be read; the others came from the index."""


def read(outputs: Iterable[Path], in_short: InShort, *, edition: int) -> Runs:
    """The finished runs of output folders, from their index where it holds.

    Args:
        outputs: folders with `runs/`; several machines may have written into one.
        in_short: what is kept of a run.
        edition: changes with what `in_short` makes; an index of another edition does not count.

    Raises:
        RecordError: a folder has no `runs/`, or it cannot be listed.
    """
    found: dict[str, RunInShort] = {}
    warnings: list[str] = []
    fresh = unfinished = 0
    for output in dict.fromkeys(outputs):
        index = _Index(output / INDEX, edition)
        for folder in _folders_of_runs(output):
            try:
                short = index.get(folder)
                if short is None:
                    stamp = _stamp_of(folder)  # before reading: what is appended meanwhile makes it outdated
                    short = _in_short(folder, in_short)
                    if short is None:
                        unfinished += 1
                        continue
                    fresh += 1
                    index.put(folder, stamp, short)
            except VdbError as problem:
                warnings.append(f"left out: {' '.join(str(problem).split())}")
                continue
            warnings += [f"{folder}: {warning}" for warning in short.warnings if short.run not in found]
            found.setdefault(short.run, short)
        warnings += index.problems
    if unfinished:
        warnings.append(f"left out: {unfinished} run{'' if unfinished == 1 else 's'} that did not come to an end")
    ordered = sorted(found.values(), key=lambda one: (one.began, one.run))
    return Runs(runs=tuple(ordered), warnings=tuple(warnings), read=fresh)


def _folders_of_runs(output: Path) -> list[Path]:
    folder = output / journal.RUNS
    if not files.is_folder(folder):
        raise RecordError("there are no runs here", where=folder, mend="give a folder that --vdb-output named")
    return [entry for entry in files.entries(folder, error=RecordError)[0] if files.is_folder(entry)]


def _in_short(folder: Path, in_short: InShort) -> RunInShort | None:
    """None: the run did not come to its end."""
    if journal.read_run(folder).finished_at is None:
        return None
    run, records, warnings = journal.read(folder)
    return RunInShort(
        run=run.id,
        began=run.started_at,
        commit=run.environment.git_commit,
        dirty=bool(run.environment.git_dirty),
        branch=run.environment.git_branch,
        asked=in_short(run, records),
        warnings=tuple(_without_folder(warning, folder) for warning in warnings),
    )


def _without_folder(warning: str, folder: Path) -> str:
    """The folder may be called otherwise when it is read next."""
    return warning.replace(str(folder / journal.RECORDS), journal.RECORDS)


# --- the index --------------------------------------------------------------------------------------------------------

Stamp = tuple[tuple[int, int, int], ...]
"""Size, time of writing and of change, both in nanoseconds, of `run.json` and `records.jsonl`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    edition: int
    stamp: Stamp
    short: RunInShort


class _Index:
    """A file per run: a digest, and below it the JSON that it is of."""

    def __init__(self, folder: Path, edition: int) -> None:
        self.folder = folder
        self.edition = edition
        self.problems: list[str] = []

    def get(self, run: Path) -> RunInShort | None:
        """None where it has none that holds."""
        try:
            head, _, body = files.read_bytes(self._place(run), error=RecordError).partition(b"\n")
            if head != _head_of(body):
                return None
            kept = msgspec.json.decode(body, type=_Kept)
        except (VdbError, msgspec.MsgspecError):
            return None
        holds = kept.edition == self.edition and kept.stamp == _stamp_of(run)
        return kept.short if holds else None

    def put(self, run: Path, stamp: Stamp, short: RunInShort) -> None:
        """Keep it, if the disk takes it: a folder of others may be read alone."""
        if self.problems:
            return
        body = msgspec.json.encode(_Kept(edition=self.edition, stamp=stamp, short=short))
        try:
            files.write(self._place(run), _head_of(body) + b"\n" + body)
        except OutputError as problem:
            self.problems.append(f"no index is kept, so the next history is as slow: {' '.join(str(problem).split())}")

    def _place(self, run: Path) -> Path:
        return self.folder / f"{run.name}.json"


def _head_of(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


def _stamp_of(run: Path) -> Stamp:
    return tuple(_stamps(run / name for name in (journal.RUN, journal.RECORDS)))


def _stamps(paths: Iterable[Path]) -> Iterator[tuple[int, int, int]]:
    for path in paths:
        with contextlib.suppress(OSError):  # no such file: a run without records
            there = path.stat()
            yield there.st_size, there.st_mtime_ns, there.st_ctime_ns
