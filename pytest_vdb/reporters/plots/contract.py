"""What a plot is: a picture, what it says in words, and the same figures as a table; or why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_vdb.escaping import shortened, visible
from pytest_vdb.reporters.drawing import Scale, escaped, words_at
from pytest_vdb.reporters.text import LONGEST_NAME, counted

WIDTH = 640
"""Of every plot: pages let it shrink with the screen down to what can be read."""
MOST_MODELS = 20
"""Lines of a plot that has one for each model: of more the page would be noticeably larger, and nobody reads them."""
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 30, 46
"""What axes and their words take of a plot that has some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A drawing that needs nothing but the style of `templates/plots.css`."""

    title: str
    """What is drawn: the picture's name."""
    svg: str
    caption: str
    """What must be known to read it, and what it leaves out."""
    header: tuple[str, ...]
    """Of the same figures as a table, for who does not see the picture."""
    rows: tuple[tuple[str, ...], ...]
    """The first cell of each is its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """No plot, because nothing was measured that it would show."""

    title: str
    reason: str


Drawn = Plot | Absent


def figure(drawn: Drawn) -> str:
    """HTML of a plot with its caption and its table behind a summary; of none the reason in a line.

    Everything in it is escaped: pages mark it as markup.
    """
    if isinstance(drawn, Absent):
        return f'<p class="absent"><b>{escaped(drawn.title)}</b>: {escaped(drawn.reason)}</p>'
    head = "".join(f'<th scope="col">{escaped(cell)}</th>' for cell in drawn.header)
    body = "".join(_row_in_html(row) for row in drawn.rows)
    title = escaped(drawn.title)
    named = f'<caption class="hidden-text">{title}</caption>'
    table = f"<table>{named}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    held = f'<div class="held" tabindex="0" role="region" aria-label="{title} as a table">{table}</div>'
    return (
        f'<figure class="plot"><p class="plot-title" aria-hidden="true">{title}</p>'
        f'<div class="canvas" tabindex="0" role="group" aria-label="{title}">{drawn.svg}</div>'
        f"<figcaption>{escaped(drawn.caption)}</figcaption>"
        f"<details><summary>As a table</summary>{held}</details></figure>"
    )


def drawing(title: str, caption: str, height: float, parts: Sequence[str]) -> str:
    """The SVG of a plot, which is called by its title and described by its caption."""
    size = f'width="{WIDTH}" height="{height:g}" viewBox="0 0 {WIDTH} {height:g}"'
    told = f"<title>{escaped(title)}</title><desc>{escaped(caption)}</desc>"
    return f'<svg class="drawn" {size} role="img">{told}{"".join(parts)}</svg>'


def across(low: float, high: float) -> Scale:
    """From left to right, between the margins."""
    return Scale(low, high, LEFT, WIDTH - RIGHT)


def upwards(values: Sequence[float], height: float, *, top: float = TOP, floor: float | None = None) -> Scale:
    """From bottom to top, with some room above and below the values.

    Args:
        values: at least one.
        height: of the plot.
        top: where the highest may stand, in pixels.
        floor: the lowest that is drawn; None: the lowest value, and some room.
    """
    low, high = min(values), max(values)
    margin = 0.08 * (high - low) or abs(high) * 0.1 or 1.0
    return Scale(low - margin if floor is None else floor, high + margin, height - BOTTOM, top)


def key_of_lines(names: Sequence[str]) -> list[str]:
    """A line for each name above the plot, with how it is drawn; colours are never alone: dashes differ as well."""
    parts = []
    for at, name in enumerate(names):
        y = 12 + KEY_HEIGHT * at
        parts.append(f'<line class="line c{at}" x1="{LEFT}" x2="{LEFT + 30}" y1="{y - 4}" y2="{y - 4}"/>')
        parts.append(words_at(LEFT + 38, y, short_name(name), "start", "name"))
    return parts


KEY_HEIGHT = 18


def short_name(name: str) -> str:
    """As it stands in a drawing, whatever is in it."""
    return shortened(visible(name), 48)


def name_in_table(name: str) -> str:
    """As it stands in the table of a plot."""
    return shortened(visible(name), LONGEST_NAME)


def left_out(more: int, noun: str) -> str:
    """What a plot has no room for, as the end of its caption."""
    return f" Not drawn: {counted(more, f'more {noun}')}." if more > 0 else ""


def _row_in_html(row: Sequence[str]) -> str:
    first, *others = row
    return f'<tr><th scope="row">{escaped(first)}</th>{"".join(f"<td>{escaped(cell)}</td>" for cell in others)}</tr>'
