"""Floating-point operations of a call, counted by PyTorch as it runs (also on the meta device, where nothing computes).

Matrix products, convolutions and attention are counted. PyTorch knows formulas for the attention of some devices only,
and gives 0 for what it has none for; here every attention of its own has one, and an operator that multiplies and has
none makes the count None with the reason. What is no operator of PyTorch (a Triton kernel called directly) is not seen:
count with `scaled_dot_product_attention`. With sparse or cached attention the count is nominal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_MULTIPLIES = re.compile(
    r"(?:^|_)(?:attention|[a-z]*mm|matmul|conv(?:olution)?(?:[123]d)?|linear|gemm|einsum|lstm|gru|rnn|transformer)(?:_|$)"
)
"""Names of operators whose work is in products."""
_OWN = ("aten", "prim", "prims", "profiler")
"""PyTorch's own operators, most of which move or add; others' may do anything."""
IMPOSSIBLE = "impossible"
"""Begins the reason where figures contradict each other."""


def count(call: Callable[[], object]) -> tuple[int | None, str | None]:
    """Operations of one call; a multiplication and an addition are two.

    Args:
        call: takes no argument, e.g. `lambda: transformer(latents, timestep, embeds)`.

    Returns:
        The operations; or None and the reason where an operator ran that nobody has a formula for.

    Raises:
        Exception: whatever the call raises; on meta, models that look at values (`.item()`, `nonzero`) do.
    """
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False, custom_mapping=_attentions())
    ran: set[Any] = set()
    with _watching(ran), counter:
        call()
    unknown = sorted(str(packet) for packet in ran if packet not in counter.flop_registry and may_multiply(packet))
    if unknown:
        return None, f"not counted: PyTorch {_version()} has no formula for {', '.join(unknown)}"
    return int(counter.get_total_flops()), None


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
        return None, f"{IMPOSSIBLE}: {share:.2f} of the peak, so the latency, the count or the peak is wrong"
    return share, None


def may_multiply(packet: Any) -> bool:
    """Whether an operator may do products, so that one without a formula is not passed over."""
    namespace, _, name = str(packet).rpartition(".")
    return namespace not in _OWN or bool(_MULTIPLIES.search(name))


def _attentions() -> Mapping[Any, Callable[..., int]]:
    """Every attention of this PyTorch for which it has no formula of its own: the CPU's, Apple's, Intel's."""
    import torch
    from torch.utils.flop_counter import flop_registry

    names = (name for name in dir(torch.ops.aten) if name.startswith("_scaled_dot_product_"))
    packets = (getattr(torch.ops.aten, name) for name in names if not name.endswith("backward"))
    return {packet: _of_attention for packet in packets if packet not in flop_registry}


def _of_attention(query: Any, key: Any, value: Any, *_: object, **__: object) -> int:
    """Of the shapes of `(batch, heads, length, width)`: the product of queries and keys, and that with the values."""
    batch, heads, length, width = query
    return int(2 * batch * heads * length * key[-2] * (width + value[-1]))


def _watching(ran: set[Any]) -> Any:
    """A context in which every operator that reaches a device is noted in `ran`."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Watch(TorchDispatchMode):  # type: ignore[misc]  # torch is untyped here
        supports_higher_order_operators = True

        def __torch_dispatch__(
            self, operator: Any, _types: object, arguments: Any = (), options: Mapping[str, Any] | None = None
        ) -> Any:
            ran.add(getattr(operator, "_overloadpacket", operator))
            return operator(*arguments, **(options or {}))

    return Watch()


def _version() -> str:
    import torch

    return str(torch.__version__).partition("+")[0]
