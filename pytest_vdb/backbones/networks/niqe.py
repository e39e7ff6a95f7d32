"""NIQE: how far a frame's local statistics are from those of pristine photographs.

Source: Mittal, Soundararajan, Bovik, Making a "completely blind" image quality analyzer, IEEE SPL 2013. The details
(MATLAB's antialiased bicubic halving, circular shifts inside a block, blocks in which the fit fails left out) are those
of the authors' MATLAB release, so that published values compare. Two variants are in use, which differ in what they
take for brightness and by up to 5% in value: MATLAB's `rgb2gray` (the authors' release, IQA-PyTorch), and the luma of
YCbCr with head room (BasicSR, hence most papers on restoration).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from pytest_vdb.errors import CannotMeasure

BLOCK = 96
NTSC = np.array([[1.0, 0.956, 0.621], [1.0, -0.272, -0.647], [1.0, -1.106, 1.703]])
GREY = np.linalg.inv(NTSC)[0]
"""MATLAB's `rgb2gray`: 0.298936, 0.587043, 0.114021. The four digits that its manual prints move a noisy image 1%."""
LUMA = np.array([65.481, 128.553, 24.966])
FLAT = 1e-9
"""Below it a normalised pixel is 0: where nothing changes, rounding leaves about 1e-15 of either sign, and the fit
counts signs; the value would depend on the order of sums by up to 4%."""
SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))

_SHAPES = np.arange(200, 10_001) / 1000
_RATIOS = special.gamma(2 / _SHAPES) ** 2 / (special.gamma(1 / _SHAPES) * special.gamma(3 / _SHAPES))
"""mean(|x|)^2 / mean(x^2) of a generalised Gaussian of each shape: rising, so that a shape is looked up."""


def distance(features: NDArray[np.float64], mean: NDArray[np.float64], covariance: NDArray[np.float64]) -> float:
    """From the features `(blocks, 36)` of one frame to the pristine model: equation 10 of the paper.

    Raises:
        CannotMeasure: fewer than two blocks in which the fit worked.
    """
    complete = features[~np.isnan(features).any(axis=1)]
    if len(complete) < 2:
        raise CannotMeasure(f"NIQE needs two blocks of 96x96 pixels with texture, got {len(complete)}")
    off = mean - np.nanmean(features, axis=0)
    spread = np.linalg.pinv((covariance + np.cov(complete, rowvar=False)) / 2)
    return float(np.sqrt(off @ spread @ off))


