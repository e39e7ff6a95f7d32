"""Optical flow by RAFT (torchvision), and a few numbers per pair of frames that `networks/flow.py` makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_vdb.backbones import tracks
from pytest_vdb.backbones.contract import BackboneSource, Feature, Subject, backbone, declared
from pytest_vdb.backbones.weights import load_into, own_or_published, weights_digest
from pytest_vdb.errors import CannotMeasure, ClipTooShort

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from pytest_vdb.records import Clip

SHORT_SIDE = 256
"""Flow is measured at this size and in its pixels: VBench's unit, so that clips of any size compare."""
TINY_SHORT_SIDE = 128
"""The least that RAFT takes."""
LONGEST = 8
"""Times as long as wide: more, and the correlation of all pixels with all pixels would not fit."""
UPDATES = 12

PAIR_COLUMNS = ("speed", "fastest", "warped", "visible", "roughness")
"""Of `flow_pairs`: mean flow and mean of its largest 5% in px at a short side of 256; squared error of the warped next
frame (in [0, 1], mean of channels), 0 where not visible; share of pixels visible in both; distance from smooth flow."""
TURN_COLUMNS = ("turn", "visible")
"""Of `flow_turns`: change of the motion relative to its size, 0 where not visible; share of visible pixels."""


@backbone(
    "raft",
    features=(
        Feature(
            "flow",
            about="(2, T-1, 2, h, w): flow to the next frame and back, dx and dy, in px at a short side of 256",
            frames=2,
            recorded=False,
        ),
        Feature("flow_pairs", about="(T-1, 5): raft.PAIR_COLUMNS of each pair of frames", frames=2),
        Feature("motion_histogram", about="(1024,) of 400 points through 16 frames: fvmd", frames=tracks.FRAMES),
        Feature("flow_turns", about="(T-2, 2): raft.TURN_COLUMNS of each inner frame", frames=3),
    ),
    about="RAFT-small optical flow (torchvision, C_T_V2)",
    repository="https://download.pytorch.org/models/raft_small_C_T_V2-01064c6d.pth",
    size_mib=3.8,
    licence="BSD-3-Clause",
)
class RaftSmall:
    """RAFT-small: `flow`, `flow_pairs`, `flow_turns` and `motion_histogram`.

    Weights, in this order: `tiny` (seeded random ones, one update); `path` to a state dict (`.pth` or `.safetensors`)
    with torchvision's keys; else torchvision's C_T_V2.
    """

    def __init__(self, source: BackboneSource) -> None:
        from torchvision.models import optical_flow

        from pytest_vdb.backbones.networks.batches import seeded

        self._device = source.device
        self._short_side, self._updates = (TINY_SHORT_SIDE, 1) if source.tiny else (SHORT_SIDE, UPDATES)
        if source.tiny:
            self.model, self.identity = seeded(optical_flow.raft_small), "tiny"
        else:
            weights = own_or_published(declared(self), source)
            self.model = load_into(optical_flow.raft_small(), weights, network=declared(self), called="RAFT-small")
            self.identity = f"raft_small@{weights_digest(weights)}"
        self.model.eval().requires_grad_(False).to(self._device)
        self._seen: tuple[Clip, torch.Tensor, torch.Tensor] | None = None

    def features(self, name: str, subject: Subject) -> NDArray[np.float32]:
        """The feature of that name, in pixels of a clip whose short side is 256."""
        import torch

        from pytest_vdb.backbones.networks import flow as flows

        clip = subject.clip
        assert clip is not None
        if len(clip.frames) < (least := declared(self).feature(name).frames):
            raise ClipTooShort(needed=least, got=len(clip.frames))
        if self._seen is None or self._seen[0] is not clip:
            frames = self.prepare(clip)
            self._seen = clip, frames, flows.flow_both_ways(self.model, frames, self._updates)
        _, frames, flow = self._seen
        scale = SHORT_SIDE / self._short_side
        with torch.inference_mode():
            answer = {
                "flow": lambda: flow * scale,
                "flow_pairs": lambda: flows.describe_pairs(frames, flow, scale),
                "flow_turns": lambda: flows.describe_turns(flow, scale),
                "motion_histogram": lambda: torch.from_numpy(tracks.histogram_of_flow((flow[0] * scale).cpu().numpy())),
            }[name]()
        described: NDArray[np.float32] = answer.cpu().numpy()
        return described

    def prepare(self, clip: Clip) -> torch.Tensor:
        """The frames at the size at which flow is measured: `float32 (T, 3, h, w)` in [-1, 1]."""
        from pytest_vdb.backbones.networks import frames as framing

        height, width = clip.frames.shape[1:3]
        if max(height, width) > LONGEST * min(height, width):
            raise CannotMeasure(f"frames of {width}x{height} pixels are too narrow for optical flow")
        scale = self._short_side / min(height, width)
        size = (round(height * scale / 8) * 8, round(width * scale / 8) * 8)
        frames = framing.resize(framing.to_device(clip.frames, self._device), size, "bilinear")
        return framing.normalise(frames, (0.5,) * 3, (0.5,) * 3)


