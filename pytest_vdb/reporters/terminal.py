"""The leaderboard as plain text that fits a terminal: what to see at the end of a run, the rest is in the files."""

from __future__ import annotations

import textwrap
from dataclasses import replace

from pytest_vdb.analysis.tables import Cell, Column, Leaderboard, Table, dimmed
from pytest_vdb.escaping import lines, visible
from pytest_vdb.figures import MISSING, Notation
from pytest_vdb.reporters.grid import Side, fitted, grid, width_of
from pytest_vdb.reporters.text import (
    ARROWS,
    FAILED_PROMPTS,
    count_notes,
    counted,
    distinct_names,
    heading,
    missing_lines,
    notation_of,
    order_note,
    remark_lines,
    retries_line,
    status_words,
    stopped_line,
    tests_short,
    title,
    unit,
    weights_name,
    weights_note,
)

LONGEST_NAME = 40
MOST_REASONS = 6
MORE = "…"
MOST_ROWS = 20
"""Rows of one table: whoever benchmarks a hundred models reads them in the HTML report."""


def render(board: Leaderboard, *, width: int = 100) -> str:
    """Tables at most `width` characters wide, then what must be said; no line is an order to a terminal or CI runner.

    What does not fit is left to the other reports, and counted: rows beyond the first 20, columns beyond the width.
    Metrics that are neither better high nor low, and those without any value, have no column here.
    """
    if not board.tables:
        return "no test left a record: nothing to show"
    summary = f"{title(board)}: {status_words(board.counts)}"
    if board.reused:
        summary += f"; {counted(board.reused, 'clip')} reused from the cache"
    if (stopped := stopped_line(board)) is not None:
        summary += f"; {stopped}"
    parts = [textwrap.fill(visible(summary), width)]
    said: set[str] = set()
    for table in board.tables:
        if len(board.tables) > 1:
            parts.append(fitted(visible(table.name), width))
        short = _shortened_table(table)
        shown = _that_fit(short, width)
        parts.append(_terminal_table(short, shown))
        notes = _notes_of_table(table)
        if len(short.columns) > len(shown):
            left_out = len(short.columns) - len(shown)
            notes.insert(0, f"{MORE} {counted(left_out, 'more metric')}: see the HTML report, or a wider terminal")
        if len(table.rows) > MOST_ROWS:
            notes.append(f"and {len(table.rows) - MOST_ROWS} more rows: see the HTML report")
        if new := [note for note in notes if note not in said]:
            parts.append("\n".join(_wrapped_note(note, width) for note in new))
            said.update(new)
    return lines("\n\n".join(parts))


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
        if _width(_terminal_table(table, wider)) <= width:
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


def _terminal_table(table: Table, columns: list[int]) -> str:
    names = distinct_names(table)
    headers = [["model"], ["weights"], ["passed"], *(_heading_of_column(table.columns[at], table) for at in columns)]
    written = {at: notation_of(row.cells[at] for row in table.rows) for at in columns}
    rows = []
    for index, row in enumerate(table.rows):
        about = [fitted(visible(names[index]), LONGEST_NAME), visible(weights_name(row)), tests_short(row)]
        rows.append(about + [_terminal_cell(row.cells[at], written[at]) for at in columns])
    tall = max(map(len, headers))
    tops = [[_line_of_header(header, tall, number) for header in headers] for number in range(tall)]
    sides: list[Side] = ["left", "left", "right"]
    sides += ["right"] * len(columns)
    return grid(tops + rows, sides, rule_after=tall)


def _line_of_header(header: list[str], tall: int, number: int) -> str:
    """Line `number` of a header that stands on the rule under it."""
    return ([""] * (tall - len(header)) + header)[number]


def _heading_of_column(column: Column, table: Table) -> list[str]:
    """The name broken at its underscores, then unit and arrow; the space at the end stands over the figures' marks."""
    words = visible(heading(column, table.columns)).split("_")
    below = " ".join(filter(None, (visible(unit(column)), ARROWS[column.better])))
    return [f"{line} " for line in (*words, below) if line]


def _terminal_cell(cell: Cell, written: Notation) -> str:
    text = written.write(cell.mean)
    if cell.mean is None:
        return text + " "
    if dimmed(cell):
        return f"({text})"
    if cell.mark == "best":
        return text + "*"
    return text + ("~" if cell.tied else " ")


def _notes_of_table(table: Table) -> list[str]:
    notes = []
    shown = [cell for row in table.rows for cell in row.cells]
    legend = []
    if any(cell.mark == "best" for cell in shown):
        legend.append("* best")
    if any(cell.tied and cell.mark != "best" for cell in shown):
        legend.append("~ not told apart from the best (corrected for the number of models, p >= 0.05)")
    if any(dimmed(cell) for cell in shown):
        legend.append("( ) not ranked")
    if legend:
        notes.append("   ".join(legend))
    notes += [note for note in (*count_notes(table), order_note(table)) if note is not None]
    notes += weights_note(table)
    notes += remark_lines(table)[:MOST_REASONS]
    if any(_failed_prompts(cell) for cell in shown):
        notes.append(FAILED_PROMPTS)
    if (again := retries_line(table.rows)) is not None:
        notes.append(again)
    missing = missing_lines(table)
    notes += [f"{MISSING} {counted(n, 'test')}, {where}: {why}" for where, why, n in missing[:MOST_REASONS]]
    if len(missing) > MOST_REASONS:
        notes.append(f"{MISSING} and {counted(len(missing) - MOST_REASONS, 'further reason')}: see the HTML report")
    return notes


def _failed_prompts(cell: Cell) -> bool:
    return bool(cell.failed) and cell.rank is not None


def _wrapped_note(text: str, width: int) -> str:
    return textwrap.fill(visible(text), width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)


def _width(text: str) -> int:
    return max(width_of(line) for line in text.splitlines())
