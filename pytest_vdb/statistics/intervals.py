"""Where a mean lies, or the mean difference of two things: intervals that keep their level where Student's t does not.

The true mean is a weighted mean of what was seen and of what was not. Give the n values and the farthest value that
there can be random weights (n + 1 waiting times of one clock, over their sum): the 97.5% quantile of that weighted mean
is the upper end, and the lower end likewise with the lowest value that there can be (Gaffke 2005, Mathematical Methods
of Statistics 14; Learned-Miller and Thomas 2019, arXiv 1905.06208). For scores of 0 and 1 this is the exact interval of
Clopper and Pearson. That it covers for every law within the bounds is conjectured for others, and holds in every law
that `docs/statistics.md` simulates; betting intervals (Waudby-Smith and Ramdas 2024), which are proven, are wider.

The one assumption is where values may lie that were not seen, and it is the caller's to make (`Unseen`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from pytest_vdb.statistics import normal
from pytest_vdb.statistics.means import Interval, finite

if TYPE_CHECKING:
    from numpy.typing import NDArray

Bounds = tuple[float | None, float | None]
"""The lowest and the highest value that a metric can have; None where there is none, or it is not known."""
Unseen = Literal["anywhere", "near"]
"""Where a value may lie that was not seen. `anywhere`: as far out as the bounds, so that failures too rare to be seen
are allowed for, and every law is covered. `near`: not much farther out than those that were seen, which is much
narrower and does not cover a failure that is too rare to be seen. A bound that is not known is always `near`."""

UNBOUNDED: Bounds = (None, None)
LEAST_VALUES = 3
"""Fewer values say nothing about how much values differ."""
_REACH = 6.0
"""`near`: six ranges over the number of values that differ from the commonest one, beyond the lowest and the highest.
Chosen by measuring: lognormal values from five on, and 80% zeros, are covered in more than 93%."""
_ROWS_AT_ONCE = 200
"""Few enough for a processor's cache at a thousand prompts."""
_STEPS = 60
_STEEPEST = 1 - 1e-12
_FARTHEST_GUESS = 0.9
"""A normal law guesses well where the tilt is small; nearer to 1 halving is as good."""
_CLOSE_ENOUGH = 1e-9
_ROUNDING_OF_BOUNDS = 1e-9
"""Of the bounds' width: a value that lies farther beyond them refutes them."""


def mean_interval(
    values: Sequence[float], *, confidence: float = 0.95, bounds: Bounds = UNBOUNDED, unseen: Unseen = "anywhere"
) -> Interval:
    """The interval of one mean: for bars on pages, and of paired differences for the comparison of two things.

    Assumed: independent values of one law (a value per prompt), and `unseen`.

    Args:
        values: finite; one per prompt.
        confidence: within (0, 1).
        bounds: of the metric, in the values' unit; of differences: `bounds_of_differences`.
        unseen: where a value may lie that was not seen.

    Returns:
        Within the bounds, and never of no width because the values were equal by chance: equal values without bounds
        have no interval, and say so.
    """
    columns = finite(values).reshape(-1, 1)
    if (reason := why_no_interval(columns[:, 0], bounds=bounds)) is not None:
        return Interval(ends=None, reason=reason)
    low, high = mean_intervals(columns, confidence=confidence, bounds=bounds, unseen=unseen)[0]
    return Interval(ends=(float(low), float(high)))


def why_no_interval(values: NDArray[np.float64], *, bounds: Bounds = UNBOUNDED) -> str | None:
    """Why nothing can be said of the mean of these values, or None where something can."""
    if values.size < LEAST_VALUES:
        return f"{values.size} value{'' if values.size == 1 else 's'}: at least {LEAST_VALUES} are needed"
    lowest, highest = float(values.min()), float(values.max())
    if (beyond := _beyond(lowest, highest, bounds)) is not None:
        return beyond
    if lowest == highest and None in bounds:
        return f"all {values.size} values are equal, which does not show how far others may lie"
    return None


