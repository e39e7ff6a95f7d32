"""What networks see: a clip against its prompt, and its frames against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_vdb.errors import CannotMeasure, ClipTooShort
from pytest_vdb.metrics.contract import Score, metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@metric(
    "clip_similarity",
    unit="cosine",
    better="higher",
    bounds=(-1, 1),
    orders=("blur", "noise"),
    papers=("hessel2021clipscore", "liu2024evalcrafter"),
)
def clip_similarity(clip_image: NDArray[np.float32], clip_text: NDArray[np.float32]) -> Score:
    """How well the frames fit the prompt: cosine of CLIP's image and text features, mean over frames.

    Args:
        clip_image: `(T, D)` unit vectors.
        clip_text: `(D,)` unit vector.

    Returns:
        The plain cosine in [-1, 1] (not times 100, not cut at 0), one per frame in the series. Published CLIP models
        give about 0.2 to 0.35 for a fitting prompt.

    Source: CLIPScore (arXiv 2104.08718) without its factor, as EvalCrafter (arXiv 2310.11440) averages it over frames.
    """
    return Score.mean_of(clip_image @ clip_text)


@metric(
    "clip_consistency",
    unit="cosine",
    better="higher",
    bounds=(-1, 1),
    frames=2,
    orders=("shuffled",),
    papers=("esser2023gen1",),
)
def clip_consistency(clip_image: NDArray[np.float32]) -> Score:
    """How alike neighbouring frames are to CLIP: mean cosine of their image features.

    Args:
        clip_image: `(T, D)` unit vectors, T >= 2.

    Returns:
        A cosine in [-1, 1]; the series has one value per pair of frames.

    Raises:
        ClipTooShort: the clip has fewer than two frames.
        CannotMeasure: the clip is frozen.

    Source: the frame consistency of Gen-1 (arXiv 2302.03011). VBench's own formula is `vbench.background_consistency`.
    """
    return _neighbours(clip_image)


@metric(
    "dino_consistency",
    unit="cosine",
    better="higher",
    bounds=(-1, 1),
    frames=2,
    orders=("shuffled",),
    default=False,
    papers=("huang2024vbench",),
)
def dino_consistency(dino: NDArray[np.float32]) -> Score:
    """How alike neighbouring frames are to DINOv2: mean cosine of their class tokens.

    Args:
        dino: `(T, D)` unit vectors, T >= 2.

    Returns:
        A cosine in [-1, 1]; the series has one value per pair of frames. It follows the subject more closely than CLIP
        does.

    Raises:
        ClipTooShort: the clip has fewer than two frames.
        CannotMeasure: the clip is frozen.

    Source: VBench's subject consistency (arXiv 2311.17982), by DINOv2 and between neighbours only; VBench's own network
        and formula are `vbench.subject_consistency`.
    """
    return _neighbours(dino)


STILL = 1e-5
"""Cosines this close to 1 are those of equal frames: float32 leaves about 1e-7 of doubt."""


def _neighbours(features: NDArray[np.float32]) -> Score:
    if len(features) < 2:
        raise ClipTooShort(needed=2, got=len(features))
    series = (features[1:] * features[:-1]).sum(axis=1)
    if series.min() > 1 - STILL:
        raise CannotMeasure("the clip is frozen: all frames are the same, so nothing had to hold together")
    return Score.mean_of(series)
