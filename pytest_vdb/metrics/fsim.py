"""Feature similarity: where phases agree there are features, and these are what is compared. FSIM and FSIMc.

Zhang et al., FSIM: a feature similarity index, IEEE TIP 2011. Phase congruency is Kovesi's, by log-Gabor filters of
four scales and four orientations, with the constants of the authors' MATLAB code; piq 0.8 reproduces that code, and
this file is within 1e-5 of piq. It is several times faster because

- responses are parted into even and odd planes once, so nothing complex is touched pixel by pixel, and the filters of a
  size are kept;
- the even and odd sums of an orientation give its energy without a projection per scale: for M = sum of the responses,
  sum_s(e_s.cos + o_s.sin) is |M| itself;
- the noise threshold is a constant of the filters times the median amplitude, by Parseval's theorem.
"""

from __future__ import annotations

import math
from functools import lru_cache
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

SCALES = 4
ORIENTATIONS = 4
FINEST_WAVELENGTH_PX = 6
SPREAD_OF_SCALE = 0.55
"""Deviation of the log-Gabor over its centre frequency."""
SPREAD_OF_ANGLE = math.pi / ORIENTATIONS / 1.2
CUTOFF, SHARPNESS = 0.45, 15
"""Of the Butterworth low-pass that keeps the corners of the spectrum out."""
NOISE_DEVIATIONS = 2.0
NOISE_RESCALE = 1.7
T_PHASE, T_GRADIENT, T_COLOUR = 0.85, 160.0, 200.0
COLOUR_EXPONENT = 0.03
SIZE_PX = 256
"""Frames are averaged down by the whole number that brings the short side nearest to this."""
SMALLEST_PX = 2 * FINEST_WAVELENGTH_PX

YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


@metric(
    "fsim",
    unit="1",
    better="higher",
    bounds=(0, 1),
    parts=PARTS,
    version="zhang",
    default=False,
    orders=("blur", "noise", "jpeg"),
    papers=("zhang2011fsim",),
)
def fsim(clip: Clip, reference: Clip) -> dict[str, Score]:
    """Feature similarity of brightness to a reference, mean over frames.

    Args:
        clip: frames of at least 12x12 pixels.
        reference: of as many frames; of another size only the parts at 256, 512 and 1024 have a value.

    Returns:
        In (0, 1]: 1 for identical frames; the series has one value per frame.

    Raises:
        CannotMeasure: another number of frames, frames that are too small, or a frame without any feature.
    """
    return at_each_size(clip, reference, lambda a, b: Score.mean_of(fsim_frames(a, b).brightness))


@metric(
    "fsimc",
    unit="1",
    better="higher",
    bounds=(0, 1),
    parts=PARTS,
    version="zhang",
    default=False,
    orders=("blur", "noise", "jpeg"),
    papers=("zhang2011fsim",),
)
def fsimc(clip: Clip, reference: Clip) -> dict[str, Score]:
    """Feature similarity with colour: as `fsim`, each pixel weighted by how alike its I and Q of YIQ are.

    Arguments, range and errors as those of `fsim`.
    """
    return at_each_size(clip, reference, lambda a, b: Score.mean_of(fsim_frames(a, b).colour))


class FeatureSimilarities(NamedTuple):
    """Each frame's FSIM and FSIMc, `(T,)`."""

    brightness: NDArray[np.float64]
    colour: NDArray[np.float64]


