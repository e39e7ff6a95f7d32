"""Structural similarity, at one scale and at five: Wang's definition, fast enough for every frame at full size.

Of the variants in use this is Wang's and scikit-image's: an 11x11 Gaussian window of deviation 1.5, population
covariances, the border of 5 pixels left out ("valid"; torchmetrics pads and counts it), no downsampling first (piq's
default shrinks large frames), channels R, G and B apart and averaged.

Frames are laid beside each other as channels, channels last, where a separable filter runs at the speed of the vector
units; strips of rows stay in the processor's cache. float32, within 1e-5 of float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pytest_vdb.errors import CannotMeasure
from pytest_vdb.metrics.contract import Score, metric
from pytest_vdb.metrics.memory import keep_freed_memory
from pytest_vdb.metrics.resize import PARTS, at_each_size
from pytest_vdb.records import Clip

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

WINDOW = 11
SIGMA = 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of Wang, Simoncelli and Bovik 2003, finest first."""

FRAMES = 16
"""Frames side by side: with three colours 48 channels, a multiple of the vector width."""
STRIP = 8192 * 3 * FRAMES
"""Numbers in a strip of one map: two of them and their means stay near a level-2 cache."""
MIDDLE = 128
"""Taken off every level: squares of smaller numbers round less."""


@metric(
    "ssim",
    unit="1",
    better="higher",
    bounds=(-1, 1),
    parts=PARTS,
    version="wang-valid",
    orders=("blur", "noise", "jpeg"),
    papers=("wang2004ssim",),
)
def ssim(clip: Clip, reference: Clip) -> dict[str, Score]:
    """Structural similarity to a reference, mean over frames and colours.

    Args:
        clip: frames of at least 11x11 pixels.
        reference: of as many frames; of another size only the parts at 256, 512 and 1024 have a value.

    Returns:
        In [-1, 1]: 1 for identical frames; the series has one value per frame.

    Raises:
        CannotMeasure: another number of frames, or frames smaller than 11x11.

    Source: Wang et al., Image quality assessment, IEEE TIP 2004. Reference implementation: scikit-image with
    `gaussian_weights=True, sigma=1.5, use_sample_covariance=False`, within 1e-5.
    """
    return at_each_size(clip, reference, lambda a, b: Score.mean_of(ssim_frames(a, b)))


@metric(
    "ms_ssim",
    unit="1",
    better="higher",
    bounds=(0, 1),
    parts=PARTS,
    version="wang-valid",
    orders=("blur", "noise", "jpeg"),
    papers=("wang2003msssim",),
)
def ms_ssim(clip: Clip, reference: Clip) -> dict[str, Score]:
    """Structural similarity over five scales: contrast and structure at each, luminance at the coarsest.

    Args:
        clip: frames of at least 161x161 pixels.
        reference: of as many frames; of another size only the parts at 256, 512 and 1024 have a value.

    Returns:
        In [0, 1]: 1 for identical frames; a scale whose contrast term is negative counts as 0.

    Raises:
        CannotMeasure: another number of frames, or frames smaller than 161x161.

    Source: Wang, Simoncelli and Bovik, Multiscale structural similarity, Asilomar 2003; between scales 2x2 means, an
    odd last row or column dropped. Reference implementation: piq's `multi_scale_ssim` (even sizes), within 1e-5.
    """
    return at_each_size(clip, reference, lambda a, b: Score.mean_of(ms_ssim_frames(a, b)))


