"""Optical flow by RAFT (torchvision), and what can be said of a clip's flow in a few numbers per pair of frames.

Each frame goes through the encoders once, whatever the number of pairs it is part of; the recurrent updates run over
batches of pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as functional

PAIRS, FRAMES = 8, 32
"""How many go through the recurrent half at once, and how many through the encoders."""
MOTION_BOUNDARY, OCCLUSION = (0.01, 0.002), (0.01, 0.5)
"""Ruder et al., Artistic style transfer for videos (arXiv 1604.08610), after Sundaram et al. 2010."""


def flow_both_ways(
    model: Any, frames: torch.Tensor, updates: int, *, at_once: tuple[int, int] = (PAIRS, FRAMES)
) -> torch.Tensor:
    """Flow between neighbours, `(2, T-1, 2, H, W)`: from each frame to the next, and from each next one back.

    Args:
        model: a torchvision RAFT.
        frames: `(T, 3, H, W)` in [-1, 1], sides divisible by 8.
        updates: how often the estimate is refined.
        at_once: pairs, and frames: what memory allows; the flow is the same.
    """
    count = len(frames) - 1
    pairs = [(t, t + 1) for t in range(count)] + [(t + 1, t) for t in range(count)]
    return _flow(model, frames, pairs, updates, at_once).unflatten(0, (2, count))


def flow_onward(model: Any, frames: torch.Tensor, updates: int) -> torch.Tensor:
    """Flow from each frame to the next, `(T-1, 2, H, W)`; arguments as of `flow_both_ways`."""
    return _flow(model, frames, [(t, t + 1) for t in range(len(frames) - 1)], updates, (PAIRS, FRAMES))


def _flow(
    model: Any, frames: torch.Tensor, pairs: list[tuple[int, int]], updates: int, at_once: tuple[int, int]
) -> torch.Tensor:
    few, some = at_once
    with torch.inference_mode():
        seen = torch.cat([model.feature_encoder(part) for part in frames.split(some)])
        context = torch.cat([model.context_encoder(part) for part in frames.split(some)])
        flows = [_refine(model, seen, context, pairs[i : i + few], updates) for i in range(0, len(pairs), few)]
    return torch.cat(flows)


def _refine(
    model: Any, seen: torch.Tensor, context: torch.Tensor, pairs: list[tuple[int, int]], updates: int
) -> torch.Tensor:
    """The recurrent half of RAFT for some pairs, upsampled once, after the last update."""
    first, second = (torch.tensor(side, device=seen.device) for side in zip(*pairs, strict=True))
    model.corr_block.build_pyramid(seen[first], seen[second])
    size = model.update_block.hidden_state_size
    hidden, inputs = context[first].tensor_split([size], dim=1)
    hidden, inputs = hidden.tanh(), inputs.relu()
    start = _grid_of_coordinates(seen.shape[-2], seen.shape[-1], seen.device).expand(len(pairs), -1, -1, -1)
    now = start
    for _ in range(updates):
        found = model.corr_block.index_pyramid(centroids_coords=now)
        hidden, step = model.update_block(hidden, inputs, found, now - start)
        now = now + step
    mask = None if model.mask_predictor is None else model.mask_predictor(hidden)
    return _upsampled(now - start, mask)


def _upsampled(flow: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Flow at an eighth of the size -> full size: bilinear, or by the learnt convex combination of 3x3 neighbours."""
    if mask is None:
        return 8 * functional.interpolate(flow, scale_factor=8, mode="bilinear", align_corners=True)
    count, _, height, width = flow.shape
    weights = mask.view(count, 1, 9, 8, 8, height, width).softmax(dim=2)
    around = functional.unfold(8 * flow, kernel_size=3, padding=1).view(count, 2, 9, 1, 1, height, width)
    return (weights * around).sum(dim=2).permute(0, 1, 4, 2, 5, 3).reshape(count, 2, 8 * height, 8 * width)


def _grid_of_coordinates(height: int, width: int, device: torch.device) -> torch.Tensor:
    """The coordinates of every pixel, `(1, 2, H, W)`: x, y."""
    y, x = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
    return torch.stack([x, y]).float()[None]


