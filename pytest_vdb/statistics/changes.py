"""What became of a figure over many runs: did it change at some run, and at which?

Where nothing has changed, the runs might as well have come in any other order, with all that was measured of them. So
whole runs are shuffled, all series at once, and the largest step of each series is held against the most that any
series shows after such a shuffle. A series that has changed is cut there, and each side is asked again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from pytest_vdb.figures import PRECISION
from pytest_vdb.statistics.families import SIGNIFICANCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_RUNS = 8
"""Of fewer no order is rare enough: seven runs, three of them worse, come so in 2 of 35 orders."""
LEAST_SIDE = 2
"""Runs before and after a change: what one run alone shows is the gate's to judge."""
SHUFFLES = 999
_SEED_OF_SHUFFLES = 20_261_130


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A step of a series: from one level that held for some runs to another."""

    at: int
    """The first run of the new level: the row of the table."""
    before: float
    """The median of the level before, back to the change before it."""
    after: float
    """The median of the new level, up to the next change."""


def changes(table: NDArray[np.float64]) -> tuple[tuple[Change, ...], ...]:
    """The changes of each series, in the order of the runs.

    Null: the runs might have come in any other order. Assumed: runs are independent; a machine that drifts from night
    to night is not. Any change named among all series, where none has changed, is as rare as 1 in 20 (step-down by the
    largest figure: Westfall and Young 1993). A series that did change is cut at its largest step, and each side tested
    at half of that (binary segmentation: Scott and Knott 1974; permutations: Antoch and Huskova 2001). Values and ranks
    are both looked at: values see soon what is large, and ranks see past a wild night.

    Args:
        table: `(runs, series)`, the oldest run first; nan where a run has no value.

    Returns:
        One tuple for each series; empty for fewer than `LEAST_RUNS` runs.
    """
    table = np.asarray(table, dtype=np.float64)
    found: list[tuple[Change, ...]] = [()] * table.shape[1]
    for column in np.flatnonzero(changed_p_values(table) < SIGNIFICANCE):
        rows = np.flatnonzero(~np.isnan(table[:, column]))
        values = table[rows, column]
        cut = _largest_step(values)
        cuts = [
            *_cuts(values[:cut], SIGNIFICANCE / 2),
            cut,
            *(cut + further for further in _cuts(values[cut:], SIGNIFICANCE / 2)),
        ]
        found[column] = tuple(_changes_at(_placed_again(cuts, values), values, rows))
    return tuple(found)


def changed_p_values(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """p-values of "the order of the runs says nothing", corrected for all series together: `(series,)` in (0, 1]."""
    table = np.asarray(table, dtype=np.float64)
    present = ~np.isnan(table)
    asked = [column for column in range(table.shape[1]) if _may_change(table[present[:, column], column])]
    result = np.ones(table.shape[1])
    if not asked:
        return result
    orders = _orders(len(table))
    largest = np.empty((len(orders), len(asked)), dtype=np.float32)
    for place, column in enumerate(asked):
        own = present[:, column]
        places = np.cumsum(own) - 1  # of a run among those that have a value
        kept = orders if own.all() else places[orders[own[orders]]].reshape(len(orders), -1)
        largest[:, place] = _steps(table[own, column], kept).max(axis=1)
    order = np.argsort(-largest[0], kind="stable")
    of_less_extreme = np.maximum.accumulate(largest[:, order][:, ::-1], axis=1)[:, ::-1]
    reached = (of_less_extreme >= largest[0, order]).mean(axis=0)
    result[np.array(asked)[order]] = np.maximum.accumulate(reached)
    return result


def _may_change(values: NDArray[np.float64]) -> bool:
    return len(values) >= LEAST_RUNS and _differ(values)


def _differ(values: NDArray[np.float64]) -> bool:
    return bool(np.ptp(_without_rounding(values)) > 0)


def _cuts(values: NDArray[np.float64], level: float) -> list[int]:
    """Where a part of a series changes, in order."""
    if not _may_change(values) or float(changed_p_values(values[:, None])[0]) >= level:
        return []
    cut = _largest_step(values)
    return [*_cuts(values[:cut], level / 2), cut, *(cut + further for further in _cuts(values[cut:], level / 2))]


def _placed_again(cuts: list[int], values: NDArray[np.float64]) -> list[int]:
    """Each between its neighbours: the first cut was made while the others still blurred it."""
    placed = list(cuts)
    for at in range(len(cuts)):
        start, end = placed[at - 1] if at else 0, cuts[at + 1] if at + 1 < len(cuts) else len(values)
        if end - start >= 2 * LEAST_SIDE and _differ(values[start:end]):
            placed[at] = start + _largest_step(values[start:end])
    return placed


def _changes_at(cuts: list[int], values: NDArray[np.float64], rows: NDArray[np.intp]) -> Iterator[Change]:
    ends = [0, *cuts, len(values)]
    for start, cut, end in zip(ends, cuts, ends[2:], strict=False):
        before, after = float(np.median(values[start:cut])), float(np.median(values[cut:end]))
        yield Change(at=int(rows[cut]), before=before, after=after)


def _largest_step(values: NDArray[np.float64]) -> int:
    """How many runs lie before it."""
    return LEAST_SIDE + int(_steps(values, _orders(len(values)))[0].argmax())


def _steps(values: NDArray[np.float64], orders: NDArray[np.intp]) -> NDArray[np.float32]:
    """How far both sides of each cut lie apart, in each order of the runs: `(orders, runs)` to `(orders, cuts)`.

    By values and by ranks, whichever says more, each beside the largest step that it shows in 1 of 20 orders: so few
    runs are no less telling than many, and ranks no less than values.
    """
    n = len(values)
    before = np.arange(LEAST_SIDE, n - LEAST_SIDE + 1)
    scale = (1 / np.sqrt(before * (n - before) / n)).astype(np.float32)
    found = np.zeros((len(orders), len(before)), dtype=np.float32)
    for scores in _scores(values):
        sums = np.cumsum(scores[orders], axis=1)[:, LEAST_SIDE - 1 : n - LEAST_SIDE]
        steps = np.abs(sums).astype(np.float32) * scale
        found = np.maximum(found, steps / np.quantile(steps.max(axis=1), 1 - SIGNIFICANCE))
    return found


def _scores(values: NDArray[np.float64]) -> tuple[NDArray[np.int64], ...]:
    """The values and their ranks, both less their means: whole numbers, so that equal steps are exactly equal."""
    whole = _without_rounding(values)
    _, places, counts = np.unique(whole, return_inverse=True, return_counts=True)
    doubled = 2 * np.cumsum(counts) - counts - len(values)
    return whole * len(values) - whole.sum(), np.asarray(doubled[places], dtype=np.int64)


def _without_rounding(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """In units of what is rounding beside the largest of them."""
    unit = PRECISION * float(np.abs(values).max()) or 1.0
    return np.asarray(np.round(values / unit), dtype=np.int64)


@lru_cache(maxsize=4)
def _orders(runs: int) -> NDArray[np.intp]:
    """`(1 + SHUFFLES, runs)`: the order that was seen, and random ones from a fixed seed."""
    rng = np.random.default_rng(_SEED_OF_SHUFFLES)
    shuffled = rng.permuted(np.tile(np.arange(runs), (SHUFFLES, 1)), axis=1)
    return np.concatenate([np.arange(runs)[None, :], shuffled])
