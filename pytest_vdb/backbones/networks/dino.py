"""DINO's first vision transformer at any size of frame, its learnt positions stretched as the authors stretch them."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as functional

PATCH = 16


def vision_transformer(**options: Any) -> Any:
    """timm's vision transformer without a head; by default the ViT-B/16 whose weights are published."""
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(patch_size=PATCH, num_classes=0, **options)


def class_token(model: Any, pictures: torch.Tensor) -> torch.Tensor:
    """`(T, 3, H, W)` -> `(T, D)`, for any height and width of at least one patch."""
    grid = model.patch_embed.proj(pictures)
    tokens = torch.cat([model.cls_token.expand(len(grid), -1, -1), grid.flatten(2).transpose(1, 2)], dim=1)
    token: torch.Tensor = model.norm(model.blocks(tokens + _positions(model, *grid.shape[-2:])))[:, 0]
    return token


def _positions(model: Any, rows: int, columns: int) -> torch.Tensor:
    """The learnt square of positions, stretched to the frame."""
    learnt: torch.Tensor = model.pos_embed
    side = model.patch_embed.grid_size[0]
    if rows == columns == side:
        return learnt
    square = learnt[:, 1:].unflatten(1, (side, side)).permute(0, 3, 1, 2)
    # The tenth is the authors': it shifts the sampling a little, so features depend on it.
    scale = (rows + 0.1) / side, (columns + 0.1) / side
    stretched = functional.interpolate(square, scale_factor=scale, mode="bicubic")
    return torch.cat([learnt[:, :1], stretched.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)
