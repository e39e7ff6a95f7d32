"""The leaderboard as LaTeX: tables to `\\input` in a paper or to compile as they are, and what belongs to them.

Beside `leaderboard.tex` lie the BibTeX of the metrics, a paragraph on methods, and figures for pgfplots. The tables
need `booktabs`, `xcolor` and `textcomp`, which every TeX has, and scale down on a narrow page with `graphicx`.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path

from pytest_vdb.analysis.tables import Cell, Column, Leaderboard, Row, Table, dimmed
from pytest_vdb.errors import OptionError, UnknownName
from pytest_vdb.escaping import few, shortened, visible
from pytest_vdb.figures import Notation
from pytest_vdb.reporters import bibliography, latex_figures
from pytest_vdb.reporters.formats import Format
from pytest_vdb.reporters.methods import methods
from pytest_vdb.reporters.overview import Front, fronts
from pytest_vdb.reporters.pages import TEMPLATES
from pytest_vdb.reporters.tex import escape, width_of
from pytest_vdb.reporters.text import (
    FAILED_PROMPTS,
    LONGEST_NAME,
    count_in_words,
    distinct_names,
    group_of,
    heading,
    notation_of,
    notes_under,
    stopped_line,
    tests_short,
    unit,
)

_TEMPLATE = TEMPLATES / "leaderboard.tex.j2"
_TABLES, _BIBLIOGRAPHY, _METHODS = "leaderboard.tex", "leaderboard.bib", "leaderboard-methods.tex"
_ARROWS = {"higher": r"$\uparrow$", "lower": r"$\downarrow$", "neutral": ""}
_LEGEND = (
    r"Mean over prompts (the samples of a prompt averaged first). \textbf{Best} and \underline{second} among rows that "
    r"were asked the same prompts; $\approx$: not told apart from the best (the values of each prompt dealt out to the "
    r"models at random, corrected for their number, $p \geq 0.05$); \vdbunranked{grey}: not ranked."
)
_OF_STANDINGS = 6
"""Columns of the standings where nobody chose any: the tables of the benchmarks have all."""
_LONGEST_NAME, _LONGEST_HEAD = 48, 24
"""Characters of a row's name, of a line over a column."""
_MOST_REASONS = 12
_MOST_ROWS = 36
"""Of one table: more do not fit on a page."""
_EM = 9.25
"""Points of `\\small` where the text has 10."""
_TABCOLSEP, _BOLD = 4.0, 1.16
"""Points on either side of a column; how much wider bold figures are."""
_WIDEST_PORTRAIT = 490.0
"""Points of text on an upright A4 page; what is wider is turned."""
_HEIGHT, _HEIGHT_TURNED = 720, 470
_NARROWEST, _USUAL_WIDTH, _WIDEST = 120, 345, 740
"""Points of a line: of a column of three, of the text of an article, of a turned A4 page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """What the tables are for."""

    columns: tuple[str, ...] = ()
    """Names of columns of the standings, in this order, and no table of a benchmark; empty: those that tell most."""
    rows: tuple[str, ...] = ()
    """Names of models or rows, as reports call them, and globs; empty: all."""
    width: int = _USUAL_WIDTH
    """Points that a table may take: what is wider is split."""
    standalone: bool = False
    """A document of its own, with the methods, the figures and the bibliography."""


def paper_for(board: Leaderboard, *, columns: str, rows: str, width: int | None, standalone: bool) -> Paper:
    """What was asked for, as names that there are.

    Args:
        board: which has them.
        columns: names or globs of columns of the standings, comma-separated; empty: those that tell most.
        rows: names or globs of models or rows, comma-separated; empty: all.
        width: points; None: as many as an article has.
        standalone: whether it is to be a document of its own.

    Raises:
        UnknownName: a name or glob that matches nothing, with what it may have meant.
        OptionError: no table fits into such a width.
    """
    if width is not None and width < _NARROWEST:
        mend = f"give at least {_NARROWEST}, the narrowest column of a page"
        raise OptionError(f"{width} points", where="--latex-width", mend=mend)
    known = [column.name for one in board.standings for column in one.table.columns]
    called = [name for row_names in _names_of_rows(board) for name in row_names]
    chosen = [name for term in _terms(columns) for name in _matching(term, known, "column", "--latex-columns")]
    for term in _terms(rows):
        _matching(term, called, "row", "--latex-rows")
    return Paper(
        columns=tuple(dict.fromkeys(chosen)), rows=_terms(rows), width=width or _USUAL_WIDTH, standalone=standalone
    )


def _terms(expression: str) -> tuple[str, ...]:
    return tuple(term for part in expression.split(",") if (term := part.strip()))


def _matching(term: str, known: Sequence[str], kind: str, where: str) -> list[str]:
    known = list(dict.fromkeys(known))
    if found := fnmatch.filter(known, term):
        return found
    raise UnknownName(kind, term, known, where=where, mend=f"There are: {few(known, 12)}.")


def _names_of_rows(board: Leaderboard) -> Iterator[tuple[str, str]]:
    """Each row's model, and what the row is called."""
    for table in (*(one.table for one in board.standings), *board.tables):
        names = distinct_names(table)
        yield from ((row.model, names[at]) for at, row in enumerate(table.rows))


