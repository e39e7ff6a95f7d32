"""The networks that metrics look through, and the features each gives: plain data, listed without importing torch.

A metric asks for a feature by naming a parameter after it (`clip_image`, `dino`); the engine computes it once per clip
and hands the same array to every metric that asks. To add a network: a row in `BACKBONES`, a row in `FEATURES` for each
thing it computes, and a class that follows `Backbone`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from pytest_vdb.records import Clip, Prompt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneSource:
    """Where a backbone's weights come from and where it runs: what every `Backbone` is constructed with."""

    path: Path | None = None
    """The user's local weights; None: the published ones, from the cache or the hub."""
    tiny: bool = False
    """A tiny architecture with seeded random weights: proves the wiring, needs no file."""
    device: str = "cpu"
    cache_dir: Path = Path()
    offline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is being measured: a clip, the prompt it answers, and the clip it is compared with."""

    clip: Clip | None = None
    prompt: Prompt | None = None
    reference: Clip | None = None


class Backbone(Protocol):
    """A network, constructed with a `BackboneSource`.

    Its constructor raises `WeightsMissing` (with what to download, its size and the command) or `WeightsBroken`.
    """

    identity: str
    """Which weights these are, e.g. `ViT-B-32:openai`: joins the version of every metric that looks through them."""

    def features(self, name: str, subject: Subject) -> NDArray[np.float32]:
        """The feature of that name, as its `FeatureSpec` describes it.

        Raises:
            CannotMeasure: this subject has no such feature (too few frames, say).
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneSpec:
    """One network: what it is, where it comes from and which class opens it."""

    name: str
    """What `--vdb-backbone NAME=PATH` calls it."""
    opens: str
    """`module:Class`, imported when first used."""
    about: str
    repository: str
    """The hub repository or address of the published weights."""
    size_mib: float
    licence: str
    filename: str = "model.safetensors"
    """In a hub repository, the file with the weights."""
    sha256: str = ""
    """Of the published file, where its name does not end in it."""

    def open(self, source: BackboneSource) -> Backbone:
        """Import the class and load the weights."""
        module, _, name = self.opens.partition(":")
        backbone: Backbone = getattr(importlib.import_module(module), name)(source)
        return backbone


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSpec:
    """One array that a backbone computes, by the name of the parameter that asks for it."""

    name: str
    backbone: str
    about: str
    """Shape, meaning and preprocessing."""
    of: Literal["clip", "prompt", "pair"] = "clip"
    """What it is computed from; `pair` is the clip and its reference."""
    frames: int = 1
    """The fewest frames of a clip that has it."""
    recorded: bool = True
    """Small enough to be kept with the record, so that re-scoring and set metrics need no clip."""


