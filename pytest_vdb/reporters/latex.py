"""The leaderboard as a LaTeX table: `\\input` it in a paper, or compile it as it is. Needs only `booktabs`."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from pytest_vdb.analysis.tables import Cell, Column, Leaderboard, Row, Table, dimmed
from pytest_vdb.escaping import shortened, visible
from pytest_vdb.figures import Notation
from pytest_vdb.reporters.formats import Format
from pytest_vdb.reporters.overview import Front, fronts
from pytest_vdb.reporters.text import (
    FAILED_PROMPTS,
    distinct_names,
    heading,
    notation_of,
    notes_under,
    stopped_line,
    tests_short,
    unit,
)

_TEMPLATE = Path(__file__).parent / "templates" / "leaderboard.tex.j2"
_ARROWS = {"higher": r"$\uparrow$", "lower": r"$\downarrow$", "neutral": ""}
_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\texttt{\char34}",
    "[": "{[}",  # not the optional argument of the line break before it
    "]": "{]}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "-": r"-{}",  # no ligatures: -- is two hyphens
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "×": r"$\times$",
    "°": r"\textdegree{}",
    "µ": r"$\mu$",
    "μ": r"$\mu$",
    "…": r"\ldots{}",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "±": r"$\pm$",
}
_ACCENTS = frozenset({"0300", "0301", "0302", "0303", "0308", "030A", "030C", "0327"})
"""Grave, acute, circumflex, tilde, diaeresis, ring, caron, cedilla: what every TeX text font can set."""
_LEGEND = (
    r"Mean over prompts (the samples of a prompt averaged first). \textbf{Best} and \underline{second} among rows that "
    r"were asked the same prompts; $\approx$: not told apart from the best (the values of each prompt dealt out to the "
    r"models at random, corrected for their number, $p \geq 0.05$); \vdbunranked{grey}: not ranked."
)
_PER_TABLE = 7
"""Columns of figures that fit across a page; more continue in a further table."""
_LONGEST_NAME, _LONGEST_HEAD = 48, 24
"""Characters that fit beside them: of a row's name, of a line over a column."""
_MOST_REASONS = 12


def render(board: Leaderboard) -> str:
    """A line per model first; then one `table` per benchmark (and per seven columns of it)."""
    import jinja2

    environment = jinja2.Environment(
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # every text goes through `escape` instead
        undefined=jinja2.StrictUndefined,
    )
    stopped = stopped_line(board)
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return (
        template.render(
            run=escape(board.run.id),
            comment=_comment(board),
            tables=[_part_of_standings(front) for front in fronts(board, _PER_TABLE - 1)]
            + [part for t in board.tables for part in _parts_of_table(t, stopped)],
        ).rstrip()
        + "\n"
    )


FORMAT = Format(name="latex", files=lambda board, _: {"leaderboard.tex": render(board)})


def escape(text: object) -> str:
    """`text` with nothing left that TeX would obey; what pdfLaTeX's T1 fonts lack is written as its code point."""
    return "".join(_ESCAPES.get(character) or _printable_character(character) for character in visible(text))


def _printable_character(character: str) -> str:
    """ASCII, and letters that are an ASCII letter with one accent; all else as `U+4E2D`."""
    base, _, mark = unicodedata.decomposition(character).partition(" ")
    accented = mark in _ACCENTS and int(base, 16) < 0x80
    return character if character.isascii() or accented else rf"\texttt{{U+{ord(character):04X}}}"


def _comment(board: Leaderboard) -> str:
    hardware = escape(board.run.environment.hardware)
    return f"run {escape(board.run.id)} of {escape(board.run.started_at)} on {hardware}"


def _parts_of_table(table: Table, stopped: str | None) -> list[dict[str, object]]:
    starts = range(0, max(1, len(table.columns)), _PER_TABLE)
    parts = [_part(table, list(range(len(table.columns)))[start : start + _PER_TABLE]) for start in starts]
    parts[-1]["notes"] = _notes_in_latex(table, stopped)
    return parts


def _part_of_standings(front: Front) -> dict[str, object]:
    """With the rank before the other figures."""
    part = _part(front.table, list(range(len(front.table.columns))), front)
    part["caption"] = " ".join(
        [f"{escape(front.heading)}.", *([escape(front.answer)] if front.answer else []), _LEGEND]
    )
    part["notes"] = [escape(note) for note in front.notes]
    return part


def _part(table: Table, columns: list[int], front: Front | None = None) -> dict[str, object]:
    names = distinct_names(table)
    written = {at: notation_of(row.cells[at] for row in table.rows) for at in columns}
    ranked = front is not None and front.ranks is not None
    ranks = [[escape(rank)] for rank in front.ranks] if front and front.ranks else [list[str]()] * len(table.rows)
    rows = [
        {
            "name": escape(shortened(names[index], _LONGEST_NAME)),
            "tests": escape(tests_short(row)),
            "cells": ranks[index]
            + [_latex_cell(row.cells[at], front.notation_at(row, at) if front else written[at]) for at in columns],
            "rule": index > 0 and _block(row) != _block(table.rows[index - 1]),
        }
        for index, row in enumerate(table.rows)
    ]
    return {
        "heads": [*([["rank"]] if ranked else []), *(_head(table.columns[at], table) for at in columns)],
        "rows": rows,
        "caption": f"{escape(shortened(table.name, 2 * _LONGEST_NAME))}. {_LEGEND}",
        "notes": [],
    }


def _block(row: Row) -> str | None:
    """Rows between two rules: trained models, published figures, yardsticks, random and tiny weights."""
    if row.published is not None:
        return "published"
    return "yardstick" if row.yardstick else row.weights if row.weights in {"tiny", "random"} else None


def _head(column: Column, table: Table) -> list[str]:
    """The name broken at its underscores, with its arrow; the unit under it."""
    words = shortened(visible(heading(column, table.columns)), 3 * _LONGEST_HEAD).split("_")
    lines = [escape(shortened(word, _LONGEST_HEAD)) for word in words if word] or [""]
    lines[-1] = f"{lines[-1]} {_ARROWS[column.better]}".rstrip()
    return lines + ([escape(f"[{shortened(unit(column), _LONGEST_HEAD)}]")] if unit(column) else [])


def _latex_cell(cell: Cell, written: Notation) -> str:
    """Right-aligned with as many decimals as its column, so decimals align; marks take no width."""
    if cell.mean is None:
        return "--"
    text = written.write(cell.mean).replace(",", "{,}").replace("-", "$-$")
    if dimmed(cell):
        return rf"\vdbunranked{{{text}}}"
    if cell.mark == "best":
        return rf"\textbf{{{text}}}"
    if cell.mark == "second":
        text = rf"\underline{{{text}}}"
    return rf"{text}\rlap{{\textsuperscript{{$\approx$}}}}" if cell.tied else text


def _notes_in_latex(table: Table, stopped: str | None) -> list[str]:
    notes = []
    if any(cell.failed and cell.rank is not None for row in table.rows for cell in row.cells):
        notes.append(FAILED_PROMPTS)
    if stopped is not None:
        notes.append(stopped[0].upper() + stopped[1:])
    notes += notes_under(table, _MOST_REASONS)
    return [escape(note if note[-1] in ".!?" else f"{note}.") for note in notes]
