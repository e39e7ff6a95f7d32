"""What became of metrics as one HTML file: a drawing for each series, the changes that were found first.

As self-contained as the leaderboard's page and under the same policy: it asks nothing of anyone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_vdb.analysis.history import Series, telling_apart
from pytest_vdb.escaping import shortened, visible
from pytest_vdb.figures import MISSING, notation
from pytest_vdb.reporters.history import apart_in_words, notes_of_series, standing
from pytest_vdb.reporters.pages import page_of_template, policy, source_of_template
from pytest_vdb.reporters.plots.contract import Plot
from pytest_vdb.reporters.plots.trends import TREND, day_of, trend_of_series
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
        policy=policy(style), style=Markup(style), summary=_summary(blocks, runs), blocks=blocks, legend=TREND
    )


def _summary(blocks: Sequence[dict[str, Any]], runs: dict[str, str]) -> str:
    found = [f"{n} {standing}" for standing in _WORST_FIRST if (n := sum(b["standing"] == standing for b in blocks))]
    when = f"{day_of(min(runs.values()))} to {day_of(max(runs.values()))}" if runs else "nothing measured"
    return f"{counted(len(runs), 'run')}, {when}; {len(blocks)} series: {', '.join(found) or 'none'}"


def _block_of_series(series: Series, apart: dict[str, str]) -> dict[str, Any]:
    from markupsafe import Markup

    words = apart_in_words(apart)
    name = f"{series.figure.metric} of {series.asked.model}"
    values = [point.figure.value for point in series.points]
    drawn = trend_of_series(series)
    latest = MISSING if series.lacking else notation(values, significant=4).write(series.points[-1].figure.value)
    better = {"higher": "higher is better", "lower": "lower is better"}.get(series.figure.better, "")
    return {
        "name": visible(shortened(name, 2 * LONGEST_NAME)),
        "apart": visible(words),
        "standing": standing(series),
        "class": standing(series).replace(" ", "-"),
        "latest": f"{latest} {visible(series.figure.unit)}" if series.figure.unit not in {"", "1"} else latest,
        "better": better,
        "drawing": Markup(drawn.svg) if isinstance(drawn, Plot) else None,
        "notes": [visible(note.removeprefix(f"{name}: ")) for note in _notes(series)],
    }


def _notes(series: Series) -> list[str]:
    notes = notes_of_series(series, "", most=len(series.steps))
    others = sum(not point.alike and point.figure.value is not None for point in series.points)
    if others:
        notes.append(f"{counted(others, 'hollow point')}: over other prompts than most runs, not compared")
    return notes