BACKBONES: dict[str, BackboneSpec] = {
    spec.name: spec
    for spec in (
        BackboneSpec(
            name="clip",
            opens="pytest_vdb.backbones.openclip:OpenClip",
            about="CLIP ViT-B-32 as OpenAI trained it; any open_clip architecture through --vdb-backbone clip=...",
            repository="timm/vit_base_patch32_clip_224.openai",
            size_mib=578,
            licence="MIT",
        ),
        BackboneSpec(
            name="dino",
            opens="pytest_vdb.backbones.dino:Dino",
            about="DINOv2 small, patch 14",
            repository="facebook/dinov2-small",
            size_mib=84,
            licence="Apache-2.0",
        ),
        BackboneSpec(
            name="raft",
            opens="pytest_vdb.backbones.raft:RaftSmall",
            about="RAFT-small optical flow (torchvision, C_T_V2)",
            repository="https://download.pytorch.org/models/raft_small_C_T_V2-01064c6d.pth",
            size_mib=3.8,
            licence="BSD-3-Clause",
        ),
        BackboneSpec(
            name="dino_v1",
            opens="pytest_vdb.backbones.dino:DinoV1",
            about="DINO ViT-B/16, the first version: VBench's subject consistency",
            repository="timm/vit_base_patch16_224.dino",
            size_mib=327,
            licence="Apache-2.0",
        ),
        BackboneSpec(
            name="raft_large",
            opens="pytest_vdb.backbones.raft:RaftLarge",
            about="RAFT trained on Chairs and Things (torchvision, C_T_V1): VBench's dynamic degree",
            repository="https://download.pytorch.org/models/raft_large_C_T_V1-22a6c225.pth",
            size_mib=20.1,
            licence="BSD-3-Clause",
        ),
        BackboneSpec(
            name="aesthetic",
            opens="pytest_vdb.backbones.aesthetic:Aesthetic",
            about="LAION's linear aesthetic predictor over CLIP ViT-L-14 of OpenAI (1.6 GiB more)",
            repository="https://raw.githubusercontent.com/LAION-AI/aesthetic-predictor/"
            "6d122adad522ab246644d9dc1c6d7a3810ee255f/sa_0_4_vit_l_14_linear.pth",
            size_mib=0.004,
            licence="MIT",
            sha256="2cd4e60f4f24ae3bcd57b847b13c1f3ba27edc28cc1a7f9ce74ee9f421243cba",
        ),
        BackboneSpec(
            name="musiq",
            opens="pytest_vdb.backbones.musiq:Musiq",
            about="MUSIQ trained on SPAQ: VBench's imaging quality",
            repository="https://github.com/chaofengc/IQA-PyTorch/releases/download/v0.1-weights/"
            "musiq_spaq_ckpt-358bb6af.pth",
            size_mib=104,
            licence="Apache-2.0 (Google's weights, converted)",
        ),
        BackboneSpec(
            name="amt",
            opens="pytest_vdb.backbones.amt:Amt",
            about="AMT-S, invents the frame between two: VBench's motion smoothness",
            repository="lalala125/AMT",
            filename="amt-s.pth",
            size_mib=11.4,
            licence="CC BY-NC 4.0",
        ),
        BackboneSpec(
            name="niqe",
            opens="pytest_vdb.backbones.niqe:Niqe",
            about="NIQE's model of pristine photographs: 36 means and their covariance, no network",
            repository="https://raw.githubusercontent.com/XPixelGroup/BasicSR/"
            "8d56e3a045f9fb3e1d8872f92ee4a4f07f886b0a/basicsr/metrics/niqe_pris_params.npz",
            size_mib=0.01,
            licence="free with attribution (LIVE, The University of Texas at Austin)",
            sha256="2a7c182a68c9e7f1b2e2e5ec723279d6f65d912b6fcaf37eb2bf03d7367c4296",
        ),
        BackboneSpec(
            name="i3d",
            opens="pytest_vdb.backbones.i3d:I3D",
            about="Inception-I3D, Kinetics-400 RGB: the network of FVD",
            repository="flateon/FVD-I3D-torchscript",
            size_mib=49,
            licence="Apache-2.0 (the original network's; the conversion states none)",
            filename="i3d_torchscript.pt",
            sha256="bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2",
        ),
        BackboneSpec(
            name="lpips",
            opens="pytest_vdb.backbones.perceptual:LpipsAlex",
            about="LPIPS 0.1: the heads, over torchvision's AlexNet (233 MiB more)",
            repository="https://raw.githubusercontent.com/Lightning-AI/torchmetrics/v1.9.0/"
            "src/torchmetrics/functional/image/lpips_models/alex.pth",
            size_mib=0.006,
            licence="BSD-2-Clause (heads), BSD-3-Clause (trunk)",
            sha256="df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        ),
        BackboneSpec(
            name="dists",
            opens="pytest_vdb.backbones.perceptual:DistsVgg",
            about="DISTS: the heads, over torchvision's VGG16 (528 MiB more)",
            repository="https://raw.githubusercontent.com/Lightning-AI/torchmetrics/v1.9.0/"
            "src/torchmetrics/functional/image/dists_models/weights.pt",
            size_mib=0.012,
            licence="MIT (heads), BSD-3-Clause (trunk)",
            sha256="f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218",
        ),
        BackboneSpec(
            name="vjepa",
            opens="pytest_vdb.backbones.vjepa:VJepa",
            about="V-JEPA 2 ViT-L: the network of JEDi here (its authors used the first V-JEPA)",
            repository="facebook/vjepa2-vitl-fpc64-256",
            size_mib=1300,
            licence="MIT",
        ),
        BackboneSpec(
            name="videomae",
            opens="pytest_vdb.backbones.videomae:VideoMae",
            about="VideoMAE V2 ViT-g, fine-tuned on Something-Something v2: the default network of cd-fvd",
            repository="OpenGVLab/VideoMAE2",
            filename="mae-g/vit_g_hybrid_pt_1200e_ssv2_ft.pth",
            size_mib=1926,
            licence="Apache-2.0",
            sha256="5a210a92f035dff30c53b46157b612e7a1a5d3c99700e1b2d71da5c399ca7e70",
        ),
    )
}

FEATURES: dict[str, FeatureSpec] = {
    spec.name: spec
    for spec in (
        FeatureSpec(name="clip_image", backbone="clip", about="(T, D) unit vectors, one per frame"),
        FeatureSpec(name="clip_text", backbone="clip", about="(D,) unit vector of the prompt's text", of="prompt"),
        FeatureSpec(name="dino", backbone="dino", about="(T, D) unit vectors of the class token, one per frame"),
        FeatureSpec(
            name="flow",
            backbone="raft",
            about="(2, T-1, 2, h, w): flow to the next frame and back, dx and dy, in px at a short side of 256",
            frames=2,
            recorded=False,
        ),
        FeatureSpec(
            name="flow_pairs", backbone="raft", about="(T-1, 5): raft.PAIR_COLUMNS of each pair of frames", frames=2
        ),
        FeatureSpec(name="vbench_clip", backbone="clip", about="(T, D) unit vectors after VBench's preprocessing"),
        FeatureSpec(name="vbench_dino", backbone="dino_v1", about="(T, D) unit vectors after VBench's preprocessing"),
        FeatureSpec(
            name="vbench_flow",
            backbone="raft_large",
            about="(K-1,) largest 5% of the flow between frames sampled at 8 per second, px at a short side of 256",
            frames=2,
        ),
        FeatureSpec(name="vbench_aesthetic", backbone="aesthetic", about="(T,) aesthetic score of each frame, 1 to 10"),
        FeatureSpec(name="vbench_musiq", backbone="musiq", about="(T,) technical quality of each frame, 0 to 100"),
        FeatureSpec(
            name="vbench_amt",
            backbone="amt",
            about="(K,) how far each second frame is from the one invented between its neighbours, 0 to 255",
            frames=3,
        ),
        FeatureSpec(
            name="niqe_frames",
            backbone="niqe",
            about="(K,) distance of up to 8 evenly spaced frames, MATLAB's brightness",
        ),
        FeatureSpec(
            name="niqe_basicsr_frames",
            backbone="niqe",
            about="(K,) distance of up to 8 evenly spaced frames, BasicSR's brightness",
        ),
        FeatureSpec(name="i3d", backbone="i3d", about="(400,) logits, StyleGAN-V's preprocessing", frames=9),
        FeatureSpec(name="i3d_cd", backbone="i3d", about="(400,) logits, cd-fvd's preprocessing (squashed)", frames=9),
        FeatureSpec(name="vjepa", backbone="vjepa", about="(D,) mean token of the encoder, up to 64 frames"),
        FeatureSpec(
            name="videomae",
            backbone="videomae",
            about="(D,) mean token of the encoder, cd-fvd's preprocessing",
            frames=2,
        ),
        *(
            FeatureSpec(
                name=f"{network}{size}_frames",
                backbone=network,
                about="(T,) distance of each frame from its reference" + (f", short side {size[1:]}" if size else ""),
                of="pair",
            )
            for network in ("lpips", "dists")
            for size in ("", "_256", "_512", "_1024")
        ),
        FeatureSpec(
            name="motion_histogram", backbone="raft", about="(1024,) of 400 points through 16 frames: fvmd", frames=16
        ),
        FeatureSpec(
            name="flow_turns", backbone="raft", about="(T-2, 2): raft.TURN_COLUMNS of each inner frame", frames=3
        ),
    )
}
