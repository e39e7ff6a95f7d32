"""What this machine's device reaches: the best of a few matrix products and copies, where no data sheet is known."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pytest_vdb.profiling.devices import synchronise
from pytest_vdb.profiling.hardware import Hardware


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How large the pieces of work are, and how often each is done."""

    side: int
    """Of the largest square matrices that are multiplied."""
    copied_mib: int
    repeats: int = 3
    long_enough_s: float = 0.05
    """Matrices grow until a product takes so long."""


ON_A_PROCESSOR = Effort(side=2048, copied_mib=128)
ON_A_GPU = Effort(side=8192, copied_mib=1024, repeats=10)
SMALLEST_SIDE = 128
DTYPES_MEASURED = ("float32", "bfloat16", "float16")


def measure(device: str, name: str, effort: Effort, *, memory_mib: int | None = None) -> Hardware:
    """Multiply matrices and copy bytes on a device, a second or so.

    Args:
        device: as torch calls it: `cpu`, `cuda:0`, `mps`.
        name: what it is.
        effort: large enough to fill the device.
        memory_mib: all of its memory, where it is known.

    Returns:
        The best rate of each dtype that the device multiplies, which a longer run may pass by a little, and that of a
        copy, each byte counted as read and as written.
    """
    import torch

    with torch.inference_mode():
        rates = {dtype: _products_per_s(torch, device, getattr(torch, dtype), effort) for dtype in DTYPES_MEASURED}
        copied = _bytes_per_s(torch, device, effort)
    kept: Mapping[str, float] = {dtype: round(rate / 1e12, 6) for dtype, rate in rates.items() if rate is not None}
    how = (
        f"measured: best of {effort.repeats} products up to {effort.side}x{effort.side}, {effort.copied_mib} MiB copied"
    )
    return Hardware(
        name=name,
        title=name,
        devices=(name,),
        memory_mib=memory_mib,
        teraflops=kept,
        gigabytes_per_s=round(copied / 1e9, 3),
        source=f"{how}, {torch.get_num_threads()} threads, torch {torch.__version__}",
    )


def _products_per_s(torch: Any, device: str, dtype: Any, effort: Effort) -> float | None:
    """None where the device does not multiply in that dtype."""
    try:
        best, side = 0.0, min(SMALLEST_SIDE, effort.side)
        while side <= effort.side:
            # Random: a card that multiplies zeros draws less and is clocked higher than one that works.
            left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
            seconds = _best_of(partial(torch.matmul, left, right), device, effort.repeats)
            best = max(best, 2 * side**3 / seconds)
            side = 2 * side if seconds < effort.long_enough_s else effort.side + 1
    except RuntimeError:
        return None
    return best


def _bytes_per_s(torch: Any, device: str, effort: Effort) -> float:
    source = torch.zeros(effort.copied_mib * 2**20, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds = _best_of(lambda: target.copy_(source), device, effort.repeats)
    return float(2 * source.numel() / seconds)


def _best_of(work: Callable[[], object], device: str, repeats: int) -> float:
    """Seconds of the fastest of several, the first apart: it loads what the work needs."""
    work()
    best = float("inf")
    for _ in range(repeats):
        synchronise(device)
        began = time.perf_counter()
        work()
        synchronise(device)
        best = min(best, time.perf_counter() - began)
    return best
