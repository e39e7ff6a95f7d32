"""Small drawings as inline SVG, made of numbers only: shapes and classes, no text that comes from outside unescaped."""

from __future__ import annotations

import html
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from pytest_vdb.analysis.tables import Cell, Column, Standings
from pytest_vdb.escaping import shortened, visible
from pytest_vdb.figures import notation
from pytest_vdb.reporters.drawing import LARGEST_DRAWN, Scale, axes, picture, words_at
from pytest_vdb.reporters.overview import metric_in_words
from pytest_vdb.reporters.text import BETTER, counted, unit

BAR_WIDTH, BAR_HEIGHT = 84, 8
SPARK_WIDTH, SPARK_HEIGHT = 120, 20
CHART_WIDTH, CHART_HEIGHT = 640, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 26, 50
_LONGEST_NAME = 48
TREND_HEIGHT = 150
_TREND_TOP, _TREND_BOTTOM = 10, 26


def interval_bar(cell: Cell, among: Sequence[Cell]) -> str:
    """Where the cell's mean and interval lie between the lowest and the highest of `among`."""
    if cell.mean is None:
        return ""
    ends = [end for other in among if other.mean is not None for end in (other.mean, *(other.interval or ()))]
    scale = Scale(min(ends), max(ends), 3, BAR_WIDTH - 3)
    middle, x = BAR_HEIGHT / 2, scale.at(cell.mean)
    parts = [f'<line class="track" x1="0" x2="{BAR_WIDTH}" y1="{middle}" y2="{middle}"/>']
    if cell.interval is not None:
        low, high = (scale.at(end) for end in cell.interval)
        parts.append(f'<line class="range" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>')
    parts.append(f'<circle cx="{x:.1f}" cy="{middle}" r="3"/>')
    return picture("bar", BAR_WIDTH, BAR_HEIGHT, parts)


def sparkline(series: Sequence[float]) -> str:
    """A per-frame series as a line from its own lowest to its own highest value."""
    if len(series) < 2 or not all(math.isfinite(value) for value in series):
        return ""
    step = (SPARK_WIDTH - 4) / (len(series) - 1)
    scale = Scale(min(series), max(series), SPARK_HEIGHT - 3, 3)
    points = " ".join(f"{2 + index * step:.1f},{scale.at(value):.1f}" for index, value in enumerate(series))
    return picture("spark", SPARK_WIDTH, SPARK_HEIGHT, [f'<polyline points="{points}"/>'])


@dataclass(frozen=True, slots=True)
class Scatter:
    """A drawing and what it says in words."""

    svg: str
    caption: str


def of_standings(standings: Standings, names: Mapping[int, str]) -> Scatter | None:
    """The plot of what ranks the models over what they cost first; None where that cannot be drawn."""
    if standings.lead is None or standings.cost is None:
        return None
    return pareto(standings, names, standings.lead, standings.cost)


def drawn_models(
    standings: Standings, quality: int, cost: int
) -> tuple[list[tuple[int, Cell, Cell]], frozenset[int], int]:
    """Of the plot of quality over cost: each line with its cost and its quality; the lines that no other beats in both;
    and how many were measured on another device than most and are not drawn."""
    columns = standings.table.columns
    points, elsewhere = _points_of_models(standings, quality, cost)
    front = _front(points, costly=columns[cost].better == "higher", better=columns[quality].better == "higher")
    return points, front, elsewhere


