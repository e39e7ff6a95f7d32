"""VBench's dimensions that need no prompt, under its own names and by its own definitions.

Source: Huang et al., VBench (arXiv 2311.17982), and its code at 45e79ec. A value here is that of one clip; VBench's
leaderboard averages over the clips of its own prompts. Values agree with VBench's code to about 1e-3, as far as its
video decoder and ours read the same pixels. The prompt-bound dimensions are measured by the `vbench` package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_vdb.errors import ClipTooShort
from pytest_vdb.metrics.contract import Score, metric
from pytest_vdb.metrics.pixels import neighbour_differences
from pytest_vdb.records import Clip, Prompt

if TYPE_CHECKING:
    from numpy.typing import NDArray


@metric(
    "vbench.temporal_flickering",
    unit="1",
    better="higher",
    bounds=(0, 1),
    frames=2,
    default=False,
    papers=("huang2024vbench",),
)
def temporal_flickering(clip: Clip) -> Score:
    """How little the clip changes from frame to frame: (255 - mean absolute difference) / 255.

    VBench measures it on clips whose prompts ask for stillness; on others, motion lowers it, and a frozen clip gets 1.

    Raises:
        ClipTooShort: the clip has fewer than two frames.
    """
    series = [1 - difference for difference in neighbour_differences(clip)]
    return Score(float(np.mean(series)), series)


@metric(
    "vbench.subject_consistency",
    unit="1",
    better="higher",
    bounds=(0, 1),
    frames=2,
    default=False,
    papers=("huang2024vbench",),
)
def subject_consistency(vbench_dino: NDArray[np.float32]) -> Score:
    """How well the subject stays itself: DINO's cosine with the previous and with the first frame, cut at 0.

    Args:
        vbench_dino: `(T, D)` unit vectors, T >= 2.

    Returns:
        Mean over frames of the mean of both, in [0, 1]; one value per frame after the first in the series.

    Raises:
        ClipTooShort: the clip has fewer than two frames.
    """
    return _to_previous_and_first(vbench_dino)


@metric(
    "vbench.background_consistency",
    unit="1",
    better="higher",
    bounds=(0, 1),
    frames=2,
    default=False,
    papers=("huang2024vbench",),
)
def background_consistency(vbench_clip: NDArray[np.float32]) -> Score:
    """How well the scene stays itself: CLIP's cosine with the previous and with the first frame, cut at 0.

    Args:
        vbench_clip: `(T, D)` unit vectors, T >= 2.

    Returns:
        Mean over frames of the mean of both, in [0, 1]; one value per frame after the first in the series.

    Raises:
        ClipTooShort: the clip has fewer than two frames.
    """
    return _to_previous_and_first(vbench_clip)


@metric(
    "vbench.motion_smoothness",
    unit="1",
    better="higher",
    bounds=(0, 1),
    default=False,
    papers=("huang2024vbench",),
)
def motion_smoothness(vbench_amt: NDArray[np.float32]) -> Score:
    """How well every second frame can be guessed from its neighbours, by AMT-S: (255 - mean absolute difference) / 255.

    Args:
        vbench_amt: `(K,)`, mean absolute difference of each second frame and its guess, in levels.

    Returns:
        In [0, 1]; one value per guessed frame in the series.
    """
    return _mean(1 - vbench_amt / 255)


DYNAMIC_PX = 6.0
"""At a short side of 256."""


@metric(
    "vbench.dynamic_degree",
    unit="1",
    better="higher",
    bounds=(0, 1),
    default=False,
    papers=("huang2024vbench",),
)
def dynamic_degree(vbench_flow: NDArray[np.float32]) -> Score:
    """Whether the clip moves: 1 where enough pairs of frames have fast enough flow, else 0.

    Args:
        vbench_flow: `(K-1,)`, mean of the largest 5% of the flow between the K frames sampled at about 8 per second.

    Returns:
        1 if at least round(K / 4) pairs exceed 6 px (at a short side of 256), else 0; the flow in the series.
    """
    enough = round(4 * (len(vbench_flow) + 1) / 16)
    fast = int((vbench_flow > DYNAMIC_PX).sum())
    return Score(float(fast >= enough), vbench_flow.tolist())


@metric(
    "vbench.aesthetic_quality",
    unit="1",
    better="higher",
    default=False,
    papers=("huang2024vbench",),
)
def aesthetic_quality(vbench_aesthetic: NDArray[np.float32]) -> Score:
    """How beautiful people would find the frames, by LAION's predictor: its rating of 1 to 10, divided by 10.

    Returns:
        Mean over frames; one value per frame in the series.
    """
    return _mean(vbench_aesthetic / 10)


@metric(
    "vbench.imaging_quality",
    unit="1",
    better="higher",
    default=False,
    papers=("huang2024vbench",),
)
def imaging_quality(vbench_musiq: NDArray[np.float32]) -> Score:
    """How free the frames are of blur, noise and bad exposure, by MUSIQ: its rating of 0 to 100, divided by 100.

    Returns:
        Mean over frames; one value per frame in the series.
    """
    return _mean(vbench_musiq / 100)


def _to_previous_and_first(features: NDArray[np.float32]) -> Score:
    if len(features) < 2:
        raise ClipTooShort(needed=2, got=len(features))
    previous = np.maximum((features[1:] * features[:-1]).sum(axis=1), 0)
    first = np.maximum(features[1:] @ features[0], 0)
    return _mean((previous + first) / 2)


def _mean(series: NDArray[np.floating[Any]]) -> Score:
    return Score(float(series.mean(dtype=np.float64)), series.tolist())


DELEGATED = {
    "object_class": "Whether the prompt's object is in the frames (GRiT)",
    "multiple_objects": "Whether both objects of the prompt are in the same frame (GRiT)",
    "human_action": "Whether the prompt's action is recognised (UMT)",
    "color": "Whether the prompt's object has the prompt's colour (GRiT)",
    "spatial_relationship": "Whether the objects stand as the prompt says (GRiT)",
    "scene": "Whether the prompt's scene is described in the frames (Tag2Text)",
    "appearance_style": "How well the look fits the prompt's style (CLIP)",
    "temporal_style": "How well the camera's motion fits the prompt (ViCLIP)",
    "overall_consistency": "How well the clip fits the prompt as a whole (ViCLIP)",
}
"""What the `vbench` package measures for us: the dimension, and what it says of a clip."""
COSINES = frozenset({"appearance_style", "temporal_style", "overall_consistency"})
"""Of them; the others are shares."""


def _by_the_package(dimension: str, what: str) -> Callable[..., Score]:
    def measured(clips: Sequence[Clip], prompts: Sequence[Prompt]) -> Score:
        from pytest_vdb.metrics.vbench_files import delegate

        return delegate(dimension, clips, prompts)

    measured.__doc__ = f"{what}, by the `vbench` package."
    bounds = (-1, 1) if dimension in COSINES else (0, 1)
    return metric(
        f"vbench.{dimension}", unit="1", better="higher", bounds=bounds, default=False, papers=("huang2024vbench",)
    )(measured)


BY_THE_PACKAGE = tuple(_by_the_package(dimension, what) for dimension, what in DELEGATED.items())