def carried(values: torch.Tensor, flow: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What lies where the flow points: `values (N, C, H, W)` sampled at each pixel plus its flow, bilinearly.

    Returns:
        The sampled values, and where they lie inside the frame, `(N, H, W)`.
    """
    height, width = flow.shape[-2:]
    at = _grid_of_coordinates(height, width, flow.device) + flow
    last = torch.tensor([width - 1, height - 1], device=flow.device).view(1, 2, 1, 1)
    inside = ((at >= 0) & (at <= last)).all(dim=1)
    scaled = (2 * at / last.clamp(min=1) - 1).permute(0, 2, 3, 1)
    return functional.grid_sample(values, scaled, mode="bilinear", padding_mode="border", align_corners=True), inside


def visible(there: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
    """Which pixels can be trusted: they come back to where they were, and lie on no edge of the motion.

    Args:
        there: flow from a frame to another, `(N, 2, H, W)`.
        back: flow from the other frame back.

    Source: Sundaram et al., Dense point trajectories by GPU-accelerated large displacement optical flow, ECCV 2010.
    """
    returned, inside = carried(back, there)
    length = (there**2).sum(dim=1)
    lost = ((there + returned) ** 2).sum(dim=1) > OCCLUSION[0] * (length + (returned**2).sum(dim=1)) + OCCLUSION[1]
    slope = functional.pad(there.diff(dim=2), (0, 0, 0, 1)) ** 2 + functional.pad(there.diff(dim=3), (0, 1)) ** 2
    edge = slope.sum(dim=1) > MOTION_BOUNDARY[0] * length + MOTION_BOUNDARY[1]
    return inside & ~lost & ~edge


def describe_pairs(frames: torch.Tensor, flow: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
    """What each pair's flow amounts to, `(T-1, 5)`; the columns are `raft.PAIR_COLUMNS`."""
    rows = []
    for first, second, there, back in _chunks(frames[:-1], frames[1:], flow[0], flow[1]):
        length = there.norm(dim=1)
        trusted = visible(there, back)
        error = ((carried(second, there)[0] - first) / 2).square().mean(dim=1)  # /2: from [-1, 1] to [0, 1]
        fastest = length.flatten(1).topk(max(1, int(length[0].numel() * 0.05)), dim=1).values.mean(dim=1)
        smooth = _smoothed(there)
        rough = (there - smooth).norm(dim=1) / (length + smooth.norm(dim=1) + 1 / scale)
        columns = (length * scale, error * trusted, trusted.float(), rough)
        speed, warped, seen, roughness = (column.mean(dim=(1, 2)) for column in columns)
        rows.append(torch.stack([speed, fastest * scale, warped, seen, roughness], dim=1))
    return torch.cat(rows)


def describe_turns(flow: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
    """How the motion changes at each inner frame, `(T-2, 2)`; the columns are `raft.TURN_COLUMNS`.

    At steady motion the way to the next frame and the way to the previous one cancel.
    """
    rows = []
    onward, home = flow[0, 1:], flow[1, :-1]
    for there, back, before, after in _chunks(onward, home, flow[0, :-1], flow[1, 1:]):
        trusted = visible(there, after) & visible(back, before)
        turn = (there + back).norm(dim=1) / (there.norm(dim=1) + back.norm(dim=1) + 1 / scale)
        rows.append(torch.stack([(turn * trusted).mean(dim=(1, 2)), trusted.float().mean(dim=(1, 2))], dim=1))
    return torch.cat(rows)


def _smoothed(flow: torch.Tensor) -> torch.Tensor:
    """Flow averaged over a square of an eighth of the short side, the border repeated."""
    reach = max(1, min(flow.shape[-2:]) // 16)
    padded = functional.pad(flow, (reach,) * 4, mode="replicate")
    return functional.avg_pool2d(padded, 2 * reach + 1, stride=1)


def _chunks(*tensors: torch.Tensor) -> Iterator[tuple[torch.Tensor, ...]]:
    yield from zip(*(tensor.split(PAIRS) for tensor in tensors), strict=True)
