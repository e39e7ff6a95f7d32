"""DISTS against a reference clip, at its own size and at three short sides. What computes it: `perceptual.py`.

Four metrics rather than parts of one, because each looks through the network apart and only what is asked is computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_vdb.metrics.contract import Score, metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@metric("dists", unit="1", better="lower", orders=("blur", "noise", "jpeg"))
def dists(dists_frames: NDArray[np.float32]) -> Score:
    """Difference in structure and texture from a reference (VGG16), mean over frames; published values are at 256.

    Args:
        dists_frames: `(T,)`, one distance per frame.

    Returns:
        0 for identical frames, below 1; forgives texture that is resampled. The series has one value per frame.

    Source: Ding et al. (arXiv 2004.07728). Reference implementations: torchmetrics and piq, within 1e-5.
    """
    return Score.mean_of(dists_frames)


@metric("dists.256", unit="1", better="lower", default=False, orders=("blur", "noise", "jpeg"))
def dists_256(dists_256_frames: NDArray[np.float32]) -> Score:
    """`dists` with both clips at a short side of 256."""
    return Score.mean_of(dists_256_frames)


@metric("dists.512", unit="1", better="lower", default=False, orders=("blur", "noise", "jpeg"))
def dists_512(dists_512_frames: NDArray[np.float32]) -> Score:
    """`dists` with both clips at a short side of 512."""
    return Score.mean_of(dists_512_frames)


@metric("dists.1024", unit="1", better="lower", default=False, orders=("blur", "noise", "jpeg"))
def dists_1024(dists_1024_frames: NDArray[np.float32]) -> Score:
    """`dists` with both clips at a short side of 1024."""
    return Score.mean_of(dists_1024_frames)
