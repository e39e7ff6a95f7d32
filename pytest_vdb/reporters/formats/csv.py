"""Comma-separated values for a spreadsheet: one row per model and benchmark, and one per model over all of them; for a
program that plots also one row per value.

As RFC 4180 has it, and in a file with the byte order mark by which Excel knows UTF-8. No field is a formula.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from pytest_vdb.analysis.tables import Cell, Column, Leaderboard, Place, Row, Standing, Standings, Table
from pytest_vdb.escaping import spreadsheet
from pytest_vdb.records import OVERALL
from pytest_vdb.reporters.formats import Format
from pytest_vdb.reporters.text import STATUS_WORDS, count_of, heading

BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"

# fmt: off
_ABOUT = (
    "benchmark", "model", "parameters", "task", "weights", "revision", "recipe", "hardware", "run", "mean_rank",
    "prompts", "tests",
)
_ABOUT_LINES = (
    "task", "trained", "model", "parameters", "weights", "revision", "recipe", "hardware", "run", "ranked_by", "rank",
    "rank_at_most", "prompts", "tests",
)
_PER_COLUMN = (
    "", "_low", "_high", "_n", "_missing", "_rank", "_rank_at_most", "_of", "_why_missing", "_why_unranked", "_remarks",
)
_PER_METRIC = (
    "", "_low", "_high", "_why_no_interval", "_n", "_prompts", "_missing", "_why_missing", "_rank",
    "_p_as_good_as_best", "_why_unranked", "_remarks",
)
# fmt: on
_ABOUT_VALUES = (
    *_ABOUT[: _ABOUT.index("mean_rank")],
    *("metric", "version", "kind", "unit", "better", "mean"),
    *(suffix.removeprefix("_") for suffix in _PER_METRIC if suffix),
)


def render(board: Leaderboard) -> str:
    """One row per model; per metric its mean, its interval, from how many values and prompts, how many tests are
    missing and why, its rank, and what to know about it.

    Figures are unrounded; a missing one is an empty field.
    """
    statuses = _statuses_of(board)
    names = list(dict.fromkeys(heading(column, table.columns) for table in board.tables for column in table.columns))
    header = [*_ABOUT, *statuses, "retried", "reused"]
    header += [f"{own}{suffix}" for own in _names_of_metrics(names, header, _PER_METRIC) for suffix in _PER_METRIC]
    rows = ((table, row) for table in board.tables for row in table.rows)
    return _written(header, (_row_of_model(table, row, statuses, names) for table, row in rows))


def as_file(text: str) -> str:
    """What a file of it holds, so that Excel reads names in every script."""
    return BYTE_ORDER_MARK + text


def render_standings(board: Leaderboard) -> str:
    """One row per model, recipe, weights and revision over all benchmarks; per column its mean, interval and ranks.

    `rank` is 1 and the number of models that are significantly better, `rank_at_most` how far down it may reach, in the
    column that `ranked_by` names; `NAME_rank`, `NAME_rank_at_most` and `NAME_of` the same of each column.
    """
    statuses = _statuses_of(board)
    every = [(one, column) for one in board.standings for column in one.table.columns]
    names = list(dict.fromkeys(heading(column, one.table.columns) for one, column in every))
    header = [*_ABOUT_LINES, *statuses, "retried", "reused"]
    header += [f"{own}{suffix}" for own in _names_of_metrics(names, header, _PER_COLUMN) for suffix in _PER_COLUMN]
    lines = ((one, line) for one in board.standings for line in one.lines)
    return _written(header, (_row_of_line(one, line, statuses, names) for one, line in lines))


def render_tidy(board: Leaderboard) -> str:
    """One row per model, benchmark and metric: what `render` has in its columns, in as many rows."""
    lines = (
        [*_cells_before_values(table, row), *_facts_of_column(column), *_figures_of_cell(cell)]
        for table in board.tables
        for row in table.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
    )
    return _written(_ABOUT_VALUES, lines)


FORMAT = Format(
    name="csv",
    files=lambda board, _: {
        "leaderboard.csv": as_file(render(board)),
        "standings.csv": as_file(render_standings(board)),
        "values.csv": as_file(render_tidy(board)),
    },
)


def _statuses_of(board: Leaderboard) -> list[str]:
    return [*STATUS_WORDS, *(status for status in board.counts if status not in STATUS_WORDS)]


def _names_of_metrics(names: Sequence[str], taken: Iterable[str], suffixes: Sequence[str]) -> list[str]:
    """What the columns of metrics are called: a metric may be named like a column about the model."""
    used, found = set(taken), []
    for name in names:
        while any(f"{name}{suffix}" in used for suffix in suffixes):
            name += " (metric)"
        used |= {f"{name}{suffix}" for suffix in suffixes}
        found.append(name)
    return found


def _row_of_line(standings: Standings, line: Standing, statuses: Sequence[str], names: Sequence[str]) -> list[object]:
    row, lead, columns = line.row, standings.lead, standings.table.columns
    written: list[object] = [standings.task or row.task, "yes" if standings.trained else "no", row.model]
    written += [_parameters_cell(row.parameters.items()), _weights_cell(row), row.revision, row.recipe_digest]
    written += [row.hardware, " ".join(row.runs), None if lead is None else heading(columns[lead], columns)]
    written += [*_ends_of_place(None if lead is None else line.places[lead])[:2], row.prompts, row.tests]
    counts = {str(status): n for status, n in row.counts.items()}
    written += [*(counts.get(status, 0) for status in statuses), row.retried, row.reused]
    by_name = {
        heading(c, columns): (cell, place) for c, cell, place in zip(columns, row.cells, line.places, strict=True)
    }
    for name in names:
        if name not in by_name:
            written += [None] * len(_PER_COLUMN)
            continue
        cell, place = by_name[name]
        written += [cell.mean, *(cell.interval or (None, None)), count_of(cell), cell.missing, *_ends_of_place(place)]
        of_overall = [standings.overall] if standings.overall is not None and name == OVERALL else []
        written += [_reasons_cell(cell), cell.unranked, "; ".join((*of_overall, *cell.remarks))]
    return written


def _ends_of_place(place: Place | None) -> tuple[int | None, int | None, int | None]:
    return (None, None, None) if place is None else (place.lowest, place.highest, place.of)


def _reasons_cell(cell: Cell) -> str:
    return "; ".join(f"{n} x {reason}" for reason, n in cell.reasons)


def _weights_cell(row: Row) -> str | None:
    return "published" if row.published is not None else row.weights


def _row_of_model(table: Table, row: Row, statuses: Sequence[str], names: Sequence[str]) -> list[object]:
    line = [*_cells_before_values(table, row), row.mean_rank, row.prompts, row.tests]
    counts = {str(status): n for status, n in row.counts.items()}
    line += [*(counts.get(status, 0) for status in statuses), row.retried, row.reused]
    by_name = {heading(c, table.columns): cell for c, cell in zip(table.columns, row.cells, strict=True)}
    for name in names:
        cell = by_name.get(name)
        if cell is None:
            line += [None] * len(_PER_METRIC)
            continue
        line += _figures_of_cell(cell)
    return line


def _cells_before_values(table: Table, row: Row) -> list[object]:
    """As `_ABOUT` and `_ABOUT_VALUES` begin."""
    parameters = _parameters_cell(row.parameters.items())
    made = [row.task, _weights_cell(row), row.revision, row.recipe_digest, row.hardware, " ".join(row.runs)]
    return [table.name, row.model, parameters, *made]


def _facts_of_column(column: Column) -> list[object]:
    return [column.name, column.version, column.kind, column.unit, column.better]


def _figures_of_cell(cell: Cell) -> list[object]:
    """As `_PER_METRIC` names them."""
    ends = cell.interval or (None, None)
    figures = [cell.mean, *ends, cell.no_interval, count_of(cell), cell.n, cell.missing, _reasons_cell(cell)]
    return [*figures, cell.rank, cell.p, cell.unranked, "; ".join(cell.remarks)]


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