def render(board: Leaderboard, paper: Paper | None = None) -> str:
    """A line per model first; then one `table` per benchmark, and as many as its columns and rows need."""
    import jinja2

    paper = paper or Paper()
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
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    landscape = paper.width > _WIDEST_PORTRAIT
    return (
        template.render(
            comment=_comment(board),
            standalone=paper.standalone,
            width=min(paper.width, _WIDEST),
            height=_HEIGHT_TURNED if landscape else _HEIGHT,
            landscape=landscape,
            tabcolsep=f"{_TABCOLSEP:g}",
            methods=Path(_METHODS).stem,
            figures=[Path(name).stem for name in latex_figures.files(board)] if paper.standalone else [],
            bibliography=Path(_BIBLIOGRAPHY).stem,
            cited=any(bibliography.cited(board).values()) if paper.standalone else False,
            tables=[part for sheet in _sheets(board, paper) for part in _parts_of_sheet(sheet, paper)],
        ).rstrip()
        + "\n"
    )


def files_for(board: Leaderboard, _: Path, *, paper: Paper) -> Mapping[str, str]:
    """The tables, and what belongs to them."""
    return {
        _TABLES: render(board, paper),
        _BIBLIOGRAPHY: bibliography.render(board),
        _METHODS: render_methods(board),
        **latex_figures.files(board),
    }


def format_for(paper: Paper) -> Format:
    """The format, with the tables as a paper wants them."""
    return Format(name="latex", files=partial(files_for, paper=paper))


FORMAT = format_for(Paper())


def render_methods(board: Leaderboard) -> str:
    """The paragraph on methods, to `\\input`; it cites the papers of `leaderboard.bib`."""
    said = "".join(
        escape(one.text) + (rf"~\cite{{{','.join(one.papers)}}}" if one.papers else "") for one in methods(board)
    )
    lines = (f"% pytest-vdb methods, {_comment(board)}", rf"{{\emergencystretch=2em {said}\par}}")
    return "\n".join(lines) + "\n"


def _comment(board: Leaderboard) -> str:
    hardware = escape(board.run.environment.hardware)
    return f"run {escape(board.run.id)} of {escape(board.run.started_at)} on {hardware}"


