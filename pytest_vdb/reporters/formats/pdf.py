"""The leaderboard as a PDF for people who will not open a page: the answer, a plot, the tables, hardware and methods.

Typeset by typst from a template that gets all text as data, so nothing of it can be markup.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pytest_vdb.analysis.tables import Cell, Leaderboard, Table, dimmed
from pytest_vdb.errors import OutputError
from pytest_vdb.escaping import shortened, visible
from pytest_vdb.figures import MISSING, Notation
from pytest_vdb.reporters import charts
from pytest_vdb.reporters.formats import Format
from pytest_vdb.reporters.formats.html import environment_of, when
from pytest_vdb.reporters.methods import plain_methods
from pytest_vdb.reporters.overview import Front, fronts
from pytest_vdb.reporters.pages import source_of_template
from pytest_vdb.reporters.text import (
    ARROWS,
    LEGEND,
    LONGEST_NAME,
    counted,
    distinct_names,
    heading,
    interval_in_brackets,
    notation_of,
    notes_under,
    stopped_line,
    tests_short,
    title,
    unit,
    weights_words,
)

EXTRA = "pdf"
_PER_TABLE = 8
"""Columns of figures that fit across a page; more continue in a further table."""
_MOST_ROWS = 100
"""Of one table: whoever benchmarks hundreds of models reads them in the CSV."""
_MOST_REASONS = 12


def render(board: Leaderboard) -> bytes:
    """The PDF; the same board gives the same bytes where the same fonts are installed.

    Raises:
        OutputError: typst is not installed.
    """
    try:
        import typst
    except ImportError:
        mend = f"pip install 'pytest-vdb[{EXTRA}]', or leave pdf out of --vdb-report"
        raise OutputError("a PDF needs typst", where="leaderboard.pdf", mend=mend) from None
    source = source_of_template("leaderboard.typ").encode()
    content: bytes = typst.compile(source, sys_inputs={"told": json.dumps(_told_to_typst(board))})
    return content


FORMAT = Format(name="pdf", files=lambda board, _: {"leaderboard.pdf": render(board)}, on_request=True)


def _told_to_typst(board: Leaderboard) -> dict[str, Any]:
    """All that the template shows."""
    run = board.run
    stopped = stopped_line(board)
    plots = [charts.of_standings(standings, distinct_names(standings.table)) for standings in board.standings]
    return {
        "title": "Video benchmark",
        "what": visible(title(board)),
        "when": visible(f"{when(run)} · {run.environment.hardware}"),
        "run": visible(run.id),
        "stopped": None if stopped is None else visible(stopped[0].upper() + stopped[1:]),
        "sections": [
            *map(_section_of_front, fronts(board, _PER_TABLE), plots),
            *(_section_of_table(table) for table in board.tables),
        ],
        "methods": [visible(plain_methods(board)), LEGEND],
        "environment": [[visible(name), visible(value)] for name, value in environment_of(run)],
    }


def _section_of_front(front: Front, plot: charts.Scatter | None) -> dict[str, Any]:
    style = f"<style>{source_of_template('printed.css')}</style>"  # in a page its own style says how plots look
    drawn = None if plot is None else plot.svg.replace(">", f">{style}", 1)
    return {
        "heading": visible(front.heading),
        "answer": visible(front.answer),
        "plot": drawn,
        "caption": "" if plot is None else visible(plot.caption),
        "parts": _parts_across_pages(front.table, front),
        "notes": [visible(note) for note in front.notes] + _too_many(front.table),
    }


def _section_of_table(table: Table) -> dict[str, Any]:
    return {
        "heading": visible(shortened(table.name, LONGEST_NAME)),
        "answer": "",
        "plot": None,
        "caption": "",
        "parts": _parts_across_pages(table),
        "notes": [visible(note) for note in notes_under(table, _MOST_REASONS)] + _too_many(table),
    }


def _too_many(table: Table) -> list[str]:
    more = len(table.rows) - _MOST_ROWS
    return [f"{counted(more, 'more row')}: see the CSV"] if more > 0 else []


def _parts_across_pages(table: Table, front: Front | None = None) -> list[dict[str, Any]]:
    """Columns that fit across a page in one part."""
    shown = replace(table, rows=table.rows[:_MOST_ROWS])
    leads = ["rank", "passed"] if front is not None and front.ranks is not None else ["passed"]
    written = [notation_of(row.cells[at] for row in shown.rows) for at in range(len(shown.columns))]
    parts = []
    for start in range(0, max(1, len(shown.columns)), _PER_TABLE):
        places = range(start, min(start + _PER_TABLE, len(shown.columns)))
        heads = [{"name": name, "unit": ""} for name in leads] + [_head_of_column(shown, at) for at in places]
        parts.append({"heads": heads, "rows": _rows_of_part(shown, front, places, written)})
    return parts


def _rows_of_part(
    table: Table, front: Front | None, places: Sequence[int], written: Sequence[Notation]
) -> list[dict[str, Any]]:
    names = distinct_names(table)
    rows = []
    for at, row in enumerate(table.rows):
        notations = written if front is None else [front.notation_at(row, c) for c in range(len(table.columns))]
        rows.append(
            {
                "name": visible(shortened(names[at], LONGEST_NAME)),
                "about": visible(weights_words(row)),
                "lead": [*([front.ranks[at]] if front and front.ranks else []), tests_short(row)],
                "cells": [_typeset_cell(row.cells[column], notations[column]) for column in places],
            }
        )
    return rows


def _head_of_column(table: Table, at: int) -> dict[str, str]:
    column = table.columns[at]
    arrow = " ".join(filter(None, (shortened(unit(column), LONGEST_NAME), ARROWS[column.better])))
    return {
        "name": visible(shortened(heading(column, table.columns), LONGEST_NAME)).replace("_", " "),
        "unit": visible(arrow),
    }


def _typeset_cell(cell: Cell, written: Notation) -> dict[str, Any]:
    return {
        "text": MISSING if cell.mean is None else written.write(cell.mean),
        "interval": interval_in_brackets(cell, written),
        "best": cell.mark == "best",
        "second": cell.mark == "second",
        "tied": cell.tied and cell.mark != "best",
        "dimmed": dimmed(cell),
    }
