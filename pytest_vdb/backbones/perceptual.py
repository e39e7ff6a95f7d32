"""LPIPS and DISTS: how far apart what image networks see in two frames is. The networks: `networks/perceptual.py`.

The trunks are AlexNet's and VGG16's convolutions as torchvision publishes them; the heads are a few kB that the authors
trained, read from a local file or from the `lpips` or `torchmetrics` package where one is installed, and not part of
pytest-vdb. What the network sees in a reference clip is kept, so a second clip against the same reference costs half.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb.backbones.contract import BackboneSource, Subject
from pytest_vdb.backbones.pairs import need_same_length, need_same_size, to_short_side
from pytest_vdb.backbones.weights import given_file, own_or_published, read_state, url_file, weights_digest
from pytest_vdb.errors import CannotMeasure, VdbError, WeightsBroken, WeightsMissing
from pytest_vdb.files import is_folder, is_there

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from pytest_vdb.backbones.networks.perceptual import Dists, Levels, Lpips, Trunk

SMALLEST_PX = 32
"""Below this nothing is left at the deepest layer."""
KEPT_MIB = 1024
"""Most memory that a reference's features may take; longer references are looked at anew each time."""


class _Pairwise:
    """A distance as a backbone: frames of a clip against frames of its reference, at four sizes."""

    def __init__(self, distance: Lpips | Dists, identity: str, device: str) -> None:
        import torch

        distance.trunk.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
        self.distance = distance
        self.identity = identity
        self._device = device
        self._batch = 1 if device == "cpu" else 8
        self._kept: dict[str, list[Levels]] = {}

    def features(self, name: str, subject: Subject) -> NDArray[np.float32]:
        """`NAME_frames` at the clips' own size, `NAME_256_frames` and so on at a short side: `(T,)`.

        Raises:
            CannotMeasure: clips of different lengths or sizes, too small, or smaller than the short side.
        """
        assert subject.clip is not None
        assert subject.reference is not None
        need_same_length(subject.clip, subject.reference)
        side = name.removesuffix("_frames").rpartition("_")[2]
        pair = subject.clip.frames, subject.reference.frames
        if side.isdecimal():
            pair = to_short_side(pair[0], int(side)), to_short_side(pair[1], int(side))
        need_same_size(*pair)
        if min(pair[0].shape[1:3]) < SMALLEST_PX:
            raise CannotMeasure(f"frames are smaller than {SMALLEST_PX}x{SMALLEST_PX} pixels")
        return self.between(*pair, reference=f"{subject.reference.digest()}/{side}")

    def between(
        self, frames: NDArray[np.uint8], others: NDArray[np.uint8], *, reference: str | None = None
    ) -> NDArray[np.float32]:
        """The distance of each pair of frames `uint8 (T, H, W, 3)`, `(T,)`.

        Args:
            frames: what is measured.
            others: what it is compared with.
            reference: names `others`, so that what was seen in them is kept for the next clip.
        """
        import torch

        with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
            seen = self._kept.get(reference or "") or self._seen(others, reference)
            pairs = zip(self._batches(frames), seen, strict=True)
            apart = [self.distance.between(self.distance.look(batch), levels) for batch, levels in pairs]
        distances: NDArray[np.float32] = torch.cat(apart).float().cpu().numpy()
        return distances

    def _seen(self, frames: NDArray[np.uint8], reference: str | None) -> Iterator[Levels]:
        """What the network sees in the reference, batch by batch; kept at the end if it is named and not too large."""
        kept: list[Levels] = []
        for batch in self._batches(frames):
            seen = self.distance.look(batch)
            if reference is not None and (len(kept) + 1) * _bytes(seen) <= KEPT_MIB * 2**20:
                kept.append(seen)
            yield seen
        if reference is None or len(kept) * self._batch < len(frames):
            return
        self._kept[reference] = kept
        while sum(_bytes(seen) for held in self._kept.values() for seen in held) > KEPT_MIB * 2**20:
            del self._kept[next(iter(self._kept))]

    def _batches(self, frames: NDArray[np.uint8]) -> Iterator[torch.Tensor]:
        from pytest_vdb.backbones.networks import frames as framing

        starts = range(0, len(frames), self._batch)
        return (framing.to_device(frames[start : start + self._batch], self._device) for start in starts)


def _bytes(levels: Levels) -> int:
    return sum(level.nbytes for level in levels)


class LpipsAlex(_Pairwise):
    """LPIPS through AlexNet, the authors' choice for evaluation: `lpips_frames`, `lpips_256_frames`, ...

    Weights, in this order: `tiny`; `path` as a folder with `alexnet*.pth` and `alex.pth`; `path` as the heads' file;
    the heads of an installed `lpips` or `torchmetrics`; the published files.
    """

    def __init__(self, source: BackboneSource) -> None:
        from pytest_vdb.backbones.networks.batches import seeded
        from pytest_vdb.backbones.networks.perceptual import Lpips, alexnet, even_heads

        if source.tiny:
            trunk = seeded(lambda: alexnet(shrink=8))
            super().__init__(Lpips(trunk, even_heads(trunk)), "tiny", source.device)
            return
        files = _find(source, "lpips", "alexnet*", "alex.pth", _INSTALLED_LPIPS)
        trunk = _load_trunk(alexnet(), files.trunk)
        heads = _read(files.heads)
        try:
            weights = [heads[f"lin{level}.model.1.weight"].to(source.device) for level in range(5)]
        except KeyError as error:
            raise _no_heads(files.heads, error) from None
        if any(bool((weight < 0).any()) for weight in weights):
            raise WeightsBroken("a negative weight, which no head of LPIPS has", where=files.heads)
        super().__init__(Lpips(trunk, weights), files.identity("lpips-alex"), source.device)


