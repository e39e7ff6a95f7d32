"""Comma-separated values: one row per model for a spreadsheet, or one per measurement for a statistics program."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from pytest_vdb.analysis.leaderboard import Leaderboard, failure_line
from pytest_vdb.escaping import spreadsheet
from pytest_vdb.records import Record
from pytest_vdb.reporters.text import STATUS_WORDS, heading

_ABOUT = ("benchmark", "model", "task", "weights", "revision", "recipe", "hardware", "run", "prompts", "tests")
# fmt: off
_RECORD = (
    "run", "benchmark", "nodeid", "model", "status", "prompt", "category", "sample", "seed", "task", "weights",
    "recipe", "hardware", "environment", "reused_from", "metric", "version", "unit", "better", "kind", "value",
    "reason", "wiring", "n", "low", "high",
)
# fmt: on


def render(board: Leaderboard) -> str:
    """One row per model; per metric its mean, its interval, how many prompts, how many tests are missing and why.

    Figures are unrounded; a missing one is an empty field.
    """
    names: dict[str, None] = {}
    lines: list[dict[str, object]] = []
    for table in board.tables:
        headings = [heading(column, table.columns) for column in table.columns]
        names |= dict.fromkeys(headings)
        for row in table.rows:
            weights = "published" if row.published is not None else row.weights
            about = (row.benchmark, row.model, row.task, weights, row.revision, row.recipe_digest, row.hardware)
            line: dict[str, object] = dict(
                zip(_ABOUT, (*about, " ".join(row.runs), row.prompts, row.tests), strict=True)
            )
            line |= {status: row.counts.get(status, 0) for status in STATUS_WORDS} | {"reused": row.reused}
            for name, cell in zip(headings, row.cells, strict=True):
                low, high = cell.interval or (None, None)
                reasons = "; ".join(f"{n} x {reason}" for reason, n in cell.reasons)
                values = (cell.mean, low, high, cell.n, cell.missing, reasons, cell.unranked)
                line |= {f"{name}{suffix}": value for suffix, value in zip(_PER_METRIC, values, strict=True)}
            lines.append(line)
    columns = [*_ABOUT, *STATUS_WORDS, "reused", *(f"{name}{suffix}" for name in names for suffix in _PER_METRIC)]
    return _written(columns, ([line.get(column) for column in columns] for line in lines))


_PER_METRIC = ("", "_low", "_high", "_prompts", "_missing", "_why_missing", "_why_unranked")


def render_records(records: Iterable[Record]) -> str:
    """One row per measurement of every test; a test without any has one row with why."""
    return _written(_RECORD, (line for record in records for line in _lines(record)))


def _lines(record: Record) -> Iterable[list[object]]:
    about: list[object] = [record.run, record.benchmark, record.nodeid, record.model, record.status, record.prompt]
    about += [record.category, record.sample_index, record.seed, record.task, record.weights, record.recipe_digest]
    about += [record.hardware, record.environment, record.reused_from]
    for m in record.measurements:
        measured = [m.name, m.version, m.unit, m.better, m.kind, m.value, m.reason, m.wiring, m.n]
        yield about + measured + list(m.interval or (None, None))
    if not record.measurements:
        yield [*about, *[None] * 6, failure_line(record), None, None, None, None]


def _written(columns: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_field(column) for column in columns])
    writer.writerows([_field(value) for value in line] for line in lines)
    return text.getvalue()


def _field(value: object) -> object:
    """Numbers as they are; text so that no spreadsheet takes it for a formula."""
    if value is None or isinstance(value, int | float):
        return value
    return spreadsheet(value)
