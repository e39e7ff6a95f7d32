"""LAION's aesthetic predictor: one linear layer over CLIP ViT-L-14, trained on people's ratings of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb.backbones.contract import BackboneSource, Feature, Subject, backbone, declared
from pytest_vdb.backbones.openclip import OpenClip
from pytest_vdb.backbones.weights import given_file, load_into, own_or_published, weights_digest
from pytest_vdb.files import is_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CLIP = "ViT-L-14:openai"


@backbone(
    "aesthetic",
    features=Feature("vbench_aesthetic", about="(T,) aesthetic score of each frame, 1 to 10"),
    about="LAION's linear aesthetic predictor over CLIP ViT-L-14 of OpenAI (1.6 GiB more)",
    repository="https://raw.githubusercontent.com/LAION-AI/aesthetic-predictor/6d122adad522ab246644d9dc1c6d7a3810ee255f/sa_0_4_vit_l_14_linear.pth",
    size_mib=0.004,
    licence="MIT",
    sha256="2cd4e60f4f24ae3bcd57b847b13c1f3ba27edc28cc1a7f9ce74ee9f421243cba",
)
class Aesthetic:
    """`vbench_aesthetic`: the predicted rating of each frame, 1 to 10.

    Weights, in this order: `tiny`; `path` as a folder with `sa_0_4_vit_l_14_linear.pth` and CLIP's own weights in a
    file whose name begins with `ViT-L-14`; `path` as the linear layer's file, with CLIP from the hub; else both from
    where they are published.
    """

    def __init__(self, source: BackboneSource) -> None:
        import torch

        from pytest_vdb.backbones.networks.batches import seeded

        if source.tiny:
            self._clip = OpenClip(source)
            self._layer = seeded(lambda: torch.nn.Linear(32, 1))
            self.identity = "tiny"
        else:
            layer, clip = _weights(source)
            self._layer = linear(layer)
            self._clip = OpenClip(BackboneSource(path=clip, device=source.device, offline=source.offline))
            self.identity = f"aesthetic@{weights_digest(layer)}+{self._clip.identity}"
        self._layer.eval().requires_grad_(False)

    def features(self, name: str, subject: Subject) -> NDArray[np.float32]:  # noqa: ARG002 - it has but one
        """`vbench_aesthetic`: `(T,)`."""
        import torch

        seen = torch.from_numpy(self._clip.features("vbench_clip", subject))
        ratings: NDArray[np.float32] = self._layer(seen)[:, 0].numpy()
        return ratings


def _weights(source: BackboneSource) -> tuple[Path, Path]:
    """The linear layer's file, and CLIP's."""
    path = own_or_published(declared(Aesthetic), source)
    if is_file(path):
        return path, Path(CLIP)
    layer = given_file(path / "sa_0_4_vit_l_14_linear.pth", backbone="aesthetic")
    return layer, next(iter(sorted(path.glob("ViT-L-14*"))), Path(CLIP))


def linear(path: Path) -> Any:
    """LAION's layer, read from its file: 768 features -> 1 rating.

    Raises:
        WeightsBroken: the file holds something else.
    """
    import torch

    return load_into(
        torch.nn.Linear(768, 1), path, network=declared(Aesthetic), called="LAION's layer over 768 features"
    )
