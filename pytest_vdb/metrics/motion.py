"""What optical flow tells of a clip: how much moves, how smoothly, and whether the picture holds together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_vdb.backbones.raft import PAIR_COLUMNS
from pytest_vdb.errors import CannotMeasure
from pytest_vdb.metrics.contract import Score, metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@metric(
    "dynamic_degree",
    unit="px/frame",
    better="neutral",
    bounds=(0, None),
    default=False,
    papers=("huang2024vbench",),
)
def dynamic_degree(flow_pairs: NDArray[np.float32]) -> Score:
    """How fast the fastest things move: mean of the largest 5% of the flow, mean over pairs.

    Returns:
        Pixels per frame of a clip scaled to a short side of 256, one value per pair in the series.

    Source: the quantity behind VBench's dynamic degree (arXiv 2311.17982), which calls a clip dynamic above 6 px.
    """
    return _column(flow_pairs, "fastest")


@metric(
    "flow_speed",
    unit="px/frame",
    better="neutral",
    bounds=(0, None),
    default=False,
    papers=("liu2024evalcrafter",),
)
def flow_speed(flow_pairs: NDArray[np.float32]) -> Score:
    """How fast the picture moves on average: mean length of the flow.

    Returns:
        Pixels per frame of a clip scaled to a short side of 256, one value per pair in the series.

    Source: the flow score of EvalCrafter (arXiv 2310.11440), at a size of its own.
    """
    return _column(flow_pairs, "speed")


@metric(
    "warping_error",
    unit="1",
    better="lower",
    bounds=(0, 1),
    default=False,
    papers=("lai2018consistency", "ruder2016style"),
)
def warping_error(flow_pairs: NDArray[np.float32]) -> Score:
    """How badly each frame is explained by moving the next one back along the flow.

    Returns:
        Mean squared difference of RGB in [0, 1] over the pixels that are visible in both frames and on no motion
        boundary, all pairs together; 0 for a still clip. Where a pair has no such pixel, there is no series.

    Raises:
        CannotMeasure: no pixel of any pair is visible in both its frames.

    Source: Lai et al., Learning blind video temporal consistency, ECCV 2018; the masks of Ruder et al.
        (arXiv 1604.08610). Measured at a short side of 256.
    """
    return _over_visible(flow_pairs[:, PAIR_COLUMNS.index("warped")], flow_pairs[:, PAIR_COLUMNS.index("visible")])


@metric("motion_smoothness", unit="1", better="higher", bounds=(0, 1), default=False, orders=("shuffled", "dropped"))
def motion_smoothness(flow_turns: NDArray[np.float32]) -> Score:
    """How steadily things move from frame to frame.

    At each inner frame the flow to the next frame is added to the flow to the previous one: at steady speed the two
    cancel. The length of the sum relative to both lengths (plus 1 px) is averaged over the visible pixels.

    Returns:
        1 minus that, in [0, 1]: 1 for steady motion and for a still clip; one value per inner frame in the series.

    Raises:
        CannotMeasure: no pixel is visible in three frames in a row.
    """
    turn = _over_visible(flow_turns[:, 0], flow_turns[:, 1])
    assert turn.value is not None
    return Score(1 - turn.value, None if turn.series is None else [1 - value for value in turn.series])


@metric("motion_coherence", unit="1", better="higher", bounds=(0, 1), default=False)
def motion_coherence(flow_pairs: NDArray[np.float32]) -> Score:
    """How well neighbouring pixels move together: the flow against its own smooth field.

    The flow's distance from its mean over a square of an eighth of the short side, relative to the lengths of both
    (plus 1 px), is averaged over the frame.

    Returns:
        1 minus that, in [0, 1]: 1 for one common motion and for a still clip; one value per pair in the series. Things
        that move in front of a background lower it too, at their edges.
    """
    rough = _column(flow_pairs, "roughness")
    assert rough.value is not None
    return Score(1 - rough.value, [1 - value for value in rough.series or ()])


def _column(pairs: NDArray[np.float32], name: str) -> Score:
    return Score.mean_of(pairs[:, PAIR_COLUMNS.index(name)])


def _over_visible(masked: NDArray[np.float32], visible: NDArray[np.float32]) -> Score:
    """The mean over visible pixels of all frames, and of each frame where every one has some."""
    if not visible.any():
        raise CannotMeasure("the flow finds no pixel again: nothing is visible in neighbouring frames")
    value = float(masked.sum(dtype="float64") / visible.sum(dtype="float64"))
    return Score(value, (masked / visible).tolist() if visible.all() else None)
