"""LPIPS and DISTS: distances between what image networks see in two frames, and the networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional

from pytest_vdb.backbones.networks.frames import IMAGENET_MEAN, IMAGENET_STD

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
        seen = self.trunk(_normalised_frames(frames, LPIPS_MEAN, LPIPS_STD))
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
        levels = self.trunk(_normalised_frames(frames, IMAGENET_MEAN, IMAGENET_STD))
        seen = []
        for level in (_normalised_frames(frames, (0, 0, 0), (1, 1, 1)), *levels):
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


def _mean_product(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Mean over the pixels of each channel's product, `(N, C)`."""
    return (first * second).mean(dim=(2, 3))


def _normalised_frames(frames: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """`(frames / 255 - mean) / std` as `float32 (N, 3, H, W)`, channels last."""
    scale = torch.tensor(std, device=frames.device).view(1, -1, 1, 1) * 255
    shift = torch.tensor(mean, device=frames.device).view(1, -1, 1, 1) * 255
    values = frames.to(torch.float32).contiguous(memory_format=torch.channels_last)
    return values.sub_(shift).div_(scale)


def even_heads(trunk: Trunk) -> list[torch.Tensor]:
    """Equal weights for every channel, where there are no learnt ones."""
    widths = [layer.out_channels for layer in trunk.features.values() if isinstance(layer, nn.Conv2d)]
    tapped = [number for number, layer in trunk.features.items() if isinstance(layer, nn.Conv2d)]
    return [
        torch.full((width,), 1 / width)
        for width, number in zip(widths, tapped, strict=True)
        if str(int(number) + 1) in trunk.taps
    ]