def mean_intervals(
    columns: NDArray[np.float64], *, confidence: float = 0.95, bounds: Bounds = UNBOUNDED, unseen: Unseen = "anywhere"
) -> NDArray[np.float64]:
    """`mean_interval` of many means with the same bounds at once.

    Args:
        columns: `(n, k)`: n values each of k means.

    Returns:
        `(k, 2)`; nan where `why_no_interval` has a reason.
    """
    columns = finite(columns)
    k = columns.shape[1]
    result = np.full((k, 2), np.nan)
    sayable = [at for at in range(k) if why_no_interval(columns[:, at], bounds=bounds) is None]
    if not sayable:
        return result
    tail = (1 - confidence) / 2
    for start in range(0, len(sayable), _ROWS_AT_ONCE):
        few = sayable[start : start + _ROWS_AT_ONCE]
        rows = np.ascontiguousarray(columns[:, few].T)
        result[few] = _ends_of_rows(rows, *_farthest(rows, bounds, unseen), tail)
    return result


def mean_p_values(
    columns: NDArray[np.float64], *, null: float = 0.0, bounds: Bounds = UNBOUNDED, unseen: Unseen = "anywhere"
) -> NDArray[np.float64]:
    """Two-sided p-values of "the mean is `null`": 1 less the confidence at which `mean_intervals` reaches it.

    Assumed: as `mean_interval`. For two things that differ in kind (another model, another recipe), whose differences
    may be skewed; the same thing twice has the sharper `exchangeable.sign_flip_p_values`.

    Returns:
        `(k,)` in [0, 1]; nan where `why_no_interval` has a reason.
    """
    columns = finite(columns)
    result = np.full(columns.shape[1], np.nan)
    sayable = [at for at in range(columns.shape[1]) if why_no_interval(columns[:, at], bounds=bounds) is None]
    for start in range(0, len(sayable), _ROWS_AT_ONCE):
        few = sayable[start : start + _ROWS_AT_ONCE]
        rows = np.ascontiguousarray(columns[:, few].T)
        low, high = _farthest(rows, bounds, unseen)
        # Only the end on the null's side can reach it.
        side = np.where(rows.mean(axis=1) > null, -1.0, 1.0)
        tail = _weighted_tail(side[:, None] * rows, np.where(side > 0, high, -low), side * null)
        result[few] = np.minimum(1.0, 2 * tail)
    return result


def bounds_of_differences(bounds: Bounds) -> Bounds:
    """How far apart two values of a metric can be."""
    low, high = bounds
    if low is None or high is None:
        return UNBOUNDED
    return low - high, high - low


def _ends_of_rows(
    rows: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], tail: float
) -> NDArray[np.float64]:
    ends = np.stack((-_weighted_quantile(-rows, -low, tail), _weighted_quantile(rows, high, tail)), axis=1)
    shares = ((rows == low[:, None]) | (rows == high[:, None])).all(axis=1)
    if shares.any():
        ends[shares] = _exact_shares(rows[shares], low[shares], high[shares], tail)
    return ends


def _beyond(lowest: float, highest: float, bounds: Bounds) -> str | None:
    low, high = bounds
    slack = _ROUNDING_OF_BOUNDS * (high - low) if low is not None and high is not None else 0.0
    if low is not None and lowest < low - slack:
        return f"a value of {lowest:g} lies below the lowest that there can be, {low:g}"
    if high is not None and highest > high + slack:
        return f"a value of {highest:g} lies above the highest that there can be, {high:g}"
    return None


