"""Frames as networks want them: resized, cropped and normalised in one batch. Needs torch; imported with a backbone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray

Interpolation = Literal["bicubic", "bilinear"]

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of levels in [0, 1], by colour: what torchvision, DINO and V-JEPA normalise by."""


def to_device(frames: NDArray[np.uint8], device: str) -> torch.Tensor:
    """`uint8 (T, H, W, 3)` -> `uint8 (T, 3, H, W)` on the device, channels last: no copy is made on a CPU."""
    shared = np.require(frames, requirements=["C", "W"])  # torch shares memory that is in order and writable
    return torch.from_numpy(shared).permute(0, 3, 1, 2).to(device, non_blocking=True)


def resize(frames: torch.Tensor, size: tuple[int, int], interpolation: Interpolation = "bicubic") -> torch.Tensor:
    """Resize `uint8 (T, 3, H, W)` to `size` (height, width) with antialiasing, rounded to `uint8` as Pillow rounds.

    Within 2 levels of Pillow's own result on a CPU (its fixed-point weights are finer), 1 level elsewhere.
    """
    if tuple(frames.shape[-2:]) == size:
        return frames
    if frames.device.type == "cpu":
        return functional.interpolate(frames, size=size, mode=interpolation, antialias=True, align_corners=False)
    resized = functional.interpolate(frames.float(), size=size, mode=interpolation, antialias=True, align_corners=False)
    return resized.round_().clamp_(0, 255).to(torch.uint8)


def plain_resize_short_side(frames: torch.Tensor, size: int, interpolation: Interpolation) -> torch.Tensor:
    """As `resize_short_side`, but `float32`, not rounded and without antialiasing: what VBench's tensors go through."""
    height, width = frames.shape[-2:]
    tall = size if height <= width else int(size * height / width)
    wide = size if width <= height else int(size * width / height)
    return functional.interpolate(frames.float(), size=(tall, wide), mode=interpolation, align_corners=False)


def resize_short_side(frames: torch.Tensor, size: int, interpolation: Interpolation = "bicubic") -> torch.Tensor:
    """The shorter side becomes `size`, the longer one follows, rounded down as torchvision does."""
    height, width = frames.shape[-2:]
    tall = size if height <= width else int(size * height / width)
    wide = size if width <= height else int(size * width / height)
    return resize(frames, (tall, wide), interpolation)


def resize_and_centre(frames: torch.Tensor, size: int, interpolation: Interpolation = "bicubic") -> torch.Tensor:
    """The centre square of `resize_short_side`, to the bit, without resizing most of what is cut off."""
    axis = -1 if frames.shape[-1] >= frames.shape[-2] else -2
    long, short = max(frames.shape[-2:]), min(frames.shape[-2:])
    resized = int(size * long / short)
    start = round((resized - size) / 2)
    # The long side is `stripes` equal stripes, at whose edges the samples of source and result coincide: only there may
    # it be cut. The cubic kernel reaches two pixels, of the source or the result, whichever are larger.
    stripes = math.gcd(long, resized)
    source, result = long // stripes, resized // stripes
    reach = 2 * max(1, -(-resized // long)) + 1
    first = max(0, (start - reach) // result)
    last = min(stripes, -(-(start + size + reach) // result))
    kept = frames.narrow(axis, first * source, (last - first) * source)
    length = (last - first) * result
    shrunk = resize(kept, (size, length) if axis == -1 else (length, size), interpolation)
    return shrunk.narrow(axis, start - first * result, size)


def centre(frames: torch.Tensor, size: int) -> torch.Tensor:
    """The centre square of `(T, 3, H, W)`, where both sides are at least `size`."""
    top, left = (round((side - size) / 2) for side in frames.shape[-2:])
    return frames[..., top : top + size, left : left + size]


def normalise(frames: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """`(frames / 255 - mean) / std` as `float32 (T, 3, H, W)`, contiguous."""
    values = torch.empty(frames.shape, dtype=torch.float32, device=frames.device)
    values.copy_(frames)
    for channel, (centre, spread) in enumerate(zip(mean, std, strict=True)):
        values[:, channel].mul_(1 / (255 * spread)).sub_(centre / spread)
    return values
