"""Costs: is tonight slower? The session is the unit: a machine's mood shifts all prompts of a night together.

Two nights alone cannot tell a slower model from a slower night. Either many nights say how nights differ, or both
versions run in turns within one night, block by block, so that its mood cancels. Costs are positive and differ by
factors, so their logarithms are compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import stdev

from pytest_vdb.statistics.means import Interval, mean_of, t_interval

LEAST_SESSIONS = 5
"""Fewer nights do not show how much nights differ."""
LEAST_BLOCKS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """How many times as much one costs as the other: 1.05 is 5% more."""

    ratio: float | None
    interval: Interval
    blocks: int
    error: float | None = None
    """Standard error of the ratio's logarithm, where there is an interval."""


def prediction_interval(history: Sequence[float], *, confidence: float = 0.99) -> Interval:
    """Where one more session lies if nothing has changed.

    Null: the new session is one of the kind that the history shows. Assumed: sessions are independent, their logarithms
    close to normal. A rare busy neighbour in the history widens it; one tonight is an alarm.

    Args:
        history: each session's median cost, positive, of the same model, recipe and hardware.
        confidence: within (0, 1); of each tail half.

    Source: Hahn and Meeker 1991, Statistical Intervals, section 4.7.
    """
    if len(history) < LEAST_SESSIONS:
        return Interval(ends=None, reason=_too_few(len(history), "session", LEAST_SESSIONS))
    if min(history) <= 0:
        return Interval(ends=None, reason=f"a cost of {min(history):g} is not positive")
    from scipy.special import stdtrit

    centre, error = one_more(history)
    half = float(stdtrit(len(history) - 1, 0.5 + confidence / 2)) * error
    return Interval(ends=(math.exp(centre - half), math.exp(centre + half)))


def one_more(history: Sequence[float]) -> tuple[float, float]:
    """Where the logarithm of one more session's cost lies, and how far off it is by (t with n - 1 degrees of freedom).

    Args:
        history: at least two positive costs.
    """
    logs = [math.log(value) for value in history]
    centre, n = mean_of(logs), len(logs)
    deviation = math.sqrt(math.fsum((value - centre) ** 2 for value in logs) / (n - 1))
    return centre, deviation * math.sqrt(1 + 1 / n)


def ratio_of_blocks(base: Sequence[float], head: Sequence[float], *, confidence: float = 0.95) -> Ratio:
    """How many times as much `head` costs as `base`, from blocks that ran in turns.

    Null of each ratio: the logarithms of the blocks' ratios have its logarithm as their mean. Assumed: blocks are
    independent but for what both sides of one share, and their log-ratios close to normal (medians of a block are).

    Args:
        base: each block's median cost, positive.
        head: of the same blocks.
        confidence: within (0, 1).

    Raises:
        ValueError: not as many blocks on both sides.
    """
    both = list(zip(base, head, strict=True))
    if both and min(map(min, both)) <= 0:
        reason = f"a cost of {min(map(min, both)):g} is not positive"
        return Ratio(ratio=None, interval=Interval(ends=None, reason=reason), blocks=len(both))
    logs = [math.log(after / before) for before, after in both]
    ratio = math.exp(mean_of(logs)) if logs else None
    ends = t_interval(logs, confidence=confidence) if len(logs) >= LEAST_BLOCKS else None
    if ends is None:
        few = Interval(ends=None, reason=_too_few(len(logs), "block", LEAST_BLOCKS))
        return Ratio(ratio=ratio, interval=few, blocks=len(logs))
    interval = Interval(ends=(math.exp(ends[0]), math.exp(ends[1])))
    return Ratio(ratio=ratio, interval=interval, blocks=len(logs), error=stdev(logs) / math.sqrt(len(logs)))


def _too_few(count: int, unit: str, least: int) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'}: at least {least} are needed"
