"""MUSIQ: a transformer that rates a picture's technical quality from patches of the picture at three sizes.

Source: Ke et al., MUSIQ: Multi-scale image quality transformer, ICCV 2021 (arXiv 2108.05997). Parameters are named as
in the converted checkpoints that VBench uses. All frames of a clip have the same patches, so a batch needs no mask.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as functional
from torch import nn

PATCH = 32
SIDES = (224, 384)
"""Longer sides of the two smaller copies; the third is the picture itself."""
GRID = 10
"""Positions are rounded to a grid of 10x10, whatever the number of patches."""
LONGEST = 512
"""VBench shrinks longer pictures to this first."""
BATCH = 8


def prepare(frames: torch.Tensor) -> torch.Tensor:
    """`uint8 (T, 3, H, W)` -> `float32` in [-1, 1], at most 512 on the longer side, as VBench shrinks it."""
    height, width = frames.shape[-2:]
    values = frames.float()
    if max(height, width) > LONGEST:
        scale = LONGEST / max(height, width)
        size = max(1, int(scale * height)), max(1, int(scale * width))
        values = functional.interpolate(values, size=size, mode="bilinear", align_corners=False)
    return (values / 255 - 0.5) * 2


class MultiScaleTransformer(nn.Module):  # type: ignore[misc]
    """The network; `(T, 3, H, W)` in [-1, 1] -> `(T,)`.

    Args:
        width, hidden, layers: of the transformer; the defaults are the paper's.
    """

    def __init__(self, width: int = 384, hidden: int = 1152, layers: int = 14) -> None:
        super().__init__()
        self.conv_root = StandardisedConv(3, 64, 7, 2, bias=False)
        self.gn_root = nn.GroupNorm(32, 64, eps=1e-6)
        self.block1 = Bottleneck()
        self.embedding = nn.Linear(256 * (PATCH // 4) ** 2, width)
        self.transformer_encoder = Encoder(width, hidden, layers)
        self.head = nn.Linear(width, 1)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """One rating per frame."""
        copies = [self._tokens(copy, scale) for scale, copy in enumerate(_copies(frames))]
        rating: torch.Tensor = self.head(self.transformer_encoder(torch.cat(copies, dim=1)))[:, 0]
        return rating

    def _tokens(self, frames: torch.Tensor, scale: int) -> torch.Tensor:
        """One vector per patch, with its place and its scale, `(T, patches, width)`."""
        padded = _same_padding(frames, PATCH, PATCH)
        rows, columns = padded.shape[-2] // PATCH, padded.shape[-1] // PATCH
        patches = functional.unfold(padded, PATCH, stride=PATCH).transpose(1, 2).reshape(-1, 3, PATCH, PATCH)
        seen = self.gn_root(self.conv_root(patches)).relu()
        seen = self.block1(functional.max_pool2d(_same_padding(seen, 3, 2), 3, 2))
        flat = seen.permute(0, 2, 3, 1).reshape(len(frames), rows * columns, -1)
        return self.transformer_encoder.placed(self.embedding(flat), rows, columns, scale)


class StandardisedConv(nn.Conv2d):  # type: ignore[misc]
    """A convolution whose filters have mean 0 and deviation 1, padded so that a stride of 1 keeps the size."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Convolve."""
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = weight / (weight.std((1, 2, 3), keepdim=True) + 1e-5)
        padded = _same_padding(values, self.kernel_size[0], self.stride[0])
        return functional.conv2d(padded, weight, self.bias, self.stride)


class Bottleneck(nn.Module):  # type: ignore[misc]
    """The first residual block of a ResNet, with group norms: 64 channels in, 256 out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.gn1 = StandardisedConv(64, 64, 1, bias=False), nn.GroupNorm(32, 64, eps=1e-4)
        self.conv2, self.gn2 = StandardisedConv(64, 64, 3, bias=False), nn.GroupNorm(32, 64, eps=1e-4)
        self.conv3, self.gn3 = StandardisedConv(64, 256, 1, bias=False), nn.GroupNorm(32, 256, eps=1e-4)
        self.conv_proj, self.gn_proj = StandardisedConv(64, 256, 1, bias=False), nn.GroupNorm(32, 256, eps=1e-4)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Three convolutions beside one."""
        inner = self.gn1(self.conv1(values)).relu()
        inner = self.gn2(self.conv2(inner)).relu()
        outer: torch.Tensor = (self.gn3(self.conv3(inner)) + self.gn_proj(self.conv_proj(values))).relu()
        return outer


