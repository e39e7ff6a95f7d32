"""Kernel distances between sets of clips: KVD and JEDi. Unbiased at any N, so these are what to gate on.

Both are squared maximum mean discrepancies (Gretton et al. 2012) under a polynomial kernel `(x.y / D + c)^degree`:

| metric | features | kernel | reported |
|---|---|---|---|
| `kvd` | I3D logits, as `fvd` | degree 3, c = 1 | unbiased, as it is (the kernel of KID, arXiv 1801.01401, on video) |
| `jedi` | V-JEPA | degree 2, c = 0 | 100 times the biased estimate, as JEDi's authors (arXiv 2410.05203) |
| `jedi_unbiased` | V-JEPA | degree 2, c = 0 | 100 times the unbiased estimate |

At degree 2 the kernel never need be formed: its mean over all pairs is the inner product of second moments, so JEDi is
exact from moments alone and streams. Everything is float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_vdb.errors import CannotMeasure
from pytest_vdb.metrics.contract import ReferenceFeatures, Score, SwapTester, metric
from pytest_vdb.metrics.fvd import side, stacked
from pytest_vdb.metrics.moments import Moments, checked
from pytest_vdb.metrics.resampling import (
    PairedError,
    SwapTest,
    interval,
    paired_leave_outs,
    swap_patterns,
    swap_test,
)
from pytest_vdb.statistics.swaps import permutation_p_value

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 1024
"""Rows of a kernel matrix held at once."""
ENOUGH_CLIPS = 50
"""Below this an unbiased estimate is still centred, but its interval says little."""
ENOUGH_CLIPS_BIASED = 1000


@dataclass(frozen=True, slots=True)
class Polynomial:
    """`(x.y / D + offset)^degree`."""

    degree: int
    offset: float

    def __call__(self, first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
        """`(N, D)`, `(M, D)` -> `(N, M)`."""
        kernel = first @ second.T
        kernel /= first.shape[1]
        kernel += self.offset
        result: NDArray[np.float64] = kernel**self.degree
        return result

    def diagonal(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """The kernel of each vector with itself, `(N,)`."""
        lengths = np.einsum("nd,nd->n", vectors, vectors) / vectors.shape[1]
        result: NDArray[np.float64] = (lengths + self.offset) ** self.degree
        return result


KVD_KERNEL = Polynomial(3, 1.0)
JEDI_KERNEL = Polynomial(2, 0.0)
JEDI_SCALE = 100.0


def kernel_swaps(kernel: Polynomial, *, unbiased: bool = True, scale: float = 1.0) -> SwapTester:
    """The test whether one model's kernel distance differs from another's by more than chance.

    Args:
        kernel: of the metric.
        unbiased: whether the metric leaves each vector's kernel with itself out.
        scale: what the metric multiplies its distance by.
    """

    def test(first: NDArray[Any], second: NDArray[Any], reference: ReferenceFeatures, **how: Any) -> SwapTest:
        theirs = side(reference)
        if isinstance(theirs, Moments) and kernel == JEDI_KERNEL:
            return swap_test(first, second, lambda mine: jedi_distance(mine, theirs, unbiased=unbiased), **how)
        found = kernel_swap_test(first, second, _rows_of_features(theirs), kernel, unbiased=unbiased, **how)
        error = found.error and replace(found.error, error=scale * found.error.error)
        return replace(found, difference=scale * found.difference, error=error)

    return test


@metric(
    "kvd",
    unit="1",
    better="lower",
    version="cubic-unbiased",
    default=False,
    swaps=kernel_swaps(KVD_KERNEL),
    papers=("unterthiner2018fvd", "binkowski2018kid"),
)
def kvd(i3d_set: Sequence[NDArray[np.float32]], i3d_reference: ReferenceFeatures) -> Score:
    """Kernel video distance: unbiased cubic-kernel MMD^2 of I3D logits.

    Args:
        i3d_set: `(400,)` logits of each clip.
        i3d_reference: those of the reference set; the features themselves are needed.

    Returns:
        About 0 (negative as often as positive) for two samples of one distribution; 95% jackknife interval.

    Raises:
        CannotMeasure: fewer than two clips on a side, moments alone, or features that are not finite.

    Source: Unterthiner et al. (arXiv 1812.01717), by the kernel and estimator of KID (arXiv 1801.01401).
    """
    return _scored(stacked(i3d_set), _rows_of_features(side(i3d_reference)), KVD_KERNEL, unbiased=True)


@metric(
    "jedi",
    unit="1",
    better="lower",
    bounds=(0, None),
    version="v-statistic",
    default=False,
    swaps=kernel_swaps(JEDI_KERNEL, unbiased=False, scale=JEDI_SCALE),
    papers=("luo2024jedi",),
)
def jedi(vjepa_set: Sequence[NDArray[np.float32]], vjepa_reference: ReferenceFeatures) -> Score:
    """JEDi: 100 times the quadratic-kernel MMD^2 of V-JEPA features, biased as its authors report it.

    Args:
        vjepa_set: `(D,)` features of each clip.
        vjepa_reference: those of the reference set, or their moments.

    Returns:
        >= 0; for two samples of one distribution above 0 by an amount that falls as 1/N.

    Raises:
        CannotMeasure: fewer than two clips on a side, or features that are not finite.

    Source: Luo et al., Beyond FVD (arXiv 2410.05203).
    """
    return _jedi(vjepa_set, vjepa_reference, unbiased=False)


@metric(
    "jedi_unbiased",
    unit="1",
    better="lower",
    version="u-statistic",
    default=False,
    swaps=kernel_swaps(JEDI_KERNEL, scale=JEDI_SCALE),
    papers=("luo2024jedi",),
)
def jedi_unbiased(vjepa_set: Sequence[NDArray[np.float32]], vjepa_reference: ReferenceFeatures) -> Score:
    """JEDi without its bias: 100 times the unbiased quadratic-kernel MMD^2 of V-JEPA features.

    Arguments as those of `jedi`; about 0, negative as often as positive, for two samples of one distribution.
    """
    return _jedi(vjepa_set, vjepa_reference, unbiased=True)


def mmd2(first: NDArray[Any], second: NDArray[Any], kernel: Polynomial, *, unbiased: bool) -> float:
    """Squared maximum mean discrepancy of two sets of features `(N, D)` and `(M, D)`, by the kernel itself.

    Raises:
        CannotMeasure: too few vectors, different D, or numbers that are not finite.
    """
    return _sums(checked(first, source="the first set"), checked(second, source="the second set"), kernel).mmd2(
        unbiased=unbiased
    )


def jedi_distance(first: NDArray[Any] | Moments, second: NDArray[Any] | Moments, *, unbiased: bool = False) -> float:
    """JEDi in closed form: `100 * ||X'X/n - Y'Y/m||^2 / D^2`, without any kernel matrix.

    Args:
        first: features `(N, D)` or their moments (streamed over batches, merged over workers).
        second: likewise.
        unbiased: leave each vector's kernel with itself out of the means.

    Raises:
        CannotMeasure: too few vectors, different D, or numbers that are not finite.
    """
    one, two = (given if isinstance(given, Moments) else Moments.of(given) for given in (first, second))
    _check_sizes(one.n, two.n, one.dimensions, two.dimensions, least=2 if unbiased else 1)
    a, b = one.second(), two.second()
    if not unbiased:
        return JEDI_SCALE * float(np.sum((a - b) ** 2)) / one.dimensions**2
    within = sum(_mean_off_diagonal(moments, second) for moments, second in ((one, a), (two, b)))
    return JEDI_SCALE * (within - 2 * float(np.vdot(a, b))) / one.dimensions**2


def kernel_swap_test(
    first: NDArray[Any],
    second: NDArray[Any],
    reference: NDArray[Any],
    kernel: Polynomial = KVD_KERNEL,
    *,
    unbiased: bool = True,
    permutations: int = 9999,
    seed: int = 0,
    groups: Sequence[object] | None = None,
) -> SwapTest:
    """Whether one model is nearer to the reference than another, by MMD^2 and paired swaps.

    The same test as `resampling.swap_test`, but each swap costs a few multiplications of kernel sums, no new kernel.

    Args:
        first: features `(N, D)` of one model, row by row of the same prompt and seed as those of `second`.
        second: features `(N, D)` of the other.
        reference: features `(M, D)`.
        kernel: `KVD_KERNEL` or `JEDI_KERNEL`.
        unbiased: leave each vector's kernel with itself out of the means.
        permutations: how many random swaps; exact enumeration where 2^(N-1) is not more.
        seed: of the random swaps.
        groups: of each row; rows of one group swap together (the samples of one prompt are not independent).

    Raises:
        CannotMeasure: fewer than two pairs, unpaired sets, different D, or numbers that are not finite.
    """
    mine, theirs, real = checked(first), checked(second), checked(reference, source="the reference")
    if len(mine) != len(theirs):
        raise CannotMeasure(f"{len(mine)} clips of one model and {len(theirs)} of the other", mend="pairs are needed")
    _check_sizes(len(mine), len(real), mine.shape[1], real.shape[1], least=2)
    n = len(mine)
    swaps = swap_patterns(n, permutations, seed, groups)
    patterns = np.concatenate([np.zeros((1, n), bool), swaps]).astype(np.float64)
    own, other, between = kernel(mine, mine), kernel(theirs, theirs), kernel(mine, theirs)
    for matrix in (own, other, between) if unbiased else ():
        np.fill_diagonal(matrix, 0)
    stay, go = 1 - patterns, patterns
    to_real = kernel(mine, real).mean(axis=1) - kernel(theirs, real).mean(axis=1)

    def within(kept: NDArray[np.float64], swapped: NDArray[np.float64]) -> NDArray[np.float64]:
        pairs = (kept @ own) * kept + (swapped @ other) * swapped + 2 * (kept @ between) * swapped
        size = (kept + swapped).sum(axis=1)
        result: NDArray[np.float64] = pairs.sum(axis=1) / (size * (size - 1) if unbiased else size * size)
        return result

    def differences(stay: NDArray[np.float64], go: NDArray[np.float64]) -> NDArray[np.float64]:
        result: NDArray[np.float64] = (
            within(stay, go) - within(go, stay) - 2 * (stay - go) @ to_real / (stay + go).sum(axis=1)
        )
        return result

    drawn = differences(stay, go)
    rests = paired_leave_outs(n, groups)
    kept = np.zeros((len(rests), n))
    for row, rest in zip(kept, rests, strict=True):
        row[rest] = 1
    error = PairedError.of(differences(kept, np.zeros_like(kept))) if min(map(len, rests)) >= 2 else None
    seen = float(drawn[0])
    return SwapTest(seen, permutation_p_value(seen, drawn[1:], rounding=1e-9), len(swaps), n, error)


# --- sums of kernels, and what follows from them ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Sums:
    """Of each vector's kernel: with its own set, with itself, with the other set."""

    within: tuple[NDArray[np.float64], NDArray[np.float64]]
    itself: tuple[NDArray[np.float64], NDArray[np.float64]]
    across: tuple[NDArray[np.float64], NDArray[np.float64]]

    def mmd2(self, *, unbiased: bool) -> float:
        n, m = map(len, self.within)
        means = [self._mean_within(which, unbiased=unbiased) for which in (0, 1)]
        return means[0] + means[1] - 2 * float(self.across[0].sum()) / (n * m)

    def leave_one_out(self, *, unbiased: bool) -> list[NDArray[np.float64]]:
        """For each set, the distance without each of its vectors."""
        crossing, sizes = float(self.across[0].sum()), [len(rows) for rows in self.within]
        result = []
        for which in (0, 1):
            n, m = sizes[which], sizes[1 - which]
            rows, own = self.within[which], self.itself[which]
            kernels = rows.sum() - 2 * rows + own  # all pairs without the one left out
            pairs = (n - 1) * (n - 2) if unbiased else (n - 1) ** 2
            mean = (kernels - (own.sum() - own) if unbiased else kernels) / pairs
            result.append(
                mean
                + self._mean_within(1 - which, unbiased=unbiased)
                - 2 * (crossing - self.across[which]) / ((n - 1) * m)
            )
        return result

    def _mean_within(self, which: int, *, unbiased: bool) -> float:
        rows, own = self.within[which], self.itself[which]
        n = len(rows)
        return float(rows.sum() - own.sum()) / (n * (n - 1)) if unbiased else float(rows.sum()) / n**2


