"""Costs: is tonight slower? The session is the unit: a machine's mood shifts all prompts of a night together.

Two nights alone cannot tell a slower model from a slower night. Either many nights say how nights differ, or both
versions run in turns within one night, block by block, so that its mood cancels. Costs are positive and differ by
factors, so their logarithms are compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_vdb.statistics.means import Interval, mean_of
from pytest_vdb.statistics.verdicts import POWER, noncentrality

LEAST_SESSIONS = 5
"""Fewer nights do not show how much nights differ."""
LEAST_BLOCKS = 3
LEAST_TRIMMED = 8
"""From so many blocks on what lies at the ends is pulled in; of fewer, too little would be left."""
_TRIMMED = 0.2
"""Of the blocks at either end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """How many times as much one costs as the other: 1.05 is 5% more."""

    ratio: float | None
    interval: Interval
    blocks: int
    error: float | None = None
    """Standard error of the ratio's logarithm, where there is an interval."""
    degrees: int | None = None
    """Of freedom of that error."""


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
    return mean_of(logs), _deviation(logs) * math.sqrt(1 + 1 / len(logs))


def spread_of_sessions(costs: Sequence[float]) -> float | None:
    """How much sessions differ: the standard deviation of their costs' logarithms, 0.03 for about 3%.

    Args:
        costs: each session's median cost; None where one is not positive, or there are fewer than two.
    """
    if len(costs) < 2 or min(costs) <= 0:
        return None
    return _deviation([math.log(value) for value in costs])


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

    From `LEAST_TRIMMED` blocks on the fifth of the ratios at either end counts as much as its neighbour inside: a cold
    first block, or a neighbour that came and went, is no news of either side.

    Null of each ratio: the logarithms of the blocks' ratios have its logarithm as their middle. Assumed: blocks are
    independent but for what both sides of one share, and their log-ratios symmetric, which they are where the two could
    change places.

    Args:
        base: each block's median cost, positive.
        head: of the same blocks.
        confidence: within (0, 1).

    Raises:
        ValueError: not as many blocks on both sides.

    Source: Yuen 1974, Biometrika 61, with one degree of freedom less than there: at so few blocks his test alarms a
    little too often (docs/statistics.md). Below `LEAST_TRIMMED` it is Student's.
    """
    both = list(zip(base, head, strict=True))
    if both and min(map(min, both)) <= 0:
        reason = f"a cost of {min(map(min, both)):g} is not positive"
        return Ratio(ratio=None, interval=Interval(ends=None, reason=reason), blocks=len(both))
    logs = sorted(math.log(after) - math.log(before) for before, after in both)
    cut = int(_TRIMMED * len(logs)) if len(logs) >= LEAST_TRIMMED else 0
    inner = logs[cut : len(logs) - cut]
    ratio = math.exp(mean_of(inner)) if inner else None
    if len(logs) < LEAST_BLOCKS:
        few = Interval(ends=None, reason=_too_few(len(logs), "block", LEAST_BLOCKS))
        return Ratio(ratio=ratio, interval=few, blocks=len(logs))
    from scipy.special import stdtrit

    pulled_in = [inner[0]] * cut + inner + [inner[-1]] * cut
    error = _deviation(pulled_in) * math.sqrt((len(logs) - 1) / (len(inner) * (len(inner) - 1)))
    degrees = len(inner) - (2 if cut else 1)
    half = float(stdtrit(degrees, 0.5 + confidence / 2)) * error
    ends = math.exp(mean_of(inner) - half), math.exp(mean_of(inner) + half)
    return Ratio(ratio=ratio, interval=Interval(ends=ends), blocks=len(logs), error=error, degrees=degrees)


def _deviation(values: Sequence[float]) -> float:
    """Standard deviation of at least two; `statistics.stdev` counts in fractions, at fifty times the time."""
    centre = mean_of(values)
    return math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1))


def _too_few(count: int, unit: str, least: int) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'}: at least {least} are needed"
