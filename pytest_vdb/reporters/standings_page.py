"""The first part of the page: what the answer is, one plot, and a line per model with a link to its own page.

What a cell has to say besides its figure is told on a hover and on focus by the page's script: it stands in attributes
of its line in as few bytes as it can, because a page of hundreds of models is nothing but cells.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pytest_vdb.analysis.tables import NEUTRAL, Cell, Leaderboard, Row, Standing, Standings, dimmed
from pytest_vdb.escaping import shortened, visible
from pytest_vdb.figures import Notation
from pytest_vdb.records import CardFacts
from pytest_vdb.reporters import charts
from pytest_vdb.reporters.distributions import Distributions, distributions_of
from pytest_vdb.reporters.overview import (
    FITS_ON,
    TASKS,
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
from pytest_vdb.reporters.pages import markup
from pytest_vdb.reporters.placed_plots import plots_of_standings
from pytest_vdb.reporters.tables_page import KINDS, kind_of_weights, outcomes_besides_passed
from pytest_vdb.reporters.text import (
    ARROWS,
    BETTER,
    LONGEST_NAME,
    count_in_words,
    counted,
    interval_in_brackets,
    recipe_words,
    tests_short,
    unit,
    weights_words,
)

MOST_COLUMNS, MOST_CELLS = 24, 7_200
"""Of the standings: further ones are in the tables of the benchmarks."""
SHOWN_COLUMNS = 7
"""Of these, before anyone asks for more."""
ROOMY_CELLS = 1_500
"""Up to so many have their intervals below them; of more these are told on a hover and on focus."""
MOST_DISTRIBUTIONS = 600
"""Cells that have the distribution of their values: of 300 models two columns, which are 7 kB."""
_UNKNOWN = "not known"
"""How a filter calls what no card says."""


def standings_of_page(
    board: Leaderboard, links: Sequence[Sequence[str]], names: Sequence[Mapping[int, str]]
) -> list[dict[str, Any]]:
    """What the template shows, a section for each of the board's standings.

    Args:
        board: what to show.
        links: of each of the standings the pages of its lines.
        names: of each of them what its lines are called.
    """
    said = answers(board)
    return [
        _section_of_page(f"s{at}", one, said[at], _Lines(names[at], links[at], board.run.models))
        for at, one in enumerate(board.standings)
    ]


@dataclass(frozen=True, slots=True)
class _Lines:
    """What is known of the lines besides what was measured."""

    names: Mapping[int, str]
    links: Sequence[str]
    cards: Mapping[str, CardFacts]

    def family(self, row: Row) -> str:
        """Of the row's model, as its card has it."""
        return self.cards.get(row.model, CardFacts()).family or _UNKNOWN

    def licence(self, row: Row) -> str:
        """Of the weights, as its card has it."""
        return self.cards.get(row.model, CardFacts()).licence or _UNKNOWN


@dataclass(frozen=True, slots=True)
class _Shown:
    """A column, and what its cells share."""

    at: int
    written: Mapping[bool, Notation]
    """Of models, and of yardsticks."""
    count: str
    """From how many prompts most of its values are."""
    distributions: Distributions | None
    """Of its values over the prompts; None: there is no room for them, or nothing to see."""


@dataclass(frozen=True, slots=True)
class _Shared:
    """What the lines have in common."""

    columns: Sequence[_Shown]
    recipe: str | None
    weights: str | None
    """Said once for all of them; None: each says its own."""
    devices: Sequence[str]
    texts: dict[str, int]
    """What cells say besides figures -> its place in the list of it; grows while lines are made."""
    roomy: bool
    filters: Sequence[dict[str, Any]]


