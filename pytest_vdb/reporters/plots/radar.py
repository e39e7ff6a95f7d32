"""Up to five models over several metrics of quality at once: a polygon each, the better the further out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_vdb.analysis.tables import Column, Table
from pytest_vdb.escaping import shortened, visible
from pytest_vdb.figures import MISSING
from pytest_vdb.reporters.drawing import LARGEST_DRAWN, told, words_at
from pytest_vdb.reporters.overview import metric_in_words
from pytest_vdb.reporters.plots.contract import (
    KEY_HEIGHT,
    WIDTH,
    Absent,
    Drawn,
    Plot,
    drawing,
    key_of_lines,
    left_out,
    name_in_table,
    short_name,
)
from pytest_vdb.reporters.text import heading, notation_of, unit

MOST_CHOSEN = 5
MOST_AXES = 10
TITLE = "Quality at a glance"
_LEAST_AXES = 3
_RADIUS, _HOLE = 130.0, 26.0
"""Pixels: where the best of an axis stands, and the worst: a polygon of the worst is a polygon still."""
_ROOM = 44
"""Pixels above and below the circle, for the words of axes."""
_LONGEST_AXIS = 26


@dataclass(frozen=True, slots=True)
class _Axis:
    """A metric, from the worst of the shown models to the best."""

    column: Column
    at: int
    low: float
    high: float

    def distance(self, value: float) -> float:
        """From the middle, in pixels; where all are equal halfway."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return _HOLE + (_RADIUS - _HOLE) * (1 - share if self.column.better == "lower" else share)


def radar(table: Table, names: Mapping[int, str], chosen: Sequence[int] | None = None) -> Drawn:
    """Every metric of quality that has a better and a worse, scaled between the worst and the best of the models shown.

    Belongs on the leaderboard, beside the plot of quality against cost, for the first five of a task's standings; on a
    model's page for that model and those ahead of it.

    Args:
        table: standings, or a benchmark's.
        names: of its rows.
        chosen: rows, up to five; None: the first five that were measured here and whose pixels mean something.

    Returns:
        A polygon for each, open where a model has no value; the values stand in the table. The plot shows who leads
        where, and not by how much: a small difference is as wide as a large one. Its caption says so.
    """
    every = _usual_rows(table, names) if chosen is None else list(chosen)
    shown = every[:MOST_CHOSEN]
    if len(shown) < 2:
        return Absent(title=TITLE, reason="fewer than two models: nothing to scale them by")
    axes = _axes_of(table, shown)
    if len(axes) < _LEAST_AXES:
        return Absent(title=TITLE, reason="fewer than three metrics of quality that two of the models have")
    used = axes[:MOST_AXES]
    if any(max(abs(axis.low), abs(axis.high)) > LARGEST_DRAWN for axis in used):
        return Absent(title=TITLE, reason="a value is too large to be drawn")
    top = KEY_HEIGHT * len(shown) + _ROOM
    middle = WIDTH / 2, top + _RADIUS
    caption = _caption_of_radar(table, shown, names, used)
    caption += left_out(len(axes) - len(used), "metric") + (
        left_out(len(every) - len(shown), "model") if chosen else ""
    )
    parts = key_of_lines([names[at] for at in shown]) + list(_spokes(used, table.columns, middle))
    for place, row in enumerate(shown):
        parts += _polygon(table, row, place, used, middle, short_name(names[row]))
    return Plot(
        title=TITLE,
        svg=drawing(TITLE, caption, middle[1] + _RADIUS + _ROOM, parts),
        caption=caption,
        header=("Metric", *(name_in_table(names[at]) for at in shown)),
        rows=tuple(_row_of_axis(table, axis, shown) for axis in used),
    )


def _usual_rows(table: Table, names: Mapping[int, str]) -> list[int]:
    rows = ((at, table.rows[at]) for at in names)
    return [at for at, row in rows if row.real and row.published is None and not row.yardstick][:MOST_CHOSEN]


