"""How far a set metric can be trusted: an interval by jackknife, and a paired test and error between two models.

A bootstrap will not do: a clip drawn twice makes a set look narrower, so the interval of a Fréchet distance excludes
the distance itself. The jackknife only leaves clips out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_vdb.errors import CannotMeasure
from pytest_vdb.statistics.swaps import permutation_p_value

if TYPE_CHECKING:
    from numpy.typing import NDArray

GROUPS = 20
CONFIDENCE = 0.95


def interval(value: float, leave_out_sets: Sequence[NDArray[np.float64]]) -> tuple[float, float] | None:
    """The 95% interval of a statistic of one or more independent sets of clips.

    Args:
        value: the statistic of everything.
        leave_out_sets: for each set, the statistic without each of its groups of clips in turn.

    Returns:
        Around `value`, symmetric; None where a set had fewer than three groups.
    """
    from scipy.special import stdtrit

    if not leave_out_sets or any(len(values) < 3 for values in leave_out_sets):
        return None
    variance = sum((len(v) - 1) / len(v) * float(((v - v.mean()) ** 2).sum()) for v in leave_out_sets)
    freedom = min(len(values) for values in leave_out_sets) - 1
    reach = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * float(np.sqrt(variance))
    return value - reach, value + reach


def leave_outs(n: int, *, groups: int = GROUPS) -> Iterator[NDArray[np.intp]]:
    """The clips that remain when each of up to `groups` groups is left out. A group takes every `groups`-th clip."""
    everyone = np.arange(n)
    for group in range(min(groups, n)):
        yield everyone[everyone % min(groups, n) != group]


@dataclass(frozen=True, slots=True)
class SwapTest:
    """Whether two models differ beyond chance, clip by clip of the same prompt and seed."""

    difference: float
    """Statistic of the first model minus that of the second."""
    p: float
    """Two-sided; never 0, because the arrangement that was seen counts as one."""
    permutations: int
    n: int
    error: PairedError | None = None
    """Of the difference; None: too few prompts, or the statistic cannot do without any of them."""


@dataclass(frozen=True, slots=True)
class PairedError:
    """How far a difference of two sets varies, which share their prompts: much less than either side alone does."""

    error: float
    """Standard error, by the grouped jackknife: both sides without the same prompts, one group after the other."""
    degrees: int
    """Of freedom: groups of prompts less one."""

    @classmethod
    def of(cls, without: NDArray[np.float64]) -> PairedError | None:
        """From the differences without each group in turn; None of fewer than three groups."""
        count = len(without)
        if count < 3:
            return None
        variance = (count - 1) / count * float(((without - without.mean()) ** 2).sum())
        return cls(float(np.sqrt(variance)), count - 1)


def paired_leave_outs(n: int, groups: Sequence[object] | None = None) -> list[NDArray[np.intp]]:
    """The pairs that remain when each of up to `GROUPS` groups of prompts is left out.

    Args:
        n: pairs.
        groups: of each pair, the prompt; None: each pair is a prompt.
    """
    of_prompts = list(dict.fromkeys(range(n) if groups is None else groups))
    place = {prompt: at for at, prompt in enumerate(of_prompts)}
    places = np.array([place[prompt] for prompt in (range(n) if groups is None else groups)])
    return [np.flatnonzero(np.isin(places, rest)) for rest in leave_outs(len(of_prompts))]


def swap_test(
    first: NDArray[Any],
    second: NDArray[Any],
    statistic: Callable[[NDArray[Any]], float],
    *,
    permutations: int = 999,
    seed: int = 0,
    groups: Sequence[object] | None = None,
) -> SwapTest:
    """Swap the clips of random pairs between two models, again and again.

    Args:
        first: features `(N, D)` of one model, row by row of the same prompt and seed as those of `second`.
        second: features `(N, D)` of the other.
        statistic: what is compared, of one model's features: `lambda f: frechet_distance(f, reference)`, say.
        permutations: how many random swaps; exact enumeration where 2^(N-1) is not more. 0: only the difference and
            its error.
        seed: of the random swaps.
        groups: of each row; rows of one group swap together (the samples of one prompt are not independent).

    Raises:
        ValueError: the two arrays are not of the same shape.
    """
    if first.shape != second.shape or not len(first):
        raise ValueError(f"features of shapes {first.shape} and {second.shape}: pairs are needed")
    seen = statistic(first) - statistic(second)
    patterns = swap_patterns(len(first), permutations, seed, groups)
    drawn = [_swapped(first, second, statistic, swaps) for swaps in patterns]
    error = _error_of_difference(first, second, statistic, groups)
    return SwapTest(seen, permutation_p_value(seen, drawn), len(drawn), len(first), error)


def swap_patterns(n: int, permutations: int, seed: int, groups: Sequence[object] | None = None) -> NDArray[np.bool_]:
    """`(P, n)`: which pairs are swapped. Never the pattern that swaps nothing, nor (enumerated) its mirror.

    Args:
        n: pairs.
        permutations: how many patterns at most; all there are where these are not more.
        seed: of the random ones.
        groups: of each pair; the pairs of one group are swapped together.
    """
    if groups is not None:
        order = {group: at for at, group in enumerate(dict.fromkeys(groups))}
        return swap_patterns(len(order), permutations, seed)[:, [order[group] for group in groups]]
    if n - 1 < 60 and 2 ** (n - 1) - 1 <= permutations:
        numbers = np.arange(1, 2 ** (n - 1))
        patterns: NDArray[np.bool_] = (numbers[:, None] >> np.arange(n)) & 1 == 1
        return patterns
    return np.random.default_rng(seed).random((permutations, n)) < 0.5


def _swapped(
    first: NDArray[Any], second: NDArray[Any], statistic: Callable[[NDArray[Any]], float], swaps: NDArray[np.bool_]
) -> float:
    where = swaps[:, None]
    return statistic(np.where(where, second, first)) - statistic(np.where(where, first, second))


def _error_of_difference(
    first: NDArray[Any],
    second: NDArray[Any],
    statistic: Callable[[NDArray[Any]], float],
    groups: Sequence[object] | None,
) -> PairedError | None:
    rests = paired_leave_outs(len(first), groups)
    try:
        return PairedError.of(np.array([statistic(first[rest]) - statistic(second[rest]) for rest in rests]))
    except CannotMeasure:  # so few that none can be spared
        return None
