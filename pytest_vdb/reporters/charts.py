"""Small drawings as inline SVG, made of numbers only: shapes and classes, no text that comes from outside unescaped."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from pytest_vdb.analysis.tables import Cell, Table
from pytest_vdb.escaping import shortened, visible
from pytest_vdb.figures import Notation, notation
from pytest_vdb.reporters.text import distinct_names, notation_of, unit

BAR_WIDTH, BAR_HEIGHT = 84, 8
SPARK_WIDTH, SPARK_HEIGHT = 120, 20
CHART_WIDTH, CHART_HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 20, 44
_LONGEST_NAME = 48
TREND_HEIGHT = 150
_TREND_TOP, _TREND_BOTTOM = 10, 26


@dataclass(frozen=True, slots=True)
class Scale:
    """From a column's values to pixels."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Where `value` lies, in pixels."""
        low, high, place = (
            (math.log(v) for v in (self.low, self.high, value))
            if self.logarithmic
            else (
                self.low,
                self.high,
                value,
            )
        )
        share = 0.5 if high == low else (place - low) / (high - low)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)


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
    return _svg("bar", BAR_WIDTH, BAR_HEIGHT, parts)


def sparkline(series: Sequence[float]) -> str:
    """A per-frame series as a line from its own lowest to its own highest value."""
    if len(series) < 2 or not all(math.isfinite(value) for value in series):
        return ""
    step = (SPARK_WIDTH - 4) / (len(series) - 1)
    scale = Scale(min(series), max(series), SPARK_HEIGHT - 3, 3)
    points = " ".join(f"{2 + index * step:.1f},{scale.at(value):.1f}" for index, value in enumerate(series))
    return _svg("spark", SPARK_WIDTH, SPARK_HEIGHT, [f'<polyline points="{points}"/>'])


@dataclass(frozen=True, slots=True)
class Scatter:
    """A drawing and what it says in words."""

    svg: str
    caption: str


def quality_against_latency(table: Table) -> Scatter | None:
    """The first ranked quality column over latency, or None when fewer than two trained models have both."""
    latencies = [i for i, column in enumerate(table.columns) if column.name == "latency"]
    qualities = [
        i
        for i, column in enumerate(table.columns)
        if column.kind == "quality" and sum(row.cells[i].mark is not None for row in table.rows) > 1
    ]
    if not latencies or not qualities:
        return None
    x_at, y_at = latencies[0], qualities[0]
    points = [
        (at, row.cells[x_at], row.cells[y_at])
        for at, row in enumerate(table.rows)
        if not row.yardstick
        and row.weights in {"hub", "local"}
        and (row.cells[x_at].mean or 0) > 0
        and row.cells[y_at].unranked is None
    ]
    if len(points) < 2:
        return None
    x_column, y_column = table.columns[x_at], table.columns[y_at]
    names = distinct_names(table)
    xs, ys = _ends([x for _, x, _ in points], positive=True), _ends([y for _, _, y in points])
    x_scale = Scale(xs[0] / 1.15, xs[1] * 1.15, _LEFT, CHART_WIDTH - _RIGHT, logarithmic=True)
    margin = 0.1 * (ys[1] - ys[0]) or 1.0
    y_scale = Scale(ys[0] - margin, ys[1] + margin, CHART_HEIGHT - _BOTTOM, _TOP)
    parts = _axes(x_scale, y_scale, notation_of([x for _, x, _ in points]), notation_of([y for _, _, y in points]))
    x_name = f"{x_column.name} [{unit(x_column)}]" if unit(x_column) else x_column.name
    parts.append(_label(_LEFT, 12, y_column.name, "start"))
    parts.append(_label(CHART_WIDTH - _RIGHT, CHART_HEIGHT - 6, x_name, "end"))
    for at, x, y in points:
        parts += _point(names[at], x, y, x_scale, y_scale)
    better = "higher" if y_column.better == "higher" else "lower"
    caption = f"{y_column.name} ({better} is better) against latency (logarithmic), with 95% intervals."
    return Scatter(_svg("scatter", CHART_WIDTH, CHART_HEIGHT, parts, label=caption), caption)


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
        parts.append(_label(_LEFT - 8, at + 4, write(value), "end"))
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
        parts.append(_label(at, TREND_HEIGHT - 4, text, anchor))
    return _svg("trend", CHART_WIDTH, TREND_HEIGHT, parts, label=label)


def _level(values: Sequence[float], left: float, right: float, y: Scale) -> list[str]:
    if not values:
        return []
    left, right = left - 4, right + 4  # so that a level of one run is seen
    top, bottom, middle = y.at(max(values)), y.at(min(values)), y.at(median(values))
    band = f'x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{max(1.0, bottom - top):.1f}"'
    line = f'x1="{left:.1f}" x2="{right:.1f}" y1="{middle:.1f}" y2="{middle:.1f}"'
    return [f'<rect class="band" {band}/>', f'<line class="level" {line}/>']


def _ends(cells: Sequence[Cell], *, positive: bool = False) -> tuple[float, float]:
    ends = [end for cell in cells for end in (cell.mean, *(cell.interval or ())) if end is not None]
    ends = [end for end in ends if end > 0] if positive else ends
    return min(ends), max(ends)


def _axes(x: Scale, y: Scale, x_written: Notation, y_written: Notation) -> list[str]:
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        value = y.low + share * (y.high - y.low)
        at = y.at(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{CHART_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(_label(_LEFT - 8, at + 4, y_written.write(value), "end"))
    for share in (0.0, 0.5, 1.0):
        value = x.low * (x.high / x.low) ** share
        anchor = "start" if share == 0 else "end" if share == 1 else "middle"
        parts.append(_label(x.at(value), CHART_HEIGHT - _BOTTOM + 18, x_written.write(value), anchor))
    return parts


def _point(name: str, x: Cell, y: Cell, x_scale: Scale, y_scale: Scale) -> list[str]:
    assert x.mean is not None
    assert y.mean is not None
    at_x, at_y = x_scale.at(x.mean), y_scale.at(y.mean)
    parts = []
    if y.interval is not None:
        low, high = (y_scale.at(end) for end in y.interval)
        parts.append(f'<line class="range" x1="{at_x:.1f}" x2="{at_x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>')
    if x.interval is not None and x.interval[0] > 0:
        low, high = (x_scale.at(end) for end in x.interval)
        parts.append(f'<line class="range" x1="{low:.1f}" x2="{high:.1f}" y1="{at_y:.1f}" y2="{at_y:.1f}"/>')
    near_right = at_x > CHART_WIDTH * 0.7
    parts.append(f'<circle cx="{at_x:.1f}" cy="{at_y:.1f}" r="4.5"/>')
    shown = shortened(name, _LONGEST_NAME)
    parts.append(_label(at_x + (-9 if near_right else 9), at_y - 7, shown, "end" if near_right else "start", "name"))
    return parts


def _label(x: float, y: float, text: str, anchor: str, kind: str = "tick") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(visible(text))}</text>'


def _svg(kind: str, width: int, height: int, parts: Sequence[str], *, label: str | None = None) -> str:
    named = 'aria-hidden="true"' if label is None else f'role="img" aria-label="{html.escape(visible(label))}"'
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return f'<svg class="{kind}" {size} {named}>{"".join(parts)}</svg>'
