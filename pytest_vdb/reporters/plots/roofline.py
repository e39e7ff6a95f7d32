"""How near each model comes to what its device can do, and whether products or memory hold it back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_vdb.analysis.tables import Row, Table
from pytest_vdb.figures import notation
from pytest_vdb.reporters.drawing import Scale, axes, told, words_at
from pytest_vdb.reporters.plots.contract import (
    BOTTOM,
    LEFT,
    MOST_MODELS,
    RIGHT,
    TOP,
    WIDTH,
    Absent,
    Drawn,
    Plot,
    drawing,
    left_out,
    name_in_table,
    short_name,
)
from pytest_vdb.reporters.text import counted

if TYPE_CHECKING:
    from pytest_vdb.estimates.roof import Roof

TITLE = "What the device allows"
_SHARE, _INTENSITY = "mfu", "operation_intensity"
"""Readings: the share of the peak that a call reached, and its operations per byte."""
_HEIGHT = 330
_MARGIN = 2.5
"""Times: beside the outermost points and the roof."""
_LINE_OF_NAMES, _MOST_NAMES = 14, 14
_NAMES_TURN_AT = WIDTH - 200
"""Pixels from the left: further right names stand left of their points."""
_TERA = 1e12


@dataclass(frozen=True, slots=True)
class _ModelCall:
    """A model's mean call under its roof."""

    name: str
    intensity: float
    """Operations per byte."""
    share: float
    """Of the peak, above 0."""
    roof: Roof

    @property
    def rate(self) -> float:
        """Operations per second, in 10^12."""
        return self.share * self.roof.peak_per_s / _TERA

    @property
    def bound(self) -> str:
        """What limits it."""
        return "products" if self.intensity >= self.roof.ridge else "memory"


def roofline(table: Table, names: Mapping[int, str]) -> Drawn:
    """Operations per second over operations per byte, under the roof of the device that most models ran on.

    Belongs on the leaderboard, below the stage breakdown, and for one row on a model's page.

    Args:
        table: standings, or a benchmark's, with the readings `mfu` and `operation_intensity`.
        names: of its rows; rows that it lacks are left out.

    Returns:
        A point for each of the first twenty models, and a roof for each dtype that they ran in. Its height is the data
        sheet's dense peak, as `vdb hardware` lists it; its slope is the bandwidth of the memory.
    """
    calls, elsewhere = _calls_on_one_device(table, names)
    if not calls:
        reason = "no call was held against its device: that needs a known card and weights of full size"
        return Absent(title=TITLE, reason=reason)
    shown = calls[:MOST_MODELS]
    roofs = sorted({(call.roof.peak_per_s, call.roof.bytes_per_s) for call in shown})
    x, y = _scales(shown)
    parts = axes(x, y)
    parts.append(words_at(LEFT - 40, 14, "operations per second, in 10¹²", "start", "axis"))
    parts.append(words_at(WIDTH - RIGHT, _HEIGHT - 8, "operations per byte", "end", "axis"))
    for peak, moved in roofs:
        parts += _roof_line(peak / _TERA, moved / _TERA, x, y)
    parts += _points_of_calls(shown, x, y)
    title = f"{TITLE}: {shown[0].roof.title}"
    caption = (
        "The line is what the device's memory and its dense products allow; filled points are held back by products, "
    )
    caption += "hollow ones by memory. Both axes are logarithmic."
    caption += left_out(len(calls) - len(shown), "model")
    if elsewhere:
        caption += f" Not drawn: {counted(elsewhere, 'model')} measured on another device."
    return Plot(
        title=title,
        svg=drawing(title, caption, _HEIGHT, parts),
        caption=caption,
        header=("Model", "operations per byte", "operations per second, in 10^12", "share of the peak", "held back by"),
        rows=tuple(_rows_of_calls(shown)),
    )


def _calls_on_one_device(table: Table, names: Mapping[int, str]) -> tuple[list[_ModelCall], int]:
    """Of the device that most of them ran on, in the order of the table; and how many ran elsewhere."""
    from pytest_vdb.estimates.roof import roof_of

    columns = {column.name: at for at, column in enumerate(table.columns) if column.kind == "performance"}
    found = []
    for at, name in names.items():
        row = table.rows[at]
        share, intensity = (_mean_in_row(row, columns.get(metric)) for metric in (_SHARE, _INTENSITY))
        roof = roof_of(row.hardware, row.recipe) if share and intensity else None
        if share and intensity and roof is not None:
            found.append(_ModelCall(name, intensity, share, roof))
    devices = Counter(call.roof.title for call in found)
    most = devices.most_common(1)[0][0] if devices else None
    here = [call for call in found if call.roof.title == most]
    return here, len(found) - len(here)


def _mean_in_row(row: Row, column: int | None) -> float | None:
    """Above 0, or None: a logarithm has no place for it."""
    mean = None if column is None else row.cells[column].mean
    return mean if mean is not None and mean > 0 else None


def _scales(calls: Sequence[_ModelCall]) -> tuple[Scale, Scale]:
    across = [value for call in calls for value in (call.intensity, call.roof.ridge)]
    up = [value for call in calls for value in (call.rate, call.roof.peak_per_s / _TERA)]
    x = Scale(min(across) / _MARGIN, max(across) * 2 * _MARGIN, LEFT, WIDTH - RIGHT, logarithmic=True)
    y = Scale(min(up) / _MARGIN, max(up) * _MARGIN, _HEIGHT - BOTTOM, TOP, logarithmic=True)
    return x, y


def _roof_line(peak: float, moved: float, x: Scale, y: Scale) -> Iterator[str]:
    """`peak` and `moved` in 10^12 a second."""
    foot = max(x.low, y.low / moved)
    corners = [(foot, foot * moved), (peak / moved, peak), (x.high, peak)]
    points = " ".join(f"{x.at(left):.1f},{y.at(top):.1f}" for left, top in corners)
    yield f'<polyline class="roof" points="{points}"/>'
    yield words_at(x.end, y.at(peak) - 6, f"{peak:,.0f} · 10¹² a second", "end")


def _points_of_calls(calls: Sequence[_ModelCall], x: Scale, y: Scale) -> Iterator[str]:
    """Names stand right of their points or, at the right edge, left of them; of many models only in the table."""
    base = -float(_LINE_OF_NAMES)
    for call in sorted(calls, key=lambda one: -one.rate):
        left, top = x.at(call.intensity), y.at(call.rate)
        kind = "dot c0" if call.bound == "products" else "dot hollow c0"
        said = f"{short_name(call.name)}: {call.share:.0%} of the peak"
        yield f'<circle class="{kind}" cx="{left:.1f}" cy="{top:.1f}" r="5">{told(said)}</circle>'
        if len(calls) <= _MOST_NAMES:
            base = max(top + 4, base + _LINE_OF_NAMES)
            beside, anchor = (left + 9, "start") if left < _NAMES_TURN_AT else (left - 9, "end")
            yield words_at(beside, base, short_name(call.name), anchor, "name")


def _rows_of_calls(calls: Sequence[_ModelCall]) -> Iterator[tuple[str, ...]]:
    intensity, rate, share = (
        notation(values).write
        for values in ([c.intensity for c in calls], [c.rate for c in calls], [c.share for c in calls])
    )
    for call in calls:
        yield name_in_table(call.name), intensity(call.intensity), rate(call.rate), share(call.share), call.bound
