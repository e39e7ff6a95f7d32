"""Inception Score of video: how sure a classifier is of each clip, and how varied its answers are over all clips.

Salimans et al. 2016 (arXiv 1606.03498); for video first by TGAN (arXiv 1611.06624), with C3D on UCF-101. Here the
classifier is I3D on Kinetics-400, so the value is at most 400 and is not comparable with published C3D scores; the
computation (shuffle of seed 42, contiguous splits, population deviation) is StyleGAN-V's.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pytest_vdb.errors import CannotMeasure
from pytest_vdb.metrics.contract import Score, metric
from pytest_vdb.metrics.fvd import stacked
from pytest_vdb.metrics.moments import checked
from pytest_vdb.metrics.resampling import SwapTest, interval, leave_outs, swap_test

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPLITS = 10
SEED = 42
CLIPS_PER_SPLIT = 100
"""A split of fewer clips cannot show the variety of hundreds of classes."""


class SplitScores(NamedTuple):
    """Mean and population standard deviation over the splits, and each split's score."""

    mean: float
    sd: float
    splits: NDArray[np.float64]


def inception_swaps(first: NDArray[Any], second: NDArray[Any], _reference: None, **how: Any) -> SwapTest:
    """The test whether one model's score differs from another's by more than chance, of their logits."""
    return swap_test(softmax(first), softmax(second), lambda answers: inception_score_of(answers).mean, **how)


@metric(
    "inception_score",
    unit="1",
    better="higher",
    bounds=(1, 400),
    version="i3d-styleganv",
    default=False,
    swaps=inception_swaps,
    papers=("salimans2016inception", "saito2017tgan", "skorokhodov2022styleganv"),
)
def inception_score(i3d_set: Sequence[NDArray[np.float32]]) -> Score:
    """Inception Score from I3D's 400 classes: 10 shuffled splits; the series holds each split's score.

    Args:
        i3d_set: `(400,)` logits of each clip.

    Returns:
        In [1, 400]: 1 where every clip gets the same answer. 95% grouped-jackknife interval.

    Raises:
        CannotMeasure: fewer than 20 clips (two for each split), or logits that are not finite.

    Source: Salimans et al. (arXiv 1606.03498), for video TGAN (arXiv 1611.06624); splits as StyleGAN-V makes them.
    """
    probabilities = softmax(stacked(i3d_set))
    found = inception_score_of(probabilities)
    n = len(probabilities)
    without = np.array([inception_score_of(probabilities[rest]).mean for rest in leave_outs(n) if len(rest) >= 20])
    notes = [f"{SPLITS} splits of seed {SEED}, sd {found.sd:.4g}"]
    if n < SPLITS * CLIPS_PER_SPLIT:
        notes.append(f"N = {n} clips: below {SPLITS * CLIPS_PER_SPLIT} the score is too low by an unknown amount")
    return Score(
        found.mean, series=found.splits, n=n, interval=interval(found.mean, [without]), reason="; ".join(notes)
    )


def inception_score_of(probabilities: NDArray[Any], *, splits: int = SPLITS, seed: int | None = SEED) -> SplitScores:
    """The score of a classifier's answers.

    Args:
        probabilities: `(N, classes)`, rows sum to 1.
        splits: contiguous parts that are scored apart.
        seed: of the shuffle before (NumPy's legacy generator, as published numbers use it); None: the order given.

    Raises:
        CannotMeasure: fewer than two clips for each split, or numbers that are not finite.
    """
    answers = checked(probabilities, source="class probabilities")
    n = len(answers)
    if n < 2 * splits:
        raise CannotMeasure(f"{splits} splits need {2 * splits} clips, got {n}")
    if seed is not None:  # nothing is drawn: the one order in which published numbers split their clips
        answers = answers[np.random.RandomState(seed).permutation(n)]
    bounds = [part * n // splits for part in range(splits + 1)]
    scores = np.array([_score(answers[a:b]) for a, b in pairwise(bounds)])
    return SplitScores(float(scores.mean()), float(scores.std()), scores)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of logits as probabilities."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return result


def _score(answers: NDArray[np.float64]) -> float:
    """exp of the mean divergence of each answer from the mean answer."""
    marginal = answers.mean(axis=0)
    ratio = np.divide(answers, marginal, out=np.ones_like(answers), where=answers > 0)  # 0 log 0 = 0
    return float(np.exp((answers * np.log(ratio)).sum(axis=1).mean()))
