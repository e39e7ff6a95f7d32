"""Which models cannot be told apart from the best one, however many there are.

The best of thirty equal models looks better than the others by luck alone, and its lead over the last of them is the
largest of all. So the leads over every model are compared with the largest lead that appears where the values of each
prompt are dealt out to the models at random: prompts that are hard for all stay so, and any law of the values is right.
Who was told apart leaves, and the others are compared once more among themselves (Romano and Wolf 2005, Journal of the
American Statistical Association 100). Hsu's comparisons with the best (1984) would exclude one of several equal best
more often than said: that one of them *alone* is best is not what a leaderboard's mark denies.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_vdb.statistics.families import SIGNIFICANCE
from pytest_vdb.statistics.means import finite

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_PROMPTS_TO_RANK = 3
MOST_DEALS = 999
_LEAST_DEALS = 199
_VALUES_DEALT = 60_000_000
"""About a second's worth; 300 models on 1,000 prompts take the least number of deals."""
_VALUES_AT_ONCE = 120_000
_MOST_KEPT, _SHAPES_KEPT = 4_000_000, 16
"""Values of all deals of one shape whose places are kept, which are 16 MB, and such shapes."""
_BORROWED = 4
"""Degrees of freedom by which each difference's variance is drawn to the mean of all: at five prompts a variance of its
own is too small by chance for one model of thirty."""
_SEED_OF_DEALS = 20_261_130


def p_values_against_best(
    merits: NDArray[np.float64], *, deals: int = MOST_DEALS, significance: float = SIGNIFICANCE
) -> NDArray[np.float64]:
    """p-values of "this model is as good as the best", corrected for the number of models.

    Null: the values of each prompt might as well have been dealt to these models in any other way. Assumed: prompts are
    independent. Where models differ in spread and not in mean, that holds for eight prompts and more only nearly.

    Args:
        merits: `(models, prompts)`: a mean per prompt, higher is better; every model on the same prompts.
        deals: random ones, fewer where models times prompts are many.
        significance: at which a model is told apart and leaves the comparison of the others.

    Returns:
        `(models,)` in (0, 1]: 1 for the best; below `significance` where a model is told apart from it. All 1 for fewer
        than three prompts.
    """
    merits = finite(merits)
    models, prompts = merits.shape
    p = np.ones(models)
    if models < 2 or prompts < LEAST_PROMPTS_TO_RANK:
        return p
    remaining, floor, left = np.arange(models), 0.0, float(_VALUES_DEALT)
    while len(remaining) > 1 and left > 0:
        values = len(remaining) * prompts
        affordable = min(deals, max(_LEAST_DEALS, int(left / values)))
        left -= affordable * values
        p[remaining] = np.maximum(_dealt(merits[remaining], affordable), floor)
        apart = p[remaining] < significance
        if not apart.any():
            break
        floor = float(p[remaining][apart].max())
        remaining = remaining[~apart]
    return p


def _dealt(merits: NDArray[np.float64], deals: int) -> NDArray[np.float64]:
    """The share of deals, the one seen among them, whose largest lead is as large as the lead over each model."""
    leads = _leads(merits[None])[0]
    reached = np.zeros(len(merits), dtype=np.int64)
    for hands in _hands(merits, deals):
        largest = _leads(hands).max(axis=1)
        reached += (largest[:, None] >= leads * (1 - 1e-9)).sum(axis=0)
    return (1 + reached) / (1 + deals)


def _hands(merits: NDArray[np.float64], deals: int) -> Iterator[NDArray[np.float64]]:
    """`(few deals, models, prompts)` at a time: the values of each prompt, dealt out at random."""
    if merits.size * deals <= _MOST_KEPT:
        yield from (merits.ravel().take(places) for places in _places_dealt(*merits.shape, deals))
    else:
        yield from (hands.transpose(0, 2, 1) for hands in _permuted(merits.T, deals))


@lru_cache(maxsize=_SHAPES_KEPT)
def _places_dealt(models: int, prompts: int, deals: int) -> list[NDArray[np.int32]]:
    """As `_hands`: which values. Many metrics of a leaderboard have as many prompts and as many models to compare."""
    places = np.arange(models * prompts, dtype=np.int32).reshape(models, prompts)
    return [np.ascontiguousarray(hands.transpose(0, 2, 1)) for hands in _permuted(places.T, deals)]


def _permuted(by_prompt: NDArray[Any], deals: int) -> Iterator[NDArray[Any]]:
    """`(prompts, models)` -> `(few deals, prompts, models)` at a time, always the same deals."""
    generator = np.random.default_rng(_SEED_OF_DEALS)
    at_once = max(1, _VALUES_AT_ONCE // by_prompt.size)
    for start in range(0, deals, at_once):
        hands = np.repeat(np.ascontiguousarray(by_prompt)[None], min(at_once, deals - start), axis=0)
        yield generator.permuted(hands, axis=2, out=hands)


def _leads(hands: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(deals, models, prompts)` -> `(deals, models)`: the best one's lead over each, in standard errors."""
    models, prompts = hands.shape[1:]
    own = hands.mean(axis=2)
    best = np.arange(len(hands)), own.argmax(axis=1)
    means = own[best][:, None] - own
    ahead = hands[best][:, None] - hands
    squares = np.einsum("dmp,dmp->dm", ahead, ahead)
    variances = np.maximum(squares - prompts * means**2, 1e-12 * squares) / (prompts - 1)
    of_all = variances.sum(axis=1, keepdims=True) / (models - 1)
    moderated = (_BORROWED * of_all + (prompts - 1) * variances) / (_BORROWED + prompts - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(means > 0, means / np.sqrt(moderated / prompts), 0.0)
