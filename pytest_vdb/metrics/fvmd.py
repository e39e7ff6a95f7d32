"""Fréchet video motion distance: how a set of clips moves, whatever it shows.

Two sets of motion histograms (`backbones/tracks.py`) are compared by the Fréchet distance.

Source: Liu et al., Fréchet video motion distance (arXiv 2407.16124). Points follow another tracker's flow and
acceleration is the paper's, so values do not compare with those of the authors' release.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_vdb.metrics.contract import ReferenceFeatures, Score, metric
from pytest_vdb.metrics.fvd import frechet_swaps, scored

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@metric(
    "fvmd",
    unit="1",
    better="lower",
    bounds=(0, None),
    version="raft-second-difference",
    default=False,
    swaps=frechet_swaps(ddof=1),
    papers=("liu2024fvmd",),
)
def fvmd(motion_histogram_set: Sequence[NDArray[np.float32]], motion_histogram_reference: ReferenceFeatures) -> Score:
    """Fréchet video motion distance: the distance of two sets' motion histograms (covariance over N-1).

    Args:
        motion_histogram_set: `(1024,)` of each clip's first 16 frames.
        motion_histogram_reference: those of the reference set, or their moments.

    Returns:
        >= 0, 0 for identical sets; biased like every Fréchet distance, and more so at 1024 numbers a clip: see `fvd`.

    Raises:
        CannotMeasure: fewer than two clips on either side, or features that are not finite.
    """
    return scored(motion_histogram_set, motion_histogram_reference, ddof=1)
