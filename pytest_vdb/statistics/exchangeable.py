"""The same thing twice: did it change? The test of a gate that compares a model with itself.

Where nothing has changed, a prompt's two means might as well have stood the other way round: each difference had
either sign with the same chance. So its sum is compared with the sums that other signs give. That is exact for every
law of the values, skewed, heavy-tailed, tied or 0/1, at any number of prompts; nothing is estimated.

Where every pattern of signs is too many to count, random ones are drawn from a fixed seed, and the pattern that was
seen counts as one of them. What is rarer than their number can show is bounded: a sum of signed numbers exceeds x
times its standard deviation at most 3.18 times as often as a normal value does (Bentkus and Dzindzalieta 2015,
Bernoulli 21, sharp). A family of thousands needs such small p.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.special import betainc, ndtr, ndtri

from pytest_vdb.statistics.means import finite

if TYPE_CHECKING:
    from numpy.typing import NDArray

Alternative = Literal["two-sided", "greater", "less"]

EXACT_UP_TO = 14
"""Differences other than zero for which each of the 2^n patterns of signs is counted."""
SAMPLED_SIGNS = 9_999
"""Random patterns for more than these."""
_SEED = 20_240_911
_SIGNS_AT_ONCE = 2_000
_MOST_KEPT = 12_000_000
"""Random signs that are kept for the next who asks for as many, in 96 MB: a model of a run after the other does."""
_PLAINLY_COMMON = 300
"""Patterns as extreme as the observed one, after which p is above a tenth and nobody counts on."""
_COLUMNS_AT_ONCE = 128
_SAME_SUM = 1e-9
"""Of the sum of magnitudes: sums that differ by less differ by rounding."""
_HEAVIER_THAN_NORMAL = float(1 / (4 * ndtr(-np.sqrt(2))))
"""3.178...: the most by which the tail of a sum of random signs exceeds the normal one."""


def sign_flip_p_values(
    differences: NDArray[np.float64], *, alternative: Alternative = "two-sided", draws: int = SAMPLED_SIGNS
) -> NDArray[np.float64]:
    """p-values of "each difference had either sign with the same chance", by the sum of differences.

    Null: exchangeable pairs. Assumed: the rows are independent of each other (prompts, not samples of one prompt).

    Args:
        differences: `(n, k)`: n prompts' differences of means, k comparisons made on the same prompts.
        alternative: `greater`: are differences larger than chance gives?
        draws: random patterns where there are too many to count.

    Returns:
        `(k,)` in (0, 1]; 1 where all differences are zero. Two-sided it cannot fall below 2^(1-n): five prompts never
        get below 0.05.

    Source: Fisher 1935, The Design of Experiments, section 21; the share of random patterns by Phipson and Smyth 2010.
    """
    differences = finite(differences)
    signed = -differences if alternative == "less" else differences
    return _p_values(signed, draws, two_sided=alternative == "two-sided")


def _p_values(
    differences: NDArray[np.float64], draws: int, sums: Sequence[NDArray[np.float64]] | None = None, *, two_sided: bool
) -> NDArray[np.float64]:
    """`sums`: from `_sums_of_subsets`, where somebody has them already."""
    p = np.ones(differences.shape[1])
    sampled = []
    for column, values in enumerate(differences.T):
        moved = values[values != 0]
        magnitudes = np.abs(moved)
        if moved.size and np.ptp(magnitudes) <= _SAME_SUM * magnitudes.max():
            p[column] = _of_equal_magnitudes(int((moved > 0).sum()), moved.size, two_sided=two_sided)
        elif 0 < moved.size <= EXACT_UP_TO:
            p[column] = _by_counting(moved, two_sided=two_sided)
        elif moved.size:
            sampled.append(column)
    if sampled:
        p[sampled] = _by_drawing(differences[:, sampled], draws, _of_columns(sums, sampled), two_sided=two_sided)
    return p


def sign_flip_intervals(
    differences: NDArray[np.float64], *, confidence: float | NDArray[np.float64] = 0.95, draws: int = SAMPLED_SIGNS
) -> NDArray[np.float64]:
    """Where the centre of the differences lies: every shift that `sign_flip_p_values` would not reject.

    Null of each point: the differences are that shift and something of either sign with the same chance. Assumed: a
    change that moves all prompts alike but for symmetric noise. Not right where one side fails rarely and badly: see
    `intervals.py`.

    Args:
        differences: `(n, k)`.
        confidence: within (0, 1); one, or one for each of the k.
        draws: random subsets where there are too many to count.

    Returns:
        `(k, 2)`; infinite ends where n prompts cannot reach that confidence (fewer than six at 95%).

    Source: Hartigan 1969, Journal of the American Statistical Association 64: the means of subsets are typical values,
    and the ends are those among them with the right rank.
    """
    return _intervals(finite(differences), confidence, draws)


def _intervals(
    differences: NDArray[np.float64],
    confidence: float | NDArray[np.float64],
    draws: int,
    sums: Sequence[NDArray[np.float64]] | None = None,
) -> NDArray[np.float64]:
    """`sums`: from `_sums_of_subsets`, where somebody has them already."""
    n, k = differences.shape
    tails = np.broadcast_to((1 - np.asarray(confidence, dtype=np.float64)) / 2, (k,))
    patterns = 2**n if n <= EXACT_UP_TO else draws + 1
    ranks = np.floor(tails * patterns * (1 + 1e-12)).astype(np.int64)
    ends = np.tile((-np.inf, np.inf), (k, 1))
    reached = np.flatnonzero(ranks >= 1)
    for start in range(0, len(reached), _COLUMNS_AT_ONCE):
        few = reached[start : start + _COLUMNS_AT_ONCE]
        ends[few] = _ranked_means(differences[:, few], ranks[few], draws, _of_columns(sums, few))
    if n > EXACT_UP_TO:
        rare = ranks < 1
        ends[rare] = _bounded_intervals(differences[:, rare], tails[rare])
    return ends


def sign_flips(
    differences: NDArray[np.float64], *, confidence: float = 0.95, draws: int = SAMPLED_SIGNS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`sign_flip_p_values`, two-sided, and `sign_flip_intervals` in hardly more time than one of them.

    Returns:
        `(k,)` and `(k, 2)`.
    """
    differences = finite(differences)
    n, k = differences.shape
    p, ends = np.ones(k), np.tile((-np.inf, np.inf), (k, 1))
    for start in range(0, k, _COLUMNS_AT_ONCE):
        few = slice(start, start + _COLUMNS_AT_ONCE)
        sums = None if n <= EXACT_UP_TO else _sums_of_subsets(differences[:, few], draws)
        p[few] = _p_values(differences[:, few], draws, sums, two_sided=True)
        ends[few] = _intervals(differences[:, few], confidence, draws, sums)
    return p, ends


