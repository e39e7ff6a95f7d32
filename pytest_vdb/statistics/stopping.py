"""May a gate stop early? Evidence that may be looked at after every prompt, and still is wrong as rarely as said.

An e-value is what a stake of 1 has become in a game that is fair, or worse, where the null holds. Whoever plays such a
game may stop when he likes: his stake reaches 20 in at most 5% of games (Ville 1939; Ramdas and others 2023,
Statistical Science 38). The p-value at any time is 1 over the most that the stake has been, and a family of rules is
corrected by `families.holm` as any other.

Prompts must come in an order that does not depend on their values: a random one, pinned before the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pytest_vdb.statistics.means import finite

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STAKES = (0.25, 0.75, 2.0)
"""Per spread of the differences so far: for changes of a quarter of the noise, of its size, and far above it."""
_SURE = 0.999
"""Of Student's bound. At 95% a change by the margin, all of it failures in a tenth of the prompts, is called smaller in
13% of runs, for one looks so often; at 99.9% in 5%, and two prompts more are waited for where nothing has changed."""


def symmetric_e_values(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much speaks, after each prompt, for differences above zero; the gate's null, looked at all the time.

    Null: the differences are symmetric about zero or a lower centre (as those of exchangeable pairs are). To ask
    whether something got worse by more than a margin, subtract the margin; whether by less, subtract the differences
    from it. Assumed: prompts are independent; differences that are symmetric about their centre.

    Each prompt's difference d is bet on with 1 + tanh(stake d / spread of the earlier ones): given its magnitude,
    either sign is as likely, and gains and losses cancel. A third of the money is played with each of three stakes.

    Args:
        differences: `(n, k)`, in the order in which the prompts came; worse is positive.

    Returns:
        `(n, k)` in [0, inf): after each prompt.
    """
    differences = finite(differences)
    squares = np.cumsum(differences**2, axis=0)
    seen = np.arange(1, len(differences) + 1)[:, None]
    spread = np.sqrt(np.vstack((np.zeros((1, differences.shape[1])), (squares / seen)[:-1])))
    # Nothing is staked before the first difference other than zero: there is no scale yet.
    scaled = np.divide(differences, spread, out=np.zeros_like(differences), where=spread > 0)
    return _mixed([np.log1p(np.tanh(np.clip(stake * scaled, -_MOST, _MOST))) for stake in _STAKES])


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What any number of prompts up to each one showed at most: `(n, k)` e-values in [0, inf) that never fall."""

    beyond: NDArray[np.float64]
    """For "worse by more than the margin"."""
    within: NDArray[np.float64]
    """For "worse by less than the margin"."""
    better: NDArray[np.float64]
    """For "better by more than the margin"; of who calls either direction worse, nothing speaks for it."""


def evidence_beside_margins(
    worse: NDArray[np.float64], margins: NDArray[np.float64], *, either: NDArray[np.bool_], least: int = 1
) -> Shown:
    """On which side of its margin each column lies, as far as the prompts so far tell.

    Null and assumptions are those of `symmetric_e_values`; either direction is worse where the money is divided
    between both, and within the margin is what both games say. A mean can be moved by a few failures, of which bets on
    signs make little: so what speaks for a good end counts from a prompt on at which Student's 99.9% bound lies there,
    too, and never before the `least`.

    Args:
        worse: `(n, k)`, how much worse each prompt's mean is, in the order in which the prompts came.
        margins: `(k,)`, >= 0, in the same unit.
        either: `(k,)`, whether both directions are worse.
        least: prompts before anything speaks for `within` and `better`.
    """
    up, down = (symmetric_e_values(side * worse - margins) for side in (1, -1))
    below, above = (_most_so_far(symmetric_e_values(margins - side * worse)) for side in (1, -1))
    highest, lowest = (_student_bounds(side * worse) for side in (1, -1))
    within = np.where(either, np.minimum(below, above), below)
    enough = np.arange(1, len(worse) + 1)[:, None] >= least
    inside = enough & (highest < margins) & (~either | (lowest < margins))
    return Shown(
        beyond=_most_so_far(np.where(either, (up + down) / 2, up)),
        within=_most_so_far(np.where(inside, within, 0.0)),
        better=_most_so_far(np.where(enough & ~either & (highest < -margins), _most_so_far(down), 0.0)),
    )


def _student_bounds(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(n, k)`: above which the mean of such values hardly lies, after each; infinite for the first."""
    from scipy.special import stdtrit

    seen = np.arange(1, len(values) + 1)[:, None]
    from_first = values - values[:1]  # so that squares do not cancel
    means = np.cumsum(from_first, axis=0) / seen
    squares = np.maximum(np.cumsum(from_first**2, axis=0) - seen * means**2, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.sqrt(squares / (seen * (seen - 1)))
    bounds: NDArray[np.float64] = values[:1] + means + stdtrit(np.maximum(seen - 1, 1), _SURE) * errors
    bounds[0] = np.inf
    return bounds


def _most_so_far(e_values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum.accumulate(e_values, axis=0)


def anytime_p_values(e_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(n, k)` in (0, 1]: after each prompt, valid whenever one stops; it never rises."""
    return np.minimum(1.0, 1 / np.maximum(_most_so_far(e_values), 1.0))


_MOST = 18.0
"""Of the argument of tanh: beyond it 1 + tanh is 0 or 2 to the last digit, and 0 would end the game by rounding."""


def _mixed(log_gains: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The mean of the stakes' fortunes after each prompt."""
    fortunes = [np.exp(np.minimum(np.cumsum(gain, axis=0), 700.0)) for gain in log_gains]
    result: NDArray[np.float64] = np.mean(fortunes, axis=0)
    return result
