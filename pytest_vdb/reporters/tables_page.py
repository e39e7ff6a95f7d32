"""The benchmarks' tables as a page has them: every metric of every row with its marks, bars and reasons.

On the leaderboard's own page where they are small; else each on a page of its own beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_vdb.analysis.tables import Cell, Column, Row, Table, dimmed
from pytest_vdb.escaping import shortened, visible
from pytest_vdb.figures import Notation
from pytest_vdb.records import Kind
from pytest_vdb.reporters import charts
from pytest_vdb.reporters.pages import markup
from pytest_vdb.reporters.text import (
    ARROWS,
    BETTER,
    LONGEST_NAME,
    STATUS_WORDS,
    count_in_words,
    count_notes,
    counted,
    distinct_names,
    heading,
    interval_in_brackets,
    missing_lines,
    notation_of,
    order_note,
    outcomes,
    recipe_words,
    remark_lines,
    retries_line,
    tests_short,
    unit,
    weights_note,
    weights_words,
)

KINDS: dict[Kind, str] = {"quality": "Quality", "performance": "Cost"}
_MOST_BARS = 2_000


@dataclass(frozen=True, slots=True)
class WrittenColumn:
    """What the cells of a column share, found once for all pages."""

    column: Column
    notation: Notation
    ends: tuple[Cell, ...]
    """The cells of the ranked ones between whose ends bars are drawn: beside the others' a bar would show nothing."""


@dataclass(frozen=True, slots=True)
class WrittenTable:
    """A benchmark's table with what its rows and columns are written by."""

    table: Table
    names: Mapping[int, str]
    """Row -> what it is called."""
    columns: tuple[WrittenColumn, ...]


def written(table: Table) -> WrittenTable:
    """How a table is written, on whichever page."""
    columns = []
    for at, column in enumerate(table.columns):
        cells = [row.cells[at] for row in table.rows]
        columns.append(WrittenColumn(column, notation_of(cells), _outermost(cells)))
    return WrittenTable(table, distinct_names(table), tuple(columns))


