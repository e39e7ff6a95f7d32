"""AMT-S: VBench's motion smoothness. The network that invents the frame between two: `networks/amt.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_vdb.backbones.contract import BackboneSource, Feature, Subject, backbone, declared
from pytest_vdb.backbones.weights import load_into, own_or_published, weights_digest
from pytest_vdb.errors import CannotMeasure, ClipTooShort

if TYPE_CHECKING:
    from numpy.typing import NDArray

MULTIPLE = 16
SMALLEST = 128
"""Pixels: an eighth of it, halved three times, is 2, the least that can be interpolated in."""


@backbone(
    "amt",
    features=Feature(
        "vbench_amt",
        about="(K,) how far each second frame is from the one invented between its neighbours, 0 to 255",
        frames=3,
    ),
    about="AMT-S, invents the frame between two: VBench's motion smoothness",
    repository="lalala125/AMT",
    filename="amt-s.pth",
    size_mib=11.4,
    licence="CC BY-NC 4.0",
)
class Amt:
    """`vbench_amt`: how far every second frame is from the one that AMT-S puts between its neighbours.

    Weights, in this order: `tiny` (the whole network, which is small, with seeded random values); `path` to `amt-s.pth`
    or a safetensors file of the same names; else the published file.
    """

    def __init__(self, source: BackboneSource) -> None:
        from pytest_vdb.backbones.networks.amt import Interpolator
        from pytest_vdb.backbones.networks.batches import seeded

        self._device = source.device
        if source.tiny:
            self.model, self.identity = seeded(Interpolator), "tiny"
        else:
            path = own_or_published(declared(self), source)
            self.model = load_into(Interpolator(), path, network=declared(self), called="AMT-S")
            self.identity = f"amt@{weights_digest(path)}"
        self.model.eval().requires_grad_(False).to(self._device)

    def features(self, name: str, subject: Subject) -> NDArray[np.float32]:  # noqa: ARG002 - it has but one
        """`vbench_amt`: `(K,)`, one value per second frame that has two neighbours.

        Raises:
            ClipTooShort: fewer than three frames.
            CannotMeasure: frames smaller than 128 pixels, on which the network is not defined.
        """
        assert subject.clip is not None
        frames = subject.clip.frames
        if len(frames) < 3:
            raise ClipTooShort(needed=3, got=len(frames))
        margins = _margins(*frames.shape[1:3])
        height, width = frames.shape[1] + margins[2] + margins[3], frames.shape[2] + margins[0] + margins[1]
        if min(height, width) < SMALLEST:
            raise CannotMeasure(
                f"frames of {frames.shape[1]}x{frames.shape[2]} pixels are smaller than AMT-S takes (113)"
            )
        distances = [self._distance(frames[at - 1 : at + 2], margins) for at in range(1, len(frames) - 1, 2)]
        return np.array(distances, np.float32)

    def _distance(self, three: NDArray[np.uint8], margins: tuple[int, int, int, int]) -> float:
        """Mean absolute difference of the middle one and its stand-in, both in whole levels, 0 to 255."""
        import torch
        from torch.nn import functional

        from pytest_vdb.backbones.networks.frames import to_device

        pictures = to_device(three, self._device).float()
        outer = functional.pad(pictures[::2] / 255, margins, mode="replicate")
        with torch.inference_mode():
            between = self.model(outer[:1], outer[1:])
        left, _, top, _ = margins
        height, width = pictures.shape[-2:]
        levels = (between[0, :, top : top + height, left : left + width] * 255).clamp(0, 255).floor()
        return float((levels - pictures[1]).abs().mean(dtype=torch.float64))


def _margins(height: int, width: int) -> tuple[int, int, int, int]:
    """What is added left, right, top and bottom so that both sides are multiples of 16."""
    wide, tall = -width % MULTIPLE, -height % MULTIPLE
    return wide // 2, wide - wide // 2, tall // 2, tall - tall // 2
