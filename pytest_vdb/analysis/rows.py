"""The rows of tables that people write: CSV with a header, or JSON objects line by line."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_vdb import files
from pytest_vdb.errors import RecordError

TABLE = "give a CSV with a header, or JSONL, in UTF-8"
"""What to do with a file that is neither."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a CSV, or one line of a JSONL."""

    line: int
    cells: Mapping[str, Any]

    def place(self, path: Path) -> Path:
        """For messages."""
        return path.with_name(f"{path.name}:{self.line}")

    def text(self, column: str, path: Path) -> str:
        """Who or what: a text or a number.

        Raises:
            RecordError: neither.
        """
        value = self.cells.get(column)
        if isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
            return str(value)
        mend = "give a text in each row that has a figure"
        raise RecordError(f"{column} is {quoted_value(value)}", where=self.place(path), mend=mend)


def lines_of_table(path: Path) -> list[Line]:
    """The rows of a CSV or JSONL, at least one.

    Raises:
        RecordError: a file that is missing, or neither.
    """
    text = files.read_text(path, error=RecordError, mend=TABLE)
    rows = _lines_of_jsonl(text, path) if path.suffix.lower() == ".jsonl" else _lines_of_csv(text, path)
    if not rows:
        raise RecordError("it holds no rows", where=path, mend=TABLE)
    return rows


def _lines_of_jsonl(text: str, path: Path) -> list[Line]:
    rows = []
    for number, line in files.lines_of(text):
        where = f"{path}:{number}"
        cells = files.parse_json(line, where=where, error=RecordError, mend=TABLE)
        if not isinstance(cells, dict):
            raise RecordError(f"no object but {quoted_value(cells)}", where=where, mend=TABLE)
        rows.append(Line(number, cells))
    return rows


def _lines_of_csv(text: str, path: Path) -> list[Line]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    rows = []
    try:
        for cells in reader:
            if None in cells:
                raise RecordError("more cells than the header", where=f"{path}:{reader.line_num}", mend=TABLE)
            rows.append(Line(reader.line_num, cells))
    except csv.Error as problem:
        raise RecordError(f"not CSV: {problem}", where=f"{path}:{reader.line_num + 1}", mend=TABLE) from None
    return rows


def names_of_columns(rows: Sequence[Line]) -> list[str]:
    """Of all rows, in the order of their first one."""
    return list(dict.fromkeys(name for row in rows for name in row.cells))


def quoted_value(value: object) -> str:
    """For messages, shortened."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
