"""The leaderboard as plain text that fits a terminal: what to see at the end of a run, the rest is in the files."""

from __future__ import annotations

import textwrap
from dataclasses import replace

from pytest_vdb.analysis.leaderboard import Cell, Column, Leaderboard, Table, dimmed
from pytest_vdb.escaping import visible
from pytest_vdb.reporters.text import (
    ARROWS,
    MISSING,
    counted,
    decimals,
    distinct_names,
    figure,
    heading,
    missing_lines,
    status_words,
    tests_short,
    title,
    unit,
    weights_name,
    weights_note,
)

LONGEST_NAME = 32
MOST_REASONS = 6
MORE = "…"
MOST_ROWS = 20
"""Rows of one table: whoever benchmarks a hundred models reads them in the HTML report."""


def render(board: Leaderboard, *, width: int = 100) -> str:
    """Tables at most `width` characters wide, then what must be said.

    What does not fit is left to the other reports, and counted: rows beyond the first 20, columns beyond the width.
    Metrics that are neither better high nor low, and those without any value, have no column here.
    """
    if not board.tables:
        return "no test left a record: nothing to show"
    summary = f"{title(board)}: {status_words(board.counts)}"
    if board.reused:
        summary += f"; {counted(board.reused, 'clip')} reused from the cache"
    parts = [textwrap.fill(summary, width)]
    said: set[str] = set()
    for table in board.tables:
        if len(board.tables) > 1:
            parts.append(visible(table.benchmark))
        short = _shortened_table(table)
        shown = _that_fit(short, width)
        parts.append(_grid(short, shown))
        notes = _notes(table)
        if len(short.columns) > len(shown):
            left_out = len(short.columns) - len(shown)
            notes.insert(0, f"{MORE} {counted(left_out, 'more metric')}: see the HTML report, or a wider terminal")
        if len(table.rows) > MOST_ROWS:
            notes.append(f"and {len(table.rows) - MOST_ROWS} more rows: see the HTML report")
        if new := [note for note in notes if note not in said]:
            parts.append("\n".join(_wrapped(note, width) for note in new))
            said.update(new)
    return "\n\n".join(parts)


def _shortened_table(table: Table) -> Table:
    valued = [at for at in range(len(table.columns)) if any(row.cells[at].mean is not None for row in table.rows)]
    shown = [at for at in valued if table.columns[at].better != "neutral"]
    rows = [replace(row, cells=tuple(row.cells[at] for at in shown)) for row in table.rows[:MOST_ROWS]]
    return replace(table, columns=tuple(table.columns[at] for at in shown), rows=tuple(rows))


def _that_fit(table: Table, width: int) -> list[int]:
    """The columns that fit side by side: the telling ones are asked first, and shown in the table's order."""
    chosen: list[int] = []
    for at in _telling_first(table):
        wider = sorted([*chosen, at])
        if _width(_grid(table, wider)) <= width:
            chosen = wider
    return chosen


def _telling_first(table: Table) -> list[int]:
    """Quality that is ranked before quality that is not, and between them what it costs: one column of it in three."""
    ranked = [any(not dimmed(row.cells[at]) for row in table.rows) for at in range(len(table.columns))]
    quality = [at for at, column in enumerate(table.columns) if column.kind == "quality"]
    quality.sort(key=lambda at: not ranked[at])
    cost = [at for at, column in enumerate(table.columns) if column.kind != "quality"]
    order: list[int] = []
    while quality or cost:
        order += [*quality[:2], *cost[:1]]
        quality, cost = quality[2:], cost[1:]
    return order


def _grid(table: Table, columns: list[int]) -> str:
    from tabulate import tabulate

    names = distinct_names(table)
    headers = [["model"], ["weights"], ["passed"], *(_heading(table.columns[at], table) for at in columns)]
    places = {at: decimals(row.cells[at] for row in table.rows) for at in columns}
    lines = []
    for index, row in enumerate(table.rows):
        line = [_shortened(visible(names[index])), weights_name(row), tests_short(row)]
        lines.append(line + [_cell(row.cells[at], places[at]) for at in columns])
    # Headers go in as rows: tabulate pads the ones it is given by two columns each.
    tall = max(map(len, headers))
    tops = [[_line(header, tall, number) for header in headers] for number in range(tall)]
    aligned = ["left", "left", "right", *["right"] * len(columns)]
    grid = tabulate(tops + lines, tablefmt="plain", disable_numparse=True, colalign=aligned, preserve_whitespace=True)
    text = grid.splitlines()
    return "\n".join([*text[:tall], "─" * _width(grid), *text[tall:]])


def _line(header: list[str], tall: int, number: int) -> str:
    """Line `number` of a header that stands on the rule under it."""
    return ([""] * (tall - len(header)) + header)[number]


def _heading(column: Column, table: Table) -> list[str]:
    """The name broken at its underscores, then unit and arrow; the space at the end stands over the figures' marks."""
    words = visible(heading(column, table.columns)).split("_")
    below = " ".join(filter(None, (visible(unit(column)), ARROWS[column.better])))
    return [f"{line} " for line in (*words, below) if line]


def _cell(cell: Cell, places: int) -> str:
    text = figure(cell.mean, places)
    if cell.mean is None:
        return text + " "
    if dimmed(cell):
        return f"({text})"
    if cell.mark == "best":
        return text + "*"
    return text + ("~" if cell.tied else " ")


def _notes(table: Table) -> list[str]:
    notes = []
    shown = [cell for row in table.rows for cell in row.cells]
    legend = []
    if any(cell.mark == "best" for cell in shown):
        legend.append("* best")
    if any(cell.tied and cell.mark != "best" for cell in shown):
        legend.append("~ not told apart from the best (p >= 0.05)")
    if any(dimmed(cell) for cell in shown):
        legend.append("( ) not ranked")
    if legend:
        notes.append("   ".join(legend))
    notes += weights_note(table)
    missing = missing_lines(table)
    notes += [
        f"{MISSING} {counted(n, 'test')}, {visible(where)}: {visible(why)}" for where, why, n in missing[:MOST_REASONS]
    ]
    if len(missing) > MOST_REASONS:
        notes.append(f"{MISSING} and {counted(len(missing) - MOST_REASONS, 'further reason')}: see the HTML report")
    return notes


def _wrapped(text: str, width: int) -> str:
    return textwrap.fill(text, width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _width(text: str) -> int:
    return max(len(line) for line in text.splitlines())