def _sums(first: NDArray[np.float64], second: NDArray[np.float64], kernel: Polynomial) -> _Sums:
    """By blocks of rows: the kernel matrices are never whole in memory."""
    _check_sizes(len(first), len(second), first.shape[1], second.shape[1], least=2)
    across = np.zeros(len(second))
    rows = []
    for start in range(0, len(first), BLOCK):
        block = kernel(first[start : start + BLOCK], second)
        rows.append(block.sum(axis=1))
        across += block.sum(axis=0)
    return _Sums(
        (_row_sums(first, kernel), _row_sums(second, kernel)),
        (kernel.diagonal(first), kernel.diagonal(second)),
        (np.concatenate(rows), across),
    )


def _row_sums(vectors: NDArray[np.float64], kernel: Polynomial) -> NDArray[np.float64]:
    blocks = (kernel(vectors[start : start + BLOCK], vectors) for start in range(0, len(vectors), BLOCK))
    return np.concatenate([block.sum(axis=1) for block in blocks])


def _mean_off_diagonal(moments: Moments, second: NDArray[np.float64]) -> float:
    """Mean of (x_i . x_j)^2 over pairs of different vectors, from moments."""
    n = moments.n
    return float((n * n * np.vdot(second, second) - moments.fourth_powers) / (n * (n - 1)))