def _section_of_page(key: str, standings: Standings, said: Sequence[Said], known: _Lines) -> dict[str, Any]:
    room = max(SHOWN_COLUMNS, MOST_CELLS // len(standings.lines))
    telling = telling_columns(standings, min(MOST_COLUMNS, room))
    lead = standings.lead
    order = sorted(telling, key=lambda at: standings.table.columns[at].kind != "quality")
    shared = _shared_of_lines(standings, order, known, _distributions_of_columns(standings, telling[:SHOWN_COLUMNS]))
    plot = charts.of_standings(standings, known.names)
    return {
        "id": key,
        "heading": heading_of_standings(standings),
        "task": standings.task or "",
        "answer": [(visible(piece.text), piece.name) for piece in said],
        "notes": [visible(note) for note in _notes_of_section(standings, shared)],
        "plot": markup(plot.svg) if plot else None,
        "caption": visible(plot.caption) if plot else None,
        "axes": _axes_to_choose(standings, order) if plot else None,
        "ranked": lead is not None,
        "lead": None if lead is None else visible(metric_in_words(standings.table.columns[lead].name)),
        "columns": [
            _column_of_standings(standings, shown, at_first=shown.at in telling[:SHOWN_COLUMNS])
            for shown in shared.columns
        ],
        "kinds": [(kind, KINDS[kind]) for kind in KINDS if kind in {standings.table.columns[at].kind for at in order}],
        "starts": next((n for n, at in enumerate(order) if n and standings.table.columns[at].kind != "quality"), None),
        "lines": [_line_of_standings(standings, at, known, shared) for at in range(len(standings.lines))],
        "texts": json.dumps([visible(text) for text in shared.texts], ensure_ascii=False, separators=(",", ":")),
        "devices": json.dumps([visible(name) for name in shared.devices], ensure_ascii=False, separators=(",", ":")),
        "common": visible(" ".join(filter(None, (shared.weights, standings.task)))),
        "filters": shared.filters,
        "roomy": shared.roomy,
        "has_distributions": any(shown.distributions for shown in shared.columns),
        "plots": plots_of_standings(standings, known.names) if shared.roomy else [],
    }


def is_roomy(standings: Standings) -> bool:
    """Whether the section is small enough to say everything where it stands."""
    return min(MOST_COLUMNS, len(standings.table.columns)) * len(standings.lines) <= ROOMY_CELLS


def _distributions_of_columns(standings: Standings, telling: Sequence[int]) -> dict[int, Distributions]:
    """Column -> how its values lie over the prompts: of the metrics of quality that tell most, while there is room."""
    quality = (at for at in telling if standings.table.columns[at].kind == "quality")
    rows = standings.table.rows
    found = ((at, distributions_of([row.cells[at] for row in rows])) for at in quality)
    some = ((at, one) for at, one in found if one is not None)
    return dict(islice(some, MOST_DISTRIBUTIONS // len(rows)))


def _shared_of_lines(
    standings: Standings, order: Sequence[int], known: _Lines, distributions: Mapping[int, Distributions]
) -> _Shared:
    rows = standings.table.rows
    by_yardstick = {row.yardstick: row for row in rows}
    columns = [
        _Shown(
            at,
            {yard: notation_beside(standings, row, at) for yard, row in by_yardstick.items()},
            _usual_count(row.cells[at] for row in rows),
            distributions.get(at),
        )
        for at in order
    ]
    roomy = is_roomy(standings)
    weights = {weights_words(row) for row in rows}
    return _Shared(
        columns=columns,
        recipe=recipe_of_all(standings),
        weights=None if roomy or len(weights) > 1 else next(iter(weights), None),
        devices=sorted({row.hardware or "" for row in rows}),
        texts={},
        roomy=roomy,
        filters=_filters_of_lines(standings, known),
    )


def _usual_count(cells: Iterable[Cell]) -> str:
    """`1,000 prompts`."""
    counts = Counter(count_in_words(cell) for cell in cells if cell.mean is not None)
    return counts.most_common(1)[0][0] if counts else ""


def _notes_of_section(standings: Standings, shared: _Shared) -> list[str]:
    notes = notes_on_standings(standings)
    if shared.weights is not None:
        notes.append(f"All have {shared.weights}.")
    if not shared.roomy:
        notes.append("Intervals, ranks and counts of a value are told where the pointer or the keyboard's focus is.")
    if left_out := len(standings.table.columns) - len(shared.columns):
        notes.append(f"{counted(left_out, 'more metric')}: see the tables of the benchmarks below.")
    return notes


def _filters_of_lines(standings: Standings, known: _Lines) -> list[dict[str, Any]]:
    """What lines can be narrowed by, as far as they differ in it."""
    rows = standings.table.rows
    found = [
        _filter_by_word("k", "Task", "Any task", [_task_of(row) for row in rows]),
        _filter_by_word("f", "Family of the model", "Any family", [known.family(row) for row in rows]),
        _filter_by_word("l", "Licence of the weights", "Any licence", [known.licence(row) for row in rows]),
    ]
    sizes = sorted({size for at in range(len(rows)) if (size := _size_of(standings, at)) is not None})
    if len(sizes) > 1:
        options = [(f"{size:g}", f"Fits on {size:g} GB") for size in sizes]
        found.append({"by": "g", "label": "Card that it fits on", "any": "Any card", "options": options})
    if any(not _is_whole(row) for row in rows):
        options = [("1", "All passed"), ("0", "With failures")]
        found.append({"by": "o", "label": "Outcome of the tests", "any": "Any outcome", "options": options})
    return [one for one in found if one is not None]


def _filter_by_word(by: str, label: str, anything: str, words: Sequence[str]) -> dict[str, Any] | None:
    """None where all lines are alike."""
    options = sorted(set(words), key=lambda word: (word == _UNKNOWN, word.lower(), word))
    if len(options) < 2:
        return None
    shown = [(str(at), visible(shortened(word, LONGEST_NAME))) for at, word in enumerate(options)]
    return {
        "by": by,
        "label": label,
        "any": anything,
        "options": shown,
        "places": {w: n for n, w in enumerate(options)},
    }


def _task_of(row: Row) -> str:
    return TASKS.get(row.task, str(row.task))


def _is_whole(row: Row) -> bool:
    return row.passed + row.counts.get("skipped", 0) >= row.tests


def _axes_to_choose(standings: Standings, order: Sequence[int]) -> dict[str, list[tuple[int, str, bool]]]:
    """Of each axis: the place of a column in the table, its name, and whether it is drawn at first."""
    columns = standings.table.columns
    ranked = [at for at in order if any(line.places[at] is not None for line in standings.lines)]
    costs = [at for at in order if columns[at].kind != "quality" and columns[at].better != "neutral"]
    return {
        axis: [(order.index(at), visible(metric_in_words(columns[at].name)), at == first) for at in found]
        for axis, found, first in (("up", ranked, standings.lead), ("across", costs, standings.cost))
    }


def _column_of_standings(standings: Standings, shown: _Shown, *, at_first: bool) -> dict[str, Any]:
    column = standings.table.columns[shown.at]
    return {
        "words": visible(metric_in_words(column.name)),
        "unit": visible(shortened(unit(column), LONGEST_NAME)),
        "arrow": ARROWS[column.better],
        "better": BETTER[column.better],
        "good": column.better,
        "first": "ascending" if column.better == "lower" else "descending",
        "kind": column.kind,
        "count": shown.count,
        "shown": at_first,
        "distributed": ""
        if shown.distributions is None
        else ",".join(f"{end:.6g}" for end in shown.distributions.ends),
        "title": f"{visible(column.name)}, version {visible(column.version)}: {BETTER[column.better]}",
    }


def _line_of_standings(standings: Standings, at: int, known: _Lines, shared: _Shared) -> dict[str, Any]:
    line = standings.lines[at]
    row, lead = line.row, standings.lead
    recipe = recipe_words(row)
    cells = [_cell_of_standings(line, shown, roomy=shared.roomy) for shown in shared.columns]
    return {
        "name": visible(shortened(known.names[at], 2 * LONGEST_NAME)),
        "link": known.links[at],
        "device": shared.devices.index(row.hardware or ""),
        "drawn": standings.trained and row.published is None and not row.yardstick,
        "weights": None if shared.weights is not None else weights_words(row),
        "weights_kind": kind_of_weights(row),
        "recipe": None if recipe == shared.recipe else visible(shortened(recipe, 2 * LONGEST_NAME)),
        "place": place_in_words(None if lead is None else line.places[lead]),
        "tests": tests_short(row),
        "share": f"{row.passed / row.tests:.9g}",
        "none_tried": row.counts.get("skipped", 0) == row.tests,
        "lost": outcomes_besides_passed(row),
        "narrowed": [(one["by"], _value_of_filter_by_word(one, standings, at, known)) for one in shared.filters],
        "cells": cells,
        "ends": ",".join(_ends_of_interval(line, shown) for shown in shared.columns).rstrip(","),
        "places": ",".join(place_in_words(line.places[shown.at]).replace("–", "-") for shown in shared.columns).rstrip(
            ","
        ),
        "heights": ",".join(
            "" if shown.distributions is None else shown.distributions.heights.get(at, "") for shown in shared.columns
        ).rstrip(","),
        "texts": _texts_of_line(line, shared),
    }


def _value_of_filter_by_word(one: Mapping[str, Any], standings: Standings, at: int, known: _Lines) -> str | None:
    row = standings.table.rows[at]
    match one["by"]:
        case "g":
            size = _size_of(standings, at)
            return None if size is None else f"{size:g}"
        case "o":
            return str(int(_is_whole(row)))
        case "k":
            word = _task_of(row)
        case "f":
            word = known.family(row)
        case _:
            word = known.licence(row)
    return str(one["places"][word])


def _cell_of_standings(line: Standing, shown: _Shown, *, roomy: bool) -> dict[str, Any]:
    """What stands in the cell; see `_ends_of_interval` and `_texts_of_line` for what it says when it is asked."""
    cell, written = line.row.cells[shown.at], shown.written[line.row.yardstick]
    mark = cell.mark if cell.mark != "tied" else None
    kind = "m" if cell.mean is None else "unranked" if dimmed(cell) else ""
    return {
        "value": f"{cell.mean:.9g}" if roomy and cell.mean is not None else None,
        "text": written.write(cell.mean),
        "interval": interval_in_brackets(cell, written) if roomy else None,
        "class": " ".join(filter(None, (mark, kind))),
        "mark": mark,
        "roomy": roomy,
        "unranked": dimmed(cell),
        "missing": cell.missing if cell.mean is not None else 0,
    }


def _ends_of_interval(line: Standing, shown: _Shown) -> str:
    """How far the interval reaches below and above the value, counted in the last digit that is shown: `18_17`.

    Of figures with an exponent the two ends as they are written: `2.0e-6~2.3e-6`.
    """
    cell, written = line.row.cells[shown.at], shown.written[line.row.yardstick]
    if cell.mean is None or cell.interval is None:
        return ""
    texts = [written.write(value) for value in (cell.interval[0], cell.mean, cell.interval[1])]
    if written.scientific:
        return f"{texts[0]}~{texts[2]}"
    low, middle, high = (int(re.sub(r"[.,]", "", text)) for text in texts)
    return f"{middle - low}_{high - middle}"


def _texts_of_line(line: Standing, shared: _Shared) -> str:
    """What cells say besides figures, as places in the list of it with the columns: `4:*;5:0.3`.

    How many prompts a value is of is told with `=` before it, where it is not as many as in the column's head.
    """
    columns: dict[int, list[int]] = {}
    for n, shown in enumerate(shared.columns):
        for text in _texts_of_cell(line.row.cells[shown.at], shown):
            columns.setdefault(shared.texts.setdefault(text, len(shared.texts)), []).append(n)
    every = len(shared.columns)
    return ";".join(f"{text}:{'*' if len(of) == every else '.'.join(map(str, of))}" for text, of in columns.items())


def _texts_of_cell(cell: Cell, shown: _Shown) -> list[str]:
    if cell.mean is None:
        return [f"missing: {reason} ({counted(n, 'test')})" for reason, n in cell.reasons]
    said = [] if count_in_words(cell) == shown.count else [f"={count_in_words(cell)}"]
    said += [f"no interval: {cell.no_interval}"] if cell.interval is None and cell.no_interval else []
    said += cell.remarks
    said += [f"not ranked: {cell.unranked}"] if cell.unranked and cell.unranked != NEUTRAL else []
    said += [f"{cell.missing:,} missing"] if cell.missing else []
    return said


def _size_of(standings: Standings, at: int) -> float | None:
    """GB of the smallest card that held it, where that was measured."""
    columns = zip(standings.table.columns, standings.table.rows[at].cells, strict=True)
    return next((cell.mean for column, cell in columns if column.name == FITS_ON), None)
