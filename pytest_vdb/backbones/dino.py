"""DINOv2 through transformers: what is in a frame, whatever its style."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pytest_vdb.backbones.contract import BackboneSource, Feature, Subject, backbone, declared
from pytest_vdb.backbones.pretrained import open_pretrained
from pytest_vdb.backbones.weights import load_into, own_or_published, weights_digest

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from transformers import Dinov2Model


@backbone(
    "dino",
    features=Feature("dino", about="(T, D) unit vectors of the class token, one per frame"),
    about="DINOv2 small, patch 14",
    repository="facebook/dinov2-small",
    size_mib=84,
    licence="Apache-2.0",
)
class Dino:
    """DINOv2: `dino`, the class token of each frame.

    Frames are resized to 256 on the short side (bicubic, antialiased), cropped to 224x224 and normalised by ImageNet's
    mean and deviation, as the published preprocessor does.

    Weights, in this order: `tiny`; `path` as a folder with `config.json` and `model.safetensors`; else DINOv2 small.
    """

    def __init__(self, source: BackboneSource) -> None:
        from transformers import Dinov2Model

        from pytest_vdb.backbones.networks.batches import seeded

        self._device = source.device
        if source.tiny:
            self.model, self.identity = seeded(_tiny_dino), "tiny"
        else:
            self.model, self.identity = open_pretrained(Dinov2Model, source, network=declared(self), called="DINOv2")
        self._short_side, self._size = (64, 56) if source.tiny else (256, 224)
        self.model.eval().requires_grad_(False).to(self._device)

    def features(self, name: str, subject: Subject) -> NDArray[np.float32]:  # noqa: ARG002 - it has but one
        """`dino`: `(T, D)` unit vectors."""
        from pytest_vdb.backbones.networks.batches import in_batches, unit_rows

        assert subject.clip is not None
        return unit_rows(in_batches(self._class_token, subject.clip.frames, self.prepare, self._device))

    def prepare(self, frames: torch.Tensor) -> torch.Tensor:
        """`uint8 (T, 3, H, W)` -> normalised `float32 (T, 3, size, size)`."""
        from pytest_vdb.backbones.networks import frames as framing

        resized = framing.resize_short_side(frames, self._short_side)
        return framing.normalise(framing.centre(resized, self._size), framing.IMAGENET_MEAN, framing.IMAGENET_STD)

    def _class_token(self, pictures: torch.Tensor) -> torch.Tensor:
        token: torch.Tensor = self.model(pixel_values=pictures).last_hidden_state[:, 0]
        return token


def _tiny_dino() -> Dinov2Model:
    from transformers import Dinov2Config, Dinov2Model

    config = Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, image_size=56, patch_size=14
    )
    return Dinov2Model(config)


@backbone(
    "dino_v1",
    features=Feature("vbench_dino", about="(T, D) unit vectors after VBench's preprocessing"),
    about="DINO ViT-B/16, the first version: VBench's subject consistency",
    repository="timm/vit_base_patch16_224.dino",
    size_mib=327,
    licence="Apache-2.0",
)
class DinoV1:
    """DINO ViT-B/16 as VBench uses it: `vbench_dino`, the class token of each frame.

    Frames are resized to 224 on the short side (bilinear, not antialiased), not cropped, and normalised by ImageNet's
    mean and deviation; the positions are stretched to the frame as the authors' code stretches them.

    Weights, in this order: `tiny`; `path` to the authors' `dino_vitbase16_pretrain.pth` or timm's `model.safetensors`
    (the same names inside); else timm's copy on the hub.
    """

    def __init__(self, source: BackboneSource) -> None:
        from pytest_vdb.backbones.networks.batches import seeded
        from pytest_vdb.backbones.networks.dino import vision_transformer

        self._device = source.device
        if source.tiny:
            self._side, self.identity = 32, "tiny"
            self.model = seeded(lambda: vision_transformer(img_size=32, embed_dim=24, depth=2, num_heads=2))
        else:
            self._side, path = 224, own_or_published(declared(self), source)
            self.model = load_into(vision_transformer(), path, network=declared(self), called="DINO ViT-B/16")
            self.identity = f"dino_vitb16@{weights_digest(path)}"
        self.model.eval().requires_grad_(False).to(self._device)

    def features(self, name: str, subject: Subject) -> NDArray[np.float32]:  # noqa: ARG002 - it has but one
        """`vbench_dino`: `(T, D)` unit vectors."""
        from pytest_vdb.backbones.networks.batches import in_batches, unit_rows
        from pytest_vdb.backbones.networks.dino import class_token

        assert subject.clip is not None
        look = partial(class_token, self.model)
        return unit_rows(in_batches(look, subject.clip.frames, self.prepare, self._device))

    def prepare(self, frames: torch.Tensor) -> torch.Tensor:
        """`uint8 (T, 3, H, W)` -> normalised `float32`, 224 on the short side."""
        from pytest_vdb.backbones.networks import frames as framing

        resized = framing.plain_resize_short_side(frames, self._side, "bilinear")
        return framing.normalise(resized, framing.IMAGENET_MEAN, framing.IMAGENET_STD)
