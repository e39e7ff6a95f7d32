"""MUSIQ: VBench's imaging quality. The transformer itself: `networks/musiq.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_vdb.backbones.contract import BackboneSource, Feature, Subject, backbone, declared
from pytest_vdb.backbones.weights import load_into, own_or_published, weights_digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@backbone(
    "musiq",
    features=Feature("vbench_musiq", about="(T,) technical quality of each frame, 0 to 100"),
    about="MUSIQ trained on SPAQ: VBench's imaging quality",
    repository="https://github.com/chaofengc/IQA-PyTorch/releases/download/v0.1-weights/musiq_spaq_ckpt-358bb6af.pth",
    size_mib=104,
    licence="Apache-2.0 (Google's weights, converted)",
)
class Musiq:
    """`vbench_musiq`: the rating of each frame, 0 to 100.

    Weights, in this order: `tiny`; `path` to the converted checkpoint; else the published one.
    """

    def __init__(self, source: BackboneSource) -> None:
        from pytest_vdb.backbones.networks.batches import seeded
        from pytest_vdb.backbones.networks.musiq import MultiScaleTransformer

        self._device = source.device
        if source.tiny:
            self.model, self.identity = seeded(lambda: MultiScaleTransformer(width=12, hidden=24, layers=1)), "tiny"
        else:
            path = own_or_published(declared(self), source)
            self.model = load_into(MultiScaleTransformer(), path, network=declared(self), called="MUSIQ")
            self.identity = f"musiq@{weights_digest(path)}"
        self.model.eval().requires_grad_(False).to(self._device)

    def features(self, name: str, subject: Subject) -> NDArray[np.float32]:  # noqa: ARG002 - it has but one
        """`vbench_musiq`: `(T,)`."""
        from pytest_vdb.backbones.networks.batches import in_batches
        from pytest_vdb.backbones.networks.musiq import BATCH, prepare

        assert subject.clip is not None
        ratings = in_batches(self.model, subject.clip.frames, prepare, self._device, BATCH)
        answer: NDArray[np.float32] = ratings.cpu().numpy()
        return answer
