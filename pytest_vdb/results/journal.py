"""The truth of a run: `runs/RUN/records.jsonl`, one appended and flushed line per test, and `run.json` beside it.

Only one process writes it. Killed at any moment, it loses at most the line that was being written.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import Self

from pytest_vdb import files
from pytest_vdb.errors import DefinitionMissing, NewerSchema, OutputError, RecordError
from pytest_vdb.garbage import without_collections
from pytest_vdb.records import Record, Run, from_json, to_json
from pytest_vdb.results.lines import Glimpse, Listener, Teller

_CUT_SHORT = frozenset({"interrupted", "not_run"})

RECORDS, RUN = "records.jsonl", "run.json"
RUNS = "runs"
"""The folder of an output folder in which each session has its own."""

MOST_IN_FULL = 500
"""Tests of a run, up to which every line says everything itself: a megabyte, and any program reads it line by line."""


def is_small(tests: int) -> bool:
    """Whether a run of so many tests is written in full."""
    return tests <= MOST_IN_FULL


class Journal:
    """Takes the records of one run as they arrive.

    Args:
        folder: the run's own.
        in_full: every line says everything itself, instead of once what many share.
    """

    def __init__(self, folder: Path, *, in_full: bool = False) -> None:
        self.folder = folder
        self._path = folder / RECORDS
        self._teller = Teller(in_full=in_full)
        try:
            self._file = self._path.open("x+b", buffering=0)
        except FileExistsError:
            mend = "give the new run an id of its own"
            raise OutputError("the run has records already", where=self._path, mend=mend) from None
        except OSError as problem:
            raise files.cannot_write(self._path, problem) from problem

    @classmethod
    def create(cls, output: Path, run: Run, *, in_full: bool = False) -> Self:
        """Start the run's folder `output/runs/RUN`; `run.json` is there from the start, so a killed run is readable.

        Raises:
            OutputError: the folder cannot be written, or the run has records already.
        """
        folder = files.make_folder(Path(output) / RUNS / run.id)
        if not files.is_there(folder / RECORDS):  # else it is another run's, and its `run.json` too
            files.write(folder / RUN, to_json(run) + "\n")
        return cls(folder, in_full=in_full)

    def append(self, record: Record) -> None:
        """Write a record at once, behind the definitions that it is the first to need: when this returns, it survives
        the death of the process.

        Raises:
            OutputError: the disk did not take it, and what was there can be read to its end; or the file of the records
                is not in its place any more, so that nobody would find them.
        """
        told = self._teller.told(record)
        self._write(told.whole)
        self._teller.kept(told)

    def append_all(self, records: Iterable[Record]) -> None:
        """Write several records in one go, all of them or none; after an error the journal takes no more.

        Raises:
            OutputError: see `append`.
        """
        lines = []
        for record in records:
            told = self._teller.told(record)
            self._teller.kept(told)
            lines.append(told.whole)
        if lines:
            self._write(b"\n".join(lines))

    def _write(self, lines: bytes) -> None:
        try:
            files.append_to(self._file.fileno(), lines)
            gone = not self._is_in_place()
        except OSError as problem:
            raise files.cannot_write(self._path, problem) from problem
        if gone:
            raise self._gone()

    def replace(self, old: Record, new: Record) -> None:
        """Put a record in the place of one that was appended, because its test ended otherwise than it had seemed to.

        Raises:
            OutputError: the disk did not take it, and the old one is still there; or the file is not in its place.
        """
        if not self._is_in_place():
            raise self._gone()
        before, told = self._teller.told(old).line + b"\n", self._teller.told(new)
        try:
            files.write(self._path, self._path.read_bytes().replace(before, told.whole + b"\n", 1))
            self._teller.kept(told)
            self._file.close()
            self._file = self._path.open("r+b", buffering=0)
        except OSError as problem:
            raise files.cannot_write(self._path, problem) from problem

    def finish(self, run: Run) -> None:
        """Replace `run.json` with how the run ended, and close.

        Raises:
            OutputError: it cannot be written, or the run's folder is not there any more.
        """
        with self._file:
            if not self._is_in_place():
                raise self._gone()
            files.write(self.folder / RUN, to_json(run) + "\n")

    def _gone(self) -> OutputError:
        return OutputError(
            "the run's records were removed or moved while it ran: what it measures now is lost",
            where=self._path,
            mend="leave the output folder alone while a run writes there, and run again",
        )

    def _is_in_place(self) -> bool:
        """Whether the open file is still the one of that name."""
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._file.fileno()))
        except OSError:
            return False


def read(path: Path) -> tuple[Run, list[Record], list[str]]:
    """Read a run.

    Args:
        path: the run's folder, its `run.json` or its `records.jsonl`.

    Returns:
        The run, its records in the order they were written, and a warning per line that could not be read: a torn
        last line is what a killed run leaves; the other records are not lost with it.

    Raises:
        RecordError: no run there, or `run.json` cannot be read.
        NewerSchema: a newer pytest-vdb wrote it.
    """
    run, records, _, warnings = read_of_models(path, None)
    return run, records, warnings


def read_of_models(path: Path, models: Container[str] | None) -> tuple[Run, list[Record], list[Glimpse], list[str]]:
    """Read a run for the sake of some of its models.

    Args:
        path: as `read` takes it.
        models: whose records are read; None: everyone's.

    Returns:
        The run, the records that are asked for, what was glimpsed of the others, and the warnings.

    Raises:
        RecordError, NewerSchema: see `read`.
    """
    path = Path(path)
    folder = path if files.is_folder(path) else path.parent
    if not files.is_there(folder / RUN):
        mend = "give a run's folder, e.g. reports/runs/20261122-041530-a1b2c3"
        raise RecordError(f"there is no {RUN} here", where=path, mend=mend)
    run = read_run(folder)
    if not files.is_there(folder / RECORDS):
        return run, [], [], [f"{folder / RECORDS}: there is no such file, so the run has no records"]
    others: list[Glimpse] = []
    records, warnings = _read_lines(folder / RECORDS, models, others)
    return run, records, others, warnings


def read_run(folder: Path) -> Run:
    """`run.json` alone.

    Raises:
        RecordError: it cannot be read.
        NewerSchema: a newer pytest-vdb wrote it.
    """
    return from_json(files.read_bytes(folder / RUN, error=RecordError), Run, where=folder / RUN)


def shortfall(run: Run, records: Sequence[Record | Glimpse]) -> str | None:
    """What a run lacks of the tests that it set out to make, or None: it was killed, or it was interrupted."""
    of = "" if run.collected is None else f" of {run.collected}"
    if run.finished_at is None:
        begun = len({record.nodeid for record in records})
        if run.collected is None or begun < run.collected:
            tests = "test" if begun == 1 and not of else "tests"
            return f"the run was stopped before its end: it has {begun}{of} {tests}"
    lost = sum(record.status in _CUT_SHORT for record in records)
    return f"the run was interrupted: {lost}{of} tests did not come to their end" if lost else None


def read_records(path: Path) -> tuple[list[Record], list[str]]:
    """Read a file of records alone, e.g. that of `vdb score`: the records, and a warning per line that is none.

    Raises:
        RecordError: the file cannot be read.
        NewerSchema: a newer pytest-vdb wrote it.
    """
    return _read_lines(path, None, [])


def _read_lines(path: Path, models: Container[str] | None, others: list[Glimpse]) -> tuple[list[Record], list[str]]:
    """The records of these models, and a warning per line that is none; `others` takes what was glimpsed of others."""
    records: list[Record] = []
    warnings: list[str] = []
    listener = Listener(models)
    with without_collections():  # all that is read lives on
        for number, line in files.lines_in(path, error=RecordError):
            try:
                heard = listener.heard(line)
            except (NewerSchema, DefinitionMissing) as problem:
                raise type(problem)(problem.what, where=f"{path}:{number}", mend=problem.mend) from None
            except RecordError as problem:
                torn = "the last line is torn (the run was killed while writing it)"
                whole = line.endswith(b"\n")  # every finished line ends with a line break
                said = f"skipped a line that is no record: {problem.what}" if whole else torn
                warnings.append(f"{path}:{number}: {said}")
                continue
            if isinstance(heard, Record):
                records.append(heard)
            elif heard is not None:
                others.append(heard)
    return records, warnings
