"""LPIPS and DISTS: distances between what image networks see in two frames. Needs torch.

The trunks are AlexNet's and VGG16's convolutions as torchvision publishes them; the heads are a few kB that the authors
trained, read from a local file or from the `lpips` or `torchmetrics` package where one is installed, and not part of
pytest-vdb. What the network sees in a reference clip is kept, so a second clip against the same reference costs half.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from pytest_vdb.errors import CannotMeasure, VdbError, WeightsBroken, WeightsMissing
from pytest_vdb.files import is_folder, is_there
from pytest_vdb.metrics import frames as framing
from pytest_vdb.metrics.backbones import seeded
from pytest_vdb.metrics.features import BackboneSource, Subject
from pytest_vdb.metrics.frames import IMAGENET_MEAN, IMAGENET_STD
from pytest_vdb.metrics.resize import need_same_length, need_same_size, to_short_side
from pytest_vdb.metrics.weights import given_file, own_or_published, read_state, url_file, weights_digest

SMALLEST_PX = 32
"""Below this nothing is left at the deepest layer."""
KEPT_MIB = 1024
"""Most memory that a reference's features may take; longer references are looked at anew each time."""

LPIPS_MEAN = tuple((1 + shift) / 2 for shift in (-0.030, -0.088, -0.188))
"""Of levels in [0, 1]; the authors state it for levels in [-1, 1]."""
LPIPS_STD = tuple(scale / 2 for scale in (0.458, 0.448, 0.450))

Levels = list[torch.Tensor]


# --- trunks -----------------------------------------------------------------------------------------------------------


