"""Floating-point operations of a call, counted by PyTorch as it runs (also on the meta device, where nothing computes).

Matrix products, convolutions and PyTorch's own attention are counted; custom attention kernels (Flash, Sage) are not,
so count with `scaled_dot_product_attention`. With sparse or cached attention the count is nominal.
"""

from __future__ import annotations

from collections.abc import Callable


def count(call: Callable[[], object]) -> int:
    """Operations of one call; a multiplication and an addition are two.

    Args:
        call: takes no argument, e.g. `lambda: transformer(latents, timestep, embeds)`.

    Raises:
        Exception: whatever the call raises; on meta, models that look at values (`.item()`, `nonzero`) do.
    """
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())


def utilisation(operations: float, seconds: float, peak_per_s: float) -> tuple[float | None, str | None]:
    """Share of the device's peak that was used (MFU), in [0, 1].

    Args:
        operations: of the call.
        seconds: how long it took.
        peak_per_s: the device's dense peak for the dtype, in operations per second, from its data sheet.

    Returns:
        The share; or None and the reason when the figures contradict each other: nothing is faster than its peak.
    """
    if seconds <= 0 or peak_per_s <= 0:
        return None, f"{seconds} s and a peak of {peak_per_s} operations/s give no share"
    share = operations / seconds / peak_per_s
    if share > 1:
        return None, f"impossible: {share:.2f} of the peak, so the latency, the count or the peak is wrong"
    return share, None