# Sheets: what one reads as one table, however many tables it takes ---------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _TexColumn:
    """A column of figures or of counts, as it is set."""

    head: list[str]
    """Its lines."""
    group: str
    """What stands over it and its neighbours, or nothing."""
    cells: list[str]
    width: float
    """Points that it takes at most, without the room beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sheet:
    """A table before it is split."""

    name: str
    about: list[str]
    """Sentences of its caption."""
    rows: list[str]
    """Their names."""
    rules: list[bool]
    """Whether a line is drawn above each."""
    leads: list[_TexColumn]
    """Only in the first part: ranks and tests."""
    columns: list[_TexColumn]
    notes: list[str] = field(default_factory=list)


def _sheets(board: Leaderboard, paper: Paper) -> list[_Sheet]:
    most = len(paper.columns) or _OF_STANDINGS
    sheets = [_sheet_of_front(front, paper) for front in fronts(board, most, paper.columns)]
    if not paper.columns:
        stopped = stopped_line(board)
        sheets += [_sheet_of_table(table, paper, stopped) for table in board.tables]
    return [sheet for sheet in sheets if sheet.rows]


def _sheet_of_front(front: Front, paper: Paper) -> _Sheet:
    """With the rank before the other figures."""
    ranks = None if front.ranks is None else list(front.ranks)
    sheet = _sheet(front.table, paper, front=front, ranks=ranks)
    about = [f"{escape(front.heading)}.", *([escape(front.answer)] if front.answer else []), *sheet.about]
    return replace(sheet, name=escape(front.heading), about=about, notes=[escape(note) for note in front.notes])


def _sheet_of_table(table: Table, paper: Paper, stopped: str | None) -> _Sheet:
    sheet = _sheet(table, paper)
    return replace(sheet, about=[f"{sheet.name}.", *sheet.about], notes=_notes_in_latex(table, stopped))


def _sheet(table: Table, paper: Paper, *, front: Front | None = None, ranks: list[str] | None = None) -> _Sheet:
    names = distinct_names(table)
    shown = [at for at, row in enumerate(table.rows) if _is_wanted(paper, row, names[at])]
    rows = [table.rows[at] for at in shown]
    leads = [] if ranks is None else [_counts_as_column("rank", "", [ranks[at] for at in shown])]
    leads.append(_counts_as_column("passed", "conformance", [tests_short(row) for row in rows]))
    return _Sheet(
        name=escape(shortened(table.name, 2 * _LONGEST_NAME)),
        about=[*_counts_and_devices(table, rows), _LEGEND],
        rows=[shortened(names[at], _LONGEST_NAME) for at in shown],
        rules=[at > 0 and _block(row) != _block(rows[at - 1]) for at, row in enumerate(rows)],
        leads=leads,
        columns=[_figures_as_column(table, at, rows, front) for at in range(len(table.columns))],
    )


def _is_wanted(paper: Paper, row: Row, name: str) -> bool:
    named = (fnmatch.fnmatchcase(one, term) for term in paper.rows for one in (row.model, name))
    return not paper.rows or any(named)


def _counts_and_devices(table: Table, rows: Sequence[Row]) -> list[str]:
    """`n: 6 prompts. Costs on NVIDIA H100 80GB HBM3.`"""
    counts: dict[str, list[str]] = {}
    for at, column in enumerate(table.columns):
        for words in dict.fromkeys(count_in_words(row.cells[at]) for row in rows if row.cells[at].mean is not None):
            counts.setdefault(words, []).append(heading(column, table.columns))
    told = list(counts) if len(counts) < 2 else [f"{n} ({few(columns, 4)})" for n, columns in counts.items()]
    said = [escape(f"Values of {'; '.join(told)}.")] if told else []
    priced = [row for row in rows if row.published is None and row.hardware is not None and _has_costs(table, row)]
    devices = sorted({shortened(row.hardware or "", LONGEST_NAME) for row in priced})
    return [*said, escape(f"Costs on {few(devices, 4)}.")] if devices else said


def _has_costs(table: Table, row: Row) -> bool:
    cells = zip(table.columns, row.cells, strict=True)
    return any(column.kind == "performance" and cell.mean is not None for column, cell in cells)


def _counts_as_column(head: str, group: str, words: Sequence[str]) -> _TexColumn:
    width = max(map(width_of, (head, *words)), default=0.0) * _EM
    return _TexColumn(head=[head], group=group, cells=[escape(word) for word in words], width=width)


def _figures_as_column(table: Table, at: int, rows: Sequence[Row], front: Front | None) -> _TexColumn:
    usual = notation_of(row.cells[at] for row in table.rows)
    notations = [usual if front is None else front.notation_at(row, at) for row in rows]
    cells = [_latex_cell(row.cells[at], written) for row, written in zip(rows, notations, strict=True)]
    figures = [written.write(row.cells[at].mean) for row, written in zip(rows, notations, strict=True)]
    lines, head = _head(table.columns[at], table)
    widest = max([*map(width_of, lines), *(_BOLD * width_of(figure) for figure in figures)], default=0.0)
    return _TexColumn(head=head, group=group_of(table.columns[at]), cells=cells, width=widest * _EM)


def _block(row: Row) -> str | None:
    """Rows between two rules: trained models, published figures, yardsticks, random and tiny weights."""
    if row.published is not None:
        return "published"
    return "yardstick" if row.yardstick else row.weights if row.weights in {"tiny", "random"} else None


def _head(column: Column, table: Table) -> tuple[list[str], list[str]]:
    """The name broken at its underscores, with its arrow; the unit under it: as plain text, and as LaTeX."""
    words = shortened(visible(heading(column, table.columns)), 3 * _LONGEST_HEAD).replace("_", " ").split()
    lines = [shortened(word, _LONGEST_HEAD) for word in words] or [""]
    told = [escape(line) for line in lines]
    if arrow := _ARROWS[column.better]:
        told[-1] = f"{told[-1]} {arrow}"
        lines[-1] += " mi"  # as wide as an arrow
    if unit(column):
        lines.append(f"[{shortened(unit(column), _LONGEST_HEAD)}]")
        told.append(escape(lines[-1]))
    return lines, told


def _latex_cell(cell: Cell, written: Notation) -> str:
    """Right-aligned with as many decimals as its column, so decimals align; marks take no width."""
    if cell.mean is None:
        return "--"
    text = written.write(cell.mean).replace(",", "{,}").replace("-", "$-$")
    if dimmed(cell):
        return rf"\vdbunranked{{{text}}}"
    if cell.mark == "best":
        return rf"\vdbbest{{{text}}}"
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


# Parts: what fits on a page ------------------------------------------------------------------------------------------


def _parts_of_sheet(sheet: _Sheet, paper: Paper) -> list[dict[str, object]]:
    """The rows in pages, the columns of each page in as many tables as the width asks for."""
    parts = []
    for start in range(0, len(sheet.rows), _MOST_ROWS):
        rows = range(start, min(start + _MOST_ROWS, len(sheet.rows)))
        for columns in _columns_that_fit(sheet, paper.width):
            parts.append(_part_of_sheet(sheet, rows, columns))
    for at, part in enumerate(parts):
        where = f"{at + 1} of {len(parts)}"
        part["caption"] = " ".join(sheet.about) if not at else f"{sheet.name}, continued ({where})."
    parts[-1]["notes"] = sheet.notes
    return parts


def _columns_that_fit(sheet: _Sheet, width: int) -> list[list[_TexColumn]]:
    """The columns in runs, each beside the names of the rows within `width` points, or a run of one column."""
    names = max(map(width_of, (*sheet.rows, "model"))) * _EM
    runs = [list(sheet.leads)]
    for column in sheet.columns:
        wider = [*runs[-1], column]
        begun = len(runs[-1]) > (len(sheet.leads) if len(runs) == 1 else 0)
        if begun and names + _width_of_run(wider) > width:
            runs.append([column])
        else:
            runs[-1] = wider
    return runs


def _width_of_run(columns: Sequence[_TexColumn]) -> float:
    """With the room between them, and where the name of a group is wider than its columns, that."""
    total = 0.0
    for group, found in groupby(columns, key=lambda column: column.group):
        inside = list(found)
        room = 2 * _TABCOLSEP * len(inside)
        total += max(sum(column.width for column in inside) + room, width_of(group) * _EM + 2 * _TABCOLSEP)
    return total


def _part_of_sheet(sheet: _Sheet, rows: range, columns: Sequence[_TexColumn]) -> dict[str, object]:
    return {
        "heads": [column.head for column in columns],
        "groups": _groups_over(columns),
        "rows": [
            {
                "name": escape(sheet.rows[at]),
                "cells": [column.cells[at] for column in columns],
                "rule": sheet.rules[at] and at != rows.start,
            }
            for at in rows
        ],
        "notes": [],
    }


def _groups_over(columns: Sequence[_TexColumn]) -> list[dict[str, object]]:
    """Runs of columns of one group, with the first and the last place of each; the names of the rows are place 1."""
    groups: list[dict[str, object]] = []
    first = 2
    for name, found in groupby(columns, key=lambda column: column.group):
        n = len(list(found))
        groups.append({"name": escape(name), "columns": n, "first": first, "last": first + n - 1})
        first += n
    return groups