def _jedi(given: Sequence[NDArray[Any]], reference: ReferenceFeatures, *, unbiased: bool) -> Score:
    vectors, theirs = stacked(given), side(reference)
    if isinstance(theirs, Moments):
        _check_sizes(len(vectors), theirs.n, vectors.shape[1], theirs.dimensions, least=2)
    enough = ENOUGH_CLIPS if unbiased else ENOUGH_CLIPS_BIASED
    if isinstance(theirs, Moments):
        value = jedi_distance(vectors, theirs, unbiased=unbiased)
        return Score(value, n=len(vectors), reason=_worth_of(len(vectors), enough, "no interval from moments alone"))
    return _scored(vectors, theirs, JEDI_KERNEL, unbiased=unbiased, scale=JEDI_SCALE, enough=enough)


def _scored(
    vectors: NDArray[np.float64],
    reference: NDArray[np.float64],
    kernel: Polynomial,
    *,
    unbiased: bool,
    scale: float = 1.0,
    enough: int = ENOUGH_CLIPS,
) -> Score:
    sums = _sums(vectors, reference, kernel)
    value = scale * sums.mmd2(unbiased=unbiased)
    n = min(len(vectors), len(reference))
    within = interval(value, [scale * left for left in sums.leave_one_out(unbiased=unbiased)]) if n >= 4 else None
    if within is not None and not unbiased:
        within = max(0.0, within[0]), within[1]
    return Score(value, n=len(vectors), interval=within, reason=_worth_of(n, enough))


def _rows_of_features(given: NDArray[np.float64] | Moments) -> NDArray[np.float64]:
    if isinstance(given, Moments):
        raise CannotMeasure(
            "a cubic kernel needs the reference's features, and only their moments were kept",
            mend="build the reference with its features",
        )
    return given


def _check_sizes(n: int, m: int, first: int, second: int, *, least: int) -> None:
    if first != second:
        raise CannotMeasure(
            f"features of {first} and of {second} numbers", mend="both sets must come from the same backbone"
        )
    if min(n, m) < least:
        raise CannotMeasure(f"needs {least} clips on either side, got {n} and {m}")


def _worth_of(n: int, enough: int, note: str | None = None) -> str | None:
    few = f"N = {n} clips: fewer than {enough} say little, and compare only at equal N" if n < enough else None
    return "; ".join(filter(None, (few, note))) or None
