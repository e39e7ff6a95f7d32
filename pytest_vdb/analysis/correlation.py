"""How well a metric's scores follow what people said: rank correlations per clip and per model, with intervals.

The prompt is the unit: clips of one prompt are drawn together, because what makes a prompt hard makes it hard for all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

RESAMPLES = 1_000
_LEAST = 3
"""Pairs below which a rank correlation says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One clip: what the metric gave it and what people gave it."""

    model: str
    prompt: str
    score: float
    rating: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficient:
    """One correlation in [-1, 1], or None and the reason; its interval is that of a bootstrap over prompts."""

    value: float | None
    interval: tuple[float, float] | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Three rank correlations of the same pairs."""

    of: str
    """`clips`, `models`, or the model whose clips alone are compared."""
    n: int
    """Pairs: clips, or models."""
    prompts: int
    spearman: Coefficient
    kendall_b: Coefficient
    kendall_c: Coefficient


def agreement(pairs: Sequence[Pair], *, resamples: int = RESAMPLES, seed: int = 0) -> tuple[Agreement, ...]:
    """The correlations over all clips, over the models' means, and over the clips of each model.

    Args:
        pairs: each clip once.
        resamples: how many times the prompts are drawn anew for the intervals; 0: no intervals.
        seed: of these draws; the same seed gives the same intervals.
    """
    models = sorted({pair.model for pair in pairs})
    rows = [
        _correlations("clips", pairs, _clips, resamples, seed),
        _correlations("models", pairs, _means, resamples, seed),
    ]
    if len(models) > 1:
        rows += [
            _correlations(model, [pair for pair in pairs if pair.model == model], _clips, resamples, seed)
            for model in models
        ]
    return tuple(rows)


def spearman(first: Values, second: Values) -> float:
    """Spearman's rank correlation, ties given their mean rank; nan where one side is constant."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    return float(np.corrcoef(_mean_ranks(first), _mean_ranks(second))[0, 1])


def _mean_ranks(values: Values) -> Values:
    """1 for the smallest; ties share the mean of their places. scipy's `rankdata` costs half a second of imports."""
    _, place, ties = np.unique(values, return_inverse=True, return_counts=True)
    means: Values = (ties.cumsum() - (ties - 1) / 2)[place]
    return means


def kendall(first: Values, second: Values) -> tuple[float, float]:
    """Kendall's tau-b (ties left out of the count) and tau-c (Stuart's, for scales of different length).

    Both follow from the same count of pairs in and out of order, so it is made once. nan where one side is constant.
    """
    from scipy.stats import kendalltau

    n = len(first)
    counts = [np.unique(side, return_counts=True)[1].astype(np.float64) for side in (first, second)]
    classes = min(len(count) for count in counts)
    if classes < 2:
        return math.nan, math.nan
    tau_b = float(kendalltau(first, second, method="asymptotic").statistic)
    pairs = n * (n - 1) / 2
    untied = [pairs - float((count * (count - 1)).sum()) / 2 for count in counts]
    in_order_less_out = tau_b * math.sqrt(untied[0] * untied[1])
    return tau_b, 2 * in_order_less_out / (n**2 * (classes - 1) / classes)


Sides = tuple["Values", "Values"]
_Summary = Callable[["NDArray[np.intp]", "Values", "Values"], Sides]
"""(model number of each clip, scores, ratings) -> the two sides that are correlated."""


def _clips(_: NDArray[np.intp], scores: Values, ratings: Values) -> Sides:
    return scores, ratings


def _means(models: NDArray[np.intp], scores: Values, ratings: Values) -> Sides:
    """The mean score and the mean rating of each model that has a clip."""
    counts = np.bincount(models)
    there = counts > 0
    mean_scores, mean_ratings = (np.bincount(models, side)[there] / counts[there] for side in (scores, ratings))
    return mean_scores, mean_ratings


def _correlations(of: str, pairs: Sequence[Pair], summary: _Summary, resamples: int, seed: int) -> Agreement:
    models = np.unique([pair.model for pair in pairs], return_inverse=True)[1].reshape(-1)
    scores = np.array([pair.score for pair in pairs], dtype=np.float64)
    ratings = np.array([pair.rating for pair in pairs], dtype=np.float64)
    clips_of: dict[str, list[int]] = {}
    for index, pair in enumerate(pairs):
        clips_of.setdefault(pair.prompt, []).append(index)
    groups = [np.array(clips) for clips in clips_of.values()]

    first, second = summary(models, scores, ratings)
    n, names = len(first), ("spearman", "kendall_b", "kendall_c")
    if n < _LEAST:
        few = Coefficient(value=None, reason=f"needs {_LEAST} {'models' if of == 'models' else 'clips'}, got {n}")
        return Agreement(of=of, n=n, prompts=len(groups), **dict.fromkeys(names, few))
    values = _all_three(first, second)
    generator = np.random.default_rng(seed)
    draws = []
    for _ in range(resamples if len(groups) > 1 else 0):
        chosen = np.concatenate([groups[i] for i in generator.integers(0, len(groups), len(groups))])
        sides = summary(models[chosen], scores[chosen], ratings[chosen])
        if len(sides[0]) >= _LEAST:
            draws.append(_all_three(*sides))
    columns = np.array(draws, dtype=np.float64).reshape(-1, 3).T
    found = {name: _coefficient(value, drawn) for name, value, drawn in zip(names, values, columns, strict=True)}
    return Agreement(of=of, n=n, prompts=len(groups), **found)


def _all_three(first: Values, second: Values) -> tuple[float, float, float]:
    return spearman(first, second), *kendall(first, second)


def _coefficient(value: float, drawn: Values) -> Coefficient:
    """With its 95% percentile interval; a value that is no number says that one side is constant."""
    if not math.isfinite(value):
        return Coefficient(value=None, reason="all scores, or all ratings, are equal")
    drawn = drawn[np.isfinite(drawn)]
    low, high = np.quantile(drawn, (0.025, 0.975)) if len(drawn) else (math.nan, math.nan)
    return Coefficient(value=value, interval=(float(low), float(high)) if len(drawn) else None)