def pareto(standings: Standings, names: Mapping[int, str], quality: int, cost: int) -> Scatter | None:
    """A column of quality over a cost, and who is beaten by nobody in both; None where fewer than two models have both.

    Args:
        standings: whose lines are drawn: trained models that were measured here, on the device that most of them share.
        names: of the lines.
        quality: the column that goes up.
        cost: the column that goes right.
    """
    points, elsewhere = _points_of_models(standings, quality, cost)
    if len(points) < 2:
        return None
    if max(map(abs, (*_ends([x for _, x, _ in points]), *_ends([y for _, _, y in points])))) > LARGEST_DRAWN:
        return None
    y_column, x_column = standings.table.columns[quality], standings.table.columns[cost]
    xs, ys = [x for _, x, _ in points], [y for _, _, y in points]
    x_scale, y_scale = _scale_across(xs), _scale_up(ys)
    costly = x_column.better == "higher"
    front = _front(points, costly=costly, better=y_column.better == "higher")
    parts = axes(x_scale, y_scale)
    parts.append(words_at(_LEFT, 14, _axis_in_words(y_column), "start", "axis"))
    parts.append(words_at(CHART_WIDTH - _RIGHT, CHART_HEIGHT - 8, _axis_in_words(x_column), "end", "axis"))
    corners = _stairs([(x.mean or 0.0, y.mean or 0.0) for at, x, y in points if at in front], x_scale, y_scale, costly)
    parts.append(f'<polyline class="front" points="{corners}"/>')
    at_points = [(x_scale.at(x.mean or 0.0), y) for _, x, y in points]
    taken = _Taken(
        intervals=[_box_of_point(x, y, y_scale) for x, y in at_points],
        boxes=[_box_of_point(x, replace(y, interval=None), y_scale) for x, y in at_points],
    )
    for at, x, y in sorted(points, key=lambda point: point[0] not in front):
        named = names[at] if len(points) <= _MOST_NAMES or at in front else None
        barred = at in front or len(points) <= _MOST_BARRED
        values = (x, y) if barred else (replace(x, interval=None), replace(y, interval=None))
        parts += _point(names[at], named, values, (x_scale, y_scale), beaten=at not in front, taken=taken)
    label = f"{_axis_in_words(y_column)} against {_axis_in_words(x_column)}"
    caption = "Filled: no other model is better in both. Bars are 95% intervals"
    caption += "." if len(points) <= _MOST_BARRED else ", of these alone."
    if x_scale.logarithmic:
        caption += " The cost is drawn on a logarithmic scale."
    if elsewhere:
        caption += f" Not drawn: {counted(elsewhere, 'model')} measured on another device."
    return Scatter(picture("scatter", CHART_WIDTH, CHART_HEIGHT, parts, label=f"{label}. {caption}"), caption)


_Drawn = tuple[int, Cell, Cell]
"""A line, its cost and its quality."""
_Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """Where names are not written: on intervals if there is another way, on points and other names never."""

    intervals: list[_Box]
    boxes: list[_Box]


_MOST_NAMES = 14
"""Points of which each is named; of more only those on the front are."""
_MOST_BARRED = 60
"""Points of which each has its intervals; of more only those on the front: the others' would hide everything."""
_LOGARITHMIC_FROM, _LOGARITHMIC_UP_TO = 4.0, 1e30
"""The largest over the smallest cost."""
_NAME_WIDTH, _NAME_HEIGHT = 7.7, 15
"""Pixels of a character of a name, nearly at most, and of a line."""
_ROOM_FOR_NAMES = 0.22
"""Of what the points span: right of the last one."""


def _points_of_models(standings: Standings, quality: int, cost: int) -> tuple[list[_Drawn], int]:
    """Who has both, on the device that most have their costs of; and how many were measured elsewhere."""
    found = [
        (at, row.cells[cost], row.cells[quality])
        for at, row in enumerate(standings.table.rows)
        if standings.trained and row.published is None and not row.yardstick
    ]
    points = [one for one in found if one[1].mean is not None and one[2].mean is not None and one[2].unranked is None]
    devices = Counter(standings.table.rows[at].hardware for at, _, _ in points)
    most = devices.most_common(1)[0][0] if devices else None
    here = [one for one in points if standings.table.rows[one[0]].hardware == most]
    return here, len(points) - len(here)


def _front(points: Sequence[_Drawn], *, costly: bool, better: bool) -> frozenset[int]:
    """The lines that no other beats in both.

    Args:
        points: all of them.
        costly: whether a high cost is the good one, as of throughput.
        better: whether a high quality is.
    """
    merits = [((x.mean or 0) * (1 if costly else -1), (y.mean or 0) * (1 if better else -1), at) for at, x, y in points]
    front, highest = set(), -math.inf
    for _, quality, at in sorted(merits, key=lambda one: (-one[0], -one[1])):
        if quality > highest:
            front.add(at)
            highest = quality
    return frozenset(front)


