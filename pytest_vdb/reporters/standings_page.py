"""The first part of the page: what the answer is, one plot, and a line per model with a link to what each test said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_vdb.analysis.tables import Cell, Leaderboard, Standing, Standings, dimmed
from pytest_vdb.escaping import shortened, visible
from pytest_vdb.figures import Notation
from pytest_vdb.records import Kind
from pytest_vdb.reporters import charts
from pytest_vdb.reporters.overview import (
    FITS_ON,
    Said,
    answers,
    heading_of_standings,
    metric_in_words,
    notation_beside,
    notes_on_standings,
    place_in_words,
    recipe_of_all,
    telling_columns,
)
from pytest_vdb.reporters.text import (
    ARROWS,
    BETTER,
    LONGEST_NAME,
    STATUS_WORDS,
    count_in_words,
    counted,
    distinct_names,
    interval_in_brackets,
    outcomes,
    recipe_words,
    tests_short,
    unit,
    weights_words,
)

MOST_COLUMNS, MOST_CELLS = 16, 2_400
"""Of the standings: further ones are in the tables of the benchmarks."""
SHOWN_COLUMNS = 7
"""Of these, before anyone asks for more."""
MOST_TITLES = 1_000
"""Cells that say on a hover what the tables below say: of more of them the page would be noticeably larger."""
KINDS: dict[Kind, str] = {"quality": "Quality", "performance": "Cost"}


def standings_of_page(board: Leaderboard) -> list[dict[str, Any]]:
    """What the template shows, a section for each of the board's standings."""
    said = answers(board)
    return [_section_of_page(f"s{at}", one, said[at]) for at, one in enumerate(board.standings)]


@dataclass(frozen=True, slots=True)
class _Shown:
    """A column, and what its cells share."""

    at: int
    written: Mapping[bool, Notation]
    """Of models, and of yardsticks."""
    titles: bool


@dataclass(frozen=True, slots=True)
class _Shared:
    """What the lines have in common."""

    columns: Sequence[_Shown]
    recipe: str | None


