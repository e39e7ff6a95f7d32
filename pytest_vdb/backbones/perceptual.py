"""LPIPS and DISTS: how far apart what image networks see in two frames is. The networks: `networks/perceptual.py`.

The trunks are AlexNet's and VGG16's convolutions as torchvision publishes them; the heads are a few kB that the authors
trained, read from a local file or from the `lpips` or `torchmetrics` package where one is installed, and not part of
pytest-vdb. What the network sees in a reference clip is kept, so a second clip against the same reference costs half.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb.backbones.contract import BackboneSource, BackboneSpec, Feature, Subject, backbone, declared
from pytest_vdb.backbones.pairs import SHORT_SIDES, need_same_length, need_same_size, to_short_side
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


def _distances(name: str) -> tuple[Feature, ...]:
    """What either gives: the distance of each frame at the clips' own size and at each short side."""
    about = "(T,) distance of each frame from its reference"
    at_sides = (
        Feature(f"{name}_{side}_frames", about=f"{about}, short side {side}", of="pair") for side in SHORT_SIDES
    )
    return (Feature(f"{name}_frames", about=about, of="pair"), *at_sides)


class Pairwise:
    """A distance as a backbone: frames of a clip against frames of its reference, at four sizes.

    Args:
        distance: the networks, and how what they see is compared.
        identity: which weights these are.
        device: where they run.
        batch: frames at once; default: 1 on a CPU, where more only leave its cache.
        kept_mib: most memory that the references' features may take; longer ones are looked at anew each time.
    """

    def __init__(
        self,
        distance: Lpips | Dists,
        identity: str,
        device: str,
        *,
        batch: int | None = None,
        kept_mib: int = KEPT_MIB,
    ) -> None:
        import torch

        distance.trunk.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
        self.distance = distance
        self.identity = identity
        self._device = device
        self._batch = batch or (1 if device == "cpu" else 8)
        self._most_bytes = kept_mib * 2**20
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
            if reference is not None and (len(kept) + 1) * _bytes(seen) <= self._most_bytes:
                kept.append(seen)
            yield seen
        if reference is None or len(kept) * self._batch < len(frames):
            return
        self._kept[reference] = kept
        while sum(_bytes(seen) for held in self._kept.values() for seen in held) > self._most_bytes:
            del self._kept[next(iter(self._kept))]

    def _batches(self, frames: NDArray[np.uint8]) -> Iterator[torch.Tensor]:
        from pytest_vdb.backbones.networks import frames as framing

        starts = range(0, len(frames), self._batch)
        return (framing.to_device(frames[start : start + self._batch], self._device) for start in starts)


def _bytes(levels: Levels) -> int:
    return sum(level.nbytes for level in levels)


@backbone(
    "lpips",
    features=_distances("lpips"),
    about="LPIPS 0.1: the heads, over torchvision's AlexNet (233 MiB more)",
    repository="https://raw.githubusercontent.com/Lightning-AI/torchmetrics/v1.9.0/src/torchmetrics/functional/image/lpips_models/alex.pth",
    size_mib=0.006,
    licence="BSD-2-Clause (heads), BSD-3-Clause (trunk)",
    sha256="df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
)
class LpipsAlex(Pairwise):
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
        files = _OF_LPIPS.find(declared(self), source)
        trunk = _load_trunk(alexnet(), files.trunk)
        heads = _read_weights(files.heads)
        try:
            weights = [heads[f"lin{level}.model.1.weight"].to(source.device) for level in range(5)]
        except KeyError as error:
            raise _no_heads(files.heads, error) from None
        if any(bool((weight < 0).any()) for weight in weights):
            raise WeightsBroken("a negative weight, which no head of LPIPS has", where=files.heads)
        super().__init__(Lpips(trunk, weights), files.identity("lpips-alex"), source.device)


