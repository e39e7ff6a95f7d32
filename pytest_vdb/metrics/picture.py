"""What single frames look like, without any network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_vdb.errors import CannotMeasure
from pytest_vdb.metrics.contract import Score, metric
from pytest_vdb.metrics.pixels import lumas
from pytest_vdb.records import Clip

if TYPE_CHECKING:
    from numpy.typing import NDArray


@metric(
    "sharpness",
    unit="1",
    better="higher",
    bounds=(0, None),
    orders=("blur",),
    papers=("pech2000autofocusing",),
)
def sharpness(clip: Clip) -> Score:
    """Variance of the Laplacian of the brightness less what noise adds to it, mean over frames.

    Args:
        clip: frames of at least 3x3 pixels, brightness in [0, 1], 4-neighbour Laplacian without the border.

    Returns:
        A value >= 0: 0 for a plain colour; the series has one value per frame. It falls with blur and depends on the
        resolution. Without the correction noise would count as detail: white noise of variance s adds 20 s.

    Raises:
        CannotMeasure: frames smaller than 3x3.

    Source: Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000; the noise is estimated by the
    median of the finest diagonal wavelet details (Donoho and Johnstone, Ideal spatial adaptation, 1994).
    """
    height, width = clip.frames.shape[1:3]
    if height < 3 or width < 3:
        raise CannotMeasure(f"frames of {width}x{height} pixels are smaller than 3x3")
    series = [max(_laplacian_variance(f) - LAPLACIAN_GAIN * _noise_variance(f), 0.0) / 255**2 for f in lumas(clip)]
    return Score.mean_of(series)


LAPLACIAN_GAIN = 20
"""Sum of the squares of the Laplacian's weights: what it makes of white noise of variance 1."""
MEDIAN_OF_HALF_NORMAL = 0.6744897501960817


@metric("exposure", unit="1", better="neutral", bounds=(0, 1), default=False)
def exposure(clip: Clip) -> Score:
    """Mean brightness: 0 is black, 1 is white.

    Args:
        clip: any clip; brightness after ITU-R BT.601 of the gamma-coded values.

    Returns:
        A value in [0, 1]; the series has one value per frame, in which flashes and fades show.
    """
    series = [float(frame.mean(dtype=np.float64)) / 255 for frame in lumas(clip)]
    return Score.mean_of(series)


CLIPPED_LEVELS = 2


@metric("clipped_pixels", unit="1", better="lower", bounds=(0, 1), default=False)
def clipped_pixels(clip: Clip) -> Score:
    """Share of pixels that are burnt out or drowned: brightness within 2 levels of white or black.

    Args:
        clip: any clip.

    Returns:
        A value in [0, 1]; the series has one value per frame.
    """
    series = []
    for frame in lumas(clip):
        levels = np.bincount(frame.reshape(-1), minlength=256)
        ends = levels[: CLIPPED_LEVELS + 1].sum() + levels[255 - CLIPPED_LEVELS :].sum()
        series.append(float(ends / frame.size))
    return Score.mean_of(series)


@metric(
    "colourfulness",
    unit="levels",
    better="neutral",
    bounds=(0, None),
    default=False,
    papers=("hasler2003colorfulness",),
)
def colourfulness(clip: Clip) -> Score:
    """How colourful the frames are: 0 for grey, about 15 slightly, 45 fairly, 80 and more highly colourful.

    Args:
        clip: any clip.

    Returns:
        `sqrt(var(rg) + var(yb)) + 0.3 sqrt(mean(rg)^2 + mean(yb)^2)`, `rg = R - G`, `yb = (R + G) / 2 - B`, in levels
        of 255; mean over frames, one per frame in the series.

    Source: Hasler and Suesstrunk, Measuring colourfulness in natural images, SPIE 2003, the metric M(3).
    """
    series = [_colourfulness(frame) for frame in clip.frames]
    return Score.mean_of(series)


