"""What became of a metric of a model, run by run: its levels, the changes that were found, and each run's value."""

from __future__ import annotations

from pytest_vdb.analysis.history import Series, Step
from pytest_vdb.figures import notation
from pytest_vdb.reporters.charts import Dot, Turn, trend
from pytest_vdb.reporters.history import run_in_words, standing, word_of_step
from pytest_vdb.reporters.plots.contract import Absent, Drawn, Plot, name_in_table
from pytest_vdb.reporters.text import counted

TREND = (
    "A point is a run, the oldest on the left. A line is the median of the runs at one level, the band around it "
    "reaches from their lowest value to their highest."
)


def day_of(began: str) -> str:
    """Of a moment as records write it."""
    return began[:10]


def trend_of_series(series: Series) -> Drawn:
    """A series of `analysis.history.trends` as `vdb history` draws it.

    Belongs on a model's page, where the runs before are at hand (`results.history`), and on the page of a history.

    Args:
        series: one metric of one model, measured in one way.
    """
    title = f"{series.figure.metric} of {series.asked.model}"
    drawn = [point for point in series.points if point.figure.value is not None]
    if not drawn:
        return Absent(title=title, reason=series.lacking or "no run has a value")
    values = [point.figure.value or 0.0 for point in drawn]
    write = notation(values, significant=4).write
    dots = [
        Dot(
            value=value,
            title=f"{write(value)}: {run_in_words(point.run)}, {day_of(point.run.began)}",
            compared=point.alike,
        )
        for point, value in zip(drawn, values, strict=True)
    ]
    places = {point.run.run: place for place, point in enumerate(drawn)}
    turns = [_turn_of_step(step, places) for step in series.steps if step.first.run in places]
    ends = (day_of(drawn[0].run.began), day_of(drawn[-1].run.began) if len(drawn) > 1 else "")
    label = f"{title}, {counted(len(dots), 'run')}: {standing(series)}"
    return Plot(
        title=title,
        svg=trend(dots, turns, ends=ends, label=label),
        caption=TREND,
        header=("Run", "began", "value"),
        rows=tuple(
            (name_in_table(point.run.run), point.run.began, write(point.figure.value)) for point in series.points
        ),
    )


def _turn_of_step(step: Step, places: dict[str, int]) -> Turn:
    return Turn(at=places[step.first.run], kind=word_of_step(step))