@backbone(
    "dists",
    features=_distances("dists"),
    about="DISTS: the heads, over torchvision's VGG16 (528 MiB more)",
    repository="https://raw.githubusercontent.com/Lightning-AI/torchmetrics/v1.9.0/src/torchmetrics/functional/image/dists_models/weights.pt",
    size_mib=0.012,
    licence="MIT (heads), BSD-3-Clause (trunk)",
    sha256="f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218",
)
class DistsVgg(Pairwise):
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
        files = _OF_DISTS.find(declared(self), source)
        trunk = _load_trunk(vgg16(L2Pool), files.trunk)
        heads = _read_weights(files.heads)
        try:
            weights = [heads[name].to(source.device) for name in ("alpha", "beta")]
        except KeyError as error:
            raise _no_heads(files.heads, error) from None
        super().__init__(Dists(trunk, *weights), files.identity("dists"), source.device)


# --- weights ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _WeightFiles:
    trunk: Path
    heads: Path

    def identity(self, name: str) -> str:
        return f"{name}@{weights_digest(self.trunk)}+{weights_digest(self.heads)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Places:
    """Where a network's two files may be."""

    trunk: str
    """Its name in a folder of the user's, without the ending."""
    trunk_url: str
    trunk_mib: float
    heads: str
    """Their name in a folder of the user's."""
    installed: tuple[tuple[str, str], ...]
    """Packages that bring the heads, and where inside."""

    def find(self, network: BackboneSpec, source: BackboneSource) -> _WeightFiles:
        """Both files, each from wherever it is.

        Raises:
            WeightsMissing: one of them is not here and cannot be had now, with how to get it.
        """
        given = given_file(source.path, backbone=network.name) if source.path else None
        if given is None or not is_folder(given):
            return _WeightFiles(self._published_trunk(network, source), given or self._published_heads(network, source))
        found = sorted(path for path in given.glob(self.trunk) if path.suffix in (".pth", ".pt", ".safetensors"))
        if not found or not is_there(given / self.heads):
            raise WeightsMissing(
                f"{given} does not hold both {self.trunk}.pth and {self.heads}",
                where=f"--vdb-backbone {network.name}",
                mend="put torchvision's trunk and the authors' heads there, under these names",
            )
        return _WeightFiles(found[0], given / self.heads)

    def _published_trunk(self, network: BackboneSpec, source: BackboneSource) -> Path:
        return url_file(
            self.trunk_url,
            cache_dir=source.cache_dir,
            offline=source.offline,
            backbone=network.name,
            size_mib=self.trunk_mib,
        )

    def _published_heads(self, network: BackboneSpec, source: BackboneSource) -> Path:
        for package, inside in self.installed:
            spec = importlib.util.find_spec(package)
            if spec is not None and spec.origin and is_there(path := Path(spec.origin).parent / inside):
                return path
        return own_or_published(network, source)


_OF_LPIPS = _Places(
    trunk="alexnet*",
    trunk_url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    trunk_mib=233.0,
    heads="alex.pth",
    installed=(
        ("lpips", "weights/v0.1/alex.pth"),
        ("torchmetrics", "functional/image/lpips_models/alex.pth"),
    ),
)
_OF_DISTS = _Places(
    trunk="vgg16*",
    trunk_url="https://download.pytorch.org/models/vgg16-397923af.pth",
    trunk_mib=528.0,
    heads="weights.pt",
    installed=(
        ("torchmetrics", "functional/image/dists_models/weights.pt"),
        ("DISTS_pytorch", "weights.pt"),
    ),
)


def _read_weights(path: Path) -> dict[str, Any]:
    try:
        return read_state(path)
    except Exception as error:  # torch and safetensors raise whatever their parsers do on a broken file
        raise WeightsBroken(
            f"{type(error).__name__}: {str(error).partition(chr(10))[0]}",
            where=path,
            mend="download it again; only plain weights are read, no pickled objects",
        ) from error


def _load_trunk(trunk: Trunk, path: Path) -> Trunk:
    state = {name: value for name, value in _read_weights(path).items() if name.startswith("features.")}
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
