"""Between which ranks each of several models lies, however many there are.

The rank of a model is 1 and the number of models that are better. Means say who is ahead, not whether by luck: so every
pair of models is asked, all pairs as one family, and a model stands behind those that are told apart from it as better
and ahead of those that are told apart as worse. Where no pair is wrongly told apart, every true rank lies between these
two ends (Al Mohamad, van Zwet, Solari and Goeman 2021, Electronic Journal of Statistics 15).

Whole prompts are turned round, as in `together.py`: a pair's differences change their signs and are mixed with no other
model's, so that one that is far worse, or spreads more, neither hides nor shows what is between the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_vdb.statistics import normal
from pytest_vdb.statistics.contenders import LEAST_PROMPTS_FOR_T
from pytest_vdb.statistics.families import SIGNIFICANCE
from pytest_vdb.statistics.means import finite
from pytest_vdb.statistics.together import COUNTED_UP_TO, turns

if TYPE_CHECKING:
    from numpy.typing import NDArray

MANY_MODELS = 64
"""From here on fewer patterns of turning are counted (256), or none where Student's t is good enough."""
_PATTERNS_OF_MANY = 8
"""2 to this power."""
_MOST_ROUNDS, _ROUNDS_OF_MANY = 8, 2
_PAIRS_AT_ONCE = 250_000
_NO_SPREAD = 1e-12
"""Of the squares of both: smaller squares of differences are rounding."""
_EQUAL_LEADS = 1e-9


def ranks_between(merits: NDArray[np.float64], never_first: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """The lowest and the highest rank that each model may have; null and assumptions as of `told_apart`.

    Args:
        merits: `(models, prompts)`: a mean per prompt, higher is better; every model on the same prompts.
        never_first: `(models,)`: which stand behind the best of the others, at least, whatever their merits; not all.

    Returns:
        `(models, 2)`, from 1 to the number of models: 95 of 100 such tables hold every true rank.
    """
    ahead = told_apart(merits)
    ends: NDArray[np.int64] = np.stack([1 + ahead.sum(axis=0), len(ahead) - ahead.sum(axis=1)], axis=1)
    if never_first is not None and never_first.any():
        others = ~never_first
        ends[others & ~ahead[others].any(axis=0), 0] = 1  # it may be the best of them
        ends[never_first, 0] = np.maximum(ends[never_first, 0], 2)
        ends[never_first & ahead[:, others].all(axis=1), 1] += 1
    return ends


def told_apart(merits: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which model is better than which, corrected for all pairs at once: any wrong answer is as rare as 1 in 20 tables.

    Null of each pair: a prompt's two values might as well have stood the other way round. Assumed: prompts are
    independent; of three models and more also that prompts turned round as a whole are as good as any (nearly right for
    skewed values); of more than 64 models on 200 prompts and more that mean differences are close to normal far out in
    their tails: these are asked by Student's t with Bonferroni's correction.

    Args:
        merits: as of `ranks_between`.

    Returns:
        `(models, models)`: true where the model of the row is better than that of the column. Fewer than six prompts
        tell nobody apart: 2 of 2^5 patterns are 6%.
    """
    merits = finite(merits)
    models, prompts = merits.shape
    if models < 2 or prompts < 2:
        return np.zeros((models, models), dtype=np.bool_)
    pairs = _Pairs(merits)
    if models > MANY_MODELS and prompts >= LEAST_PROMPTS_FOR_T:
        return pairs.apart_by_t()
    return pairs.apart_by_turns()


class _Pairs:
    """Every model beside every other, on the same prompts."""

    def __init__(self, merits: NDArray[np.float64]) -> None:
        self.models, self.prompts = merits.shape
        # About each prompt's mean, which is in no difference of two models.
        self.by_prompt = np.ascontiguousarray((merits - merits.mean(axis=0)).T)
        products = self.by_prompt.T @ self.by_prompt
        of_both = np.diagonal(products)[:, None] + np.diagonal(products)[None, :]
        self.squares = of_both - 2 * products
        self.squares[self.squares <= _NO_SPREAD * of_both] = 0.0
        """`(models, models)`: the sum of the squared differences; 0 where two models never differ."""

    def apart_by_turns(self) -> NDArray[np.bool_]:
        """Step by step: who is told apart leaves the family, and the others are held against less."""
        differ = self.squares > 0
        weights = np.where(differ, 1 / np.sqrt(np.where(differ, self.squares, 1.0)), 0.0)
        leads = self._leads(np.ones((1, self.prompts)), weights)[0]
        apart: NDArray[np.bool_] = np.zeros((self.models, self.models), dtype=np.bool_)
        for _ in range(_MOST_ROUNDS if self.models <= MANY_MODELS else _ROUNDS_OF_MANY):
            largest = np.sort(self._largest_leads(np.where(apart | apart.T, 0.0, weights)))
            reached = len(largest) - np.searchsorted(largest, leads * (1 - _EQUAL_LEADS), side="left")
            found = ~apart & (leads > 0) & (reached / len(largest) < SIGNIFICANCE)
            if not found.any():
                break
            apart = apart | found
        return apart

    def _largest_leads(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """`(patterns,)`: the largest lead of any pair that has a weight, either way, after each turn."""
        at_once = max(1, _PAIRS_AT_ONCE // self.models**2)
        counted = COUNTED_UP_TO if self.models <= MANY_MODELS else _PATTERNS_OF_MANY
        return np.concatenate(
            [
                self._leads(signs[start : start + at_once], weights).max(axis=(1, 2))
                for signs in turns(self.prompts, counted)
                for start in range(0, len(signs), at_once)
            ]
        )

    def _leads(self, signs: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """`(patterns, prompts)` -> `(patterns, models, models)`: the summed lead of each over each, in such weights."""
        sums = signs @ self.by_prompt
        leads: NDArray[np.float64] = sums[:, :, None] - sums[:, None, :]
        leads *= weights
        return leads

    def apart_by_t(self) -> NDArray[np.bool_]:
        """By Student's t of the paired differences, corrected for the number of pairs."""
        means = self.by_prompt.mean(axis=0)
        ahead = means[:, None] - means[None, :]
        variances = np.maximum(self.squares - self.prompts * ahead**2, _NO_SPREAD * self.squares) / (self.prompts - 1)
        leading = (ahead > 0) & (variances > 0)
        t = np.where(leading, ahead, 0.0) / np.sqrt(np.where(leading, variances, 1.0) / self.prompts)
        # the one normal value that decides, instead of a p-value of each pair
        least = -normal.quantile(SIGNIFICANCE / (self.models * (self.models - 1)))
        return normal.value_of_t(t, self.prompts - 1) > least
