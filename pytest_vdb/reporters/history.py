"""What became of metrics, for a terminal: a line for each with a sparkline, and below it where it changed."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from pytest_vdb.analysis.history import Series, Step, telling_apart
from pytest_vdb.escaping import lines, visible
from pytest_vdb.figures import notation
from pytest_vdb.reporters.grid import Side, fitted, grid
from pytest_vdb.reporters.text import counted
from pytest_vdb.results.history import RunInShort

BARS = "▁▂▃▄▅▆▇█"
PLAIN_BARS = "_.:-=+*#"
"""For a terminal whose encoding has no blocks."""
WIDEST_SPARK = 24
_LONGEST_IN_HISTORY = 32
"""Cells of a name."""
_MOST_STEPS = 3
"""Changes of one series that are told, the newest."""
_OTHERS = "*"


def render(every: Sequence[Series], *, width: int = 100, bars: str = BARS) -> str:
    """A table, then the changes and what is missing; nothing for no series.

    Args:
        every: as `analysis.history.trends` has them.
        width: of the lines below the table.
        bars: from the lowest to the highest; one column of the sparkline each.
    """
    if not every:
        return ""
    names = telling_apart(every)
    told = [(series, apart_in_words(apart)) for series, apart in zip(every, names, strict=True)]
    rows = [["model", "metric", "runs", "trend", "latest", "change", ""]]
    rows += [_row_of_series(series, apart, bars) for series, apart in told]
    sides: list[Side] = ["left", "left", "right", "left", "right", "right", "left"]
    parts = [grid(rows, sides, rule_after=1)]
    notes = [note for series, apart in told for note in notes_of_series(series, apart)]
    if any(series.points[-1].figure.value is not None and not series.points[-1].alike for series in every):
        notes.append(f"{_OTHERS} over other prompts than most runs: not compared")
    if notes:
        parts.append("\n".join(_wrapped_change(note, width) for note in notes))
    return lines("\n\n".join(parts))


def sparkline(values: Sequence[float], *, bars: str = BARS, most: int = WIDEST_SPARK) -> str:
    """The lowest value as the lowest bar, the highest as the highest; of many runs the medians of neighbours.

    Args:
        values: the oldest first.
        bars: from the lowest to the highest.
        most: characters.
    """
    columns = min(len(values), most)
    cuts = [round(place * len(values) / columns) for place in range(columns + 1)] if columns else []
    levels = [float(median(values[start:end])) for start, end in pairwise(cuts)]
    if not levels:
        return ""
    low, high = min(levels), max(levels)
    if high <= low:
        return bars[len(bars) // 2 - 1] * columns
    return "".join(bars[round((level - low) / (high - low) * (len(bars) - 1))] for level in levels)


def standing(series: Series) -> str:
    """`worse`, `better` or `changed` by the newest change; `steady`: none was found; `too few runs` to find any."""
    if not series.tested:
        return "too few runs"
    return word_of_step(series.steps[-1]) if series.steps else "steady"


def _row_of_series(series: Series, apart: str, bars: str) -> list[str]:
    newest = series.points[-1]
    values = [point.figure.value for point in series.points]
    latest = notation(values, significant=4).write(None if series.lacking else newest.figure.value)
    shown = "" if series.lacking or newest.figure.unit in {"", "1"} else f" {newest.figure.unit}"
    mark = "" if newest.alike or newest.figure.value is None else _OTHERS
    metric = f"{series.figure.metric}{f' ({apart})' if apart else ''}"
    return [
        fitted(visible(series.asked.model), _LONGEST_IN_HISTORY),
        fitted(visible(metric), 2 * _LONGEST_IN_HISTORY),
        str(len(series.points)),
        sparkline(series.values, bars=bars),
        f"{latest}{visible(shown)}{mark}",
        "" if series.lacking or series.change is None else _rise(series.values[-1] - series.change, series.values[-1]),
        standing(series),
    ]


def apart_in_words(apart: dict[str, str]) -> str:
    """`recipe 12ab, hardware CPU`: as `analysis.history.telling_apart` has it."""
    return ", ".join(f"{key} {value or 'unknown'}" for key, value in apart.items())


def notes_of_series(series: Series, apart: str, *, most: int = _MOST_STEPS) -> list[str]:
    """A line for each of its newest changes, and why the newest run has no value.

    Args:
        series: one metric of one model.
        apart: what tells it from others of its name.
        most: changes that are told.
    """
    of = f"{series.figure.metric} of {series.asked.model}{f' ({apart})' if apart else ''}"
    shown = series.steps[max(0, len(series.steps) - most) :]
    notes = [f"{of}: {_step_in_words(step, series)}" for step in shown]
    if left_out := len(series.steps) - len(shown):
        notes.insert(0, f"{of}: {counted(left_out, 'earlier change')}: see --json")
    if series.lacking:
        notes.append(f"{of}: the newest has no value: {series.lacking}")
    return notes


def _step_in_words(step: Step, series: Series) -> str:
    write = notation([step.before, step.after], apart=[(step.before, step.after)], significant=4).write
    unit = "" if series.figure.unit in {"", "1"} else f" {series.figure.unit}"
    change = f"{write(step.before)} -> {write(step.after)}{unit} ({_rise(step.before, step.after)})"
    first, last = run_in_words(step.first), run_in_words(step.last)
    return f"{word_of_step(step)}: {change} from {first} on; the last before: {last}"


def word_of_step(step: Step) -> str:
    """`worse`, `better`, or `changed` where neither is."""
    return "changed" if step.worse is None else "worse" if step.worse else "better"


def run_in_words(run: RunInShort) -> str:
    """Its name and commit."""
    if run.commit is None:
        return f"run {run.run}"
    return f"run {run.run} (commit {run.commit[:10]}{' and changed files' if run.dirty else ''})"


def _rise(before: float, after: float) -> str:
    """`+3.2%`; of what was zero the difference itself."""
    if not before:
        return f"{after - before:+.4g}"
    share = 100 * (after - before) / abs(before)
    return f"{share:+.1f}%" if not 0 < abs(share) < 0.05 else f"{share:+.1g}%"


def _wrapped_change(text: str, width: int) -> str:
    return textwrap.fill(visible(text), width, subsequent_indent="    ", break_on_hyphens=False)