def _stairs(found: Sequence[tuple[float, float]], x_scale: Scale, y_scale: Scale, costly: bool) -> str:
    """What can be had at each cost: as good as the best that costs no more."""
    ordered = sorted((x_scale.at(x), y_scale.at(y)) for x, y in found)
    corners = ordered[:1]
    for (x, y), (next_x, next_y) in pairwise(ordered):
        corners += [(x, next_y) if costly else (next_x, y), (next_x, next_y)]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)


def _scale_across(cells: Sequence[Cell]) -> Scale:
    """Logarithmic where costs differ by much."""
    low, high = _ends(cells)
    if low > 0 and _LOGARITHMIC_FROM <= high / low <= _LOGARITHMIC_UP_TO:
        room = (high / low) ** _ROOM_FOR_NAMES
        return Scale(low / 1.25, high * room, _LEFT, CHART_WIDTH - _RIGHT, logarithmic=True)
    margin = 0.08 * (high - low) or abs(high) * 0.1 or 1.0
    return Scale(low - margin, high + max(margin, _ROOM_FOR_NAMES * (high - low)), _LEFT, CHART_WIDTH - _RIGHT)


def _scale_up(cells: Sequence[Cell]) -> Scale:
    low, high = _ends(cells)
    margin = 0.1 * (high - low) or abs(high) * 0.1 or 1.0
    return Scale(low - margin, high + margin, CHART_HEIGHT - _BOTTOM, _TOP)


def _axis_in_words(column: Column) -> str:
    """`clip similarity, higher is better`."""
    name, measured = metric_in_words(column.name), shortened(unit(column), _LONGEST_NAME)
    return f"{name}{f' in {measured}' if measured else ''}, {BETTER[column.better]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One run in a trend."""

    value: float
    title: str
    """What a pointer that rests on it is told."""
    compared: bool = True
    """Whether it belongs to the level around it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Where one level ends and another begins."""

    at: int
    """The first run of the new level."""
    kind: str
    """`worse`, `better` or `changed`."""


