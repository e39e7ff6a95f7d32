"""Points that follow the flow of a clip, and the histogram of how they move: what FVMD compares sets by.

400 points are followed through 16 frames; their velocities and accelerations are gathered in histograms of direction
(8 bins, weighted by the logarithm of speed) over blocks of 5x5 points and 4 frames, 1024 numbers in all.

Source: Liu et al., Fréchet video motion distance (arXiv 2407.16124). Two things differ from the authors' release:
points follow RAFT's flow (the release tracks with PIPs++; give `histogram` your own tracks for that), and acceleration
is the change of velocity, as the paper has it (the release takes the displacement a second time). The histogram of
given vectors is the release's to the bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_vdb.errors import CannotMeasure

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAMES = 16
POINTS_PER_SIDE = 20
MARGIN_PX = 8
CELL_POINTS, CELL_FRAMES = 5, 4
ANGLE_BINS = 8
FASTEST_PX = 255
DECIMALS = 3
"""Of a pixel: any speed above 0 has a weight of at least 1/8, so what rounding leaves of 0 must not count as one."""


def histogram_of_flow(flow: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """The motion histogram of points that follow the flow.

    Args:
        flow: `(T-1, 2, H, W)`, pixels to the next frame, dx and dy; T >= 16.

    Returns:
        `(1024,)`, of the first 16 frames.

    Raises:
        CannotMeasure: fewer than 16 frames.
    """
    if len(flow) < FRAMES - 1:
        raise CannotMeasure(f"motion is followed through {FRAMES} frames, got {len(flow) + 1}")
    return histogram(follow(np.asarray(flow[: FRAMES - 1], dtype=np.float64)))


def follow(flow: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points on a grid of 20x20, moved from frame to frame by the flow under them.

    Args:
        flow: `(T-1, 2, H, W)`, pixels to the next frame, dx and dy.

    Returns:
        `(T, 400, 2)`, x and y of each point; a point that leaves the frame stays at its border.
    """
    height, width = flow.shape[2:]
    rows, columns = (np.linspace(MARGIN_PX, side - MARGIN_PX, POINTS_PER_SIDE) for side in (height, width))
    x, y = np.meshgrid(columns, rows)
    points = [np.stack([x.ravel(), y.ravel()], axis=1)]
    edge = np.array([width - 1, height - 1])
    for field in flow:
        points.append(np.clip(points[-1] + _sampled(field, points[-1]), 0, edge))
    return np.stack(points)


def histogram(tracks: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """The motion histogram of tracked points.

    Args:
        tracks: `(16, 400, 2)`, x and y in pixels of points on a grid of 20x20 in the first frame, row by row.

    Returns:
        `(1024,)`: velocity's 4x4x4 blocks of 8 directions, then acceleration's.

    Raises:
        CannotMeasure: another shape.
    """
    if tracks.shape != (FRAMES, POINTS_PER_SIDE**2, 2):
        raise CannotMeasure(f"tracks of shape {tracks.shape}", mend="(16, 400, 2): frames, points, x and y")
    velocity, acceleration = np.zeros((2, *tracks.shape))
    velocity[1:] = np.round(np.diff(tracks, axis=0), DECIMALS)
    acceleration[2:] = np.round(np.diff(velocity[1:], axis=0), DECIMALS)
    return np.concatenate([direction_histogram(velocity), direction_histogram(acceleration)]).astype(np.float32)


def direction_histogram(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of `(16, 400, 2)`: for each block of 4 frames and 5x5 points the weight of each of 8 directions, `(512,)`.

    The weight of a vector is its speed's binary logarithm, rounded up, over that of 256.
    """
    speed = np.minimum(np.linalg.norm(vectors, axis=2), FASTEST_PX)
    weights = np.ceil(np.log2(speed + 1)) / np.log2(FASTEST_PX + 1)
    angles = np.arctan2(vectors[..., 0], vectors[..., 1]) + np.pi
    bins = np.clip(angles // (2 * np.pi / ANGLE_BINS), 0, ANGLE_BINS - 1).astype(np.intp)
    cells = POINTS_PER_SIDE // CELL_POINTS
    in_blocks = (FRAMES // CELL_FRAMES, CELL_FRAMES, cells, CELL_POINTS, cells, CELL_POINTS)
    blocks = [part.reshape(in_blocks).transpose(0, 2, 4, 1, 3, 5).reshape(-1, 100) for part in (weights, bins)]
    places = blocks[1].astype(np.intp) + ANGLE_BINS * np.arange(len(blocks[1]))[:, None]
    summed = np.bincount(places.ravel(), weights=blocks[0].ravel(), minlength=ANGLE_BINS * len(blocks[1]))
    return summed.astype(np.float64)


def _sampled(field: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(2, H, W)` between pixels, bilinear, at `(P, 2)`: `(P, 2)`."""
    height, width = field.shape[1:]
    x, y = points[:, 0], points[:, 1]
    left, top = np.clip(x.astype(np.intp), 0, width - 2), np.clip(y.astype(np.intp), 0, height - 2)
    right_share, bottom_share = x - left, y - top
    upper = field[:, top, left] * (1 - right_share) + field[:, top, left + 1] * right_share
    lower = field[:, top + 1, left] * (1 - right_share) + field[:, top + 1, left + 1] * right_share
    sampled: NDArray[np.float64] = (upper * (1 - bottom_share) + lower * bottom_share).T
    return sampled