class DistsVgg(_Pairwise):
    """DISTS: `dists_frames`, `dists_256_frames`, ... (256 is the size the authors use).

    Weights, in this order: `tiny`; `path` as a folder with `vgg16*.pth` and `weights.pt`; `path` as the heads' file;
    the heads of an installed `torchmetrics`; the published files.
    """

    def __init__(self, source: BackboneSource) -> None:
        import torch

        from pytest_vdb.backbones.networks.batches import seeded
        from pytest_vdb.backbones.networks.perceptual import Dists, L2Pool, even_heads, vgg16

        if source.tiny:
            trunk = seeded(lambda: vgg16(L2Pool, shrink=16))
            even = torch.cat([torch.ones(3), *(head.flatten() for head in even_heads(trunk))]).to(source.device)
            super().__init__(Dists(trunk, even, even), "tiny", source.device)
            return
        files = _find(source, "dists", "vgg16*", "weights.pt", _INSTALLED_DISTS)
        trunk = _load_trunk(vgg16(L2Pool), files.trunk)
        heads = _read(files.heads)
        try:
            weights = [heads[name].to(source.device) for name in ("alpha", "beta")]
        except KeyError as error:
            raise _no_heads(files.heads, error) from None
        super().__init__(Dists(trunk, *weights), files.identity("dists"), source.device)


# --- weights ----------------------------------------------------------------------------------------------------------

_INSTALLED_LPIPS = (
    ("lpips", "weights/v0.1/alex.pth"),
    ("torchmetrics", "functional/image/lpips_models/alex.pth"),
)
_INSTALLED_DISTS = (
    ("torchmetrics", "functional/image/dists_models/weights.pt"),
    ("DISTS_pytorch", "weights.pt"),
)

_TRUNKS = {
    "lpips": ("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth", 233.0),
    "dists": ("https://download.pytorch.org/models/vgg16-397923af.pth", 528.0),
}


@dataclass(frozen=True, slots=True)
class _Files:
    trunk: Path
    heads: Path

    def identity(self, name: str) -> str:
        return f"{name}@{weights_digest(self.trunk)}+{weights_digest(self.heads)}"


def _find(
    source: BackboneSource, backbone: str, trunk: str, heads: str, installed: Sequence[tuple[str, str]]
) -> _Files:
    """Both files, each from wherever it is.

    Raises:
        WeightsMissing: one of them is not here and cannot be had now, with how to get it.
    """
    given = given_file(source.path, backbone=backbone) if source.path else None
    if given is not None and is_folder(given):
        found = sorted(path for path in given.glob(trunk) if path.suffix in (".pth", ".pt", ".safetensors"))
        if not found or not is_there(given / heads):
            raise WeightsMissing(
                f"{given} does not hold both {trunk}.pth and {heads}",
                where=f"--vdb-backbone {backbone}",
                mend="put torchvision's trunk and the authors' heads there, under these names",
            )
        return _Files(found[0], given / heads)
    return _Files(_published_trunk(source, backbone), given or _published_heads(source, backbone, installed))


def _published_trunk(source: BackboneSource, backbone: str) -> Path:
    url, size_mib = _TRUNKS[backbone]
    return url_file(url, cache_dir=source.cache_dir, offline=source.offline, backbone=backbone, size_mib=size_mib)


def _published_heads(source: BackboneSource, backbone: str, installed: Sequence[tuple[str, str]]) -> Path:
    for package, inside in installed:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin and is_there(path := Path(spec.origin).parent / inside):
            return path
    return own_or_published(backbone, source)


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_state(path)
    except Exception as error:  # torch and safetensors raise whatever their parsers do on a broken file
        raise WeightsBroken(
            f"{type(error).__name__}: {str(error).partition(chr(10))[0]}",
            where=path,
            mend="download it again; only plain weights are read, no pickled objects",
        ) from error


def _load_trunk(trunk: Trunk, path: Path) -> Trunk:
    state = {name: value for name, value in _read(path).items() if name.startswith("features.")}
    try:
        trunk.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsBroken(
            f"not the trunk that is needed: {str(error).splitlines()[-1].strip()}",
            where=path,
            mend="torchvision's own file is needed",
        ) from None
    return trunk


def _no_heads(path: Path, error: KeyError) -> VdbError:
    return WeightsBroken(f"no {error.args[0]!r} in it", where=path, mend="the authors' own file is needed")