def trend(dots: Sequence[Dot], turns: Sequence[Turn], *, ends: tuple[str, str], label: str) -> str:
    """Run by run from left to right, with a band for each level from its lowest to its highest value, and its median.

    Args:
        dots: the oldest first, at least one.
        turns: in order.
        ends: what stands below the first and the last run.
        label: the drawing in words.
    """
    values = [dot.value for dot in dots]
    spare = 0.08 * (max(values) - min(values)) or abs(values[0]) * 0.01 or 1.0
    x = Scale(0, max(1, len(dots) - 1), _LEFT, CHART_WIDTH - _RIGHT)
    y = Scale(min(values) - spare, max(values) + spare, TREND_HEIGHT - _TREND_BOTTOM, _TREND_TOP)
    parts = []
    write = notation(values, significant=3).write
    for value in (min(values), max(values)) if max(values) > min(values) else values[:1]:
        at = y.at(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{CHART_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(words_at(_LEFT - 8, at + 4, write(value), "end"))
    starts = [0, *(turn.at for turn in turns)]
    for start, end in zip(starts, [*starts[1:], len(dots)], strict=True):
        parts += _level([dot.value for dot in dots[start:end] if dot.compared], x.at(start), x.at(end - 1), y)
    for turn in turns:
        at = (x.at(turn.at - 1) + x.at(turn.at)) / 2
        bottom = TREND_HEIGHT - _TREND_BOTTOM
        parts.append(f'<line class="turn {turn.kind}" x1="{at:.1f}" x2="{at:.1f}" y1="{_TREND_TOP}" y2="{bottom}"/>')
    for place, dot in enumerate(dots):
        told = f"<title>{html.escape(visible(dot.title))}</title>"
        kind = "" if dot.compared else ' class="other"'
        parts.append(f'<circle{kind} cx="{x.at(place):.1f}" cy="{y.at(dot.value):.1f}" r="3">{told}</circle>')
    for text, at, anchor in ((ends[0], _LEFT, "start"), (ends[1], CHART_WIDTH - _RIGHT, "end")):
        parts.append(words_at(at, TREND_HEIGHT - 4, text, anchor))
    return picture("trend", CHART_WIDTH, TREND_HEIGHT, parts, label=label)


def _level(values: Sequence[float], left: float, right: float, y: Scale) -> list[str]:
    if not values:
        return []
    left, right = left - 4, right + 4  # so that a level of one run is seen
    top, bottom, middle = y.at(max(values)), y.at(min(values)), y.at(median(values))
    band = f'x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{max(1.0, bottom - top):.1f}"'
    line = f'x1="{left:.1f}" x2="{right:.1f}" y1="{middle:.1f}" y2="{middle:.1f}"'
    return [f'<rect class="band" {band}/>', f'<line class="level" {line}/>']


def _ends(cells: Sequence[Cell]) -> tuple[float, float]:
    ends = [end for cell in cells for end in (cell.mean, *(cell.interval or ())) if end is not None]
    return min(ends), max(ends)


def _point(
    name: str,
    label: str | None,
    values: tuple[Cell, Cell],
    scales: tuple[Scale, Scale],
    *,
    beaten: bool,
    taken: _Taken,
) -> list[str]:
    """A point with its intervals, and its label where one finds room beside those that are `taken`."""
    (x, y), (x_scale, y_scale) = values, scales
    at_x, at_y = x_scale.at(x.mean or 0.0), y_scale.at(y.mean or 0.0)
    parts = []
    if y.interval is not None:
        low, high = (y_scale.at(end) for end in y.interval)
        parts.append(f'<line class="range" x1="{at_x:.1f}" x2="{at_x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>')
    if x.interval is not None and not (x_scale.logarithmic and x.interval[0] <= 0):
        low, high = (x_scale.at(end) for end in x.interval)
        parts.append(f'<line class="range" x1="{low:.1f}" x2="{high:.1f}" y1="{at_y:.1f}" y2="{at_y:.1f}"/>')
    kind = ' class="beaten"' if beaten else ""
    told = f"<title>{html.escape(visible(shortened(name, 2 * _LONGEST_NAME)))}</title>"
    parts.append(f'<circle{kind} cx="{at_x:.1f}" cy="{at_y:.1f}" r="5">{told}</circle>')
    if label is not None:
        parts += _label_of_point(shortened(visible(label), _LONGEST_NAME), at_x, at_y, taken)
    return parts


def _label_of_point(text: str, x: float, y: float, taken: _Taken) -> list[str]:
    """Above the point or below it, right or left: the first that hides nothing; else none, the title says it."""
    wide = _NAME_WIDTH * len(text)
    places = [(left, base) for base in (y - 7, y + 17) for left in (x + 7, x - 7 - wide)]
    for kept_free in ([*taken.boxes, *taken.intervals], taken.boxes):
        for left, base in places:
            box = left, base - _NAME_HEIGHT + 4, left + wide, base + 4
            inside = left >= _LEFT - 4 and box[2] <= CHART_WIDTH - 4 and _TOP < base < CHART_HEIGHT - _BOTTOM
            if inside and not any(_overlapping(box, other) for other in kept_free):
                taken.boxes.append(box)
                end, anchor = (left, "start") if left > x else (left + wide, "end")
                return [words_at(end, base, text, anchor, "name")]
    return []


def _box_of_point(x: float, quality: Cell, y_scale: Scale) -> _Box:
    """Where nothing may be written: on the point, and on its interval."""
    ends = [y_scale.at(end) for end in quality.interval or ()]
    middle = y_scale.at(quality.mean or 0.0)
    return x - 5, min([middle - 5, *ends]), x + 5, max([middle + 5, *ends])


def _overlapping(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
