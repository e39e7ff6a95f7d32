"""Inception-I3D, the network that FVD looks through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_vdb.backbones.contract import BackboneSource, Feature, Subject, backbone, declared
from pytest_vdb.backbones.weights import own_or_published
from pytest_vdb.errors import CannotMeasure

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

SHORTEST_CLIP = 9
"""Frames below which nothing is left for the last pooling."""


@backbone(
    "i3d",
    features=(
        Feature("i3d", about="(400,) logits, StyleGAN-V's preprocessing", frames=SHORTEST_CLIP),
        Feature("i3d_cd", about="(400,) logits, cd-fvd's preprocessing (squashed)", frames=SHORTEST_CLIP),
    ),
    about="Inception-I3D, Kinetics-400 RGB: the network of FVD",
    repository="flateon/FVD-I3D-torchscript",
    filename="i3d_torchscript.pt",
    size_mib=49,
    licence="Apache-2.0 (the original network's; the conversion states none)",
    sha256="bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2",
)
class I3D:
    """The backbone `i3d`: a clip's 400 logits under either preprocessing.

    Raises:
        WeightsMissing: not on this machine and not to be had now.
        WeightsBroken: a file that is not an I3D.
    """

    def __init__(self, source: BackboneSource) -> None:
        import torch

        from pytest_vdb.backbones.networks import i3d as network_of
        from pytest_vdb.backbones.networks.batches import seeded

        self._device = source.device
        if source.tiny:
            network, self.identity = seeded(network_of.tiny), "tiny"
        else:
            network, self.identity = network_of.load(own_or_published(declared(self), source))
        self._network = network.to(source.device, memory_format=torch.channels_last_3d)

    def features(self, name: str, subject: Subject) -> NDArray[np.float32]:
        """`i3d`: `(400,)` after StyleGAN-V's preprocessing; `i3d_cd`: after cd-fvd's.

        Raises:
            CannotMeasure: fewer than 9 frames.
        """
        from pytest_vdb.backbones.networks import i3d as network_of

        assert subject.clip is not None
        frames = subject.clip.frames
        if len(frames) < SHORTEST_CLIP:
            raise CannotMeasure(
                f"I3D needs {SHORTEST_CLIP} frames, got {len(frames)}", mend="published FVD uses 16 frames"
            )
        prepare = network_of.as_cd_fvd if name == "i3d_cd" else network_of.as_styleganv
        logits: NDArray[np.float32] = self.logits(prepare(frames, self._device))[0]
        return logits

    def logits(self, clips: torch.Tensor) -> NDArray[np.float32]:
        """`(N, 3, T, 224, 224)` in [-1, 1] -> `(N, 400)`. Full float32 on a GPU too: TF32 would cost 1e-3."""
        import torch

        with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
            logits = self._network(clips.contiguous(memory_format=torch.channels_last_3d))
        result: NDArray[np.float32] = logits.float().cpu().numpy()
        return result