class Encoder(nn.Module):  # type: ignore[misc]
    """The transformer over the patches of all sizes; answers with its class token.

    Its embeddings begin random, as a ViT's do: a weights file replaces them, only a tiny network keeps them, seeded.
    """

    def __init__(self, width: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.posembed_input = nn.ParameterDict({"position_emb": 0.02 * torch.randn(1, GRID**2, width)})
        self.scaleembed_input = nn.ParameterDict({"scale_emb": 0.02 * torch.randn(len(SIDES) + 1, width)})
        self.cls = nn.Parameter(torch.zeros(1, 1, width))
        self.transformer = nn.ModuleDict({f"encoderblock_{i}": Layer(width, hidden) for i in range(layers)})
        self.encoder_norm = nn.LayerNorm(width, eps=1e-6)

    def placed(self, tokens: torch.Tensor, rows: int, columns: int, scale: int) -> torch.Tensor:
        """The tokens with the vectors of their place in the picture and of its size added."""
        at = (_hashed(rows, tokens.device)[:, None] * GRID + _hashed(columns, tokens.device)).flatten()
        place, size = self.posembed_input["position_emb"][0, at], self.scaleembed_input["scale_emb"][scale]
        placed: torch.Tensor = tokens + place + size
        return placed

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """`(T, tokens, width)` -> `(T, width)`."""
        tokens = torch.cat([self.cls.expand(len(tokens), -1, -1), tokens], dim=1)
        for layer in self.transformer.values():
            tokens = layer(tokens)
        answer: torch.Tensor = self.encoder_norm(tokens[:, 0])
        return answer


class Layer(nn.Module):  # type: ignore[misc]
    """One transformer layer, norms first; six heads."""

    HEADS = 6

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attention = nn.ModuleDict({name: nn.Linear(width, width) for name in ("query", "key", "value", "out")})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, hidden), "fc2": nn.Linear(hidden, width)})

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Attend, then think."""
        normed = self.norm1(tokens)
        parts = (self.attention[name](normed).unflatten(-1, (self.HEADS, -1)) for name in ("query", "key", "value"))
        attended = functional.scaled_dot_product_attention(*(part.transpose(1, 2) for part in parts))
        tokens = tokens + self.attention["out"](attended.transpose(1, 2).flatten(2))
        thought: torch.Tensor = tokens + self.mlp["fc2"](functional.gelu(self.mlp["fc1"](self.norm2(tokens))))
        return thought


def _copies(frames: torch.Tensor) -> Iterator[torch.Tensor]:
    """The frames at a longer side of 224, of 384, and as they are."""
    height, width = frames.shape[-2:]
    for side in SIDES:
        ratio = side / max(height, width)
        size = max(1, round(height * ratio)), max(1, round(width * ratio))
        yield functional.interpolate(frames, size=size, mode="bicubic", align_corners=False)
    yield frames


def _hashed(count: int, device: torch.device) -> torch.Tensor:
    """Which of the 10 rows (or columns) of the grid each row (or column) of patches falls into."""
    return torch.arange(count, device=device) * GRID // count


def _same_padding(values: torch.Tensor, kernel: int, stride: int) -> torch.Tensor:
    """Zeros around, so that `ceil(side / stride)` answers fit; the odd one goes to the right and below."""
    around: list[int] = []
    for side in (values.shape[-1], values.shape[-2]):
        spare = (-(-side // stride) - 1) * stride + kernel - side
        around += [spare // 2, spare - spare // 2]
    return functional.pad(values, around)
