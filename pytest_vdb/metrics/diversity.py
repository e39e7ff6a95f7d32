"""How different a model's answers to the same prompt are: one that always makes the same clip has none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pytest_vdb.errors import CannotMeasure
from pytest_vdb.metrics.contract import Score, metric
from pytest_vdb.metrics.resampling import interval
from pytest_vdb.records import Prompt

if TYPE_CHECKING:
    from numpy.typing import NDArray


@metric(
    "diversity",
    unit="1",
    better="higher",
    bounds=(0, 2),
    default=False,
    papers=("zhu2017bicyclegan",),
)
def diversity(clip_image_set: Sequence[NDArray[np.float32]], prompts: Sequence[Prompt]) -> Score:
    """Mean distance (1 - cosine) between the clips that answer the same prompt with different seeds, over prompts.

    Args:
        clip_image_set: `(T, D)` CLIP features of each clip; a clip is the mean of its frames.
        prompts: what each answers, in the same order.

    Returns:
        In [0, 2]: 0 where a prompt always gives the same clip; the series has one value per prompt with two samples or
        more, n counts these prompts; 95% jackknife interval over them. Noise is diverse too: read it beside quality.

    Raises:
        CannotMeasure: no prompt has two samples, or a clip lacks its features.

    Source: the mean pairwise distance of BicycleGAN (arXiv 1711.11586), through CLIP.
    """
    if len(clip_image_set) != len(prompts):
        raise CannotMeasure(f"{len(clip_image_set)} clips have features, of {len(prompts)}")
    answers: dict[str, list[NDArray[np.float64]]] = {}
    for features, prompt in zip(clip_image_set, prompts, strict=True):
        mean = np.asarray(features, dtype=np.float64).mean(axis=0)
        answers.setdefault(prompt.id, []).append(mean / np.linalg.norm(mean))
    distances = np.array([_mean_distance(np.stack(clips)) for clips in answers.values() if len(clips) > 1])
    if not len(distances):
        raise CannotMeasure("no prompt has two samples", mend="generate more: --vdb-samples 2")
    value, n = float(distances.mean()), len(distances)
    without = (distances.sum() - distances) / (n - 1) if n > 1 else distances[:0]
    return Score(value, distances, n=n, interval=interval(value, [without]))


def _mean_distance(units: NDArray[np.float64]) -> float:
    """1 - mean cosine over all pairs of different rows."""
    n = len(units)
    total = units.sum(axis=0)
    return 1 - float((total @ total - n) / (n * (n - 1)))