def _outermost(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """Of the ranked ones that which reaches lowest, and that which reaches highest."""
    ranked = [(cell, _ends_of(cell)) for cell in cells if cell.mean is not None and not dimmed(cell)]
    if not ranked:
        return ()
    return min(ranked, key=lambda one: one[1][0])[0], max(ranked, key=lambda one: one[1][1])[0]


def _ends_of(cell: Cell) -> tuple[float, float]:
    ends = (cell.mean or 0.0, *(cell.interval or ()))
    return min(ends), max(ends)


def table_of_page(one: WrittenTable, key: str, links: Mapping[int, str]) -> dict[str, Any]:
    """What the template shows of a benchmark.

    Args:
        one: the table.
        key: its id on the page.
        links: row -> the page of its model.
    """
    table = one.table
    bars = len(table.rows) * len(table.columns) <= _MOST_BARS
    valued = [any(row.cells[at].mean is not None for row in table.rows) for at in range(len(table.columns))]
    return {
        "id": key,
        "name": visible(shortened(table.name, 2 * LONGEST_NAME)),
        "benchmark": visible(table.benchmark),
        "columns": [
            _column_of_page(column, table, valued=any(valued), empty=not has)
            for column, has in zip(table.columns, valued, strict=True)
        ],
        "kinds": [(kind, words) for kind, words in KINDS.items() if kind in {c.kind for c in table.columns}],
        "rows": [_row_of_page(one, at, links.get(at), bars=bars) for at in range(len(table.rows))],
        "notes": [visible(note) for note in weights_note(table)],
        "counts": [visible(note) for note in (*count_notes(table), order_note(table)) if note is not None],
        "remarks": [visible(line) for line in remark_lines(table)],
        "again": visible(again) if (again := retries_line(table.rows)) else None,
        "missing": [(counted(n, "test"), visible(where), visible(why)) for where, why, n in missing_lines(table)],
    }


def _column_of_page(column: Column, table: Table, *, valued: bool, empty: bool) -> dict[str, Any]:
    """`valued`: whether any column of the table has a value; `empty`: whether this one has none."""
    name = visible(shortened(heading(column, table.columns), LONGEST_NAME))
    return {
        "name": name,
        "words": name.replace("_", " "),
        "unit": visible(shortened(unit(column), LONGEST_NAME)),
        "arrow": ARROWS[column.better],
        "better": BETTER[column.better],
        "first": "ascending" if column.better == "lower" else "descending",
        "kind": column.kind,
        "empty": valued and empty,
        "title": f"{visible(column.name)}, version {visible(column.version)}: {BETTER[column.better]}",
    }


def _row_of_page(one: WrittenTable, at: int, link: str | None, *, bars: bool) -> dict[str, Any]:
    row = one.table.rows[at]
    return {
        "name": visible(shortened(one.names[at], 2 * LONGEST_NAME)),
        "link": link,
        "weights": weights_words(row),
        "weights_kind": kind_of_weights(row),
        "recipe": visible(shortened(recipe_words(row), 2 * LONGEST_NAME)),
        "tests": tests_short(row),
        "share": row.passed / row.tests,
        "none_tried": row.counts.get("skipped", 0) == row.tests,
        "lost": outcomes_besides_passed(row),
        "retried": row.retried,
        "reused": row.reused,
        "cells": [cell_of_page(cell, column, bar=bars) for cell, column in zip(row.cells, one.columns, strict=True)],
        "more": visible(" ".join(filter(None, (row.hardware, row.task)))),
    }


def kind_of_weights(row: Row) -> str:
    """What the style knows them by."""
    return "published" if row.published is not None else row.weights or "unknown"


def outcomes_besides_passed(row: Row) -> list[tuple[str, str, int]]:
    """(what the style knows it by, in words, tests)."""
    found = outcomes(row.counts)
    return [(class_of_status(status), visible(words), n) for status, words, n in found if status != "passed"]


def class_of_status(status: str) -> str:
    """What the style knows it by."""
    return status if status in STATUS_WORDS else "unknown"


def cell_of_page(cell: Cell, of: WrittenColumn, *, bar: bool) -> dict[str, Any]:
    """What a page shows of one row's value of one metric.

    Args:
        cell: the value.
        of: its column.
        bar: whether it has a drawing of where it lies among the others.
    """
    reasons = "; ".join(f"{reason} ({counted(n, 'test')})" for reason, n in cell.reasons)
    write = of.notation.write
    figure = [f"{write(cell.mean)} {unit(of.column)}".strip()]
    if cell.interval is not None:
        figure.append(f"95% interval {' to '.join(map(write, cell.interval))}")
    told = [f"no interval: {cell.no_interval}"] if cell.interval is None and cell.no_interval else []
    told += [count_in_words(cell), *cell.remarks]
    if cell.unranked:
        told.append(f"not ranked: {cell.unranked}")
    if cell.tied and cell.mark != "best":
        told.append(f"not told apart from the best{'' if cell.p is None else f' (p = {cell.p:.2f})'}")
    if reasons:
        told.append(f"missing: {reasons}")
    return {
        "value": cell.mean,
        "text": write(cell.mean),
        "interval": interval_in_brackets(cell, of.notation),
        "remarks": [visible(remark) for remark in cell.remarks],
        "group": 2 if cell.mean is None else 1 if dimmed(cell) else 0,
        "mark": cell.mark,
        "tied": cell.tied and cell.mark != "best",
        "unranked": dimmed(cell),
        "incomplete": cell.mean is not None and cell.missing > 0,
        "missing": cell.missing,
        "reasons": visible(reasons) or "no test measured it",
        "told": [visible(one) for one in told],
        "title": visible("; ".join((*figure, *told))),
        "bar": markup(charts.interval_bar(cell, of.ends)) if bar and of.ends and not dimmed(cell) else "",
    }
