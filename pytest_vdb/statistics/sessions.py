"""Costs: is tonight slower? The session is the unit: a machine's mood shifts all prompts of a night together.

Two nights alone cannot tell a slower model from a slower night. Either many nights say how nights differ, or both
versions run in turns within one night, block by block, so that its mood cancels. Costs are positive and differ by
factors, so their logarithms are compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_vdb.statistics.means import Interval, mean_of, t_interval
from pytest_vdb.statistics.verdicts import POWER, noncentrality

LEAST_SESSIONS = 5
"""Fewer nights do not show how much nights differ."""
LEAST_BLOCKS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """How many times as much one costs as the other: 1.05 is 5% more."""

    ratio: float | None
    interval: Interval


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
    return mean_of(logs), _deviation_of_logs(logs) * math.sqrt(1 + 1 / len(logs))


def spread_of_sessions(costs: Sequence[float]) -> float | None:
    """How much sessions differ: the standard deviation of their costs' logarithms, 0.03 for about 3%.

    Args:
        costs: each session's median cost; None where one is not positive, or there are fewer than two.
    """
    if len(costs) < 2 or min(costs) <= 0:
        return None
    return _deviation_of_logs([math.log(value) for value in costs])


def smallest_ratio(spread: float, earlier: int, *, confidence: float = 0.95, power: float = POWER) -> float | None:
    """The logarithm of the least ratio that one more session shows, beside earlier ones, with that power.

    Args:
        spread: of `spread_of_sessions`, where nothing has changed.
        earlier: how many sessions there are to compare with; None for fewer than `LEAST_SESSIONS`.
        confidence: of the one-sided decision.
        power: the chance that it is seen.
    """
    if earlier < LEAST_SESSIONS:
        return None
    return noncentrality(earlier - 1, confidence, power) * spread * math.sqrt(1 + 1 / earlier)


def most_spread(sessions: int, *, confidence: float = 0.95) -> float:
    """How many times as large as the one that was seen the spread of all sessions may be: 16 for two, 1.6 for ten."""
    from scipy.special import chdtri

    return math.sqrt((sessions - 1) / float(chdtri(sessions - 1, confidence)))


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
        return Ratio(ratio=None, interval=Interval(ends=None, reason=reason))
    logs = [math.log(after / before) for before, after in both]
    ratio = math.exp(mean_of(logs)) if logs else None
    ends = t_interval(logs, confidence=confidence) if len(logs) >= LEAST_BLOCKS else None
    if ends is None:
        return Ratio(ratio=ratio, interval=Interval(ends=None, reason=_too_few(len(logs), "block", LEAST_BLOCKS)))
    return Ratio(ratio=ratio, interval=Interval(ends=(math.exp(ends[0]), math.exp(ends[1]))))


def _deviation_of_logs(logs: Sequence[float]) -> float:
    centre = mean_of(logs)
    return math.sqrt(math.fsum((value - centre) ** 2 for value in logs) / (len(logs) - 1))


def _too_few(count: int, unit: str, least: int) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'}: at least {least} are needed"
