"""Comma-separated values for a spreadsheet: one row per model.

As RFC 4180 has it, and in a file with the byte order mark by which Excel knows UTF-8. No field is a formula.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from pytest_vdb.analysis.tables import Leaderboard, Row, Table
from pytest_vdb.escaping import spreadsheet
from pytest_vdb.reporters.formats import Format
from pytest_vdb.reporters.text import STATUS_WORDS, heading

BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"

# fmt: off
_ABOUT = (
    "benchmark", "model", "parameters", "task", "weights", "revision", "recipe", "hardware", "run", "mean_rank",
    "prompts", "tests",
)
_PER_METRIC = (
    "", "_low", "_high", "_why_no_interval", "_n", "_prompts", "_missing", "_why_missing", "_rank",
    "_p_as_good_as_best", "_why_unranked", "_remarks",
)
# fmt: on


def render(board: Leaderboard) -> str:
    """One row per model; per metric its mean, its interval, from how many values and prompts, how many tests are
    missing and why, its rank, and what to know about it.

    Figures are unrounded; a missing one is an empty field.
    """
    statuses = [*STATUS_WORDS, *(status for status in board.counts if status not in STATUS_WORDS)]
    names = list(dict.fromkeys(heading(column, table.columns) for table in board.tables for column in table.columns))
    header = [*_ABOUT, *statuses, "retried", "reused"]
    header += [f"{own}{suffix}" for own in _names_of_metrics(names, header) for suffix in _PER_METRIC]
    rows = ((table, row) for table in board.tables for row in table.rows)
    return _written(header, (_row_of_model(table, row, statuses, names) for table, row in rows))


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
    line += [row.recipe_digest, row.hardware, " ".join(row.runs), row.mean_rank, row.prompts, row.tests]
    counts = {str(status): n for status, n in row.counts.items()}
    line += [*(counts.get(status, 0) for status in statuses), row.retried, row.reused]
    by_name = {heading(c, table.columns): cell for c, cell in zip(table.columns, row.cells, strict=True)}
    for name in names:
        cell = by_name.get(name)
        if cell is None:
            line += [None] * len(_PER_METRIC)
            continue
        reasons = "; ".join(f"{n} x {reason}" for reason, n in cell.reasons)
        n = cell.n if cell.own_n is None else cell.own_n
        line += [cell.mean, *(cell.interval or (None, None)), cell.no_interval, n, cell.n, cell.missing, reasons]
        line += [cell.rank, cell.p, cell.unranked, "; ".join(cell.remarks)]
    return line


def _parameters_cell(parameters: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name}={value}" for name, value in parameters)


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
