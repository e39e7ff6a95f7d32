"""Small drawings as inline SVG, made of numbers only: shapes and classes, no text that comes from outside unescaped."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_vdb.analysis.tables import Cell, Table
from pytest_vdb.escaping import shortened, visible
from pytest_vdb.figures import Notation
from pytest_vdb.reporters.text import distinct_names, notation_of, unit

BAR_WIDTH, BAR_HEIGHT = 84, 8
SPARK_WIDTH, SPARK_HEIGHT = 120, 20
CHART_WIDTH, CHART_HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 20, 44
_LONGEST_NAME = 48


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
