"""Two figures for a paper, drawn by pgfplots: quality against cost, and a radar of the first models.

Each is a file to `\\input` where `\\usepackage{pgfplots}` stands in the preamble; without it a line says so. Like the
plots of the page they have trained models that were measured here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from pytest_vdb.analysis.tables import Cell, Column, Leaderboard, Standings
from pytest_vdb.escaping import shortened
from pytest_vdb.reporters import charts
from pytest_vdb.reporters.overview import heading_of_standings, metric_in_words, telling_columns
from pytest_vdb.reporters.tex import escape
from pytest_vdb.reporters.text import BETTER, counted, distinct_names, unit

_MOST_NAMES, _LONGEST_NAME = 14, 26
"""Points of which each is named, of more only those that no other beats; characters of a name."""
_LEAST_RATIO, _LARGEST_RATIO = 4.0, 1e12
"""Of the largest to the smallest cost, where these are drawn on a logarithmic scale."""
_LARGEST = 1e4
"""TeX counts no further than to 16,383."""
_MOST_MODELS, _FEWEST_AXES, _MOST_AXES = 5, 3, 8
"""Of a radar."""
_RADIUS, _INNER = 2.2, 0.15
"""Centimetres, and the share of them at which the worst model stands."""
_LINES = ("solid", "densely dashed", "dotted", "dashdotted", "loosely dashed")
_COLOURS = ("0072B2", "D55E00", "009E73", "CC79A7", "E69F00")
"""Told apart by the colour-blind (Okabe and Ito 2008)."""


def files(board: Leaderboard) -> Mapping[str, str]:
    """The figures that there is something to draw in."""
    plots = {
        "leaderboard-pareto.tex": [figure for one in board.standings if (figure := _pareto_figure(one))],
        "leaderboard-radar.tex": [figure for one in board.standings if (figure := _radar_figure(one))],
    }
    return {name: _guarded("\n".join(figures)) for name, figures in plots.items() if figures}


def _guarded(figures: str) -> str:
    """Drawn only where pgfplots is loaded."""
    needs = r"\par\noindent This figure needs \texttt{\string\usepackage\{pgfplots\}} in the preamble.\par"
    lines = (r"\ifx\pgfplotsset\undefined", needs, r"\else", figures, r"\fi")
    return "\n".join(lines) + "\n"


def _captioned(standings: Standings, drawing: Sequence[str], caption: str) -> str:
    lines = [r"\begin{figure}[htbp]", r"  \centering", *(f"  {line}" for line in drawing)]
    lines += [rf"  \caption{{{escape(heading_of_standings(standings))}. {escape(caption)}}}", r"\end{figure}"]
    return "\n".join(lines)


# Quality against cost ------------------------------------------------------------------------------------------------


def _pareto_figure(standings: Standings) -> str | None:
    """None where fewer than two models have both."""
    if standings.lead is None or standings.cost is None:
        return None
    points, front, elsewhere = charts.drawn_models(standings, standings.lead, standings.cost)
    if len(points) < 2:
        return None
    quality, cost = (standings.table.columns[at] for at in (standings.lead, standings.cost))
    xs = [x.mean or 0.0 for _, x, _ in points]
    power_x, power_y = _power_of_ten(xs), _power_of_ten([y.mean or 0.0 for _, _, y in points])
    logarithmic = min(xs) > 0 and _LEAST_RATIO <= max(xs) / min(xs) <= _LARGEST_RATIO
    names = distinct_names(standings.table)
    drawing = [
        rf"\begin{{tikzpicture}}\begin{{{'semilogxaxis' if logarithmic else 'axis'}}}[",
        r"  width=0.9\linewidth, height=0.6\linewidth, grid=major, clip=false, enlargelimits=0.12,",
        f"  xlabel={{{_axis_label(cost, power_x)}}}, ylabel={{{_axis_label(quality, power_y)}}},",
        *(["  log ticks with fixed point,"] if logarithmic else []),
        "]",
        rf"\addplot[gray, densely dashed] coordinates {{{_stairs_of_front(points, front, cost, power_x, power_y)}}};",
    ]
    for kind, beaten in (("fill=black", False), ("fill=white", True)):
        drawing += _marks([one for one in points if (one[0] not in front) == beaten], kind, power_x, power_y)
    for at, x, y in points:
        if len(points) <= _MOST_NAMES or at in front:
            place = f"(axis cs:{_scaled(x.mean, power_x)},{_scaled(y.mean, power_y)})"
            name = escape(shortened(names[at], _LONGEST_NAME))
            side = "east" if _is_right(x.mean or 0.0, xs, logarithmic=logarithmic) else "west"
            drawing.append(rf"\node[anchor=south {side}, font=\scriptsize] at {place} {{{name}}};")
    drawing.append(rf"\end{{{'semilogxaxis' if logarithmic else 'axis'}}}\end{{tikzpicture}}")
    caption = "Filled: no other model is better in both. Bars are 95% intervals."
    if elsewhere:
        caption += f" Not drawn: {counted(elsewhere, 'line')} measured on another device."
    return _captioned(standings, drawing, caption)


def _is_right(x: float, xs: Sequence[float], *, logarithmic: bool) -> bool:
    """Whether there is more room left of a point than right of it."""
    low, high, at = (math.log(value) if logarithmic else value for value in (min(xs), max(xs), x))
    return at > (low + high) / 2


_Point = tuple[int, Cell, Cell]
"""A line of the standings, its cost and its quality."""


def _marks(points: Sequence[_Point], fill: str, power_x: int, power_y: int) -> Iterator[str]:
    """The points, each with the interval of its quality where it has one."""
    if not points:
        return
    bars = "error bars/.cd, y dir=both, y explicit"
    yield rf"\addplot[only marks, mark=*, mark options={{{fill}}}, {bars}] coordinates {{"
    for _, x, y in points:
        mean, (low, high) = y.mean or 0.0, y.interval or (y.mean or 0.0, y.mean or 0.0)
        place = f"({_scaled(x.mean, power_x)},{_scaled(mean, power_y)})"
        yield f"  {place} += (0,{_scaled(high - mean, power_y)}) -= (0,{_scaled(mean - low, power_y)})"
    yield "};"


def _stairs_of_front(points: Sequence[_Point], front: frozenset[int], cost: Column, power_x: int, power_y: int) -> str:
    """What can be had at each cost: as good as the best that costs no more."""
    ordered = sorted((x.mean or 0.0, y.mean or 0.0) for at, x, y in points if at in front)
    corners = ordered[:1]
    for (x, y), (next_x, next_y) in pairwise(ordered):
        corners += [(x, next_y) if cost.better == "higher" else (next_x, y), (next_x, next_y)]
    return " ".join(f"({_scaled(x, power_x)},{_scaled(y, power_y)})" for x, y in corners)


def _power_of_ten(values: Sequence[float]) -> int:
    """By which values are divided so that TeX can count with them; 0 where it can as they are."""
    largest = max(map(abs, values))
    return 0 if largest == 0 or 1e-3 <= largest < _LARGEST else math.floor(math.log10(largest))


def _scaled(value: float | None, power: int) -> str:
    return f"{(value or 0.0) / 10.0**power:.7g}"


def _axis_label(column: Column, power: int) -> str:
    """`clip similarity, higher is better`; with the power of ten that its ticks are in."""
    name, measured = metric_in_words(column.name), shortened(unit(column), _LONGEST_NAME)
    times = rf" ($\times 10^{{{power}}}$)" if power else ""
    return f"{escape(f'{name} in {measured}' if measured else name)}{times}, {BETTER[column.better]}"


# Radar ---------------------------------------------------------------------------------------------------------------


def _radar_figure(standings: Standings) -> str | None:
    """None where fewer than two models have values of three metrics."""
    if standings.lead is None:
        return None
    lines = [at for at, line in enumerate(standings.lines) if line.places[standings.lead] is not None][:_MOST_MODELS]
    axes = [at for at in telling_columns(standings, len(standings.table.columns)) if _is_axis(standings, at, lines)]
    axes = axes[:_MOST_AXES]
    if len(lines) < 2 or len(axes) < _FEWEST_AXES:
        return None
    names = distinct_names(standings.table)
    drawing = [r"\begin{tikzpicture}"]
    drawing += [rf"\definecolor{{vdb{at}}}{{HTML}}{{{colour}}}" for at, colour in enumerate(_COLOURS[: len(lines)])]
    for at, axis in enumerate(axes):
        angle = _angle(at, len(axes))
        label = escape(shortened(metric_in_words(standings.table.columns[axis].name), _LONGEST_NAME))
        anchor = "south" if at == 0 else "west" if math.cos(math.radians(angle)) > 0 else "east"
        drawing.append(
            rf"\draw[gray] (0,0) -- ({angle:.1f}:{_RADIUS}) node[anchor={anchor}, black, font=\scriptsize] {{{label}}};"
        )
    for at, line in enumerate(lines):
        corners = " -- ".join(
            f"({_angle(place, len(axes)):.1f}:{_RADIUS * _share_of_axis(standings, axis, lines, line):.3f})"
            for place, axis in enumerate(axes)
        )
        drawing.append(rf"\draw[vdb{at}, thick, {_LINES[at]}] {corners} -- cycle;")
        key = rf"\draw[vdb{at}, thick, {_LINES[at]}] ({-_RADIUS},{-_RADIUS - 0.9 - 0.4 * at:.2f}) -- ++(0.7,0)"
        name = escape(shortened(names[line], _LONGEST_NAME))
        drawing.append(rf"{key} node[anchor=west, black, font=\scriptsize] {{{name}}};")
    drawing.append(r"\end{tikzpicture}")
    caption = "Every axis runs from the worst of these models, near the middle, to the best of them, outside."
    return _captioned(standings, drawing, caption)


def _is_axis(standings: Standings, at: int, lines: Sequence[int]) -> bool:
    """A metric of quality with a direction, in which all of these models can be ranked and two of them differ."""
    column = standings.table.columns[at]
    cells = [standings.table.rows[line].cells[at] for line in lines]
    ranked = all(cell.mean is not None and cell.unranked is None for cell in cells)
    return column.kind == "quality" and column.better != "neutral" and ranked and len({cell.mean for cell in cells}) > 1


def _angle(at: int, of: int) -> float:
    """Degrees; the first axis points up, the others follow the clock."""
    return 90 - 360 * at / of


def _share_of_axis(standings: Standings, axis: int, lines: Sequence[int], line: int) -> float:
    """How far out a model stands, in [0.15, 1]."""
    values = {one: standings.table.rows[one].cells[axis].mean or 0.0 for one in lines}
    low, high = min(values.values()), max(values.values())
    share = (values[line] - low) / (high - low)
    better = share if standings.table.columns[axis].better == "higher" else 1 - share
    return _INNER + (1 - _INNER) * better
