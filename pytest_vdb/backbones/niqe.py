"""NIQE: no network, but a small file of figures, of pristine photographs. The arithmetic: `networks/niqe.py`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pytest_vdb.arrays import read_npz
from pytest_vdb.backbones.contract import BackboneSource, Feature, Subject, backbone, declared
from pytest_vdb.backbones.weights import own_or_published, weights_digest
from pytest_vdb.errors import WeightsBroken

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAMES = 8
"""Evenly spaced frames that are looked at: quality changes slowly, and each costs 30 ms at 480x720."""
FEATURES = 36


@backbone(
    "niqe",
    features=(
        Feature("niqe_frames", about="(K,) distance of up to 8 evenly spaced frames, MATLAB's brightness"),
        Feature("niqe_basicsr_frames", about="(K,) distance of up to 8 evenly spaced frames, BasicSR's brightness"),
    ),
    about="NIQE's model of pristine photographs: 36 means and their covariance, no network",
    repository="https://raw.githubusercontent.com/XPixelGroup/BasicSR/8d56e3a045f9fb3e1d8872f92ee4a4f07f886b0a/basicsr/metrics/niqe_pris_params.npz",
    size_mib=0.01,
    licence="free with attribution (LIVE, The University of Texas at Austin)",
    sha256="2a7c182a68c9e7f1b2e2e5ec723279d6f65d912b6fcaf37eb2bf03d7367c4296",
)
class Niqe:
    """`niqe_frames` and `niqe_basicsr_frames`: the distance of up to 8 evenly spaced frames, `(K,)`.

    The pristine model, in this order: `tiny` (an invented one); `path` to an `.npz` with `mu_pris_param (1, 36)` and
    `cov_pris_param (36, 36)`; else the authors' own, as BasicSR keeps it.
    """

    def __init__(self, source: BackboneSource) -> None:
        if source.tiny:
            self.identity, self._mean, self._covariance = "tiny", np.ones(FEATURES), np.eye(FEATURES)
            return
        path = own_or_published(declared(self), source)
        self._mean, self._covariance = read_model(path)
        self.identity = f"niqe@{weights_digest(path)}"

    def features(self, name: str, subject: Subject) -> NDArray[np.float32]:
        """`niqe_frames`: `(K,)` distances by MATLAB's brightness; `niqe_basicsr_frames`: by BasicSR's.

        Raises:
            CannotMeasure: frames of fewer than two blocks of 96x96, or in which too few blocks have any texture.
        """
        from pytest_vdb.backbones.networks.niqe import block_features, distance, grey, luma

        assert subject.clip is not None
        frames = subject.clip.frames
        chosen = np.unique(np.linspace(0, len(frames) - 1, min(FRAMES, len(frames))).round().astype(int))
        brightness = luma if name == "niqe_basicsr_frames" else grey
        values = [distance(block_features(brightness(frames[i])), self._mean, self._covariance) for i in chosen]
        return np.array(values, np.float32)


def read_model(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean `(36,)` and covariance `(36, 36)` of the pristine model.

    Raises:
        WeightsBroken: the file does not hold them.
    """
    model = read_npz(path, error=WeightsBroken)
    try:
        mean, covariance = (model[name].astype(np.float64) for name in ("mu_pris_param", "cov_pris_param"))
        return mean.reshape(FEATURES), covariance.reshape(FEATURES, FEATURES)
    except (ValueError, KeyError) as error:
        raise WeightsBroken(f"{path} is no pristine model of NIQE: {error}", where="--vdb-backbone niqe") from error
