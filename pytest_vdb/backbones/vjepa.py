"""V-JEPA 2 through transformers: what happens in a clip, learnt without labels. The network of JEDi.

JEDi's authors used the first V-JEPA (ViT-H, D = 1280), which transformers does not have; values through another network
carry its name in their version and are never compared with theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_vdb.backbones.contract import BackboneSource, Feature, Subject, backbone, declared
from pytest_vdb.backbones.pretrained import open_pretrained

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from transformers import VJEPA2Model

LONGEST = 64
"""Frames the published networks were trained on; longer clips are sampled evenly down to it."""


@backbone(
    "vjepa",
    features=Feature("vjepa", about="(D,) mean token of the encoder, up to 64 frames"),
    about="V-JEPA 2 ViT-L: the network of JEDi here (its authors used the first V-JEPA)",
    repository="facebook/vjepa2-vitl-fpc64-256",
    size_mib=1300,
    licence="MIT",
)
class VJepa:
    """V-JEPA 2: `vjepa`, the mean of the encoder's tokens.

    Frames are resized (bilinear, antialiased; short side 256/224 of the crop), cropped to the square the network was
    trained on and normalised by ImageNet's mean and deviation. A clip longer than 64 frames is sampled evenly.

    Weights, in this order: `tiny`; `path` as a folder with `config.json` and `model.safetensors`; else ViT-L.
    """

    def __init__(self, source: BackboneSource) -> None:
        from transformers import VJEPA2Model

        from pytest_vdb.backbones.networks.batches import seeded

        self._device = source.device
        if source.tiny:
            self.model, self.identity = seeded(_tiny_vjepa), "tiny"
        else:
            self.model, self.identity = open_pretrained(VJEPA2Model, source, network=declared(self), called="V-JEPA 2")
        self.model.eval().requires_grad_(False).to(self._device)

    def features(self, name: str, subject: Subject) -> NDArray[np.float32]:  # noqa: ARG002 - it has but one
        """`vjepa`: `(D,)`, not normalised."""
        import torch

        assert subject.clip is not None
        pixels = self.prepare(subject.clip.frames)
        with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
            tokens = self.model.get_vision_features(pixel_values_videos=pixels[None])
        feature: NDArray[np.float32] = tokens.float().mean(dim=1)[0].cpu().numpy()
        return feature

    def prepare(self, frames: NDArray[np.uint8]) -> torch.Tensor:
        """`uint8 (T, H, W, 3)` -> normalised `float32 (T, 3, size, size)`, T even and at most 64."""
        from pytest_vdb.backbones.networks import frames as framing

        size = self.model.config.crop_size
        chosen = frames[evenly(len(frames), self.model.config.tubelet_size)]
        resized = framing.resize_short_side(framing.to_device(chosen, self._device), int(size * 256 / 224), "bilinear")
        return framing.normalise(framing.centre(resized, size), framing.IMAGENET_MEAN, framing.IMAGENET_STD)


def evenly(frames: int, multiple: int) -> NDArray[np.intp]:
    """Which frames are looked at: all, or 64 evenly spaced; the last repeated until `multiple` divides their number."""
    count = min(frames, LONGEST)
    chosen = np.linspace(0, frames - 1, count).round().astype(np.intp)
    return np.append(chosen, np.full(-count % multiple, frames - 1, np.intp))


def _tiny_vjepa() -> VJEPA2Model:
    from transformers import VJEPA2Config, VJEPA2Model

    config = VJEPA2Config(
        crop_size=64,
        hidden_size=48,
        num_attention_heads=2,
        num_hidden_layers=2,
        mlp_ratio=2.0,
        pred_hidden_size=24,
        pred_num_attention_heads=2,
        pred_num_hidden_layers=1,
        frames_per_clip=16,
    )
    return VJEPA2Model(config)
