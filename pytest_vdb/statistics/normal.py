"""The normal law, and Student's t by way of it, for whoever asks for a few thousand values.

All by Python's own mathematics: `scipy.special` takes a fifth of a second to be imported, which is longer than the
statistics of a leaderboard take otherwise.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_DEGREES = 199
"""Of Student's t: from here on its chances are right to ten digits up to t = 10, and to five up to t = 30."""
_LAW = NormalDist()
_ROOT_OF_TWO = math.sqrt(2)


def quantile(chance: float) -> float:
    """Below which a normal value lies with this chance, within (0, 1)."""
    return _LAW.inv_cdf(chance)


def quantiles(chances: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(k,)`: `quantile` of each."""
    return np.array([_LAW.inv_cdf(chance) for chance in chances.tolist()])


def tails(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(k,)`: the chance that a normal value lies above each."""
    return np.array([math.erfc(value / _ROOT_OF_TWO) / 2 for value in values.tolist()])


def value_of_t(t: NDArray[np.float64], degrees: int) -> NDArray[np.float64]:
    """The normal value that is exceeded as often as Student's t.

    After Hill (1970), Algorithm 395, Communications of the ACM 13.

    Args:
        t: at least 0; infinite stays so.
        degrees: of freedom, at least `LEAST_DEGREES`.
    """
    from_half = degrees - 0.5
    scale = 48 * from_half**2
    square = from_half * np.log1p(t**2 / degrees)
    above = ((-0.4 * square - 3.3) * square - 24.0) * square - 85.5
    value: NDArray[np.float64] = np.sqrt(square)
    with np.errstate(invalid="ignore"):  # infinite over infinite
        factor = (above / (0.8 * square**2 + 100.0 + scale) + square + 3.0) / scale + 1.0
    return np.where(np.isinf(value), value, value * factor)