class Trunk(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """Convolutions numbered as torchvision numbers them, giving their output at some layers.

    Args:
        layers: by torchvision's number.
        taps: the numbers whose outputs are wanted, the last one being the last layer.
    """

    def __init__(self, layers: Mapping[int, nn.Module], taps: Sequence[int]) -> None:
        super().__init__()
        self.features = nn.ModuleDict({str(number): layer for number, layer in layers.items()})
        self.taps = frozenset(str(tap) for tap in taps)

    def forward(self, x: torch.Tensor) -> Levels:
        """`(N, 3, H, W)` -> the tapped outputs, finest first."""
        seen = []
        for number, layer in self.features.items():
            x = layer(x)
            if number in self.taps:
                seen.append(x)
        return seen


class L2Pool(nn.Module):  # type: ignore[misc]
    """DISTS' pooling: the root of a Hanning-weighted mean of squares, every second pixel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, H, W)` -> half the height and width, rounded up."""
        channels = x.shape[1]
        taps = torch.tensor([0.25, 0.5, 0.25], device=x.device, dtype=x.dtype)
        window = (taps[:, None] * taps).repeat(channels, 1, 1, 1)
        return functional.conv2d(x * x, window, stride=2, padding=1, groups=channels).add_(1e-12).sqrt_()


def alexnet(*, shrink: int = 1) -> Trunk:
    """AlexNet's five convolutions, each tapped after its rectifier."""
    wide = [channels // shrink for channels in (64, 192, 384, 256, 256)]
    return Trunk(
        {
            0: nn.Conv2d(3, wide[0], 11, 4, 2),
            1: nn.ReLU(inplace=True),
            2: nn.MaxPool2d(3, 2),
            3: nn.Conv2d(wide[0], wide[1], 5, padding=2),
            4: nn.ReLU(inplace=True),
            5: nn.MaxPool2d(3, 2),
            6: nn.Conv2d(wide[1], wide[2], 3, padding=1),
            7: nn.ReLU(inplace=True),
            8: nn.Conv2d(wide[2], wide[3], 3, padding=1),
            9: nn.ReLU(inplace=True),
            10: nn.Conv2d(wide[3], wide[4], 3, padding=1),
            11: nn.ReLU(inplace=True),
        },
        taps=(1, 4, 7, 9, 11),
    )


def vgg16(pool: Callable[[], nn.Module] = lambda: nn.MaxPool2d(2), *, shrink: int = 1) -> Trunk:
    """VGG16's thirteen convolutions, tapped before each pooling and at the end.

    Args:
        pool: makes the pooling layers; DISTS has its own.
        shrink: divides every width, for wiring tests.
    """
    layers: dict[int, nn.Module] = {}
    taps, number, inputs = [], 0, 3
    for block, (width, depth) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))):
        if block:
            layers[number] = pool()
            number += 1
        for _ in range(depth):
            layers |= {number: nn.Conv2d(inputs, width // shrink, 3, padding=1), number + 1: nn.ReLU(inplace=True)}
            inputs, number = width // shrink, number + 2
        taps.append(number - 1)
    return Trunk(layers, taps)


# --- distances --------------------------------------------------------------------------------------------------------


class Lpips:
    """How far apart two frames' features are, each pixel's features scaled to length 1, weighted by learnt heads.

    Args:
        trunk: `alexnet()` or `vgg16()`.
        heads: for each tapped layer, the weight of each channel.

    Source: Zhang et al., The unreasonable effectiveness of deep features (arXiv 1801.03924), version 0.1.
    """

    def __init__(self, trunk: Trunk, heads: Sequence[torch.Tensor]) -> None:
        self.trunk = trunk
        # The root of a weight goes into the features, so that a distance is one squared difference.
        self.roots = [head.reshape(1, -1, 1, 1).sqrt() for head in heads]

    def look(self, frames: torch.Tensor) -> Levels:
        """`uint8 (N, 3, H, W)` -> what is compared, level by level."""
        seen = self.trunk(_normalised(frames, LPIPS_MEAN, LPIPS_STD))
        return [self._unit(level).mul_(root) for level, root in zip(seen, self.roots, strict=True)]

    def between(self, first: Levels, second: Levels) -> torch.Tensor:
        """`(N,)`, >= 0; `first` is used up."""
        apart = [a.sub_(b).square_().sum(dim=1).mean(dim=(1, 2)) for a, b in zip(first, second, strict=True)]
        return torch.stack(apart).sum(dim=0)

    @staticmethod
    def _unit(level: torch.Tensor) -> torch.Tensor:
        return level / torch.linalg.vector_norm(level, dim=1, keepdim=True).add_(1e-10)


class Dists:
    """How different two frames' feature maps are in mean (texture) and covariance (structure).

    Args:
        trunk: `vgg16(L2Pool)`.
        texture, structure: the learnt weight of each channel of the frame itself and of each tapped layer.

    Source: Ding et al., Image quality assessment: unifying structure and texture similarity (arXiv 2004.07728).
    """

    STABILISER = 1e-6

    def __init__(self, trunk: Trunk, texture: torch.Tensor, structure: torch.Tensor) -> None:
        self.trunk = trunk
        total = texture.sum() + structure.sum()
        self.texture, self.structure = texture.reshape(-1) / total, structure.reshape(-1) / total

    def look(self, frames: torch.Tensor) -> Levels:
        """`uint8 (N, 3, H, W)` -> by level the centred maps, their means and variances."""
        levels = self.trunk(_normalised(frames, IMAGENET_MEAN, IMAGENET_STD))
        seen = []
        for level in (_normalised(frames, (0, 0, 0), (1, 1, 1)), *levels):
            mean = level.mean(dim=(2, 3), keepdim=True)
            level = level.sub_(mean)
            seen += [level, mean, _mean_product(level, level)]
        return seen

    def between(self, first: Levels, second: Levels) -> torch.Tensor:
        """`(N,)`, 0 for identical frames, about 1 at most."""
        texture, structure = [], []
        for k in range(0, len(first), 3):
            (a, mean_a, var_a), (b, mean_b, var_b) = first[k : k + 3], second[k : k + 3]
            means = mean_a.flatten(1), mean_b.flatten(1)
            texture.append(self._alike(means[0] * means[1], means[0] ** 2 + means[1] ** 2))
            structure.append(self._alike(_mean_product(a, b), var_a + var_b))
        alike = torch.cat(texture, dim=1) @ self.texture + torch.cat(structure, dim=1) @ self.structure
        return 1 - alike

    def _alike(self, product: torch.Tensor, squares: torch.Tensor) -> torch.Tensor:
        return (2 * product + self.STABILISER) / (squares + self.STABILISER)


def _bytes(levels: Levels) -> int:
    return sum(level.nbytes for level in levels)


def _mean_product(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Mean over the pixels of each channel's product, `(N, C)`."""
    return (first * second).mean(dim=(2, 3))


def _normalised(frames: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """`(frames / 255 - mean) / std` as `float32 (N, 3, H, W)`, channels last."""
    scale = torch.tensor(std, device=frames.device).view(1, -1, 1, 1) * 255
    shift = torch.tensor(mean, device=frames.device).view(1, -1, 1, 1) * 255
    values = frames.to(torch.float32).contiguous(memory_format=torch.channels_last)
    return values.sub_(shift).div_(scale)


# --- backbones --------------------------------------------------------------------------------------------------------


class _Pairwise:
    """A distance as a backbone: frames of a clip against frames of its reference, at four sizes."""

    def __init__(self, distance: Lpips | Dists, identity: str, device: str) -> None:
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
        starts = range(0, len(frames), self._batch)
        return (framing.to_device(frames[start : start + self._batch], self._device) for start in starts)


class LpipsAlex(_Pairwise):
    """LPIPS through AlexNet, the authors' choice for evaluation: `lpips_frames`, `lpips_256_frames`, ...

    Weights, in this order: `tiny`; `path` as a folder with `alexnet*.pth` and `alex.pth`; `path` as the heads' file;
    the heads of an installed `lpips` or `torchmetrics`; the published files.
    """

    def __init__(self, source: BackboneSource) -> None:
        if source.tiny:
            trunk = seeded(lambda: alexnet(shrink=8))
            super().__init__(Lpips(trunk, _even_heads(trunk)), "tiny", source.device)
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
        if source.tiny:
            trunk = seeded(lambda: vgg16(L2Pool, shrink=16))
            even = torch.cat([torch.ones(3), *(head.flatten() for head in _even_heads(trunk))]).to(source.device)
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


def _even_heads(trunk: Trunk) -> list[torch.Tensor]:
    """Equal weights for every channel, where there are no learnt ones."""
    widths = [layer.out_channels for layer in trunk.features.values() if isinstance(layer, nn.Conv2d)]
    tapped = [number for number, layer in trunk.features.items() if isinstance(layer, nn.Conv2d)]
    return [
        torch.full((width,), 1 / width)
        for width, number in zip(widths, tapped, strict=True)
        if str(int(number) + 1) in trunk.taps
    ]
