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


@metric("sharpness", unit="1", better="higher", orders=("blur",))
def sharpness(clip: Clip) -> Score:
    """Variance of the Laplacian of the brightness, mean over frames.

    Args:
        clip: frames of at least 3x3 pixels, brightness in [0, 1], 4-neighbour Laplacian without the border.

    Returns:
        A value >= 0: 0 for a plain colour; the series has one value per frame. It falls with blur and depends on the
        resolution; noise raises it too.

    Raises:
        CannotMeasure: frames smaller than 3x3.

    Source: Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000.
    """
    height, width = clip.frames.shape[1:3]
    if height < 3 or width < 3:
        raise CannotMeasure(f"frames of {width}x{height} pixels are smaller than 3x3")
    series = [_laplacian_variance(frame) / 255**2 for frame in lumas(clip)]
    return Score(float(np.mean(series)), series)


def _laplacian_variance(frame: NDArray[np.uint8]) -> float:
    """Of a `uint8 (H, W)` frame, in squared levels; whole numbers until the last step."""
    wide = frame.astype(np.int16)
    laplacian = wide[1:-1, 1:-1] * np.int16(-4)
    laplacian += wide[:-2, 1:-1]
    laplacian += wide[2:, 1:-1]
    laplacian += wide[1:-1, :-2]
    laplacian += wide[1:-1, 2:]
    mean = int(laplacian.sum(dtype=np.int64)) / laplacian.size
    return _sum_of_squares(laplacian) / laplacian.size - mean**2


def _sum_of_squares(values: NDArray[np.int16]) -> int:
    """Of `int16 (H, W)` with |v| <= 1020: a row's sum stays below 2^53, so float64 rows are exact."""
    rows = values.astype(np.float32)
    return int(np.einsum("ij,ij->i", rows, rows, dtype=np.float64).sum())
