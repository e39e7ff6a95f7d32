"""Inception-I3D, the network that FVD looks through, and the two ways of feeding it that published numbers use.

The network is Carreira and Zisserman's (arXiv 1705.07750), trained on Kinetics-400 RGB; its 400 logits are the feature.
It is built without batch normalisation: the loader folds that into the convolutions (in float64), which together with
the channels-last layout makes it about 1.25 times as fast as the usual port, at 1e-5 relative.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from pytest_vdb.backbones import torchscript
from pytest_vdb.backbones.weights import read_state
from pytest_vdb.errors import VdbError, WeightsBroken

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 224
KNOWN_FILES = {
    "bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2": "kinetics-400, the TorchScript of StyleGAN-V",
}
"""SHA-256 of published weight files. The PyTorch state dict has been published without one."""

BATCH_NORM_EPSILON = 1e-5
"""Of the ports that FVD codes use (VideoGPT's, hence cd-fvd's); a TorchScript archive tells its own."""


class Branches(NamedTuple):
    """Output channels of an inception block: 1x1; 1x1 then 3x3x3; 1x1 then 3x3x3; pooling then 1x1."""

    b0: int
    b1a: int
    b1b: int
    b2a: int
    b2b: int
    b3b: int


BLOCKS = {
    "Mixed_3b": Branches(64, 96, 128, 16, 32, 32),
    "Mixed_3c": Branches(128, 128, 192, 32, 96, 64),
    "Mixed_4b": Branches(192, 96, 208, 16, 48, 64),
    "Mixed_4c": Branches(160, 112, 224, 24, 64, 64),
    "Mixed_4d": Branches(128, 128, 256, 24, 64, 64),
    "Mixed_4e": Branches(112, 144, 288, 32, 64, 64),
    "Mixed_4f": Branches(256, 160, 320, 32, 128, 128),
    "Mixed_5b": Branches(256, 160, 320, 32, 128, 128),
    "Mixed_5c": Branches(384, 192, 384, 48, 128, 128),
}


class Unit(nn.Conv3d):  # type: ignore[misc]  # torch is untyped here
    """A convolution that pads as TensorFlow's SAME does, then the rectifier."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, T, H, W)`; T, H and W are divided by the stride, rounded up."""
        x, padding = _padded(x, self.kernel_size, self.stride)
        return functional.relu_(functional.conv3d(x, self.weight, self.bias, self.stride, padding))


