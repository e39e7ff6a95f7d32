"""From the times at which frames are shown to one rate.

A clip has one rate. Frames that are shown for equal times have theirs; of others the mean is taken, so that the clip
lasts as long as the file does, and that is said: no frame is invented and none is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

_JITTER = Fraction(1, 20)
"""Times that differ by less than this part of their mean are equal: capture cards and rounding muxers."""

_ROUNDING = Fraction(1, 1000)
"""A stated rate this near to the one of the times is the exact one."""

_SHORTEST_DELAY = Fraction(1, 100)
_DELAY_INSTEAD = Fraction(1, 10)


def of_delays(delays: Sequence[Fraction]) -> list[Fraction]:
    """The delays of an animated image as browsers keep them: up to 10 ms (nobody meant that) becomes 100 ms."""
    return [delay if delay > _SHORTEST_DELAY else _DELAY_INSTEAD for delay in delays]


def rate_of(
    times: Sequence[Fraction],
    *,
    tick: Fraction,
    stated: Fraction | None = None,
    stated_is_mean: bool = False,
    last_counts: bool = True,
) -> tuple[float | None, tuple[str, ...]]:
    """Frames per second, and what to say if the frames are not shown for equal times.

    Args:
        times: how long each frame is shown, in seconds; not above zero where nothing tells.
        tick: what the file measures times in: equal times differ by one.
        stated: the rate that the file states: exact where the times were rounded.
        stated_is_mean: whether it is the number of frames by how long they last, all in all.
        last_counts: whether the last time was set by somebody, or only guessed from those before.

    Returns:
        The rate (None: nothing tells), and notes.
    """
    told = [time for time in times if time > 0]
    compared = told if last_counts or len(told) == 1 else [time for time in times[:-1] if time > 0]
    if not compared:
        return (float(stated) if stated else None), ()
    mean = sum(compared, Fraction(0)) / len(compared)
    if max(compared) - min(compared) <= max(tick, mean * _JITTER):
        agrees = stated is not None and abs(stated * mean - 1) <= _ROUNDING + tick / sum(compared)
        return float(stated if agrees and stated else 1 / mean), ()
    rate = float(stated if stated and stated_is_mean else len(told) / sum(told, Fraction(0)))
    return rate, (
        f"its frames are shown for {_milliseconds(min(compared))} to {_milliseconds(max(compared))} ms: "
        f"read as {len(times)} frames at their mean rate, {rate:.4g} a second",
    )


def _milliseconds(time: Fraction) -> str:
    return f"{float(time * 1000):.4g}"
