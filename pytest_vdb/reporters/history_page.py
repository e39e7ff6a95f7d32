"""What became of metrics as one HTML file: a drawing for each series, the changes that were found first.

As self-contained as the leaderboard's page and under the same policy: it asks nothing of anyone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_vdb.analysis.history import Point, Series, Step, telling_apart
from pytest_vdb.escaping import shortened, visible
from pytest_vdb.figures import MISSING, notation
from pytest_vdb.reporters.charts import Dot, Turn, trend
from pytest_vdb.reporters.history import apart_in_words, notes_of_series, run_in_words, standing, word_of_step
from pytest_vdb.reporters.pages import page_of_template, policy, source_of_template
from pytest_vdb.reporters.text import LONGEST_NAME, counted

_WORST_FIRST = ("worse", "changed", "better", "steady", "too few runs")


def render(every: Sequence[Series]) -> str:
    """The page: series that got worse first, then in the order they are given.

    Args:
        every: as `analysis.history.trends` has them.
    """
    from markupsafe import Markup

    style = source_of_template("leaderboard.css") + source_of_template("history.css")
    blocks = [_block_of_series(series, apart) for series, apart in zip(every, telling_apart(every), strict=True)]
    blocks.sort(key=lambda block: _WORST_FIRST.index(block["standing"]))
    runs = {point.run.run: point.run.began for series in every for point in series.points}
    return page_of_template("history.html.j2").render(
        policy=policy(style), style=Markup(style), summary=_summary(blocks, runs), blocks=blocks
    )


def _summary(blocks: Sequence[dict[str, Any]], runs: dict[str, str]) -> str:
    found = [f"{n} {standing}" for standing in _WORST_FIRST if (n := sum(b["standing"] == standing for b in blocks))]
    when = f"{_day(min(runs.values()))} to {_day(max(runs.values()))}" if runs else "nothing measured"
    return f"{counted(len(runs), 'run')}, {when}; {len(blocks)} series: {', '.join(found) or 'none'}"


def _block_of_series(series: Series, apart: dict[str, str]) -> dict[str, Any]:
    drawn = [point for point in series.points if point.figure.value is not None]
    words = apart_in_words(apart)
    name = f"{series.figure.metric} of {series.asked.model}"
    values = [point.figure.value for point in drawn]
    latest = MISSING if series.lacking else notation(values, significant=4).write(series.points[-1].figure.value)
    better = {"higher": "higher is better", "lower": "lower is better"}.get(series.figure.better, "")
    return {
        "name": visible(shortened(name, 2 * LONGEST_NAME)),
        "apart": visible(words),
        "standing": standing(series),
        "class": standing(series).replace(" ", "-"),
        "latest": f"{latest} {visible(series.figure.unit)}" if series.figure.unit not in {"", "1"} else latest,
        "better": better,
        "drawing": _drawing(series, drawn, name) if drawn else None,
        "notes": [visible(note.removeprefix(f"{name}: ")) for note in _notes(series)],
    }


def _notes(series: Series) -> list[str]:
    notes = notes_of_series(series, "", most=len(series.steps))
    others = sum(not point.alike and point.figure.value is not None for point in series.points)
    if others:
        notes.append(f"{counted(others, 'hollow point')}: over other prompts than most runs, not compared")
    return notes


def _drawing(series: Series, drawn: Sequence[Point], name: str) -> Any:
    from markupsafe import Markup

    write = notation([point.figure.value for point in drawn], significant=4).write
    dots = [
        Dot(
            value=point.figure.value or 0.0,
            title=f"{write(point.figure.value)}: {run_in_words(point.run)}, {_day(point.run.began)}",
            compared=point.alike,
        )
        for point in drawn
    ]
    places = {point.run.run: place for place, point in enumerate(drawn)}
    turns = [_turn_of_step(step, places) for step in series.steps if step.first.run in places]
    ends = (_day(drawn[0].run.began), _day(drawn[-1].run.began) if len(drawn) > 1 else "")
    label = f"{name}, {counted(len(dots), 'run')}: {standing(series)}"
    return Markup(trend(dots, turns, ends=ends, label=label))


def _turn_of_step(step: Step, places: dict[str, int]) -> Turn:
    return Turn(at=places[step.first.run], kind=word_of_step(step))


def _day(began: str) -> str:
    return began[:10]