@backbone(
    "raft_large",
    features=Feature(
        "vbench_flow",
        about="(K-1,) largest 5% of the flow between frames sampled at 8 per second, px at a short side of 256",
        frames=2,
    ),
    about="RAFT trained on Chairs and Things (torchvision, C_T_V1): VBench's dynamic degree",
    repository="https://download.pytorch.org/models/raft_large_C_T_V1-22a6c225.pth",
    size_mib=20.1,
    licence="BSD-3-Clause",
)
class RaftLarge:
    """RAFT as VBench uses it: `vbench_flow`.

    Weights, in this order: `tiny` (RAFT-small with seeded random weights, one update); `path` to a state dict with
    torchvision's keys; else torchvision's C_T_V1, which is the authors' `raft-things` under other keys.
    """

    UPDATES = 20

    def __init__(self, source: BackboneSource) -> None:
        from torchvision.models import optical_flow

        from pytest_vdb.backbones.networks.batches import seeded

        self._device = source.device
        self._updates = 1 if source.tiny else self.UPDATES
        if source.tiny:
            self.model, self.identity = seeded(optical_flow.raft_small), "tiny"
        else:
            weights = own_or_published(declared(self), source)
            self.model = load_into(optical_flow.raft_large(), weights, network=declared(self), called="RAFT")
            self.identity = f"raft_large@{weights_digest(weights)}"
        self.model.eval().requires_grad_(False).to(self._device)

    def features(self, name: str, subject: Subject) -> NDArray[np.float32]:  # noqa: ARG002 - it has but one
        """`vbench_flow`: `(K-1,)`, mean of the largest 5% of the flow between frames sampled at about 8 per second.

        In pixels of a clip whose short side is 256; measured at the clip's own size, padded to a multiple of 8.

        Raises:
            CannotMeasure: fewer than two frames are left, or they are smaller than RAFT's 128x128.
        """
        from torch.nn import functional

        from pytest_vdb.backbones.networks import frames as framing
        from pytest_vdb.backbones.networks.flow import flow_onward

        clip = subject.clip
        assert clip is not None
        sampled = clip.frames[:: max(1, round(clip.fps / 8))]
        height, width = sampled.shape[1:3]
        if len(sampled) < 2:
            raise CannotMeasure(
                f"VBench samples {len(sampled)} of {len(clip.frames)} frames at {clip.fps:g}/s, needs 2"
            )
        if min(height, width) < TINY_SHORT_SIDE - 7:
            raise CannotMeasure(f"frames of {width}x{height} pixels are smaller than the 128x128 that RAFT takes")
        frames = framing.normalise(framing.to_device(sampled, self._device), (0.5,) * 3, (0.5,) * 3)
        spare_x, spare_y = -width % 8, -height % 8
        around = (spare_x // 2, spare_x - spare_x // 2, spare_y // 2, spare_y - spare_y // 2)
        padded = functional.pad(frames, around, mode="replicate")
        length = flow_onward(self.model, padded, self._updates).norm(dim=1).flatten(1)
        fastest = length.topk(max(1, int(length.shape[1] * 0.05)), dim=1).values.mean(dim=1)
        speeds: NDArray[np.float32] = (fastest * SHORT_SIDE / min(height, width)).cpu().numpy()
        return speeds
