"""Joules from what was seen of a counter or of the power: arithmetic over looks, without any card.

A counter moves about every 100 ms, and on A100 and H100 only a quarter of the time is sampled (arXiv 2312.02741), so a
short window has no figure: repeat the call to fill it, and gate no difference under 5%.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_vdb.profiling.probe import DEVICE_FAILED

SHORTEST_WINDOW_S = 5.0
LONGEST_GAP_S = 1.0
"""Between two looks at the power: over a longer one nobody knows what was drawn."""
MOST_WATTS = 3000.0
"""That a card of which no limit is known may draw."""
TOO_SHORT = "window_too_short"
"""How the reason of a window without a figure begins."""
_COUNTER_BITS = (32, 64)


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at one card saw.

    Args:
        at_s: when, on any clock that only goes forward.
        counter_mj: millijoules since some moment; None: it does not count.
        power_w: watts; None: it does not tell.
    """

    at_s: float
    counter_mj: int | None = None
    power_w: float | None = None


def why_too_short(seconds: float | None) -> str | None:
    """Why a window of so many seconds has no figure."""
    if seconds is None:
        return DEVICE_FAILED
    if seconds < SHORTEST_WINDOW_S:
        return f"{TOO_SHORT}: {seconds:.3g} s, and the sensors need {SHORTEST_WINDOW_S:g} s"
    return None


def calls_to_fill(seconds: float) -> int:
    """How many calls of so many seconds fill a window that has a figure."""
    return max(1, math.ceil(SHORTEST_WINDOW_S / seconds)) if seconds > 0 else 1


def counted(looks: Sequence[Look], limit_w: float | None) -> tuple[list[float], str | None]:
    """Joules from the first look to each by the counter, which may wrap around.

    Args:
        looks: each with a counter.
        limit_w: what the card may draw; a counter that seems to have run faster was set to zero.

    Returns:
        The joules, up to where they can be told; and the reason if that is not the last look.
    """
    total_mj, found = 0, [0.0]
    for before, after in itertools.pairwise(looks):
        assert before.counter_mj is not None
        assert after.counter_mj is not None
        step = after.counter_mj - before.counter_mj
        if step < 0:
            most_mj = 1000 * 1.5 * (limit_w or MOST_WATTS) * max(after.at_s - before.at_s, 0.1)
            wrapped = [step + 2**bits for bits in _COUNTER_BITS if 0 <= step + 2**bits <= most_mj]
            if not wrapped:
                return found, "the counter went backwards: the driver was reloaded meanwhile"
            step = wrapped[0]
        total_mj += step
        found.append(total_mj / 1000)
    return found, None


def integrated(looks: Sequence[Look]) -> tuple[list[float], str | None]:
    """Joules from the first look to each by the power at each of them, each with a power.

    Returns:
        The joules, up to where they can be told; and the reason if that is not the last look.
    """
    found = [0.0]
    for before, after in itertools.pairwise(looks):
        assert before.power_w is not None
        assert after.power_w is not None
        gap = after.at_s - before.at_s
        if gap > LONGEST_GAP_S:
            return found, f"nobody looked at the power for {gap:.2g} s"
        found.append(found[-1] + gap * (before.power_w + after.power_w) / 2)
    return found, None


@dataclass(frozen=True, slots=True)
class Drawn:
    """What one card drew.

    Args:
        at_s: when it was looked at.
        joules: from the first look to each.
        by_counter: whether they come from its counter; else from its power.
    """

    at_s: tuple[float, ...]
    joules: tuple[float, ...]
    by_counter: bool

    def between(self, start_s: float, end_s: float) -> float:
        """Joules from one moment to another; between two looks as if they were drawn evenly."""
        return self._until(end_s) - self._until(start_s)

    def _until(self, moment_s: float) -> float:
        at = bisect.bisect_right(self.at_s, moment_s)
        if at in (0, len(self.at_s)):
            return self.joules[0 if at == 0 else -1]
        share = (moment_s - self.at_s[at - 1]) / (self.at_s[at] - self.at_s[at - 1])
        return self.joules[at - 1] + share * (self.joules[at] - self.joules[at - 1])


def drawn(looks: Sequence[Look], limit_w: float | None) -> tuple[Drawn | None, str | None]:
    """What one card drew from look to look.

    Returns:
        It, or None and the reason.
    """
    if len(looks) < 2:
        return None, "there were no two looks at the card"
    by_counter = all(look.counter_mj is not None for look in looks)
    if by_counter:
        found, reason = counted(looks, limit_w)
    elif all(look.power_w is not None for look in looks):
        found, reason = integrated(looks)
    else:
        return None, "the card tells neither its energy nor its power"
    if reason is not None:
        return None, reason
    return Drawn(tuple(look.at_s for look in looks), tuple(found), by_counter), None