def ssim_frames(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Each frame's similarity, `(T,)`, of two arrays `uint8 (T, H, W, 3)`.

    Raises:
        CannotMeasure: frames smaller than the window.
    """
    _need(first, WINDOW)
    return np.concatenate(
        [_by_frame(_structural_similarities(a, b, with_contrast=False).whole) for a, b in _side_by_side(first, second)]
    )


def ms_ssim_frames(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Each frame's multi-scale similarity, `(T,)`, of two arrays `uint8 (T, H, W, 3)`.

    Raises:
        CannotMeasure: frames that are smaller than the window at the coarsest scale.
    """
    _need(first, (WINDOW - 1) * 2 ** (len(SCALE_WEIGHTS) - 1) + 1)
    return np.concatenate([_by_frame(_over_scales(a, b)) for a, b in _side_by_side(first, second)])


class Similarities(NamedTuple):
    """Means over the frame of each channel, `(C,)`: the index, and its contrast-structure term alone."""

    whole: NDArray[np.float64]
    contrast: NDArray[np.float64]


def _over_scales(first: torch.Tensor, second: torch.Tensor) -> NDArray[np.float64]:
    last = len(SCALE_WEIGHTS) - 1
    product = np.ones(first.shape[-1])
    for scale, weight in enumerate(SCALE_WEIGHTS):
        found = _structural_similarities(first, second, with_contrast=scale < last)
        term = found.contrast if scale < last else found.whole
        product *= np.clip(term, 0, None) ** weight
        if scale < last:
            first, second = _halved_stack(first), _halved_stack(second)
    return product


def _structural_similarities(first: torch.Tensor, second: torch.Tensor, *, with_contrast: bool) -> Similarities:
    """Of two stacks `(H, W, C)` of levels less `MIDDLE`, strip by strip."""
    import torch

    height, width, channels = first.shape
    across, down = _window(channels)
    border = WINDOW - 1
    inside = height - border
    strips = -(-inside // max(border, STRIP // (width * channels)))
    rows = -(-inside // strips)
    maps = torch.empty(2, rows + border, width, channels)
    whole, contrast = torch.zeros(2, channels, dtype=torch.float64)
    with torch.inference_mode():
        for top in range(0, inside, rows):
            strip = slice(top, min(top + rows, inside) + border)
            filled = _fill(maps[:, : strip.stop - top], first[strip], second[strip]).permute(0, 3, 1, 2)
            means = torch.conv2d(torch.conv2d(filled, down, groups=channels), across, groups=channels)
            filled.mul_(filled)
            squares = torch.conv2d(torch.conv2d(filled, down, groups=channels), across, groups=channels)
            index, structure = _index(means, squares, with_contrast=with_contrast)
            whole += index.sum(dim=(1, 2))
            if structure is not None:
                contrast += structure.sum(dim=(1, 2))
    pixels = inside * (width - border)
    return Similarities(whole.numpy() / pixels, contrast.numpy() / pixels)


def _fill(maps: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Sum and difference of the two, which is all that need be averaged, once as they are and once squared.

    Similar frames differ little, so little of their difference is lost in rounding.
    """
    import torch

    total, difference = maps
    total.copy_(first)
    difference.copy_(second)
    total.add_(difference)
    torch.sub(total, difference, alpha=2, out=difference)
    return maps


def _index(
    means: torch.Tensor, squares: torch.Tensor, *, with_contrast: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The index and, if wanted, its contrast-structure term at every pixel, from the local means; in place throughout.

    With s = x + y and d = x - y: 2 mx my = (ms^2 - md^2) / 2, mx^2 + my^2 = (ms^2 + md^2) / 2, and so for variances.
    """
    (s, d), (s_squared, d_squared) = means, squares
    s_squared.addcmul_(s, s, value=-1).add_(2 * C2)
    d.mul_(d)
    d_squared.sub_(d)
    s.add_(2 * MIDDLE)
    s.mul_(s).add_(2 * C1)
    covariance = s_squared - d_squared
    s_squared.add_(d_squared)
    structure = covariance / s_squared if with_contrast else None
    luminance = s - d
    return luminance.mul_(covariance).div_(s.add_(d).mul_(s_squared)), structure


def _window(channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The Gaussian along a row and along a column, once per channel."""
    import torch

    steps = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-(steps**2) / (2 * SIGMA**2))
    one = torch.from_numpy((weights / weights.sum()).astype(np.float32))
    return one.view(1, 1, 1, -1).repeat(channels, 1, 1, 1), one.view(1, 1, -1, 1).repeat(channels, 1, 1, 1)


def _halved_stack(stack: torch.Tensor) -> torch.Tensor:
    """`(H, W, C)` -> means of 2x2, float32, in the same layout."""
    import torch

    with torch.inference_mode():
        image = stack.to(torch.float32)[None].permute(0, 3, 1, 2)
        return torch.nn.functional.avg_pool2d(image, 2)[0].permute(1, 2, 0).contiguous()


def _side_by_side(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Up to 16 frames of each clip at a time as `int8 (H, W, 3 t)`, less `MIDDLE`: by colour, and in each by frame."""
    import torch

    keep_freed_memory()
    count = -(-len(first) // FRAMES)
    for a, b in zip(np.array_split(first, count), np.array_split(second, count), strict=True):
        frames, height, width, colours = a.shape
        yield tuple(
            torch.from_numpy(_centred(part.reshape(frames, -1).T)).view(height, width, colours * frames)
            for part in (a, b)
        )


def _centred(levels: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Levels less 128, in order: flipping the highest bit does it."""
    shifted = np.ascontiguousarray(levels)
    return np.bitwise_xor(shifted, np.uint8(MIDDLE)).view(np.int8)


def _by_frame(channels: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(3 t,)` in the order of `_side_by_side` -> the mean over colours of each frame, `(t,)`."""
    frames: NDArray[np.float64] = channels.reshape(3, -1).mean(axis=0)
    return frames


def _need(frames: NDArray[np.uint8], least: int) -> None:
    height, width = frames.shape[1:3]
    if min(height, width) < least:
        raise CannotMeasure(f"frames of {width}x{height} pixels are smaller than {least}x{least}")
