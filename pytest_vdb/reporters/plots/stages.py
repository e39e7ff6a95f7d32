"""Where the seconds of a clip go: a bar for each model, stacked of text encoding, denoising, decoding and the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_vdb.analysis.tables import Cell, Column, Table
from pytest_vdb.components import STAGES
from pytest_vdb.figures import Notation, notation
from pytest_vdb.reporters.drawing import LARGEST_DRAWN, Scale, told, words_at
from pytest_vdb.reporters.plots.contract import (
    MOST_MODELS,
    WIDTH,
    Absent,
    Drawn,
    Plot,
    drawing,
    left_out,
    name_in_table,
    short_name,
)

TITLE = "Where the seconds of a clip go"
_OTHER = "other"
_PARTS = (*STAGES, _OTHER)
_WORDS = {stage: stage.replace("_", " ") for stage in STAGES} | {_OTHER: "everything else"}
_TOP, _LINE, _BAR = 40, 40, 14
"""Pixels: of the key, of a model, of its bar."""


@dataclass(frozen=True, slots=True)
class _Division:
    """One model's seconds of a clip, by stage; together they are its latency."""

    name: str
    seconds: Mapping[str, float]

    @property
    def total(self) -> float:
        return sum(self.seconds.values())


def stage_breakdown(table: Table, names: Mapping[int, str]) -> Drawn:
    """The mean call of each model, divided: a stage that a call did not have takes none of its time.

    Belongs on the leaderboard, below the plot of quality against cost, and for a table of one row on a model's page.

    Args:
        table: standings, or a benchmark's.
        names: of its rows, as `distinct_names` gives them; rows that it lacks are left out.

    Returns:
        A bar for each of the first twenty rows that have stages, all to one scale in seconds.
    """
    found = _divisions(table, names)
    if not found:
        return Absent(title=TITLE, reason="no stage was timed: only pipelines of diffusers are watched stage by stage")
    shown = found[:MOST_MODELS]
    longest = max(one.total for one in shown)
    if longest > LARGEST_DRAWN:
        return Absent(title=TITLE, reason="a value is too large to be drawn")
    scale = Scale(0, longest or 1.0, 0, WIDTH - 90)
    write = notation([one.total for one in shown])
    parts = list(_key())
    for at, one in enumerate(shown):
        parts += _bar(one, _TOP + at * _LINE, scale, write)
    caption = "Mean seconds of a call, or the medians of several timed ones; together they are the latency."
    caption += left_out(len(found) - len(shown), "model")
    return Plot(
        title=TITLE,
        svg=drawing(TITLE, caption, _TOP + len(shown) * _LINE, parts),
        caption=caption,
        header=("Model", *(f"{_WORDS[part]} in s" for part in _PARTS), "together in s"),
        rows=tuple(_row_of_division(one) for one in shown),
    )


def _divisions(table: Table, names: Mapping[int, str]) -> list[_Division]:
    groups = _columns_by_benchmark(table.columns)
    found = []
    for at, name in names.items():
        cells = table.rows[at].cells
        divided = (_seconds_of_parts({part: cells[place] for part, place in group.items()}) for group in groups)
        seconds = next((one for one in divided if one is not None), None)
        if seconds is not None:
            found.append(_Division(name, seconds))
    return found


def _columns_by_benchmark(columns: Sequence[Column]) -> list[dict[str, int]]:
    """Stage -> column, of each benchmark that timed them: in standings `other_time (test_speed)` may stand beside."""
    groups: dict[str, dict[str, int]] = {}
    for at, column in enumerate(columns):
        metric, _, benchmark = column.name.partition(" (")
        part = metric.removesuffix("_time")
        if column.kind == "performance" and metric != part and part in _PARTS:
            groups.setdefault(benchmark, {})[part] = at
    return [group for group in groups.values() if _OTHER in group]


def _seconds_of_parts(cells: Mapping[str, Cell]) -> dict[str, float] | None:
    """Of the mean call: what only some calls did counts for all of them, so that the parts add up."""
    calls = cells[_OTHER].n
    found = {part: cells[part] for part in _PARTS if part in cells}
    means = {
        part: (cell.mean * cell.n / calls, cell.n) for part, cell in found.items() if cell.mean is not None and calls
    }
    return {part: max(0.0, mean) for part, (mean, n) in means.items() if n} or None


def _key() -> Iterator[str]:
    x = 0.0
    for at, part in enumerate(_PARTS):
        yield f'<rect class="s{at}" x="{x:.1f}" y="4" width="12" height="12" rx="2"/>'
        yield words_at(x + 17, 14, _WORDS[part], "start")
        x += 32 + 6.4 * len(_WORDS[part])


def _bar(one: _Division, y: float, scale: Scale, write: Notation) -> Iterator[str]:
    yield words_at(0, y + 12, short_name(one.name), "start", "name")
    start = 0.0
    for at, part in enumerate(_PARTS):
        if (seconds := one.seconds.get(part, 0.0)) > 0:
            left, right = scale.at(start), scale.at(start + seconds)
            said = f"{_WORDS[part]}: {seconds:.3g} s, {seconds / one.total:.1%} of {short_name(one.name)}"
            yield (
                f'<rect class="part s{at}" x="{left:.1f}" y="{y + 18:.0f}" width="{right - left:.1f}" height="{_BAR}">'
                f"{told(said)}</rect>"
            )
            start += seconds
    yield words_at(scale.at(start) + 8, y + 29, f"{write.write(one.total)} s", "start")


def _row_of_division(one: _Division) -> tuple[str, ...]:
    write = notation([*one.seconds.values()], significant=3).write
    return (name_in_table(one.name), *(write(one.seconds.get(part)) for part in _PARTS), write(one.total))
