"""The leaderboard as JSON for a program: the standings first, then a table per benchmark; figures are unrounded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_vdb.analysis.tables import Cell, Column, Leaderboard, Place, Row, Standings, Table
from pytest_vdb.escaping import json_text
from pytest_vdb.records import to_plain
from pytest_vdb.reporters.formats import Format
from pytest_vdb.reporters.overview import answers, plain_text
from pytest_vdb.reporters.text import count_of

SCHEMA = 1
"""Of this file: a number that is taken again never means something else."""


def render(board: Leaderboard) -> str:
    """One object; what was not measured is `null` beside its reasons.

    `standings[].lines[].values` and `tables[].rows[].values` stand in the order of `columns`. A `rank` is
    `[lowest, highest]`: 1 and the number of models that are significantly better, and how far down it may reach.
    """
    said = answers(board)
    told = {
        "schema": SCHEMA,
        "run": board.run.id,
        "started_at": board.run.started_at,
        "hardware": board.run.environment.hardware,
        "tests": dict(board.counts),
        "standings": [_standings_as_json(one, board, plain_text(said[at])) for at, one in enumerate(board.standings)],
        "tables": [_table_as_json(table) for table in board.tables],
    }
    return json_text(json.dumps(to_plain(told), ensure_ascii=False, allow_nan=False)) + "\n"


FORMAT = Format(name="json", files=lambda board, _: {"leaderboard.json": render(board)})


def _standings_as_json(standings: Standings, board: Leaderboard, answer: str) -> dict[str, Any]:
    return {
        "task": standings.task,
        "trained": standings.trained,
        "answer": answer or None,
        "overall": standings.overall,
        "ranked_by": None if standings.lead is None else standings.table.columns[standings.lead].name,
        "columns": [
            {**_column_as_json(column), "benchmark": None if source is None else board.tables[source.table].benchmark}
            for column, source in zip(standings.table.columns, standings.sources, strict=True)
        ],
        "lines": [
            {**_row_as_json(line.row), "values": _values_as_json(line.row.cells, line.places)}
            for line in standings.lines
        ],
    }


def _table_as_json(table: Table) -> dict[str, Any]:
    return {
        "benchmark": table.benchmark,
        "columns": [_column_as_json(column) for column in table.columns],
        "rows": [{**_row_as_json(row), "values": _values_as_json(row.cells, ())} for row in table.rows],
    }


def _column_as_json(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "unit": column.unit,
        "better": column.better,
        "kind": column.kind,
        "version": column.version,
    }


def _row_as_json(row: Row) -> dict[str, Any]:
    recipe: Mapping[str, Any] = row.recipe
    return {
        "model": row.model,
        "parameters": dict(row.parameters),
        "task": row.task,
        "weights": row.weights,
        "published": row.published,
        "revision": row.revision,
        "recipe": dict(recipe),
        "hardware": row.hardware,
        "runs": list(row.runs),
        "tests": {str(status): n for status, n in sorted(row.counts.items())},
    }


def _values_as_json(cells: Sequence[Cell], places: Sequence[Place | None]) -> list[dict[str, Any]]:
    """One of each column; `places` is empty where nobody asked for ranks."""
    asked = places or [None] * len(cells)
    return [
        {
            "mean": cell.mean,
            "interval": cell.interval,
            "n": count_of(cell),
            "rank": None if place is None else [place.lowest, place.highest],
            "unranked": cell.unranked,
            "missing": dict(cell.reasons),
            "remarks": list(cell.remarks),
        }
        for cell, place in zip(cells, asked, strict=True)
    ]
