"""LPIPS against a reference clip, at its own size and at three short sides. What computes it: `perceptual.py`.

Four metrics rather than parts of one, because each looks through the network apart and only what is asked is computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_vdb.metrics.contract import Score, metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@metric("lpips", unit="1", better="lower", version="0.1", orders=("blur", "noise", "jpeg"))
def lpips(lpips_frames: NDArray[np.float32]) -> Score:
    """Learned perceptual distance to a reference (AlexNet, version 0.1), mean over frames.

    Args:
        lpips_frames: `(T,)`, one distance per frame.

    Returns:
        >= 0: 0 for identical frames, about 0.5 for frames that share nothing; the series has one value per frame.

    Source: Zhang et al. (arXiv 1801.03924). Reference implementation: the `lpips` package, within 1e-6.
    """
    return Score.mean_of(lpips_frames)


@metric("lpips.256", unit="1", better="lower", version="0.1", default=False, orders=("blur", "noise", "jpeg"))
def lpips_256(lpips_256_frames: NDArray[np.float32]) -> Score:
    """`lpips` with both clips at a short side of 256."""
    return Score.mean_of(lpips_256_frames)


@metric("lpips.512", unit="1", better="lower", version="0.1", default=False, orders=("blur", "noise", "jpeg"))
def lpips_512(lpips_512_frames: NDArray[np.float32]) -> Score:
    """`lpips` with both clips at a short side of 512."""
    return Score.mean_of(lpips_512_frames)


@metric("lpips.1024", unit="1", better="lower", version="0.1", default=False, orders=("blur", "noise", "jpeg"))
def lpips_1024(lpips_1024_frames: NDArray[np.float32]) -> Score:
    """`lpips` with both clips at a short side of 1024."""
    return Score.mean_of(lpips_1024_frames)