def least_pairs(significance: float, *, alternative: Alternative = "two-sided") -> int:
    """How many prompts must differ before the test can say anything at all: below it no change is large enough.

    Args:
        significance: of one test; of the first of m that Holm corrects, the family's over m.
    """
    return math.ceil(-math.log2(significance) + (alternative == "two-sided") - 1e-12)


def _of_equal_magnitudes(positive: int, n: int, *, two_sided: bool) -> float:
    """The sign test: 0/1 scores, of which only the prompts that differ count (McNemar's test in its exact form)."""
    at_least = max(positive, n - positive) if two_sided else positive
    tail = float(betainc(at_least, n - at_least + 1, 0.5)) if at_least else 1.0
    return min(1.0, 2 * tail) if two_sided else tail


def _by_counting(moved: NDArray[np.float64], *, two_sided: bool) -> float:
    sums = _all_signs(moved.size) @ moved
    return float(_extreme(sums, float(moved.sum()), float(np.abs(moved).sum()), two_sided=two_sided).mean())


def _by_drawing(
    differences: NDArray[np.float64], draws: int, known: Sequence[NDArray[np.float64]] | None, *, two_sided: bool
) -> NDArray[np.float64]:
    n, k = differences.shape
    observed, magnitudes = differences.sum(axis=0), np.abs(differences).sum(axis=0)
    extreme, drawn = np.zeros(k, dtype=np.int64), np.zeros(k, dtype=np.int64)
    undecided = np.arange(k)
    for at, (chosen, _) in enumerate(_random_subsets(n, draws)):
        sums = chosen @ differences[:, undecided] if known is None else known[at][:, undecided]
        sums = observed[undecided] - 2 * sums  # whoever is chosen is flipped: both tests then agree
        counted = _extreme(sums, observed[undecided], magnitudes[undecided], two_sided=two_sided)
        extreme[undecided] += counted.sum(axis=0)
        drawn[undecided] += len(chosen)
        # What is as common as this needs no more draws to be seen to be no finding (Besag and Clifford 1991).
        undecided = undecided[extreme[undecided] < _PLAINLY_COMMON]
        if not undecided.size:
            break
    p: NDArray[np.float64] = (1 + extreme) / (1 + drawn)
    # Where no drawn pattern was as extreme, the bound may say more than their number; elsewhere it says less.
    deviations = np.sqrt((differences**2).sum(axis=0))
    distance = np.abs(observed) if two_sided else np.maximum(observed, 0)
    bound = (1 + two_sided) * _HEAVIER_THAN_NORMAL * ndtr(-distance / deviations)
    return np.where(extreme == 0, np.minimum(p, bound), p)


