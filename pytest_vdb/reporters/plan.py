"""What a job would be, before anything is submitted: shards, hours, cost and how long it takes, with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pytest_vdb.figures import notation

if TYPE_CHECKING:
    from pytest_vdb.cluster.planning import Forecast

_MOST = 20
"""Models of which it is said what their costs rest on."""


def lines_of(
    forecast: Forecast, rests_on: Mapping[str, str], *, workers: int, gpus: int, price: tuple[float, str] | None
) -> list[str]:
    """As a terminal shows it.

    Args:
        forecast: of the job.
        rests_on: what the cost of each model rests on.
        workers: shards at a time.
        gpus: of each of them; 0: they run on processors.
        price: of an hour of one GPU, and its currency.
    """
    return list(_told_lines(forecast, rests_on, workers, gpus, price))


def _told_lines(
    forecast: Forecast, rests_on: Mapping[str, str], workers: int, gpus: int, price: tuple[float, str] | None
) -> Iterator[str]:
    yield f"{forecast.tests} tests in {forecast.shards} shards, {workers} at a time"
    if forecast.unknown:
        names = ", ".join(forecast.unknown[:_MOST])
        yield f"nobody knows yet what these take, and they are in no figure below: {names}"
    if not rests_on:
        yield "run a few prompts of each model here first (--vdb-prompts=smoke:2), or see vdb estimate"
        return
    unit = "GPU-hours" if gpus else "hours of workers"
    hours = tuple(one * max(1, gpus) for one in forecast.worker_hours)
    yield f"{unit}: {_with_ends_told(hours)}, {forecast.overhead:.1%} of them starting and loading"
    if price is not None and gpus:
        yield f"cost: {_with_ends_told(tuple(one * price[0] for one in hours))} {price[1]}"
    minutes = tuple(one / 60 for one in forecast.makespan_s)
    yield f"minutes until the last one ends: {_with_ends_told(minutes)}, if no machine is waited for or lost"
    for model, what in sorted(rests_on.items())[:_MOST]:
        yield f"  {model}: {what}"
    if len(rests_on) > _MOST:
        yield f"  and {len(rests_on) - _MOST} more models"


def _with_ends_told(values: tuple[float, ...]) -> str:
    """A value and its 90% interval."""
    written = notation(values).write
    value, low, high = map(written, values)
    return f"{value} ({low} to {high})"