def grey(frame: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What MATLAB's `rgb2gray` makes of a frame `(H, W, 3)`: 0 to 255, whole numbers."""
    brightness: NDArray[np.float64] = np.floor(frame.astype(np.float64) @ GREY + 0.5)
    return brightness


def luma(frame: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Y of YCbCr of a frame `(H, W, 3)`: 16 to 235, whole numbers.

    Quotients are in float32 as BasicSR has them: ties decide pixels.
    """
    brightness: NDArray[np.float64] = np.round((frame.astype(np.float32) / np.float32(255)) @ LUMA + 16)
    return brightness


def block_features(brightness: NDArray[np.float64]) -> NDArray[np.float64]:
    """The 36 features of each whole block of 96x96 pixels, `(blocks, 36)`: 18 at full size, 18 at half.

    Args:
        brightness: `(H, W)`, of `grey` or `luma`; what is left over at the right and below is left out.

    Raises:
        CannotMeasure: the frame has fewer than two blocks.
    """
    height, width = (side // BLOCK * BLOCK for side in brightness.shape)
    if height * width < 2 * BLOCK**2:
        size = f"{brightness.shape[1]}x{brightness.shape[0]}"
        raise CannotMeasure(f"NIQE needs two blocks of 96x96 pixels, and the frames have {size} pixels")
    whole = brightness[:height, :width]
    return np.hstack(
        [
            _block_features(_normalised_luma(whole), BLOCK),
            _block_features(_normalised_luma(_half_size(whole)), BLOCK // 2),
        ]
    )


def _normalised_luma(brightness: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each pixel's distance from its neighbourhood's mean, in its neighbourhood's deviations: equation 1."""
    mean = _weighted(brightness)
    deviation = np.sqrt(np.abs(_weighted(brightness * brightness) - mean * mean))
    normalised: NDArray[np.float64] = (brightness - mean) / (deviation + 1)
    normalised[np.abs(normalised) < FLAT] = 0
    return normalised


def _weighted(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A 7x7 Gaussian of deviation 7/6, the border repeated."""
    window = np.exp(-(np.arange(-3, 4) ** 2) / (2 * (7 / 6) ** 2))
    window /= window.sum()
    rows = ndimage.correlate1d(values, window, axis=0, mode="nearest")
    weighted: NDArray[np.float64] = ndimage.correlate1d(rows, window, axis=1, mode="nearest")
    return weighted


def _half_size(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half the size by a cubic kernel (a = -1/2) stretched to eight pixels, the border mirrored: MATLAB's imresize."""
    at = np.abs(np.arange(-3.5, 4)) / 2
    near, far = 1.5 * at**3 - 2.5 * at**2 + 1, -0.5 * at**3 + 2.5 * at**2 - 4 * at + 2
    window = np.where(at <= 1, near, far)
    window /= window.sum()
    for axis in (0, 1):
        # Between two pixels: the window of 8 reaches 4 to the left, and every second answer is kept.
        values = ndimage.correlate1d(values, window, axis=axis, mode="reflect", origin=-1)
        values = values[::2] if axis == 0 else values[:, ::2]
    return values


def _block_features(normalised: NDArray[np.float64], block: int) -> NDArray[np.float64]:
    """18 features of each block: the fit of its pixels, and of their products with four neighbours."""
    rows, columns = (side // block for side in normalised.shape)
    blocks = normalised.reshape(rows, block, columns, block).transpose(0, 2, 1, 3).reshape(-1, block, block)
    shape, left, right = _fit(blocks)
    features = [shape, (left + right) / 2]
    for shift in SHIFTS:
        shape, left, right = _fit(blocks * np.roll(blocks, shift, axis=(1, 2)))
        mean = (right - left) * special.gamma(2 / shape) / special.gamma(1 / shape)
        features += [shape, mean, left, right]
    return np.stack(features, axis=1)


def _fit(blocks: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Shape, left and right scale of the asymmetric generalised Gaussian of each block, by matching moments."""
    flat = blocks.reshape(len(blocks), -1)
    negative, positive = np.minimum(flat, 0), np.maximum(flat, 0)
    squares_left, squares_right = (np.einsum("ij,ij->i", side, side) for side in (negative, positive))
    with np.errstate(divide="ignore", invalid="ignore"):  # a block without texture: NaN, left out by `distance`
        left = np.sqrt(squares_left / (flat < 0).sum(axis=1))
        right = np.sqrt(squares_right / (flat > 0).sum(axis=1))
        size = flat.shape[1]
        ratio = ((positive.sum(axis=1) - negative.sum(axis=1)) / size) ** 2 / ((squares_left + squares_right) / size)
        skew = left / right
        ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    shape = _shape_of(ratio)
    scale = np.sqrt(special.gamma(1 / shape) / special.gamma(3 / shape))
    return shape, left * scale, right * scale


def _shape_of(ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    """The shape in steps of 0.001 whose ratio is nearest; NaN stays NaN."""
    right = np.searchsorted(_RATIOS, ratio).clip(1, len(_RATIOS) - 1)
    nearer_left = ratio - _RATIOS[right - 1] <= _RATIOS[right] - ratio
    shape: NDArray[np.float64] = np.where(np.isnan(ratio), np.nan, _SHAPES[right - nearer_left])
    return shape
