"""DINOv2 through transformers: what is in a frame, whatever its style."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import Dinov2Config, Dinov2Model

from pytest_vdb.errors import WeightsBroken
from pytest_vdb.metrics import frames as framing
from pytest_vdb.metrics.backbones import in_batches, seeded, unit_rows
from pytest_vdb.metrics.features import BACKBONES, BackboneSource, Subject
from pytest_vdb.metrics.weights import given_file, hub_file, weights_digest

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Dino:
    """DINOv2: `dino`, the class token of each frame.

    Frames are resized to 256 on the short side (bicubic, antialiased), cropped to 224x224 and normalised by ImageNet's
    mean and deviation, as the published preprocessor does.

    Weights, in this order: `tiny`; `path` as a folder with `config.json` and `model.safetensors`; else DINOv2 small.
    """

    def __init__(self, source: BackboneSource) -> None:
        self._device = source.device
        self._model, self.identity, self._short_side, self._size = _tiny() if source.tiny else _published(source)
        self._model.eval().requires_grad_(False).to(self._device)

    def features(self, name: str, subject: Subject) -> NDArray[np.float32]:  # noqa: ARG002 - it has but one
        """`dino`: `(T, D)` unit vectors."""
        assert subject.clip is not None
        return unit_rows(in_batches(self._class_token, subject.clip.frames, self.prepare, self._device))

    def prepare(self, frames: torch.Tensor) -> torch.Tensor:
        """`uint8 (T, 3, H, W)` -> normalised `float32 (T, 3, size, size)`."""
        resized = framing.resize_short_side(frames, self._short_side)
        return framing.normalise(framing.centre(resized, self._size), IMAGENET_MEAN, IMAGENET_STD)

    def _class_token(self, pictures: torch.Tensor) -> torch.Tensor:
        token: torch.Tensor = self._model(pixel_values=pictures).last_hidden_state[:, 0]
        return token


def _tiny() -> tuple[Any, str, int, int]:
    config = Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, image_size=56, patch_size=14
    )
    return seeded(lambda: Dinov2Model(config)), "tiny", 64, 56


def _published(source: BackboneSource) -> tuple[Any, str, int, int]:
    spec = BACKBONES["dino"]
    if source.path is None:
        weights, config = (
            hub_file(spec.repository, name, offline=source.offline, backbone="dino", size_mib=spec.size_mib)
            for name in ("model.safetensors", "config.json")
        )
        folder = config.parent
    else:
        folder = given_file(source.path, backbone="dino")
        weights = given_file(folder / "model.safetensors", backbone="dino")
    try:
        model, loading = Dinov2Model.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except Exception as error:  # transformers and safetensors raise each their own for a broken file
        raise WeightsBroken(
            f"{folder} cannot be read as DINOv2: {str(error).partition(chr(10))[0]}", where="--vdb-backbone dino"
        ) from error
    if loading["missing_keys"]:
        first = sorted(loading["missing_keys"])[0]
        raise WeightsBroken(
            f"{weights} lacks {len(loading['missing_keys'])} of DINOv2's weights, {first!r} first",
            where="--vdb-backbone dino",
        )
    name = source.path.name if source.path else spec.repository.rpartition("/")[2]
    return model, f"{name}@{weights_digest(weights)}", 256, 224