def _farthest(
    rows: NDArray[np.float64], bounds: Bounds, unseen: Unseen
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`(k,)` each: the lowest and the highest value that an unseen one is taken to have."""
    lowest, highest = rows.min(axis=1), rows.max(axis=1)
    reach = _REACH * (highest - lowest) / np.maximum(_differing(rows), 1)
    low, high = bounds
    near_low, near_high = lowest - reach, highest + reach
    equal = lowest == highest  # nothing shows how far others lie, but the bounds
    lows = near_low if low is None else _nearer(near_low, low, np.maximum, equal, unseen)
    highs = near_high if high is None else _nearer(near_high, high, np.minimum, equal, unseen)
    return np.minimum(lows, lowest), np.maximum(highs, highest)


def _nearer(
    near: NDArray[np.float64], bound: float, inner: np.ufunc, equal: NDArray[np.bool_], unseen: Unseen
) -> NDArray[np.float64]:
    if unseen == "anywhere":
        return np.full_like(near, bound)
    result: NDArray[np.float64] = np.where(equal, bound, inner(near, bound))
    return result


def _differing(rows: NDArray[np.float64]) -> NDArray[np.int64]:
    """`(k,)`: how many values of each row differ from its commonest one."""
    ordered = np.sort(rows, axis=1)
    places = np.arange(rows.shape[1])
    is_first = np.ones(rows.shape, dtype=bool)
    is_first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    run_began = np.maximum.accumulate(np.where(is_first, places, 0), axis=1)
    differing: NDArray[np.int64] = len(places) - 1 - (places - run_began).max(axis=1)
    return differing


def _exact_shares(
    rows: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], tail: float
) -> NDArray[np.float64]:
    """Of values that are all at their bounds: the interval of Clopper and Pearson (1934)."""
    from scipy.special import betaincinv

    n = rows.shape[1]
    hits = (rows == high[:, None]).sum(axis=1)
    misses = n - hits
    lower = np.where(hits == 0, 0.0, betaincinv(np.maximum(hits, 1), misses + 1, tail))
    upper = np.where(misses == 0, 1.0, betaincinv(hits + 1, np.maximum(misses, 1), 1 - tail))
    ends: NDArray[np.float64] = low[:, None] + (high - low)[:, None] * np.stack((lower, upper), axis=1)
    return ends


def _weighted_quantile(rows: NDArray[np.float64], farthest: NDArray[np.float64], tail: float) -> NDArray[np.float64]:
    """`(k,)`: what the weighted mean of each row and its farthest value exceeds with the chance `tail` < 1/2."""
    middle, scale, scaled = _standardised(rows, farthest)
    wanted = -normal.quantile(tail)

    def missing(tilt: NDArray[np.float64]) -> NDArray[np.float64]:
        chance = _tilted(scaled, tilt)[1]
        return -normal.quantiles(np.clip(chance, 1e-300, 0.5)) - wanted

    spread = np.maximum(np.sqrt(np.einsum("ij,ij->i", scaled, scaled)), _CLOSE_ENOUGH)
    tilt = _root(missing, np.full(len(rows), -wanted), wanted / spread)
    return middle + scale * _tilted(scaled, tilt)[0]


def _weighted_tail(
    rows: NDArray[np.float64], farthest: NDArray[np.float64], null: NDArray[np.float64]
) -> NDArray[np.float64]:
    """`(k,)`: the chance that the weighted mean exceeds `null`; 1 where `null` is no more than its mean."""
    middle, scale, scaled = _standardised(rows, farthest)
    wanted = (null - middle) / scale
    reached = np.where((wanted > 0) & (wanted < 1), wanted, 0.5)  # elsewhere there is nothing to find

    def missing(tilt: NDArray[np.float64]) -> NDArray[np.float64]:
        return _tilted(scaled, tilt)[0] - reached

    variance = np.einsum("ij,ij->i", scaled, scaled) / scaled.shape[1]
    chance = _tilted(scaled, _root(missing, -reached, reached / np.maximum(variance, _CLOSE_ENOUGH)))[1]
    return np.where(wanted <= 0, 1.0, np.where(wanted >= 1, 0.0, np.minimum(chance, 1.0)))


def _root(
    function: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    at_nought: NDArray[np.float64],
    guess: NDArray[np.float64],
) -> NDArray[np.float64]:
    """`(k,)`: where growing functions of a number within (0, 1) are zero, by secants (Illinois).

    Args:
        function: of k numbers, one each.
        at_nought: its values at 0, below zero.
        guess: where to begin; one that is not well within (0, 1) is none.
    """
    left, right = np.zeros(len(guess)), np.ones(len(guess))
    below, above = at_nought, np.full(len(guess), np.nan)
    at = np.where((guess > 0) & (guess < _FARTHEST_GUESS), guess, 0.5)
    was_low = np.full(len(guess), False)
    for step in range(_STEPS):
        value = function(at)
        open_still = np.abs(value) >= _CLOSE_ENOUGH
        if not open_still.any():
            break
        low = value < 0
        # An end that stays counts half (Illinois): secants alone would creep along the other side.
        stays = 0.5 if step else 1.0
        below = np.where(low, value, np.where(was_low, below, stays * below))
        above = np.where(low, np.where(was_low, stays * above, above), value)
        left, right, was_low = np.where(low, at, left), np.where(low, right, at), low
        secant = left + (right - left) * -below / (above - below)
        following = np.where(np.isnan(secant), (left + right) / 2, secant)
        at = np.where(open_still, following, at)
    return at


def _standardised(
    rows: NDArray[np.float64], farthest: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean and reach of each row with its farthest value, and the row with mean 0 and farthest value 1."""
    together = np.concatenate((rows, farthest[:, None]), axis=1)
    together.sort(axis=1)  # so that the order of prompts changes nothing, not even the last digit
    middle = together.mean(axis=1)
    reach = farthest - middle
    scale = np.where(reach > 0, reach, 1.0)
    return middle, scale, (together - middle[:, None]) / scale[:, None]


def _tilted(scaled: NDArray[np.float64], tilt: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A point of the weighted mean, and the chance that it exceeds that point.

    The weights are waiting times E over their sum, so it exceeds the point t where the sum of E (x - t) is positive.
    The chance of that is the saddlepoint approximation of Lugannani and Rice (1980): within a few per cent of
    itself. Instead of seeking the saddlepoint of a given t, t is taken at a given one: `tilt` in (0, 1) grows with t.
    """
    tilt = np.minimum(tilt, _STEEPEST)
    weight = 1 / (1 - tilt[:, None] * scaled)
    point = np.einsum("ij,ij->i", scaled, weight) / weight.sum(axis=1)
    saddle = tilt / (1 - tilt * point)
    stretch = 1 + saddle * point
    cumulant = _sums_of_logs(weight) - scaled.shape[1] * np.log(stretch)
    apart = (scaled - point[:, None]) * weight
    curvature = np.einsum("ij,ij->i", apart, apart) / stretch**2
    distance = np.sqrt(np.maximum(-2 * cumulant, 1e-30))
    slope = np.maximum(saddle * np.sqrt(curvature), 1e-15)
    density = np.exp(-(distance**2) / 2) / np.sqrt(2 * np.pi)
    chance = normal.tails(distance) + density * (1 / slope - 1 / distance)
    # Near the mean both terms explode and cancel; there the chance is about a half, and nobody asks for more.
    return point, np.where(distance < 1e-4, 0.5, chance)


def _sums_of_logs(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(k,)`: by way of the products of eight neighbours, which take a tenth of the time of eight logarithms.

    No product is too large or too small: a weight lies between one part in as many values as there are and what
    `_STEEPEST` allows.
    """
    whole = weights.shape[1] - weights.shape[1] % 8
    products = weights[:, :whole].reshape(len(weights), 8, -1).prod(axis=1)
    sums: NDArray[np.float64] = np.log(products).sum(axis=1) + np.log(weights[:, whole:]).sum(axis=1)
    return sums
