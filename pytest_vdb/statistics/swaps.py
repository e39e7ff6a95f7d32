"""Sets with one value each (a Fréchet distance): what was seen beside what arrangements of the same parts give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def permutation_p_value(
    observed: float, permuted: Sequence[float] | NDArray[np.float64], *, rounding: float = 1e-12
) -> float:
    """The share of arrangements as extreme as the one that was seen, which counts as one of them.

    Null: every arrangement was as likely as the one that was seen (the clips of a prompt might as well have come from
    the other side). Assumed: nothing else.

    Args:
        observed: the difference that was seen, with its sign.
        permuted: the differences of other arrangements, drawn at random or all there are, without the one seen.
        rounding: a share of the observed; arrangements that differ by less are equal.

    Returns:
        Two-sided, in (0, 1]: never 0.

    Source: Phipson and Smyth 2010, Statistical Applications in Genetics and Molecular Biology 9.
    """
    drawn = np.abs(np.asarray(permuted, dtype=np.float64))
    extreme = int((drawn >= abs(observed) * (1 - rounding)).sum())
    return (1 + extreme) / (1 + drawn.size)
