"""Joules from what was seen of a counter or of the power: arithmetic over looks, without any card.

A counter moves about every 100 ms, and on A100 and H100 only a quarter of the time is sampled (arXiv 2312.02741), so a
short window has no figure: repeat the call to fill it, and gate no difference under 5%.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

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
        return "the device failed and could not be waited for"
    if seconds < SHORTEST_WINDOW_S:
        return f"{TOO_SHORT}: {seconds:.3g} s, and the sensors need {SHORTEST_WINDOW_S:g} s"
    return None


def calls_to_fill(seconds: float) -> int:
    """How many calls of so many seconds fill a window that has a figure."""
    return max(1, math.ceil(SHORTEST_WINDOW_S / seconds)) if seconds > 0 else 1


def counted(looks: Sequence[Look], limit_w: float | None) -> tuple[float | None, str | None]:
    """Joules between the first look and the last by the counter, which may wrap around.

    Args:
        looks: two or more, each with a counter.
        limit_w: what the card may draw; a counter that seems to have run faster was set to zero.

    Returns:
        The joules; or None and the reason.
    """
    total_mj = 0
    for before, after in itertools.pairwise(looks):
        assert before.counter_mj is not None
        assert after.counter_mj is not None
        step = after.counter_mj - before.counter_mj
        if step < 0:
            most_mj = 1000 * 1.5 * (limit_w or MOST_WATTS) * max(after.at_s - before.at_s, 0.1)
            wrapped = [step + 2**bits for bits in _COUNTER_BITS if 0 <= step + 2**bits <= most_mj]
            if not wrapped:
                return None, "the counter went backwards: the driver was reloaded meanwhile"
            step = wrapped[0]
        total_mj += step
    return total_mj / 1000, None


def integrated(looks: Sequence[Look]) -> tuple[float | None, str | None]:
    """Joules between the first look and the last by the power at each of them, each with a power.

    Returns:
        The joules; or None and the reason.
    """
    total = 0.0
    for before, after in itertools.pairwise(looks):
        assert before.power_w is not None
        assert after.power_w is not None
        gap = after.at_s - before.at_s
        if gap > LONGEST_GAP_S:
            return None, f"nobody looked at the power for {gap:.2g} s"
        total += gap * (before.power_w + after.power_w) / 2
    return total, None


def joules(looks: Sequence[Look], limit_w: float | None) -> tuple[float | None, str | None, bool]:
    """What one card drew between the first look and the last.

    Returns:
        The joules or None, a reason or None, and whether they come from its counter.
    """
    if len(looks) < 2:
        return None, "there were no two looks at the card", False
    if all(look.counter_mj is not None for look in looks):
        return *counted(looks, limit_w), True
    if all(look.power_w is not None for look in looks):
        return *integrated(looks), False
    return None, "the card tells neither its energy nor its power", False
