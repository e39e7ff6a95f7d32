"""Several calls of a warm model as one statement: medians of times, the highest of peaks, sums over sums for rates."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace

from pytest_vdb.profiling.latency import LATENCY, THROUGHPUT
from pytest_vdb.profiling.probe import Reading
from pytest_vdb.records import Measurement

ROUNDS = 5
LONG_CALL_S = 300.0
ROUNDS_OF_LONG_CALLS = 3
"""What a protocol can ask of calls of minutes; no percentile is told of so few."""

_WINDOW = "five timed calls of a warm model, three if one takes five minutes"
_HOW = "pytest-benchmark's clock around each call"
STEADY_LATENCY = replace(
    LATENCY,
    name="steady_latency",
    window=_WINDOW,
    how=f"{_HOW}; their median, with the shortest and the longest",
    misses="calls of other prompts; how long the machine keeps this up",
)
CLIP_TIME = replace(
    STEADY_LATENCY,
    name="clip_time",
    how="`steady_latency` over the clips of a call, which are the recipe's `batch`: with one clip it is the same",
    misses="how long the first of several clips is waited for: they come together, after `steady_latency`",
)
LATENCY_VARIATION = Reading(
    "latency_variation",
    "1",
    better="neutral",
    window=_WINDOW,
    how=f"{_HOW}; their standard deviation over their mean",
    misses="how much sessions differ: see `vdb noise`",
)
STEADY_THROUGHPUT = replace(
    THROUGHPUT,
    name="steady_throughput",
    version="2",
    window=_WINDOW,
    how=f"{_HOW}; frames of all clips over the sum of their seconds",
)
VIDEOS_PER_MINUTE = replace(
    STEADY_THROUGHPUT, name="videos_per_minute", unit="videos/min", version="1", how=f"{_HOW}; clips over their minutes"
)
REAL_TIME_FACTOR = replace(
    STEADY_THROUGHPUT,
    name="real_time_factor",
    unit="s/s",
    version="1",
    how=f"{_HOW}; seconds that all clips play over the seconds of making them: above 1 is faster than real time",
    misses="whether a first frame comes early: a clip is whole or not there",
)
OF_ROUNDS = (STEADY_LATENCY, CLIP_TIME, LATENCY_VARIATION, STEADY_THROUGHPUT, VIDEOS_PER_MINUTE, REAL_TIME_FACTOR)


def rounds_for(first_call_s: float | None) -> int:
    """How often to time a call whose first one took so long."""
    return ROUNDS_OF_LONG_CALLS if first_call_s is not None and first_call_s > LONG_CALL_S else ROUNDS


def of_rounds(
    seconds: Sequence[float], *, frames: int, fps: float | None = None, clips: int = 1
) -> tuple[Measurement, ...]:
    """What timed calls say.

    Args:
        seconds: of each call, at least one.
        frames: of each clip.
        fps: at which they play; None: nobody said.
        clips: that each call made.
    """
    n, total, made = len(seconds), sum(seconds), len(seconds) * clips
    variation = statistics.stdev(seconds) / statistics.mean(seconds) if n > 1 and total else None
    middle, shortest, longest = statistics.median(seconds), min(seconds), max(seconds)
    found = [
        STEADY_LATENCY.of(middle, n=n, interval=(shortest, longest)),
        CLIP_TIME.of(middle / clips, n=n, interval=(shortest / clips, longest / clips)),
        LATENCY_VARIATION.of(variation, n=n, reason=None if variation is not None else "one call does not vary"),
    ]
    if not total:
        rates = OF_ROUNDS[len(found) :]
        return (*found, *(one.of(None, reason="the calls were too short for the clock") for one in rates))
    found += [STEADY_THROUGHPUT.of(made * frames / total, n=n), VIDEOS_PER_MINUTE.of(60 * made / total, n=n)]
    factor = None if not fps else made * frames / fps / total
    found.append(
        REAL_TIME_FACTOR.of(factor, n=n, reason=None if factor is not None else "nobody said how fast it plays")
    )
    return tuple(found)


def over_rounds(rounds: Sequence[Sequence[Measurement]]) -> tuple[Measurement, ...]:
    """What the same probes read of each of several calls, as one measurement of each name.

    The highest of what is in MiB, the median of the rest, with the lowest and the highest; a series element by element.
    Where no call has a value, the first one's reason.
    """
    by_name: dict[str, list[Measurement]] = {}
    for measurements in rounds:
        for measured in measurements:
            by_name.setdefault(measured.name, []).append(measured)
    return tuple(_over_calls(found) for found in by_name.values())


def _over_calls(found: Sequence[Measurement]) -> Measurement:
    valued = [measured for measured in found if measured.value is not None]
    values = [measured.value for measured in valued if measured.value is not None]
    if not values:
        return found[0]
    value = max(values) if valued[0].unit == "MiB" else statistics.median(values)
    series = [measured.series for measured in found if measured.series]
    together = None
    if series and len({len(one) for one in series}) == 1:
        together = tuple(statistics.median(at) for at in zip(*series, strict=True))
    interval = (min(values), max(values)) if len(values) > 1 else None
    remark = next((measured.reason for measured in valued if measured.reason), None)
    return replace(valued[0], reason=remark, value=value, n=len(values), interval=interval, series=together)