def _extreme(
    sums: NDArray[np.float64],
    observed: NDArray[np.float64] | float,
    magnitudes: NDArray[np.float64] | float,
    *,
    two_sided: bool,
) -> NDArray[np.bool_]:
    """Which sums are as far out as the observed one. One that equals it but for rounding is."""
    if two_sided:
        sums, observed = np.abs(sums), np.abs(observed)
    result: NDArray[np.bool_] = sums >= observed - _SAME_SUM * magnitudes
    return result


@functools.cache
def _all_signs(n: int) -> NDArray[np.float64]:
    """`(2^n, n)` of -1 and 1."""
    return _signs_of((np.arange(2**n)[:, None] >> np.arange(n)) & 1)


def _signs_of(bits: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    signs = bits.astype(np.float64)
    signs *= 2
    signs -= 1
    return signs


_Subsets = tuple["NDArray[np.float64]", "NDArray[np.float64]"]
"""`(m, n)` of 0 and 1, whom each of m subsets chooses, and `(m,)`, how many these are."""


def _random_subsets(n: int, draws: int) -> Iterable[_Subsets]:
    """At most 2,000 at once, `draws` in all; the same for everyone who asks for as many."""
    return _kept_subsets(n, draws) if n * draws <= _MOST_KEPT else _drawn_subsets(n, draws)


@functools.lru_cache(maxsize=1)
def _kept_subsets(n: int, draws: int) -> tuple[_Subsets, ...]:
    return tuple(_drawn_subsets(n, draws))


def _drawn_subsets(n: int, draws: int) -> Iterator[_Subsets]:
    generator = np.random.default_rng(_SEED)
    for start in range(0, draws, _SIGNS_AT_ONCE):
        bits = generator.integers(0, 2, (min(_SIGNS_AT_ONCE, draws - start), n), dtype=np.int8)
        yield bits.astype(np.float64), bits.sum(axis=1, dtype=np.float64)


def _sums_of_subsets(differences: NDArray[np.float64], draws: int) -> list[NDArray[np.float64]]:
    """Of each of the random subsets, `(m, k)` at once."""
    return [chosen @ differences for chosen, _ in _random_subsets(len(differences), draws)]


def _of_columns(
    sums: Sequence[NDArray[np.float64]] | None, columns: Sequence[int] | NDArray[np.intp]
) -> Sequence[NDArray[np.float64]] | None:
    if sums is None or len(columns) == sums[0].shape[1]:
        return sums
    return [some[:, columns] for some in sums]


def _ranked_means(
    differences: NDArray[np.float64],
    ranks: NDArray[np.int64],
    draws: int,
    known: Sequence[NDArray[np.float64]] | None,
) -> NDArray[np.float64]:
    """`(k, 2)`: of each column's subset means, the one of its rank from below and from above."""
    means = _means_of_subsets(differences, draws, known)
    start = 0
    for rank in np.unique(np.concatenate((ranks - 1, means.shape[1] - ranks))).tolist():
        means[:, start:].partition(rank - start, axis=1)  # by one rank numpy does it in a third of the time
        start = rank + 1
    rows = np.arange(len(ranks))
    return np.stack((means[rows, ranks - 1], means[rows, -ranks]), axis=1)


def _means_of_subsets(
    differences: NDArray[np.float64], draws: int, known: Sequence[NDArray[np.float64]] | None
) -> NDArray[np.float64]:
    """`(k, m)`: of each subset of the rows that is not empty, or of random ones."""
    n, k = differences.shape
    subsets = [_every_subset(n)] if n <= EXACT_UP_TO else _random_subsets(n, draws)
    means, filled = np.empty((k, 2**n if n <= EXACT_UP_TO else draws)), 0
    for at, (chosen, sizes) in enumerate(subsets):
        sums = chosen @ differences if known is None else known[at]
        if not sizes.all():
            sums, sizes = sums[sizes > 0], sizes[sizes > 0]
        np.divide(sums.T, sizes, out=means[:, filled : filled + len(sizes)])
        filled += len(sizes)
    return means[:, :filled]


def _every_subset(n: int) -> _Subsets:
    chosen = (_all_signs(n) + 1) / 2
    return chosen, chosen.sum(axis=1)


def _bounded_intervals(differences: NDArray[np.float64], tails: NDArray[np.float64]) -> NDArray[np.float64]:
    """By the bound on sums of random signs, for confidences that drawn patterns cannot reach."""
    n = len(differences)
    reach = -ndtri(tails / _HEAVIER_THAN_NORMAL)
    means = differences.mean(axis=0)
    left = np.where(reach**2 < n, n - reach**2, np.nan)
    half = np.where(np.isnan(left), np.inf, differences.std(axis=0) * reach / np.sqrt(left))
    return np.stack((means - half, means + half), axis=1)
