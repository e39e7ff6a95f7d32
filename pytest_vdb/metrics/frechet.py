"""The Fréchet distance between two sets of features, exactly, by the cheapest way that is exact.

For Gaussians of means m1, m2 and covariances S1, S2 it is |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2).
With factors S = A'A the last trace is the sum of the singular values of A1 A2', so no matrix root is ever taken:

- fewer vectors than dimensions: the centred vectors themselves are the factor, and no covariance is formed;
- more, or only moments at hand: the Cholesky factor, or the eigenvectors where the covariance is singular.

Everything is float64 and the result is clamped at 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pytest_vdb.errors import CannotMeasure
from pytest_vdb.metrics.moments import Moments, checked

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROUNDING = 1e-12
"""Rounding that the fast way may cost, relative to tr S1 + tr S2; beyond it the slower, exact way is taken."""


def frechet_distance(first: NDArray[Any] | Moments, second: NDArray[Any] | Moments, *, ddof: int = 1) -> float:
    """The squared Fréchet (2-Wasserstein) distance between the Gaussians fitted to two sets.

    Args:
        first: features `(N, D)`, or their moments. Features are faster and exacter while N <= D.
        second: likewise; the same D.
        ddof: covariances are divided by `N - ddof`: 1 for StyleGAN-V and pytorch-fid, 0 for cd-fvd.

    Returns:
        >= 0, in squared units of the features; 0 for two identical sets, up to 1e-10 of their variance.

    Raises:
        CannotMeasure: a set of fewer than `ddof + 1` vectors, sets of different D, or numbers that are not finite.

    Source: Dowson and Landau 1982; Heusel et al. 2017 (arXiv 1706.08500).
    """
    one, two = _gaussian(first, ddof, "the first set"), _gaussian(second, ddof, "the second set")
    if len(one.mean) != len(two.mean):
        raise CannotMeasure(
            f"features of {len(one.mean)} and of {len(two.mean)} numbers",
            mend="both sets must come from the same backbone",
        )
    step = one.mean - two.mean
    spread = one.variance + two.variance
    return max(0.0, float(step @ step) + spread - 2 * _trace_of_root(one, two, ROUNDING * spread))


class _Gaussian(Protocol):
    """Mean and covariance, in whichever form is at hand; a factor A `(rows, D)` has A'A = covariance."""

    mean: NDArray[np.float64]
    variance: float
    """Trace of the covariance."""

    def factor(self) -> NDArray[np.float64]: ...

    def seen_through(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """`rows @ covariance @ rows.T`, of which only the lower triangle need be right."""
        ...


class _ByRows:
    """Few vectors: they are the factor themselves."""

    def __init__(self, vectors: NDArray[np.float64], ddof: int) -> None:
        self.mean: NDArray[np.float64] = vectors.mean(axis=0)
        self._rows: NDArray[np.float64] = (vectors - self.mean) / np.sqrt(len(vectors) - ddof)
        self.variance = float(np.vdot(self._rows, self._rows))

    def factor(self) -> NDArray[np.float64]:
        return self._rows

    def seen_through(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        half: NDArray[np.float64] = rows @ self._rows.T
        return half @ half.T


class _ByCovariance:
    """Many vectors, or moments: the factor is taken from the covariance when it is asked for."""

    def __init__(self, moments: Moments, ddof: int) -> None:
        self.mean = moments.mean
        self._covariance = moments.covariance(ddof=ddof)
        self.variance = float(np.trace(self._covariance))

    def factor(self) -> NDArray[np.float64]:
        try:
            lower = np.asarray(np.linalg.cholesky(self._covariance), dtype=np.float64)
        except np.linalg.LinAlgError:
            return _singular_factor(self._covariance)
        pivots = lower.diagonal()
        # Tiny pivots are what rounding left of a singular covariance: their columns would be noise.
        return lower.T if pivots.min() > 1e-6 * pivots.max() else _singular_factor(self._covariance)

    def seen_through(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        if self._is_triangular(rows):
            # Half the work of two products, and all that the eigenvalues look at is this lower triangle.
            from scipy.linalg import lapack

            reduced, _ = lapack.dsygst(self._covariance, rows.T, itype=2, lower=1)
            return np.asarray(reduced, dtype=np.float64)
        seen: NDArray[np.float64] = rows @ self._covariance @ rows.T
        return seen

    @staticmethod
    def _is_triangular(rows: NDArray[np.float64]) -> bool:
        """Whether these are a Cholesky factor: as many rows as columns, and nothing below the diagonal."""
        return rows.shape[0] == rows.shape[1] and not rows[-1, :-1].any() and not np.tril(rows, -1).any()


def _gaussian(given: NDArray[Any] | Moments, ddof: int, name: str) -> _Gaussian:
    if isinstance(given, Moments):
        return _ByCovariance(given, ddof)
    vectors = checked(given, source=name)
    n, dimensions = vectors.shape
    if n <= ddof:
        raise CannotMeasure(f"a covariance over N-{ddof} needs {ddof + 1} clips, got {n}", where=name)
    return _ByRows(vectors, ddof) if n <= dimensions else _ByCovariance(Moments.of(vectors), ddof)


def _singular_factor(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """The factor of a covariance without full rank: only the directions that vary."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > len(values) * np.finfo(np.float64).eps * max(values[-1], 0)
    factor: NDArray[np.float64] = np.sqrt(values[kept])[:, None] * vectors[:, kept].T
    return factor


def _trace_of_root(one: _Gaussian, two: _Gaussian, tolerance: float) -> float:
    """tr (S1 S2)^(1/2), off by no more than about `tolerance`.

    The eigenvalues of A1 S2 A1' are the squared singular values of A1 A2' and take half the time, but a rounding of
    theirs costs its square root where the true value is 0. So the cost is estimated from the spectrum itself, and the
    singular values are taken where it is too much.
    """
    if isinstance(two, _ByRows) and not (isinstance(one, _ByRows) and len(one.factor()) <= len(two.factor())):
        one, two = two, one
    factor = one.factor()
    squares = np.linalg.eigvalsh(two.seen_through(factor))
    if isinstance(one, _ByRows):
        squares = squares[1:]  # Centred rows add up to nothing, so one value is 0 exactly, whatever rounding says.
    if not len(squares):
        return 0.0
    rounding = 4 * np.finfo(np.float64).eps * max(squares[-1], 0.0)
    roots = np.sqrt(np.clip(squares, 0, None))
    cost = np.minimum(rounding / np.maximum(2 * roots, np.finfo(np.float64).tiny), np.sqrt(rounding))
    if cost.sum() <= tolerance:
        return float(roots.sum())
    return float(np.linalg.svd(factor @ two.factor().T, compute_uv=False).sum())
