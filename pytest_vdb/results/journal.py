"""The truth of a run: `runs/RUN/records.jsonl`, one appended and flushed line per test, and `run.json` beside it.

Only one process writes it. Killed at any moment, it loses at most the line that was being written.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Self

from pytest_vdb.errors import NewerSchema, OutputError, RecordError
from pytest_vdb.records import Record, Run, from_json, to_json

RECORDS, RUN = "records.jsonl", "run.json"


class Journal:
    """Takes the records of one run as they arrive."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / RECORDS
        try:
            self._file = self._path.open("xb", buffering=0)
        except OSError as error:
            raise _cannot_write(self._path, error) from error
        self._torn = False

    @classmethod
    def create(cls, output: Path, run: Run) -> Self:
        """Start the run's folder `output/runs/RUN`; `run.json` is there from the start, so a killed run is readable.

        Raises:
            OutputError: the folder cannot be written, or the run has records already.
        """
        folder = Path(output) / "runs" / run.id
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _cannot_write(folder, error) from error
        journal = cls(folder)
        write_text(folder / RUN, to_json(run) + "\n")
        return journal

    def append(self, record: Record) -> None:
        """Write one line, at once: when this returns, the record survives the death of the process.

        Raises:
            OutputError: the disk did not take it; the next line starts afresh.
        """
        line = to_json(record).encode() + b"\n"
        if self._torn:
            line = b"\n" + line
        try:
            written = 0
            while written < len(line):
                self._torn = True
                written += self._file.write(line[written:]) or 0
        except OSError as error:
            raise _cannot_write(self._path, error) from error
        self._torn = False

    def finish(self, run: Run) -> None:
        """Replace `run.json` with how the run ended, and close.

        Raises:
            OutputError: it cannot be written.
        """
        write_text(self.folder / RUN, to_json(run) + "\n")
        self._file.close()


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
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    run = from_json(_bytes(folder / RUN, asked=Path(path)), Run, where=folder / RUN)
    if not (folder / RECORDS).exists():
        return run, [], [f"{folder / RECORDS}: there is no such file, so the run has no records"]
    return run, *read_records(folder / RECORDS)


def read_records(path: Path) -> tuple[list[Record], list[str]]:
    """Read a file of records alone, e.g. that of `vdb score`: the records, and a warning per line that is none.

    Raises:
        RecordError: the file cannot be read.
        NewerSchema: a newer pytest-vdb wrote it.
    """
    records: list[Record] = []
    warnings: list[str] = []
    lines = _bytes(path, asked=path).split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            records.append(from_json(line, Record, where=where))
        except NewerSchema:
            raise
        except (RecordError, UnicodeDecodeError, RecursionError) as error:
            last = number == len(lines)  # every finished line ends with a line break
            said = error.what if isinstance(error, RecordError) else type(error).__name__
            torn = "the last line is torn (the run was killed while writing it)"
            warnings.append(f"{where}: {torn if last else f'skipped a line that is no record: {said}'}")
    return records, warnings


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is either the old one or the new one, never half of it.

    Raises:
        OutputError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise _cannot_write(path, error) from error


def _bytes(path: Path, *, asked: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise RecordError(
            f"there is no {path.name} here",
            where=asked,
            mend="give a run's folder, e.g. reports/runs/20261122-041530-a1b2c3",
        ) from None
    except OSError as error:
        raise RecordError(f"cannot be read: {error.strerror}", where=path) from error


def _cannot_write(path: Path, error: OSError) -> OutputError:
    if isinstance(error, FileExistsError):
        return OutputError("the run has records already", where=path, mend="give the new run an id of its own")
    return OutputError(
        f"cannot be written: {error.strerror or error}", where=path, mend="check the disk's space and permissions"
    )