class Mixed(nn.Module):  # type: ignore[misc]
    """An inception block: four branches beside each other."""

    def __init__(self, inputs: int, channels: Branches) -> None:
        super().__init__()
        self.b0 = Unit(inputs, channels.b0)
        self.b1a = Unit(inputs, channels.b1a)
        self.b1b = Unit(channels.b1a, channels.b1b, 3)
        self.b2a = Unit(inputs, channels.b2a)
        self.b2b = Unit(channels.b2a, channels.b2b, 3)
        self.b3b = Unit(inputs, channels.b3b)
        self.outputs = channels.b0 + channels.b1b + channels.b2b + channels.b3b

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, T, H, W)`, the same T, H and W."""
        pooled = _max_pool(x, (3, 3, 3), (1, 1, 1))
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(pooled)], dim=1)


class InceptionI3d(nn.Module):  # type: ignore[misc]
    """`(N, 3, T, 224, 224)` in [-1, 1], T >= 9 -> `(N, 400)` logits, averaged over time.

    Args:
        shrink: divides every width but the logits', for wiring tests.
    """

    def __init__(self, *, shrink: int = 1) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit(3, 64 // shrink, 7, 2)
        self.Conv3d_2b_1x1 = Unit(64 // shrink, 64 // shrink)
        self.Conv3d_2c_3x3 = Unit(64 // shrink, 192 // shrink, 3)
        width = 192 // shrink
        for name, channels in BLOCKS.items():
            block = Mixed(width, Branches(*(max(1, c // shrink) for c in channels)))
            self.add_module(name, block)
            width = block.outputs
        self.logits = nn.Conv3d(width, 400, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        x = _max_pool(self.Conv3d_1a_7x7(x), (1, 3, 3), (1, 2, 2))
        x = _max_pool(self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x)), (1, 3, 3), (1, 2, 2))
        for name in BLOCKS:
            if name == "Mixed_4b":
                x = _max_pool(x, (3, 3, 3), (2, 2, 2))
            elif name == "Mixed_5b":
                x = _max_pool(x, (2, 2, 2), (2, 2, 2))
            x = self.get_submodule(name)(x)
        return self.logits(functional.avg_pool3d(x, (2, 7, 7), 1)).mean(dim=(2, 3, 4))


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """What SAME puts before and after an axis."""
    total = max(kernel - (size % stride or stride), 0)
    return total // 2, total - total // 2


def _padded(x: torch.Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> tuple[torch.Tensor, tuple[int, ...]]:
    """Pad where the two ends differ; where they agree the operator itself pads, without a copy."""
    ends = [same_padding(*axis) for axis in zip(x.shape[2:], kernel, stride, strict=True)]
    if all(before == after for before, after in ends):
        return x, tuple(before for before, _ in ends)
    return functional.pad(x, [end for pair in reversed(ends) for end in pair]), (0, 0, 0)


def _max_pool(x: torch.Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> torch.Tensor:
    """SAME max pooling. Its zeros and the operator's minus infinities agree, because a rectifier went before."""
    x, padding = _padded(x, kernel, stride)
    return functional.max_pool3d(x, kernel, stride, padding)


# --- what published numbers feed it -----------------------------------------------------------------------------------


def as_styleganv(frames: NDArray[np.uint8], device: str = "cpu") -> torch.Tensor:
    """`uint8 (T, H, W, 3)` -> `float32 (1, 3, T, 224, 224)` in [-1, 1] as StyleGAN-V does it.

    The short side becomes 224 (bilinear, no antialiasing; the long side is rounded up), then the centre square.
    """
    height, width = frames.shape[1:3]
    scale = SIDE / min(height, width)
    size = (SIDE, math.ceil(width * scale)) if height < width else (math.ceil(height * scale), SIDE)
    resized = _bilinear(frames, size, device)
    top, left = (size[0] - SIDE) // 2, (size[1] - SIDE) // 2
    return resized[..., top : top + SIDE, left : left + SIDE].mul_(2).sub_(1)[None]


def as_cd_fvd(frames: NDArray[np.uint8], device: str = "cpu") -> torch.Tensor:
    """`uint8 (T, H, W, 3)` -> `float32 (1, 3, T, 224, 224)` in [-1, 1] as cd-fvd does it: squashed to a square."""
    return _bilinear(frames, (SIDE, SIDE), device).mul_(2).sub_(1)[None]


def _bilinear(frames: NDArray[np.uint8], size: tuple[int, int], device: str) -> torch.Tensor:
    """`(3, T, height, width)` in [0, 1]."""
    pixels = torch.from_numpy(np.ascontiguousarray(frames.transpose(3, 0, 1, 2))).to(device)
    values = pixels.to(torch.float32).div_(255)
    return functional.interpolate(values, size=size, mode="bilinear", align_corners=False)


# --- weights ----------------------------------------------------------------------------------------------------------


def load(path: Path) -> tuple[InceptionI3d, str]:
    """The network with the weights of a file, and which weights they are.

    Args:
        path: the common PyTorch state dict (`Conv3d_1a_7x7.conv3d.weight`, ...), also as safetensors, or a TorchScript
            archive of the same network, of which only the weights are read (see `torchscript`).

    Returns:
        The network, in eval mode, and the file's identity: `kinetics-400:...` for known files, else its SHA-256.

    Raises:
        WeightsBroken: unreadable, pickled objects, or another architecture.
    """
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        state = _read_i3d(path)
    except VdbError:
        raise
    except Exception as error:  # torch and safetensors raise whatever their parsers do on a broken file
        raise WeightsBroken(
            f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'unreadable'}",
            where=path,
            mend="download it again; only plain weights are read, no pickled objects",
        ) from error
    network = InceptionI3d()
    network.load_state_dict(folded(state, where=path))
    network.eval().requires_grad_(False)
    known = "kinetics-400" if sha256 in KNOWN_FILES else "unverified"
    return network, f"i3d-{known}:{sha256[:12]}"


def _read_i3d(path: Path) -> dict[str, torch.Tensor]:
    return torchscript.read_state(path) if torchscript.is_archive(path) else read_state(path)


def folded(state: Mapping[str, torch.Tensor], *, where: Path | str = "weights") -> dict[str, torch.Tensor]:
    """The state dict of `InceptionI3d`, from that of any port that lists its layers in the order they run.

    Convolutions are recognised by their five axes, and matched by name where the names are the common ones, else by
    order and shape; batch normalisation (scale optional, as in TensorFlow) is folded into them.

    Raises:
        WeightsBroken: another number of layers, other shapes, or numbers that are not finite.
    """
    shapes = {name: tuple(m.weight.shape) for name, m in InceptionI3d().named_modules() if isinstance(m, nn.Conv3d)}
    result: dict[str, torch.Tensor] = {}
    for ours, theirs in _matched(shapes, state, where).items():
        weight, bias = _fold(state, theirs)
        if not (torch.isfinite(weight).all() and torch.isfinite(bias).all()):
            raise WeightsBroken(f"layer {theirs!r} holds numbers that are not finite", where=where)
        result |= {f"{ours}.weight": weight, f"{ours}.bias": bias}
    return result


def _matched(
    shapes: Mapping[str, tuple[int, ...]], state: Mapping[str, torch.Tensor], where: Path | str
) -> dict[str, str]:
    """Our layers' names -> theirs."""
    found = {name.removesuffix(".weight"): tuple(value.shape) for name, value in state.items() if value.ndim == 5}
    by_name = {ours: next((n for n in (f"{ours}.conv3d", ours) if n in found), None) for ours in shapes}
    if all(theirs is not None for theirs in by_name.values()):
        names = {ours: theirs for ours, theirs in by_name.items() if theirs is not None}
    else:
        in_order = sorted(found, key=lambda name: found[name][0] == shapes["logits"][0])  # the logits run last
        names = dict(zip(shapes, in_order, strict=False))
    wrong = [ours for ours, shape in shapes.items() if ours not in names or found[names[ours]] != shape]
    if wrong or len(found) != len(shapes):
        raise WeightsBroken(
            f"{len(found)} 3D convolutions, {len(shapes)} expected; the first that does not fit is "
            f"{wrong[0] if wrong else list(found)[-1]!r}",
            where=where,
            mend="an Inception-I3D of Kinetics-400 is needed (RGB, 400 classes)",
        )
    return names


def _fold(state: Mapping[str, torch.Tensor], layer: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of a convolution with the batch normalisation beside it, if there is one."""
    weight = state[f"{layer}.weight"].double()
    bias = state.get(f"{layer}.bias", torch.zeros(len(weight))).double()
    unit = layer.rpartition(".")[0]
    norm = {
        name.rpartition(".")[2]: value.double()
        for name, value in state.items()
        if name.startswith(f"{unit}.") and not name.startswith(f"{layer}.") and value.ndim <= 1
    }
    if not unit or "running_var" not in norm:
        return weight.float(), bias.float()
    spread = torch.sqrt(norm["running_var"] + norm.get("eps", torch.tensor(BATCH_NORM_EPSILON)))
    scale = norm.get("weight", torch.ones(len(weight))) / spread
    shift = norm.get("bias", torch.zeros(len(weight)))
    return (weight * scale.view(-1, 1, 1, 1, 1)).float(), (shift + (bias - norm["running_mean"]) * scale).float()


def tiny() -> InceptionI3d:
    """A sixteenth of the width; weights large enough that clips still differ after twenty layers."""
    network = InceptionI3d(shrink=16)
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight)
    network.eval().requires_grad_(False)
    return network
