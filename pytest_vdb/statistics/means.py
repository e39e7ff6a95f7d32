"""Means, and what Student's t says of them: right where the mean of n values is close to normal, and only there.

For skewed values, shares and rare failures its intervals cover too rarely (`docs/statistics.md` has the figures); see
`intervals.py`, which keeps its word there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Where something lies, or why nobody can say."""

    ends: tuple[float, float] | None
    reason: str | None = None
    """Why there is none."""


def finite(values: ArrayLike) -> NDArray[np.float64]:
    """Values as float64.

    Raises:
        ValueError: one is nan or infinite. What was not measured is left out, with its reason, before it comes here: a
            test of nan would find it significant, or not, by accident.
    """
    import numpy as np

    numbers = np.asarray(values, dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError(f"{int((~np.isfinite(numbers)).sum())} of {numbers.size} values are not finite")
    return numbers


def mean_of(values: Sequence[float]) -> float:
    """Of at least one value; also where their sum is too large for a number."""
    try:
        return math.fsum(values) / len(values)
    except OverflowError:
        return math.fsum(value / len(values) for value in values)


def mean_of_rates(values: Sequence[float]) -> float:
    """The harmonic mean of at least one rate: of calls that make as much, all that they make over all their time.

    0 where one of them is not above 0.
    """
    return 1 / mean_of([1 / value for value in values]) if min(values) > 0 else 0.0


def by_size(
    samples: Sequence[Sequence[float] | NDArray[np.float64]],
) -> Iterator[tuple[list[int], NDArray[np.float64]]]:
    """Samples that have one size as the columns of one array: what is asked of many at once is answered sooner.

    Returns:
        For each size n the places of its samples, and their values, `(n, k)`.
    """
    import numpy as np

    places: dict[int, list[int]] = {}
    for at, sample in enumerate(samples):
        places.setdefault(len(sample), []).append(at)
    for own in places.values():
        yield own, np.array([samples[at] for at in own], dtype=np.float64).T


def paired_t_p_values(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two-sided p-values of "the mean paired difference is zero", by Student's t.

    Args:
        differences: `(n, k)`: n pairs, more than `normal.LEAST_DEGREES`; k comparisons made on the same pairs.

    Returns:
        `(k,)` in [0, 1]; 1 where all differences are zero.
    """
    import numpy as np

    from pytest_vdb.statistics import normal

    differences = np.asarray(differences, dtype=np.float64)
    n = len(differences)
    means = differences.mean(axis=0)
    errors = differences.std(axis=0, ddof=1) / math.sqrt(n)
    # Rounding makes equal differences spread by an ulp; below it there is no spread.
    errors = np.where(errors <= 1e-12 * np.abs(means), 0.0, errors)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(means == 0, 0.0, np.abs(means) / errors)
    return 2 * normal.tails(normal.value_of_t(t, n - 1))
