"""Comma-separated values: one row per model for a spreadsheet, or one per measurement for a statistics program.

As RFC 4180 has it, and in a file with the byte order mark by which Excel knows UTF-8. No field is a formula.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from pytest_vdb.analysis.readings import failure_line
from pytest_vdb.analysis.tables import Leaderboard, Row, Table
from pytest_vdb.escaping import spreadsheet
from pytest_vdb.records import Record
from pytest_vdb.reporters.formats import Format
from pytest_vdb.reporters.text import STATUS_WORDS, heading

BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"

# fmt: off
_ABOUT = (
    "benchmark", "model", "parameters", "task", "weights", "revision", "recipe", "hardware", "run", "prompts", "tests",
)
_RECORD = (
    "run", "benchmark", "parameters", "nodeid", "model", "status", "attempts", "prompt", "category", "sample", "seed",
    "task", "weights", "recipe", "hardware", "environment", "reused_from", "metric", "version", "unit", "better",
    "kind", "value", "reason", "wiring", "n", "low", "high",
)
# fmt: on
_PER_METRIC = ("", "_low", "_high", "_prompts", "_missing", "_why_missing", "_why_unranked")


def render(board: Leaderboard) -> str:
    """One row per model; per metric its mean, its interval, how many prompts, how many tests are missing and why.

    Figures are unrounded; a missing one is an empty field.
    """
    statuses = [*STATUS_WORDS, *(status for status in board.counts if status not in STATUS_WORDS)]
    names = list(dict.fromkeys(heading(column, table.columns) for table in board.tables for column in table.columns))
    header = [*_ABOUT, *statuses, "retried", "reused"]
    header += [f"{own}{suffix}" for own in _names_of_metrics(names, header) for suffix in _PER_METRIC]
    rows = ((table, row) for table in board.tables for row in table.rows)
    return _written(header, (_row_of_model(table, row, statuses, names) for table, row in rows))


def render_records(records: Iterable[Record]) -> str:
    """One row per measurement of every test; a test without any has one row with why."""
    return _written(_RECORD, (line for record in records for line in _rows_of_record(record)))


def as_file(text: str) -> str:
    """What a file of it holds, so that Excel reads names in every script."""
    return BYTE_ORDER_MARK + text


FORMAT = Format(name="csv", files=lambda board, _: {"leaderboard.csv": as_file(render(board))})


def _names_of_metrics(names: Sequence[str], taken: Iterable[str]) -> list[str]:
    """What the columns of metrics are called: a metric may be named like a column about the model."""
    used, found = set(taken), []
    for name in names:
        while any(f"{name}{suffix}" in used for suffix in _PER_METRIC):
            name += " (metric)"
        used |= {f"{name}{suffix}" for suffix in _PER_METRIC}
        found.append(name)
    return found


def _row_of_model(table: Table, row: Row, statuses: Sequence[str], names: Sequence[str]) -> list[object]:
    weights = "published" if row.published is not None else row.weights
    line: list[object] = [
        table.name,
        row.model,
        _parameters_cell(row.parameters.items()),
        row.task,
        weights,
        row.revision,
    ]
    line += [row.recipe_digest, row.hardware, " ".join(row.runs), row.prompts, row.tests]
    counts = {str(status): n for status, n in row.counts.items()}
    line += [*(counts.get(status, 0) for status in statuses), row.retried, row.reused]
    by_name = {heading(c, table.columns): cell for c, cell in zip(table.columns, row.cells, strict=True)}
    for name in names:
        cell = by_name.get(name)
        if cell is None:
            line += [None] * len(_PER_METRIC)
            continue
        reasons = "; ".join(f"{n} x {reason}" for reason, n in cell.reasons)
        line += [cell.mean, *(cell.interval or (None, None)), cell.n, cell.missing, reasons, cell.unranked]
    return line


def _parameters_cell(parameters: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name}={value}" for name, value in parameters)


def _rows_of_record(record: Record) -> Iterable[list[object]]:
    about: list[object] = [
        record.run,
        record.benchmark,
        _parameters_cell(sorted(record.parameters.items())),
        record.nodeid,
    ]
    about += [record.model, record.status, record.attempts, record.prompt, record.category, record.sample_index]
    about += [record.seed, record.task, record.weights, record.recipe_digest, record.hardware, record.environment]
    about += [record.reused_from]
    for m in record.measurements:
        measured = [m.name, m.version, m.unit, m.better, m.kind, m.value, m.reason, m.wiring, m.n]
        yield about + measured + list(m.interval or (None, None))
    if not record.measurements:
        yield [*about, *[None] * 6, failure_line(record), None, None, None, None]


def _written(columns: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([_field(column) for column in columns])
    writer.writerows([_field(value) for value in line] for line in lines)
    return text.getvalue()


def _field(value: object) -> object:
    """Numbers as they are; text so that no spreadsheet takes it for a formula."""
    if value is None or isinstance(value, int | float):
        return value
    return spreadsheet(value)