def fsim_frames(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> FeatureSimilarities:
    """Of two arrays `uint8 (T, H, W, 3)` of one shape.

    Raises:
        CannotMeasure: frames that are too small, or one where neither side has a feature (a plain colour).
    """
    import torch

    height, width = first.shape[1:3]
    if min(height, width) < SMALLEST_PX:
        raise CannotMeasure(f"frames of {width}x{height} pixels are smaller than {SMALLEST_PX}x{SMALLEST_PX}")
    if plain := [t for t, pair in enumerate(zip(first, second, strict=True)) if all(map(_is_plain, pair))]:
        raise CannotMeasure(f"frame {plain[0]} has no features: one plain colour on both sides")
    keep_freed_memory()
    together = max(1, SIZE_PX**2 // (height * width))
    with torch.inference_mode():
        parts = [
            _phase_similarities(_yiq(first[start : start + together]), _yiq(second[start : start + together]))
            for start in range(0, len(first), together)
        ]
    values = torch.cat(parts).numpy()
    return FeatureSimilarities(values[:, 0], values[:, 1])


def _phase_similarities(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """FSIM and FSIMc, `float64 (T, 2)`, of frames in YIQ, `float32 (3, T, H, W)`."""
    import torch

    phases = phase_congruency(first[0]), phase_congruency(second[0])
    gradients = _gradient(first[0]), _gradient(second[0])
    weight = torch.maximum(*phases)
    score = _similarity(*phases, T_PHASE).mul_(_similarity(*gradients, T_GRADIENT)).mul_(weight)
    total = weight.sum(dim=(1, 2), dtype=torch.float64)
    brightness = score.sum(dim=(1, 2), dtype=torch.float64) / total
    colours = _similarity(first[1], second[1], T_COLOUR).mul_(_similarity(first[2], second[2], T_COLOUR))
    colour = score.mul_(colours.abs_().pow_(COLOUR_EXPONENT)).sum(dim=(1, 2), dtype=torch.float64) / total
    return torch.stack([brightness, colour], dim=1)


def phase_congruency(brightness: torch.Tensor) -> torch.Tensor:
    """Kovesi's phase congruency of `float32 (T, H, W)`, levels 0 to 255: in [0, 1], the same shape."""
    import torch

    frames, height, width = brightness.shape
    filters = _filters(height, width)
    tiny = torch.finfo(torch.float32).eps
    # The filters pass no mean; without it nothing is left of a plain frame but zeros, and less is rounded of others.
    spectrum = torch.view_as_real(torch.fft.fft2(brightness - brightness.mean(dim=(1, 2), keepdim=True)))[:, None]
    passed = torch.empty(frames, SCALES, height, width, 2)
    parts = torch.empty(2, frames, SCALES, height, width)
    products = torch.empty(frames, SCALES, height, width)
    energy, amplitude = torch.zeros(2, frames, height, width)
    for bank, noise_factor in zip(filters.bank, filters.noise, strict=True):
        torch.mul(spectrum, bank, out=passed)
        responses = torch.fft.ifft2(torch.view_as_complex(passed))
        even, odd = parts.copy_(torch.view_as_real(responses).permute(4, 0, 1, 2, 3))
        cosine, sine = even.sum(dim=1), odd.sum(dim=1)
        torch.mul(even, sine[:, None], out=products).addcmul_(odd, cosine[:, None], value=-1)
        across = products.abs_().sum(dim=1)
        resultant = cosine.mul_(cosine).addcmul_(sine, sine).sqrt_().add_(tiny)
        power = even.mul_(even).addcmul_(odd, odd)
        noise = noise_factor * _lower_medians(power[:, 0]).sqrt_()
        amplitude += power.sqrt_().sum(dim=1)
        energy += resultant.sub_(across.div_(resultant)).sub_(noise[:, None, None]).clamp_min_(0)
    return energy.div_(amplitude.add_(tiny))


class _Filters(NamedTuple):
    bank: torch.Tensor
    """`float32 (orientations, scales, H, W, 2)`: each filter twice, for the real and imaginary parts of a spectrum."""
    noise: tuple[float, ...]
    """By orientation: the noise threshold over the root of the median power at the finest scale."""


@lru_cache(maxsize=4)
def _filters(height: int, width: int) -> _Filters:
    """Log-Gabor filters of a frame's size. float64 until they are kept."""
    import torch

    rows, columns = _frequencies(height)[:, None], _frequencies(width)[None, :]
    radius = np.hypot(rows, columns)
    angle = np.arctan2(-columns, rows)  # as piq; the transpose differs by 1e-5, at the highest frequency
    low_pass = 1 / (1 + (radius / CUTOFF) ** (2 * SHARPNESS))
    radius[0, 0] = 1
    wavelengths = FINEST_WAVELENGTH_PX * 2.0 ** np.arange(SCALES)
    radial = np.exp(-(np.log(radius * wavelengths[:, None, None]) ** 2) / (2 * math.log(SPREAD_OF_SCALE) ** 2))
    radial *= low_pass
    radial[:, 0, 0] = 0
    bank, noise = [], []
    for orientation in range(ORIENTATIONS):
        apart = angle - orientation * math.pi / ORIENTATIONS
        apart = np.abs(np.arctan2(np.sin(apart), np.cos(apart)))
        one_sided = radial * np.exp(-(apart**2) / (2 * SPREAD_OF_ANGLE**2))
        mirrored = np.roll(one_sided[:, ::-1, ::-1], (1, 1), axis=(1, 2))
        bank.append(np.repeat(one_sided[..., None].astype(np.float32), 2, axis=-1))
        noise.append(_noise_factor(one_sided[0], (one_sided + mirrored) / 2))
    return _Filters(torch.from_numpy(np.stack(bank)), tuple(noise))


def _noise_factor(finest: NDArray[np.float64], even: NDArray[np.float64]) -> float:
    """From the median power at the finest scale to the energy that noise alone is expected to reach.

    The power is chi-squared of two degrees of freedom, so its mean is its median over ln 2; over the filter's own power
    that is the noise; the filters together pass sum(even)^2 of it, Rayleigh distributed.
    """
    power = 1 / math.log(2) / np.sum(finest**2)
    scale = math.sqrt(power * np.sum(even.sum(axis=0) ** 2))
    return scale * (math.sqrt(math.pi / 2) + NOISE_DEVIATIONS * math.sqrt(2 - math.pi / 2)) / NOISE_RESCALE


def _frequencies(size: int) -> NDArray[np.float64]:
    """Cycles per pixel in the transform's order; for odd sizes the authors' grid reaches 0.5 itself."""
    frequencies = np.fft.fftfreq(size).astype(np.float64)
    return frequencies * size / (size - 1) if size % 2 else frequencies


def _is_plain(frame: NDArray[np.uint8]) -> bool:
    return bool((frame == frame[0, 0]).all())


def _yiq(frames: NDArray[np.uint8]) -> torch.Tensor:
    """`uint8 (T, H, W, 3)` -> YIQ `float32 (3, T, h, w)`, averaged down towards a short side of 256."""
    import torch

    colours = torch.from_numpy(np.ascontiguousarray(frames.transpose(3, 0, 1, 2))).to(torch.float32)
    factor = max(1, round(min(frames.shape[1:3]) / SIZE_PX))
    if factor > 1:
        colours = torch.nn.functional.avg_pool2d(colours, factor)
    return torch.tensordot(torch.tensor(YIQ), colours, dims=1)


def _gradient(brightness: torch.Tensor) -> torch.Tensor:
    """Scharr's gradient magnitude, `(T, H, W)`; outside the frame is black."""
    import torch

    padded = torch.nn.functional.pad(brightness, (1, 1, 1, 1))
    rows = (padded[:, :-2] + padded[:, 2:]).mul_(3 / 16).add_(padded[:, 1:-1], alpha=10 / 16)
    columns = (padded[..., :-2] + padded[..., 2:]).mul_(3 / 16).add_(padded[..., 1:-1], alpha=10 / 16)
    across, down = rows[..., 2:] - rows[..., :-2], columns[:, 2:] - columns[:, :-2]
    return across.mul_(across).addcmul_(down, down).sqrt_()


def _similarity(first: torch.Tensor, second: torch.Tensor, constant: float) -> torch.Tensor:
    """(2ab + c) / (a^2 + b^2 + c), pixel by pixel."""
    squares = (first * first).addcmul_(second, second).add_(constant)
    return (first * second).mul_(2).add_(constant).div_(squares)


def _lower_medians(values: torch.Tensor) -> torch.Tensor:
    """The middle value of each frame `(T, H, W)`; of an even number the lower one, as torch and piq take it."""
    import torch

    flat = values.flatten(1).numpy()
    middle = (flat.shape[1] - 1) // 2
    return torch.from_numpy(np.partition(flat, middle, axis=1)[:, middle].copy())
