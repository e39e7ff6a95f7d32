"""What the backbones share: seeded random weights, batches of frames, unit vectors. Needs torch; imported with one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pytest_vdb.backbones.networks import frames as framing

BATCH_ON_CPU = 16
"""Frames at once: more no longer fit the cache, and prepare half as fast."""
BATCH = 64
TINY_SEED = 20240229


def seeded(build: Callable[[], Any]) -> Any:
    """What `build` makes with random weights equal in every process, leaving torch's own generator alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(TINY_SEED)
        return build()


def unit_rows(features: torch.Tensor) -> NDArray[np.float32]:
    """Each row scaled to length 1, as `float32` on the CPU."""
    unit: NDArray[np.float32] = torch.nn.functional.normalize(features.float(), dim=-1).cpu().numpy()
    return unit


def in_batches(
    network: Callable[[torch.Tensor], torch.Tensor],
    frames: NDArray[np.uint8],
    prepare: Callable[[torch.Tensor], torch.Tensor],
    device: str,
    batch: int | None = None,
) -> torch.Tensor:
    """The network's answer to every frame, `(T, ...)`."""
    batch = batch or (BATCH_ON_CPU if device == "cpu" else BATCH)
    with torch.inference_mode():
        starts = range(0, len(frames), batch)
        answers = [network(prepare(framing.to_device(frames[i : i + batch], device))) for i in starts]
    return torch.cat(answers)