def _axes_of(table: Table, shown: Sequence[int]) -> list[_Axis]:
    """Metrics of quality with a direction, of which two of the models have a value that means something."""
    found = []
    for at, column in enumerate(table.columns):
        if column.kind != "quality" or column.better == "neutral":
            continue
        means = [value for row in shown if (value := _value_in(table, row, at)) is not None]
        if len(means) > 1:
            found.append(_Axis(column, at, min(means), max(means)))
    return found


def _value_in(table: Table, row: int, column: int) -> float | None:
    cell = table.rows[row].cells[column]
    return None if cell.wiring else cell.mean


def _caption_of_radar(table: Table, shown: Sequence[int], names: Mapping[int, str], axes: Sequence[_Axis]) -> str:
    said = (
        "Each axis goes from the worst of the models shown (inner ring) to the best (outer ring): it shows who leads "
    )
    said += "where, not by how much."
    if equal := [metric_in_words(axis.column.name) for axis in axes if axis.low == axis.high]:
        said += f" Equal in {', '.join(equal)}: drawn halfway."
    lacking = [short_name(names[row]) for row in shown if any(_value_in(table, row, axis.at) is None for axis in axes)]
    if lacking:
        said += f" Without a value on some axis, so their lines are open there: {', '.join(lacking)}."
    return said


def _spokes(axes: Sequence[_Axis], columns: Sequence[Column], middle: tuple[float, float]) -> Iterator[str]:
    x, y = middle
    for radius in (_HOLE, (_HOLE + _RADIUS) / 2, _RADIUS):
        yield f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"/>'
    for at, axis in enumerate(axes):
        (near, far), (left, top) = _on_spoke(at, axes, _HOLE, middle), _on_spoke(at, axes, _RADIUS, middle)
        yield f'<line class="grid" x1="{near:.1f}" y1="{far:.1f}" x2="{left:.1f}" y2="{top:.1f}"/>'
        beside, base = _on_spoke(at, axes, _RADIUS + 14, middle)
        anchor = "middle" if abs(beside - x) < 12 else "start" if beside > x else "end"
        text = shortened(visible(heading(axis.column, columns)).replace("_", " "), _LONGEST_AXIS)
        yield words_at(beside, base + 4, text, anchor, "axis")


def _polygon(
    table: Table, row: int, place: int, axes: Sequence[_Axis], middle: tuple[float, float], name: str
) -> Iterator[str]:
    """Closed if it has every value; else a line through neighbours that it has, and points."""
    points: list[tuple[float, float] | None] = []
    for at, axis in enumerate(axes):
        value = _value_in(table, row, axis.at)
        points.append(None if value is None else _on_spoke(at, axes, axis.distance(value), middle))
    for one, other in zip(points, [*points[1:], points[0]], strict=True):
        if one is not None and other is not None:
            ends = f'x1="{one[0]:.1f}" y1="{one[1]:.1f}" x2="{other[0]:.1f}" y2="{other[1]:.1f}"'
            yield f'<line class="line c{place}" {ends}/>'
    for point in filter(None, points):
        yield f'<circle class="dot c{place}" cx="{point[0]:.1f}" cy="{point[1]:.1f}" r="3.5">{told(name)}</circle>'


def _on_spoke(at: int, axes: Sequence[_Axis], distance: float, middle: tuple[float, float]) -> tuple[float, float]:
    angle = 2 * math.pi * at / len(axes) - math.pi / 2
    return middle[0] + distance * math.cos(angle), middle[1] + distance * math.sin(angle)


def _row_of_axis(table: Table, axis: _Axis, shown: Sequence[int]) -> tuple[str, ...]:
    cells = [table.rows[row].cells[axis.at] for row in shown]
    write = notation_of(cells).write
    measured = unit(axis.column)
    name = name_in_table(f"{metric_in_words(axis.column.name)}{f' in {measured}' if measured else ''}")
    return (name, *(MISSING if cell.wiring else write(cell.mean) for cell in cells))
