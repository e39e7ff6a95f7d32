"""The leaderboard as plain text that fits a terminal: what to see at the end of a run, the rest is in the files."""

from __future__ import annotations

import textwrap
from dataclasses import replace

from pytest_vdb.analysis.tables import Cell, Column, Leaderboard, Table, dimmed
from pytest_vdb.escaping import few, lines, shortened, visible
from pytest_vdb.figures import MISSING, Notation
from pytest_vdb.reporters.grid import Side, fitted, grid, width_of
from pytest_vdb.reporters.overview import Front, fronts
from pytest_vdb.reporters.text import (
    ARROWS,
    EVERY_COLUMN,
    FAILED_PROMPTS,
    count_notes,
    counted,
    distinct_names,
    heading,
    missing_lines,
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
LONGEST_BENCHMARK, MOST_BENCHMARKS = 80, 12
MOST_REASONS = 6
MORE = "…"
MOST_COLUMNS = 400
"""Of which those are shown that fit."""
MOST_ROWS = 20
"""Rows of one table: whoever benchmarks a hundred models reads them in the HTML report."""


def render(board: Leaderboard, *, width: int = 100) -> str:
    """What did not pass, then a line per model over all benchmarks, then what must be said; at most `width` characters.

    No line is an order to a terminal or CI runner. What does not fit is left to the other reports, and counted: rows
    beyond the first 20, columns beyond the width. Metrics that are neither better high nor low have no column here.
    """
    if not board.tables:
        return "no test left a record: nothing to show"
    summary = f"{title(board)}: {status_words(board.counts)}"
    if board.reused:
        summary += f"; {counted(board.reused, 'clip')} reused from the cache"
    if (stopped := stopped_line(board)) is not None:
        summary += f"; {stopped}"
    lost, missing = _failures_and_gaps(board)
    parts = [textwrap.fill(visible(summary), width), _wrapped_notes(lost, width)]
    said: set[str] = set()
    shown = fronts(board, MOST_COLUMNS)
    for front in shown:
        parts += _lines_of_front(front, width, named=len(shown) > 1, said=said)
    if len(board.tables) > 1:
        benchmarks = few([shortened(table.name, LONGEST_BENCHMARK) for table in board.tables], MOST_BENCHMARKS)
        missing.insert(0, f"Joined from {benchmarks}: each has its own table in the HTML report")
    parts.append(_wrapped_notes(missing, width))
    return lines("\n\n".join(filter(None, parts)))


def _lines_of_front(front: Front, width: int, *, named: bool, said: set[str]) -> list[str]:
    """`said`: notes that stand above already, to which these are added."""
    short = _without_neutral(front)
    shown = _that_fit(short, width)
    notes = _notes_of_front(short)
    if len(short.table.columns) > len(shown):
        left_out = len(short.table.columns) - len(shown)
        notes.insert(0, f"{MORE} {counted(left_out, 'more metric')}: see the HTML report, or a wider terminal")
    if len(front.table.rows) > MOST_ROWS:
        notes.append(f"and {len(front.table.rows) - MOST_ROWS} more rows: see the HTML report")
    new = [note for note in notes if note not in said]
    said.update(new)
    answer = [textwrap.fill(visible(front.answer), width, break_on_hyphens=False)] if front.answer else []
    heading = [fitted(visible(front.heading), width)] if named else []
    return [*heading, *answer, _terminal_table(short, shown), _wrapped_notes(new, width)]


def _without_neutral(front: Front) -> Front:
    """The first rows, and the columns that are better high or low."""
    table = front.table
    kept = [at for at, column in enumerate(table.columns) if column.better != "neutral"]
    rows = tuple(replace(row, cells=tuple(row.cells[at] for at in kept)) for row in table.rows[:MOST_ROWS])
    return replace(
        front,
        table=replace(table, columns=tuple(table.columns[at] for at in kept), rows=rows),
        notations={yard: tuple(every[at] for at in kept) for yard, every in front.notations.items()},
    )


def _failures_and_gaps(board: Leaderboard) -> tuple[list[str], list[str]]:
    """Why tests did not pass, and why values are missing of those that did: each once over all benchmarks."""
    found: dict[tuple[str, str], int] = {}
    for table in board.tables:
        for where, why, n in missing_lines(table):
            found[where, why] = found.get((where, why), 0) + n
    lines_of = {key: f"{MISSING} {counted(n, 'test')}, {key[0]}: {key[1]}" for key, n in found.items()}
    ordered = sorted(found, key=lambda key: (-found[key], key))
    lost = [lines_of[key] for key in ordered if key[0] == EVERY_COLUMN]
    others = [lines_of[key] for key in ordered if key[0] != EVERY_COLUMN]
    return _first_reasons(lost), _first_reasons(others)


def _first_reasons(reasons: list[str]) -> list[str]:
    more = len(reasons) - MOST_REASONS
    further = [f"{MISSING} and {counted(more, 'further reason')}: see the HTML report"] if more > 0 else []
    return [*reasons[:MOST_REASONS], *further]


def _wrapped_notes(notes: list[str], width: int) -> str:
    return "\n".join(_wrapped_note(note, width) for note in notes)


def _that_fit(front: Front, width: int) -> list[int]:
    """The columns that fit side by side: the telling ones are asked first, and shown in the table's order."""
    chosen: list[int] = []
    for at in _telling_first(front.table):
        wider = sorted([*chosen, at])
        if _width(_terminal_table(front, wider)) <= width:
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


def _terminal_table(front: Front, columns: list[int]) -> str:
    table, ranks = front.table, front.ranks
    names = distinct_names(table)
    headers = [["model"], ["weights"], *([] if ranks is None else [["rank"]]), ["passed"]]
    headers += [_heading_of_column(table.columns[at], table) for at in columns]
    rows = []
    for index, row in enumerate(table.rows):
        about = [fitted(visible(names[index]), LONGEST_NAME), visible(weights_name(row))]
        about += [*([] if ranks is None else [ranks[index]]), tests_short(row)]
        rows.append(about + [_terminal_cell(row.cells[at], front.notation_at(row, at)) for at in columns])
    tall = max(map(len, headers))
    tops = [[_line_of_header(header, tall, number) for header in headers] for number in range(tall)]
    sides: list[Side] = ["left", "left"]
    sides += ["right"] * (len(headers) - 2)
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


def _notes_of_front(front: Front) -> list[str]:
    table = front.table
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
    notes += [*count_notes(table), *front.notes, *weights_note(table)]
    notes += remark_lines(table)[:MOST_REASONS]
    if any(_failed_prompts(cell) for cell in shown):
        notes.append(FAILED_PROMPTS)
    if (again := retries_line(table.rows)) is not None:
        notes.append(again)
    return notes


def _failed_prompts(cell: Cell) -> bool:
    return bool(cell.failed) and cell.rank is not None


def _wrapped_note(text: str, width: int) -> str:
    return textwrap.fill(visible(text), width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)


def _width(text: str) -> int:
    return max(width_of(line) for line in text.splitlines())
