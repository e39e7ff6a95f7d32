"""Values in an order: a metric frame by frame, of one clip or several of one prompt, and memory over a call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_vdb.figures import notation
from pytest_vdb.records import Measurement, Record
from pytest_vdb.reporters.drawing import LARGEST_DRAWN, Scale, axes, told, words_at
from pytest_vdb.reporters.overview import metric_in_words
from pytest_vdb.reporters.plots.contract import (
    KEY_HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Absent,
    Drawn,
    Plot,
    across,
    drawing,
    key_of_lines,
    left_out,
    name_in_table,
    short_name,
    upwards,
)
from pytest_vdb.reporters.text import BETTER, unit

MOST_LINES = 5
"""In one plot: as many as can be told apart without their colours."""
MEMORY = "memory_timeline"
"""The reading whose series is every look at what was held."""
OVER_THE_CALL = "Memory over the call"
_HEIGHT = 200
_MOST_POINTS = 600
"""Of a line: of more the lowest and the highest of neighbours are kept."""
_MOST_IN_TABLE = 200
_NO_MEMORY = "memory was not looked at over time; --vdb-memory-rate does"


@dataclass(frozen=True, slots=True)
class _Line:
    name: str
    values: tuple[float, ...]


def frame_series(metric: str, records: Sequence[Record], names: Sequence[str]) -> Drawn:
    """What a metric says of each frame, a line for each clip.

    Belongs on a model's page (the samples of a prompt), and wherever clips of one prompt stand beside each other.

    Args:
        metric: its name.
        records: of the clips, all of one prompt.
        names: of each, mostly its model.

    Returns:
        Lines over the frames, up to five of them. A series of another length than frames, or pairs of frames, is drawn
        over its own order: the axis says so.
    """
    title = f"{metric_in_words(metric)}, frame by frame"
    measured = [(name, record, record.measurement(metric)) for name, record in zip(names, records, strict=True)]
    drawn = [(name, record, one) for name, record, one in measured if one is not None and one.series]
    if not drawn:
        reasons = dict.fromkeys(one.reason for _, _, one in measured if one is not None and one.value is None)
        return Absent(title=title, reason=next(filter(None, reasons), "no value of each frame was kept"))
    shown = drawn[:MOST_LINES]
    first = shown[0][2]
    lines = [_Line(name, one.series or ()) for name, _, one in shown]
    place = _what_is_counted([(len(one.series or ()), record) for _, record, one in shown])
    up = f"{metric_in_words(metric)}{_in_unit(first)}, {BETTER[first.better]}"
    caption = f"Across: each {place}."
    missing = [name for name, _, one in measured if one is None or not one.series]
    caption += f" Without such values: {', '.join(map(short_name, missing[:MOST_LINES]))}." if missing else ""
    caption += left_out(len(drawn) - len(shown), "clip")
    return _lines_over_order(title, lines, up=up, place=place, caption=caption)


def memory_timeline(record: Record) -> Drawn:
    """What was held of the memory from the beginning of a call to its end.

    Belongs on a model's page, with the clip whose making was watched. Records have it where `--vdb-memory-rate` was
    given, as the series of the reading `memory_timeline`.

    Args:
        record: of one test.
    """
    title = OVER_THE_CALL
    looked = record.measurement(MEMORY)
    if looked is None or looked.value is None:
        return Absent(title=title, reason=(looked.reason if looked is not None else None) or _NO_MEMORY)
    if not looked.series:
        return Absent(title=title, reason="several calls of unequal length have one highest value and no course")
    caption = (
        f"Across: the call from its beginning to its end, {looked.reason}." if looked.reason else "Across: the call."
    )
    line = _Line(record.model, looked.series)
    return _lines_over_order(title, [line], up=f"held in {looked.unit}", place="look", caption=caption, floor=0.0)


def thinned_ends(values: Sequence[float], most: int) -> list[tuple[int, float]]:
    """Place and value of at most so many, in order: of each bin of neighbours the lowest and the highest are kept."""
    if len(values) <= most:
        return list(enumerate(values))
    bins = most // 2
    kept = []
    for at in range(bins):
        low, high = at * len(values) // bins, (at + 1) * len(values) // bins
        places = range(low, high)
        kept += sorted({min(places, key=values.__getitem__), max(places, key=values.__getitem__)})
    return [(place, values[place]) for place in kept]


def _what_is_counted(lengths: Sequence[tuple[int, Record]]) -> str:
    """`frame`, `pair of neighbouring frames`, or `value in order` where it is neither, or not the same of all."""
    kinds = {
        0
        if record.clip is not None and length == record.clip.frames
        else 1
        if record.clip is not None and length == record.clip.frames - 1
        else 2
        for length, record in lengths
    }
    return ("frame", "pair of neighbouring frames", "value in order")[kinds.pop() if len(kinds) == 1 else 2]


def _in_unit(measured: Measurement) -> str:
    said = unit(measured)
    return f" in {said}" if said else ""


def _lines_over_order(
    title: str, lines: Sequence[_Line], *, up: str, place: str, caption: str, floor: float | None = None
) -> Drawn:
    every = [value for line in lines for value in line.values]
    if max(map(abs, every)) > LARGEST_DRAWN:
        return Absent(title=title, reason="a value is too large to be drawn")
    keyed = len(lines) > 1
    top = TOP + (KEY_HEIGHT * len(lines) if keyed else 0)
    height = _HEIGHT + top - TOP
    longest = max(len(line.values) for line in lines)
    x = across(1, longest)
    y = upwards(every, height, top=top, floor=floor if floor is None else min(floor, *every))
    parts = key_of_lines([line.name for line in lines]) if keyed else []
    parts.append(words_at(LEFT - 40, top - 12, up, "start", "axis"))
    parts += axes(_counting_from_one(x), y)
    parts.append(words_at(WIDTH - RIGHT, height - 8, place, "end", "axis"))
    for at, line in enumerate(lines):
        parts += _drawn_line(line, at, x, y)
    return Plot(
        title=title,
        svg=drawing(title, caption, height, parts),
        caption=caption,
        header=(place, *(name_in_table(line.name) for line in lines)),
        rows=tuple(_rows_in_order(lines, longest)),
    )


def _counting_from_one(x: Scale) -> Scale:
    """Of one value alone there are no round ones beside it."""
    return x if x.high > x.low else Scale(x.low - 0.5, x.high + 0.5, x.start, x.end)


def _drawn_line(line: _Line, at: int, x: Scale, y: Scale) -> Iterator[str]:
    kept = thinned_ends(line.values, _MOST_POINTS)
    points = [(x.at(place + 1), y.at(value)) for place, value in kept]
    name = told(short_name(line.name))
    if len(points) == 1:
        yield f'<circle class="dot c{at}" cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="4">{name}</circle>'
    else:
        corners = " ".join(f"{left:.1f},{top:.1f}" for left, top in points)
        yield f'<polyline class="line c{at}" points="{corners}">{name}</polyline>'


def _rows_in_order(lines: Sequence[_Line], longest: int) -> Iterator[tuple[str, ...]]:
    """Evenly spaced ones of very many."""
    write = notation((value for line in lines for value in line.values), significant=4).write
    step = -(-longest // _MOST_IN_TABLE)
    for at in range(0, longest, step):
        yield (str(at + 1), *(write(line.values[at] if at < len(line.values) else None) for line in lines))
