"""LPIPS and DISTS against a reference clip, at its own size and at three short sides.

Metrics apart rather than parts of one, because each looks through the network apart and only what is asked is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any

from pytest_vdb.backbones.pairs import SHORT_SIDES
from pytest_vdb.metrics.contract import Score, metric
from pytest_vdb.records import Degradation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_vdb.statistics.intervals import Bounds

ORDERS: tuple[Degradation, ...] = ("blur", "noise", "jpeg")
LPIPS_VERSION, DISTS_VERSION = "0.1", "1"
LPIPS_BOUNDS: Bounds = (0, None)
DISTS_BOUNDS: Bounds = (0, 2)
"""1 less a weighted mean of similarities, of which that of structure can be as low as -1."""


@metric(
    "lpips",
    unit="1",
    better="lower",
    bounds=LPIPS_BOUNDS,
    version=LPIPS_VERSION,
    orders=ORDERS,
    papers=("zhang2018lpips",),
)
def lpips(lpips_frames: NDArray[np.float32]) -> Score:
    """Learned perceptual distance to a reference (AlexNet, version 0.1), mean over frames.

    Args:
        lpips_frames: `(T,)`, one distance per frame.

    Returns:
        >= 0: 0 for identical frames, about 0.5 for frames that share nothing; the series has one value per frame.

    Source: Zhang et al. (arXiv 1801.03924). Reference implementation: the `lpips` package, within 1e-6.
    """
    return Score.mean_of(lpips_frames)


@metric(
    "dists",
    unit="1",
    better="lower",
    bounds=DISTS_BOUNDS,
    version=DISTS_VERSION,
    orders=ORDERS,
    papers=("ding2022dists",),
)
def dists(dists_frames: NDArray[np.float32]) -> Score:
    """Difference in structure and texture from a reference (VGG16), mean over frames; published values are at 256.

    Args:
        dists_frames: `(T,)`, one distance per frame.

    Returns:
        0 for identical frames, below 1; forgives texture that is resampled. The series has one value per frame.

    Source: Ding et al. (arXiv 2004.07728). Reference implementations: torchmetrics and piq, within 1e-5.
    """
    return Score.mean_of(dists_frames)


def _at_short_side(name: str, version: str, bounds: Bounds, side: int) -> Callable[..., Score]:
    """The same with both clips made smaller: a function whose one parameter is named after that size's feature."""

    def mean_distance(**features: NDArray[Any]) -> Score:
        (distances,) = features.values()
        return Score.mean_of(distances)

    asks_for = Parameter(f"{name}_{side}_frames", Parameter.KEYWORD_ONLY)
    mean_distance.__signature__ = Signature([asks_for])  # type: ignore[attr-defined]
    mean_distance.__doc__ = f"`{name}` with both clips at a short side of {side}."
    tag = metric(
        f"{name}.{side}", unit="1", better="lower", bounds=bounds, version=version, default=False, orders=ORDERS
    )
    return tag(mean_distance)


AT_SHORT_SIDES = tuple(
    _at_short_side(name, version, bounds, side)
    for name, version, bounds in (("lpips", LPIPS_VERSION, LPIPS_BOUNDS), ("dists", DISTS_VERSION, DISTS_BOUNDS))
    for side in SHORT_SIDES
)
