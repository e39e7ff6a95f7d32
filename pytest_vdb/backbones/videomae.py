"""VideoMAE through transformers: what moves in a clip, learnt by filling in what was hidden. The network of cd-fvd.

By default cd-fvd (Ge et al., arXiv 2404.12391) looks through the ViT-g of VideoMAE V2 (arXiv 2303.16727), trained
further on Something-Something v2: `vit_g_hybrid_pt_1200e_ssv2_ft.pth`, as OpenGVLab publishes it. transformers has the
architecture under other names, so that file is read and renamed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_vdb.backbones.contract import BackboneSource, Feature, Subject, backbone, declared
from pytest_vdb.backbones.pretrained import open_pretrained
from pytest_vdb.backbones.weights import own_or_published, read_state, weights_digest
from pytest_vdb.errors import ClipTooShort, WeightsBroken
from pytest_vdb.files import is_folder

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from transformers import VideoMAEForVideoClassification

SIDE, FRAMES = 224, 16
"""What every published VideoMAE was trained on."""
EPSILON = 1e-6
"""Of the authors' layer norms; transformers' own default differs."""

RENAMED = {
    "patch_embed.proj": "embeddings.patch_embeddings.projection",
    "blocks": "encoder.layer",
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
    "attn.proj": "attention.output.dense",
    "attn.q_bias": "attention.attention.query.bias",
    "attn.v_bias": "attention.attention.value.bias",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}
"""The authors' names and transformers'."""


@backbone(
    "videomae",
    features=Feature("videomae", about="(D,) mean token of the encoder, cd-fvd's preprocessing", frames=2),
    about="VideoMAE V2 ViT-g, fine-tuned on Something-Something v2: the default network of cd-fvd",
    repository="OpenGVLab/VideoMAE2",
    filename="mae-g/vit_g_hybrid_pt_1200e_ssv2_ft.pth",
    size_mib=1926,
    licence="Apache-2.0",
    sha256="5a210a92f035dff30c53b46157b612e7a1a5d3c99700e1b2d71da5c399ca7e70",
)
class VideoMae:
    """VideoMAE: `videomae`, the mean of the encoder's tokens after the norm before the classifier.

    Frames are prepared as cd-fvd prepares them: squashed to 224x224 (bilinear, not antialiased), in [0, 1] and, unlike
    in the network's training, not normalised. All frames are looked at; the positions in time are stretched to a clip
    of other than 16, and of an odd number the last is left out.

    Weights, in this order: `tiny`; `path` as a folder with `config.json` and `model.safetensors` of a fine-tuned
    VideoMAE (`MCG-NJU/videomae-base-finetuned-ssv2`, say); `path` to a file with the authors' names; else cd-fvd's.
    """

    def __init__(self, source: BackboneSource) -> None:
        from pytest_vdb.backbones.networks.batches import seeded

        self._device = source.device
        self.model, self.identity = (seeded(_tiny_videomae), "tiny") if source.tiny else _published(source)
        self.model.eval().requires_grad_(False).to(self._device)

    def features(self, name: str, subject: Subject) -> NDArray[np.float32]:  # noqa: ARG002 - it has but one
        """`videomae`: `(D,)`; D = 1408 for cd-fvd's network.

        Raises:
            ClipTooShort: a single frame, where the network takes two at a time.
        """
        import torch

        assert subject.clip is not None
        frames, least = subject.clip.frames, self.model.config.tubelet_size
        if len(frames) < least:
            raise ClipTooShort(needed=least, got=len(frames))
        encoder = self.model.videomae
        with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
            patches = encoder.embeddings.patch_embeddings(self.prepare(frames)[None])
            tokens = encoder.encoder(patches + self._positions(len(frames) // least)).last_hidden_state
            feature = self.model.fc_norm(tokens.mean(dim=1))[0]
        answer: NDArray[np.float32] = feature.cpu().numpy()
        return answer

    def prepare(self, frames: NDArray[np.uint8]) -> torch.Tensor:
        """`uint8 (T, H, W, 3)` -> `float32 (T, 3, size, size)` in [0, 1]."""
        from torch.nn import functional

        from pytest_vdb.backbones.networks import frames as framing

        size = self.model.config.image_size
        pixels = framing.to_device(frames, self._device).float().div_(255)
        return functional.interpolate(pixels, size=(size, size), mode="bilinear", align_corners=False)

    def _positions(self, steps: int) -> torch.Tensor:
        """The vectors of place and time `(1, tokens, D)`, stretched to so many steps in time."""
        from torch.nn import functional

        config = self.model.config
        trained: torch.Tensor = self.model.videomae.embeddings.position_embeddings.to(self._device)
        count = config.num_frames // config.tubelet_size
        if steps == count:
            return trained
        width = trained.shape[-1]
        # The tenth is the authors': it shifts the sampling a little, so features depend on it.
        over_time = trained.view(count, -1).T[None]
        stretched = functional.interpolate(over_time, scale_factor=(steps + 0.1) / count, mode="linear")
        return stretched[0].T.reshape(1, -1, width)


def renamed(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A state dict with the authors' names as transformers' `VideoMAEForVideoClassification` has it, no classifier."""
    ours: dict[str, torch.Tensor] = {}
    for key, value in state.items():
        name = key
        for theirs, here in RENAMED.items():
            name = name.replace(theirs, here)
        if key.startswith("fc_norm."):
            ours[key] = value.float()
        elif key.endswith("attn.qkv.weight"):
            for part, weight in zip(("query", "key", "value"), value.float().chunk(3), strict=True):
                ours[f"videomae.{name.replace('attn.qkv', f'attention.attention.{part}')}"] = weight
        elif not key.startswith("head."):
            ours[f"videomae.{name}"] = value.float()
    return ours


