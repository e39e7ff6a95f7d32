"""Sums of features from which mean and covariance follow: float64, mergeable across batches, workers and files.

Raw sums lose their digits when the mean is large beside the spread, so every sum is taken about a shift (the first
batch's mean) and two accumulations about different shifts merge exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_vdb.errors import CannotMeasure

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """What `n` feature vectors of `D` numbers leave behind.

    Args:
        n: how many vectors.
        shift: `(D,)`, the point the sums are taken about.
        total: `(D,)`, sum of `x - shift`.
        products: `(D, D)`, sum of the outer products of `x - shift`.
        fourth_powers: sum of `||x||^4` (about 0); what the unbiased JEDi needs beyond second moments.
    """

    n: int
    shift: NDArray[np.float64]
    total: NDArray[np.float64]
    products: NDArray[np.float64]
    fourth_powers: float

    @classmethod
    def of(cls, features: NDArray[Any], *, source: str = "features") -> Moments:
        """Of one batch `(N, D)`, N >= 1.

        Raises:
            CannotMeasure: not two axes, no vector, or a number that is not finite.
        """
        vectors = checked(features, source=source)
        shift = vectors.mean(axis=0)
        about = vectors - shift
        lengths = np.einsum("nd,nd->n", vectors, vectors)
        return cls(len(vectors), shift, about.sum(axis=0), about.T @ about, float(lengths @ lengths))

    @property
    def dimensions(self) -> int:
        """Numbers per feature vector."""
        return len(self.shift)

    @property
    def mean(self) -> NDArray[np.float64]:
        """`(D,)`."""
        return self.shift + self.total / self.n

    def covariance(self, *, ddof: int = 1) -> NDArray[np.float64]:
        """`(D, D)`, divided by `n - ddof`.

        Raises:
            CannotMeasure: `n <= ddof`.
        """
        if self.n <= ddof:
            raise CannotMeasure(f"a covariance over N-{ddof} needs {ddof + 1} clips, got {self.n}")
        return (self.products - np.outer(self.total, self.total / self.n)) / (self.n - ddof)

    def second(self) -> NDArray[np.float64]:
        """`(D, D)`, the mean outer product about 0 (what a polynomial kernel of degree two sees)."""
        mean = self.total / self.n
        cross = np.outer(mean, self.shift)
        return self.products / self.n + cross + cross.T + np.outer(self.shift, self.shift)

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """As named arrays, for an `.npz` file; `from_arrays` reads them back exactly."""
        return {
            "n": np.array(self.n, dtype=np.float64),
            "shift": self.shift,
            "total": self.total,
            "products": self.products,
            "fourth_powers": np.array(self.fourth_powers),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], *, source: str = "moments") -> Moments:
        """Read back what `arrays` gave.

        Raises:
            CannotMeasure: an array that is missing, of the wrong shape, or not finite.
        """
        missing = {"n", "shift", "total", "products", "fourth_powers"} - set(arrays)
        if missing:
            raise CannotMeasure(f"no array {', '.join(sorted(missing))}", where=source, mend="build it again")
        n, shift, total, products, fourth = (
            np.asarray(arrays[name], dtype=np.float64) for name in ("n", "shift", "total", "products", "fourth_powers")
        )
        d = len(shift) if shift.ndim == 1 else 0
        if not d or total.shape != (d,) or products.shape != (d, d) or n.shape or fourth.shape or n < 1:
            raise CannotMeasure(
                f"moments of shapes {shift.shape}, {total.shape}, {products.shape}, n={n}",
                where=source,
                mend="build it again",
            )
        if not all(np.isfinite(part).all() for part in (shift, total, products, fourth)):
            raise CannotMeasure("moments that are not finite", where=source, mend="build it again")
        return cls(int(n), shift, total, products, float(fourth))


def checked(features: NDArray[Any], *, source: str = "features") -> NDArray[np.float64]:
    """The features as float64 `(N, D)`, N >= 1 and D >= 1, every number finite.

    Raises:
        CannotMeasure: otherwise, naming the first clip that is at fault.
    """
    vectors = np.asarray(features)
    if vectors.ndim != 2 or 0 in vectors.shape:
        raise CannotMeasure(
            f"features of shape {vectors.shape}", where=source, mend="(clips, numbers), at least one of each"
        )
    vectors = vectors.astype(np.float64, copy=False)
    finite = np.isfinite(vectors)
    if not finite.all():
        faulty = np.flatnonzero(~finite.all(axis=1))
        raise CannotMeasure(
            f"{len(faulty)} of {len(vectors)} feature vectors are not finite, the first is number {faulty[0]}",
            where=source,
            mend="look at that clip, and whether the backbone overflowed at a low precision",
        )
    return vectors
