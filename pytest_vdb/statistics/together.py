"""Many rules on the same prompts: did anything get worse, and what?

Where nothing has changed, a prompt's two answers might as well have stood the other way round, in all that was measured
of them at once. So whole prompts are turned round together, and each rule's figure is compared with the largest figure
of any rule that so appears. That is exact however much the metrics depend on each other, and it needs no smaller p for
twenty rules than for one: with each rule tested alone and Holm's correction, six prompts could never show a regression
in more than three rules (1/64 is the least p that six prompts have).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

COUNTED_UP_TO = 11
"""Prompts whose 2^n patterns of turning are all counted. For more of them 2^11 are taken that form a group: any two,
one after the other, are a third. A group is as exact as all patterns, which random ones are only on the average of many
draws (Hemerik and Goeman 2018, TEST 27)."""
_SEED_OF_TURNS = 20_261_131
_TURNS_AT_ONCE = 256
_EQUAL = 1e-9


def turned_p_values(worse: NDArray[np.float64]) -> NDArray[np.float64]:
    """p-values of "it did not get worse", corrected for all columns together.

    Null of each column: a prompt's two answers might as well have stood the other way round. Assumed: prompts are
    independent. Any false alarm among all columns is as rare as one alone would be, also where others did get worse
    (step-down by the largest figure: Westfall and Young 1993; Romano and Wolf 2005).

    Args:
        worse: `(prompts, columns)`: how much worse each prompt's mean is, less the margin that is allowed; nan where a
            prompt has no value.

    Returns:
        `(columns,)` in (0, 1]; at least 2^-n for n prompts, whatever the number of columns.
    """
    worse = np.asarray(worse, dtype=np.float64)
    prompts, columns = worse.shape
    result = np.ones(columns)
    if not prompts or not columns:
        return result
    present = ~np.isnan(worse)
    filled = np.where(present, worse, 0.0)
    squares = (filled**2).sum(axis=0)
    observed = _alignments(filled.sum(axis=0), squares)
    order = np.argsort(-observed, kind="stable")
    reached, patterns = np.zeros(columns), 0
    for signs in turns(prompts):
        figures = _alignments(signs @ filled, squares)[:, order]
        # The largest of this column and of all that are less extreme: those before it have left already.
        largest = np.maximum.accumulate(figures[:, ::-1], axis=1)[:, ::-1]
        reached += (largest >= observed[order] - _EQUAL * np.abs(observed[order])).sum(axis=0)
        patterns += len(signs)
    result[order] = np.maximum.accumulate(reached / patterns)
    return result


def least_p_value(prompts: int) -> float:
    """What no number of rules changes: the least p that so many prompts can have."""
    return 2.0 ** -min(prompts, COUNTED_UP_TO)


def reachable_level(level: float, prompts: int) -> float:
    """The largest p below a level that so many prompts can have: what a test at that level really is; 0: none."""
    step = least_p_value(prompts)
    return max(0, math.ceil(level / step) - 1) * step


def _alignments(sums: NDArray[np.float64], squares: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much the differences of each column point one way: what is large where Student's t is.

    At most the root of the number of prompts, so that differences that are all equal are as extreme as can be and not
    infinite, and fewer of them less extreme than many. A column of zeros, or without values, points nowhere.
    """
    scale = np.sqrt(squares)
    return np.where(scale > 0, sums / np.where(scale > 0, scale, 1.0), 0.0)


def turns(prompts: int, counted_up_to: int = COUNTED_UP_TO) -> Iterator[NDArray[np.float64]]:
    """`(some, prompts)` of -1 and 1: every product of the generators, which turn one prompt each, or some at random.

    Args:
        prompts: how many there are.
        counted_up_to: how many generators there are at most; 2 to that power are the patterns.
    """
    if prompts <= counted_up_to:
        generators = np.eye(prompts, dtype=np.int64)
    else:
        generators = np.random.default_rng(_SEED_OF_TURNS).integers(0, 2, (counted_up_to, prompts))
    count = len(generators)
    of_each = generators.astype(np.float32)  # sums of ones are exact, and multiplied ten times as fast as integers
    for start in range(0, 2**count, _TURNS_AT_ONCE):
        which = np.arange(start, min(start + _TURNS_AT_ONCE, 2**count))[:, None] >> np.arange(count) & 1
        odd = (which.astype(np.float32) @ of_each).astype(np.int8) & 1
        yield 1.0 - 2.0 * odd.astype(np.float64)