def _section_of_page(key: str, standings: Standings, said: Sequence[Said]) -> dict[str, Any]:
    room = max(SHOWN_COLUMNS, MOST_CELLS // len(standings.lines))
    telling = telling_columns(standings, min(MOST_COLUMNS, room))
    lead = standings.lead
    order = sorted(telling, key=lambda at: standings.table.columns[at].kind != "quality")
    by_yardstick = {row.yardstick: row for row in standings.table.rows}
    titles = len(order) * len(standings.lines) <= MOST_TITLES
    columns = [
        _Shown(at, {yard: notation_beside(standings, row, at) for yard, row in by_yardstick.items()}, titles)
        for at in order
    ]
    shared = _Shared(columns, recipe_of_all(standings))
    names = distinct_names(standings.table)
    plot = charts.of_standings(standings, names)
    left_out = len(standings.table.columns) - len(order)
    notes = notes_on_standings(standings)
    if left_out:
        notes.append(f"{counted(left_out, 'more metric')}: see the tables of the benchmarks below.")
    return {
        "id": key,
        "heading": heading_of_standings(standings),
        "answer": [(visible(piece.text), piece.name) for piece in said],
        "notes": [visible(note) for note in notes],
        "plot": _markup(plot.svg) if plot else None,
        "caption": visible(plot.caption) if plot else None,
        "axes": _axes_to_choose(standings, order) if plot else None,
        "ranked": lead is not None,
        "lead": None if lead is None else visible(metric_in_words(standings.table.columns[lead].name)),
        "columns": [_column_of_standings(standings, at, shown=at in telling[:SHOWN_COLUMNS]) for at in order],
        "kinds": [(kind, KINDS[kind]) for kind in KINDS if kind in {standings.table.columns[at].kind for at in order}],
        "starts": next((n for n, at in enumerate(order) if n and standings.table.columns[at].kind != "quality"), None),
        "lines": [_line_of_standings(standings, at, names[at], shared) for at in range(len(standings.lines))],
        "sizes": _sizes(standings),
        "failures": any(row.passed + row.counts.get("skipped", 0) < row.tests for row in standings.table.rows),
    }


def _axes_to_choose(standings: Standings, order: Sequence[int]) -> dict[str, list[tuple[int, str, bool]]]:
    """Of each axis: the place of a column in the table, its name, and whether it is drawn at first."""
    columns = standings.table.columns
    ranked = [at for at in order if any(line.places[at] is not None for line in standings.lines)]
    costs = [at for at in order if columns[at].kind != "quality" and columns[at].better != "neutral"]
    return {
        axis: [(order.index(at), visible(metric_in_words(columns[at].name)), at == first) for at in found]
        for axis, found, first in (("up", ranked, standings.lead), ("across", costs, standings.cost))
    }


def _column_of_standings(standings: Standings, at: int, *, shown: bool) -> dict[str, Any]:
    column = standings.table.columns[at]
    return {
        "words": visible(metric_in_words(column.name)),
        "unit": visible(shortened(unit(column), LONGEST_NAME)),
        "arrow": ARROWS[column.better],
        "better": BETTER[column.better],
        "good": column.better,
        "first": "ascending" if column.better == "lower" else "descending",
        "kind": column.kind,
        "shown": shown,
        "title": f"{visible(column.name)}, version {visible(column.version)}: {BETTER[column.better]}",
    }


def _line_of_standings(standings: Standings, at: int, name: str, shared: _Shared) -> dict[str, Any]:
    line = standings.lines[at]
    row, lead = line.row, standings.lead
    table, facet = min(line.facets.items())
    drawn = standings.trained and row.published is None and not row.yardstick
    lost = row.tests - row.passed - row.counts.get("skipped", 0)
    return {
        "name": visible(shortened(name, 2 * LONGEST_NAME)),
        "link": f"#t{table}r{facet}",
        "drawn": drawn,
        "device": visible(row.hardware or "") if drawn else "",
        "weights": weights_words(row),
        "weights_kind": "published" if row.published is not None else row.weights or "unknown",
        "recipe": None
        if recipe_words(row) == shared.recipe
        else visible(shortened(recipe_words(row), 2 * LONGEST_NAME)),
        "place": place_in_words(None if lead is None else line.places[lead]),
        "lowest": None if lead is None or (place := line.places[lead]) is None else place.lowest,
        "tests": tests_short(row),
        "share": row.passed / row.tests,
        "none_tried": row.counts.get("skipped", 0) == row.tests,
        "lost": [
            (status if status in STATUS_WORDS else "unknown", visible(words), n)
            for status, words, n in outcomes(row.counts)
            if status != "passed"
        ],
        "whole": lost == 0,
        "size": _size_of(standings, at),
        "cells": [_cell_of_standings(standings, line, shown) for shown in shared.columns],
        "search": visible(f"{name} {weights_words(row)} {row.hardware or ''} {row.task or ''}").lower(),
    }


def _cell_of_standings(standings: Standings, line: Standing, shown: _Shown) -> dict[str, Any]:
    cell, place = line.row.cells[shown.at], place_in_words(line.places[shown.at])
    written = shown.written[line.row.yardstick]
    title = _title_of_cell(standings, shown.at, cell, written, place) if shown.titles else ""
    return {
        "value": None if cell.mean is None else f"{cell.mean:.9g}",
        "text": written.write(cell.mean),
        "interval": interval_in_brackets(cell, written),
        "group": 2 if cell.mean is None else 1 if dimmed(cell) else None,
        "class": " ".join(filter(None, (cell.mark if cell.mark != "tied" else "", "unranked" if dimmed(cell) else ""))),
        "mark": cell.mark if cell.mark != "tied" else None,
        "unranked": dimmed(cell),
        "missing": cell.missing if cell.mean is not None else 0,
        "place": place,
        "title": visible(title),
    }


def _title_of_cell(standings: Standings, at: int, cell: Cell, written: Notation, place: str) -> str:
    if cell.mean is None:
        return "missing: " + "; ".join(f"{reason} ({counted(n, 'test')})" for reason, n in cell.reasons)
    said = [f"{written.write(cell.mean)} {unit(standings.table.columns[at])}".strip()]
    said += [f"rank {place}"] if place else []
    said += [count_in_words(cell), *cell.remarks]
    said += [f"not ranked: {cell.unranked}"] if cell.unranked else []
    return "; ".join(said)


def _size_of(standings: Standings, at: int) -> float | None:
    """GB of the smallest card that held it, where that was measured."""
    columns = zip(standings.table.columns, standings.table.rows[at].cells, strict=True)
    return next((cell.mean for column, cell in columns if column.name == FITS_ON), None)


def _sizes(standings: Standings) -> list[float]:
    found = {_size_of(standings, at) for at in range(len(standings.lines))}
    return sorted(size for size in found if size is not None)


def _markup(svg: str) -> Any:
    """SVG from `charts`, which escapes what it is given."""
    from markupsafe import Markup

    return Markup(svg)
