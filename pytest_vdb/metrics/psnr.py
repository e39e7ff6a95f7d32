"""Peak signal-to-noise ratio between a clip and its reference: exact sums of whole numbers, one frame at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_vdb.errors import CannotMeasure
from pytest_vdb.metrics.contract import Score, metric
from pytest_vdb.metrics.resize import PARTS, at_each_size
from pytest_vdb.records import Clip

if TYPE_CHECKING:
    from numpy.typing import NDArray

PEAK = 255


@metric("psnr", unit="dB", better="higher", bounds=(0, None), parts=PARTS, orders=("blur", "noise", "jpeg"))
def psnr(clip: Clip, reference: Clip) -> dict[str, Score]:
    """Peak signal-to-noise ratio against a reference, mean over the frames' ratios.

    Args:
        clip: what is measured.
        reference: of as many frames; of another size only the parts at 256, 512 and 1024 have a value.

    Returns:
        dB; about 20 for a poor and 40 for a hardly visible difference. Frames that are identical have none (it would be
        infinite): they are left out and counted in the reason.

    Raises:
        CannotMeasure: another number of frames, or all frames are identical.

    Reference implementation: scikit-image's `peak_signal_noise_ratio` per frame (no epsilon, unlike piq's).
    """
    return at_each_size(clip, reference, compare)


def compare(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Score:
    """The score of two arrays `uint8 (T, H, W, 3)` of one shape.

    Raises:
        CannotMeasure: every frame equals its reference.
    """
    series = psnr_frames(first, second)
    finite = np.isfinite(series)
    if not finite.any():
        raise CannotMeasure("every frame is identical to its reference: the ratio is infinite")
    same = int((~finite).sum())
    note = f"{same} of {len(series)} frames are identical to their reference and left out" if same else None
    return Score(float(series[finite].mean()), None if same else series, reason=note)


def psnr_frames(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Each frame's ratio in dB, `(T,)`; infinite where a frame equals its reference."""
    errors = np.array([_mean_squared_error(a, b) for a, b in zip(first, second, strict=True)])
    with np.errstate(divide="ignore"):
        ratios: NDArray[np.float64] = 10 * np.log10(PEAK**2 / errors)
    return ratios


def _mean_squared_error(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Exact: the square of a difference of bytes fits 16 bits, and so does each product."""
    distance = np.maximum(first, second)
    distance -= np.minimum(first, second)
    squares = np.multiply(distance, distance, dtype=np.uint16)
    return int(squares.sum(dtype=np.uint64)) / first.size