def _published(source: BackboneSource) -> tuple[VideoMAEForVideoClassification, str]:
    from transformers import VideoMAEForVideoClassification

    if source.path is not None and is_folder(source.path):
        return open_pretrained(VideoMAEForVideoClassification, source, network=declared(VideoMae), called="VideoMAE")
    path = own_or_published(declared(VideoMae), source)
    return _load(path), f"{path.stem}@{weights_digest(path)}"


def _load(path: Path) -> VideoMAEForVideoClassification:
    """The network of a checkpoint with the authors' names, its size read off the weights.

    Raises:
        WeightsBroken: unreadable, or not a fine-tuned VideoMAE of 224x224 pixels.
    """
    import torch
    from transformers import VideoMAEConfig, VideoMAEForVideoClassification

    try:
        state = read_state(path)
        width, _, tubelet, patch, _ = state["patch_embed.proj.weight"].shape
        config = VideoMAEConfig(
            image_size=SIDE,
            num_frames=FRAMES,
            patch_size=patch,
            tubelet_size=tubelet,
            hidden_size=width,
            num_hidden_layers=len({key.split(".")[1] for key in state if key.startswith("blocks.")}),
            num_attention_heads=max(1, width // 64) if width <= 1024 else 16,  # H and g have 16, of 80 and 88
            intermediate_size=len(state["blocks.0.mlp.fc1.weight"]),
            layer_norm_eps=EPSILON,
            num_labels=0,
        )
        with torch.device("meta"):  # a billion random numbers take longer than reading the file
            model = VideoMAEForVideoClassification(config)
        model.fc_norm.eps = EPSILON
        weights = renamed(state)
        for name, wanted in model.named_parameters():
            if name.endswith("attention.key.bias"):  # up to transformers 5.17; the authors' keys have none
                weights.setdefault(name, torch.zeros(wanted.shape))
        model.load_state_dict(weights, assign=True)
    except Exception as error:  # torch, transformers and safetensors each raise their own for a broken file
        raise WeightsBroken(
            f"{path} cannot be read as VideoMAE: {type(error).__name__}: {str(error).partition(chr(10))[0]}",
            where="--vdb-backbone videomae",
            mend="a fine-tuned VideoMAE is needed: the authors' .pth, or a folder as transformers saves one",
        ) from error
    return model


def _tiny_videomae() -> VideoMAEForVideoClassification:
    from transformers import VideoMAEConfig, VideoMAEForVideoClassification

    config = VideoMAEConfig(
        image_size=56,
        patch_size=14,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        num_frames=FRAMES,
        num_labels=0,
    )
    return VideoMAEForVideoClassification(config)
