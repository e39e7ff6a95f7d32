"""A difference, how sure it is, and a margin: is it a regression? And if nobody can say, how many prompts could?

All of it speaks of how much *worse* something got: positive is worse, in the metric's unit.
"""

from __future__ import annotations

import functools
import math
from statistics import NormalDist

_QUANTILES = 1_000
_HALVINGS = 60
POWER = 0.8
"""The chance that the planned number of prompts decides."""


def prompts_that_decide(
    spread: float, margin: float, *, change: float = 0.0, confidence: float = 0.95, power: float = POWER
) -> int | None:
    """How many prompts would show on which side of the margin a change lies: an estimate, as the spread is one.

    Assumed: the mean of so many differences is close to normal, and the other prompts differ as these do.

    Args:
        spread: standard deviation of the paired differences of prompts' means.
        margin: how much worse it may get.
        change: how much worse it is taken to be; 0: nothing has changed, and that is to be shown.
        confidence: of the one-sided decision; 0.95 and the usual power make 6.2 (spread / margin)^2.
        power: the chance that so many prompts decide.

    Returns:
        At least 2; None where the change lies at the margin itself (no number decides) or a figure is not finite.
    """
    distance = abs(margin - change)
    if not (math.isfinite(spread) and math.isfinite(distance)) or distance <= 0:
        return None
    needed = (_quantiles(confidence, power) * spread / distance) ** 2
    return max(2, math.ceil(needed)) if math.isfinite(needed) else None


def smallest_change(spread: float, prompts: int, *, confidence: float = 0.95, power: float = POWER) -> float | None:
    """The least change that so many prompts show with that power: a margin below it lies in the noise.

    Assumed: differences close to normal, whose spread the test must estimate from the same prompts (noncentral t). Held
    against the gate's own test in `docs/statistics.md`.

    Args:
        spread: standard deviation of the paired differences where nothing has changed (of `vdb noise`).
        prompts: how many there are.
        confidence: of the one-sided decision; of one among m rules, 1 less the family's level over m.
        power: the chance that it is seen.
    """
    if prompts < 2 or not math.isfinite(spread) or not 0 < confidence < 1:
        return None
    return noncentrality(prompts - 1, confidence, power) * spread / math.sqrt(prompts)


@functools.lru_cache(maxsize=4_096)
def noncentrality(degrees: int, confidence: float, power: float) -> float:
    """How many standard errors, themselves estimated, a change must be for a t-test to see it with that power.

    By the mean over the quantiles of what the error is estimated as: scipy's inverse does not end for large limits.

    Args:
        degrees: of freedom of the error, at least 1.
        confidence: of the one-sided test, within (0, 1).
        power: likewise.
    """
    import numpy as np
    from scipy.special import chdtri, ndtr, stdtrit

    limit = float(stdtrit(degrees, confidence))
    estimates = np.sqrt(chdtri(degrees, (np.arange(_QUANTILES) + 0.5) / _QUANTILES) / degrees)
    low, high = -10.0, 10.0 + abs(limit) * float(estimates.max())
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        seen = float(ndtr(middle - limit * estimates).mean())
        low, high = (middle, high) if seen < power else (low, middle)
    return (low + high) / 2


def _quantiles(confidence: float, power: float) -> float:
    normal = NormalDist()
    return normal.inv_cdf(confidence) + normal.inv_cdf(power)