def _colourfulness(frame: NDArray[np.uint8]) -> float:
    red, green, blue = (frame[..., channel].astype(np.int16) for channel in range(3))
    red_green = red - green
    red += green
    red -= blue
    red -= blue  # R + G - 2B: twice the yellow-blue axis, still whole numbers
    (rg_mean, rg_variance), (yb_mean, yb_variance) = _moments(red_green), _moments(red)
    return float(np.sqrt(rg_variance + yb_variance / 4) + 0.3 * np.hypot(rg_mean, yb_mean / 2))


@metric(
    "niqe",
    unit="1",
    better="lower",
    bounds=(0, None),
    version="matlab-2",
    default=False,
    orders=("blur", "noise", "jpeg"),
    papers=("mittal2013niqe",),
)
def niqe(niqe_frames: NDArray[np.float32]) -> Score:
    """How unlike a pristine photograph the frames are, without any reference.

    Args:
        niqe_frames: `(K,)`, the distance of each frame that was looked at.

    Returns:
        Mean distance of up to 8 evenly spaced frames: about 2 to 5 for photographs, more for distorted ones. The series
        has one value per frame looked at.

    Source: Mittal, Soundararajan, Bovik, IEEE SPL 2013, as the authors' MATLAB release computes it.
    """
    return Score.mean_of(niqe_frames)


@metric(
    "niqe_basicsr",
    unit="1",
    better="lower",
    bounds=(0, None),
    version="basicsr-1",
    default=False,
    orders=("blur", "noise", "jpeg"),
    papers=("mittal2013niqe",),
)
def niqe_basicsr(niqe_basicsr_frames: NDArray[np.float32]) -> Score:
    """How unlike a pristine photograph the frames are, as BasicSR has it: the value that papers on restoration print.

    Args:
        niqe_basicsr_frames: `(K,)`, the distance of each frame that was looked at.

    Returns:
        As `niqe`, up to 5% apart: the brightness is the luma of YCbCr with head room.

    Source: Mittal, Soundararajan, Bovik, IEEE SPL 2013, as BasicSR (commit 8d56e3a) computes it.
    """
    return Score.mean_of(niqe_basicsr_frames)


def _laplacian_variance(frame: NDArray[np.uint8]) -> float:
    """Of a `(H, W)` frame, in squared levels."""
    wide = frame.astype(np.int16)
    laplacian = wide[1:-1, 1:-1] * np.int16(-4)
    laplacian += wide[:-2, 1:-1]
    laplacian += wide[2:, 1:-1]
    laplacian += wide[1:-1, :-2]
    laplacian += wide[1:-1, 2:]
    return _moments(laplacian)[1]


def _noise_variance(frame: NDArray[np.uint8]) -> float:
    """Of a `(H, W)` frame, in squared levels: by the median of its diagonal Haar details, which edges hardly move."""
    height, width = (length // 2 * 2 for length in frame.shape)
    wide = frame[:height, :width].astype(np.int16)
    columns = wide[:, ::2] - wide[:, 1::2]
    doubled = np.abs(columns[::2] - columns[1::2]).reshape(-1)  # twice the orthonormal detail, a whole number
    counts = np.bincount(doubled)
    upto, half = counts.cumsum(), doubled.size / 2
    level = int(np.searchsorted(upto, half))
    # Within the level by interpolation: in whole levels the median jumps by more than a blurred frame's sharpness.
    low = max(level - 0.5, 0.0)
    middle = low + (level + 0.5 - low) * (half - (upto[level] - counts[level])) / counts[level]
    rounding = 0.25  # where no detail is left at all, this is what interpolation makes of level 0
    return float(max(middle**2 - rounding**2, 0.0)) / (2 * MEDIAN_OF_HALF_NORMAL) ** 2


def _moments(values: NDArray[np.int16]) -> tuple[float, float]:
    """Mean and variance of whole numbers, which are exact until the last step."""
    mean = int(values.sum(dtype=np.int64)) / values.size
    squares = int(np.square(values, dtype=np.int32).sum(dtype=np.int64))
    return mean, max(squares / values.size - mean**2, 0.0)
