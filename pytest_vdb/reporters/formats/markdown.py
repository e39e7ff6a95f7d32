"""The leaderboard as GitHub-flavoured Markdown: for a step summary, a pull request or a README."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from pytest_vdb.analysis.tables import Cell, Leaderboard, Row, Table, dimmed
from pytest_vdb.escaping import shortened, visible
from pytest_vdb.figures import MISSING, Notation
from pytest_vdb.reporters.formats import Format
from pytest_vdb.reporters.methods import plain_methods
from pytest_vdb.reporters.overview import Front, fronts
from pytest_vdb.reporters.text import (
    ARROWS,
    LEGEND,
    LONGEST_NAME,
    distinct_names,
    heading,
    interval_in_brackets,
    notation_of,
    notes_under,
    status_words,
    stopped_line,
    tests_short,
    title,
    unit,
    weights_words,
)

MOST_COLUMNS = 10
"""Of the standings: the tables of the benchmarks have all."""
MOST_REASONS = 40
"""Lines on missing values: further ones are left to the HTML report and the CSV."""
_SPECIAL = re.compile(r"([\\`*_{}\[\]#|~$])")


def render(board: Leaderboard) -> str:
    """A line per model first; then one table per benchmark, best in bold, and below it what must be said."""
    environment = board.run.environment
    lines = ["# Video benchmark", ""]
    lines += [plain(f"{title(board)}: {status_words(board.counts) or 'nothing was run'}."), ""]
    lines += [f"Run {code(board.run.id)} of {plain(board.run.started_at)} on {plain(environment.hardware)}.", ""]
    if (stopped := stopped_line(board)) is not None:
        lines += [f"**{plain(stopped[0].upper() + stopped[1:])}.**", ""]
    for front in fronts(board, MOST_COLUMNS):
        lines += _standings_in_markdown(front)
    for table in board.tables:
        lines += [
            f"## {plain(shortened(table.name, 2 * LONGEST_NAME))}",
            "",
            *_markdown_table(table),
            "",
            *_notes_below_table(table),
        ]
    lines += ["## How it was measured", "", plain(plain_methods(board))]
    return "\n".join(lines).rstrip() + "\n"


FORMAT = Format(name="markdown", files=lambda board, _: {"leaderboard.md": render(board)})


def code(text: object) -> str:
    """`text` as a code span that ends where it should, in a table too. Mentions, links and HTML are inert in it."""
    shown = visible(text).replace("|", "\\|")
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    padding = " " if shown.startswith("`") or shown.endswith("`") or not shown.strip() else ""
    return f"{fence}{padding}{shown}{padding}{fence}"


def plain(text: object) -> str:
    """`text` as prose in which nothing is markup, HTML, a link or a mention."""
    escaped = _SPECIAL.sub(r"\\\1", html.escape(visible(text), quote=False))
    # GitHub makes links and mentions of bare text; neither pattern matches with a mark inside it.
    return escaped.replace("://", ":\\//").replace("www.", "www\\.").replace("@", "@\N{ZERO WIDTH NON-JOINER}")


def _standings_in_markdown(front: Front) -> list[str]:
    answer = [f"**{plain(front.answer)}**", ""] if front.answer else []
    notes = [f"- {plain(note)}" for note in front.notes]
    table = _markdown_table(front.table, front)
    return [f"## {plain(front.heading)}", "", *answer, *table, "", *notes, *([""] if notes else [])]


def _markdown_table(table: Table, front: Front | None = None) -> list[str]:
    """`front`: what the lines of standings have besides; None: it is a benchmark's."""
    names = distinct_names(table)
    written = [notation_of(row.cells[at] for row in table.rows) for at in range(len(table.columns))]
    ranks = None if front is None else front.ranks
    heads = ["model", "weights", *([] if ranks is None else ["rank"]), "passed"]
    for column in table.columns:
        arrow = " ".join(filter(None, (plain(shortened(unit(column), LONGEST_NAME)), ARROWS[column.better])))
        name = shortened(heading(column, table.columns), LONGEST_NAME)
        heads.append(f"{plain(name)}{f' ({arrow})' if arrow else ''}")
    lines = [table_line(heads), table_line([":--", ":--", *["--:"] * (len(heads) - 2)])]
    for at, row in enumerate(table.rows):
        notations = written if front is None else front.notations[row.yardstick]
        cells = [_markdown_cell(cell, notation) for cell, notation in zip(row.cells, notations, strict=True)]
        name = code(shortened(names[at], LONGEST_NAME))
        rank = [] if ranks is None else [ranks[at]]
        lines.append(table_line([name, _weights_in_markdown(row), *rank, tests_short(row), *cells]))
    return lines


def table_line(cells: Iterable[str]) -> str:
    """One line of a table; what is in the cells is harmless already."""
    return f"| {' | '.join(cells)} |"


def _weights_in_markdown(row: Row) -> str:
    words = weights_words(row)
    return words if row.real else f"*{words}*"


def _markdown_cell(cell: Cell, notation: Notation) -> str:
    if cell.mean is None:
        return MISSING
    text = notation.write(cell.mean)
    if (interval := interval_in_brackets(cell, notation)) is not None:
        text += f" {plain(interval)}"
    if dimmed(cell):
        return f"*({text})*"
    if cell.mark == "best":
        return f"**{text}**"
    if cell.mark == "second":
        text = f"<ins>{text}</ins>"
    return f"{text} ≈" if cell.tied else text


def _notes_below_table(table: Table) -> list[str]:
    marked = any(cell.mark == "best" for row in table.rows for cell in row.cells)
    notes = []
    if marked:
        notes.append(f"**Best**, <ins>second</ins>, ≈ not told apart from the best, *(not ranked)*. {plain(LEGEND)}")
    elif any(cell.mean is not None for row in table.rows for cell in row.cells):
        notes.append(f"*(Not ranked)*. {plain(LEGEND)}")
    notes += [plain(note) for note in notes_under(table, MOST_REASONS)]
    return [f"- {note}" for note in notes] + [""]
