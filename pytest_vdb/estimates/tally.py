"""What a network does with the meta device's tensors, counted as it runs: operations, bytes moved, memory in use.

A network whose weights are on the meta device computes nothing. What does not meet its weights (masks, timesteps,
tables of positions) stays on the CPU with its values, so that networks that look at them can: only when both meet, the
CPU's tensor becomes one without values. Attention is counted as one fused kernel, which moves queries, keys, values and
the result; everything else as PyTorch does it without compiling. Imports torch: import it where it is used.
"""

from __future__ import annotations

import math
import re
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map
from torch.utils.weak import WeakIdKeyDictionary

from pytest_vdb.errors import CannotCount

META = "meta"
_ATEN = torch.ops.aten
_POINTWISE = frozenset(
    {
        _ATEN.add.Tensor,
        _ATEN.sub.Tensor,
        _ATEN.mul.Tensor,
        _ATEN.div.Tensor,
        _ATEN.silu.default,
        _ATEN.gelu.default,
        _ATEN.neg.default,
        _ATEN.clone.default,
        _ATEN.pow.Tensor_Scalar,
        _ATEN.rsqrt.default,
        _ATEN.tanh.default,
        _ATEN.mul.Scalar,
        _ATEN.add.Scalar,
    }
)
"""Operators whose result has the shape of what they are given, broadcast."""
_COPY_TO = torch.ops.aten._to_copy.default
_ATTENTION = torch.nn.functional.scaled_dot_product_attention
_MULTIPLIES = re.compile(
    r"(?:^|_)(?:attention|[a-z]*mm|matmul|conv(?:olution)?(?:[123]d)?|linear|gemm|einsum|lstm|gru|rnn|transformer)(?:_|$)"
)
"""Names of operators whose work is in products."""
_OWN = ("aten", "prim", "prims", "profiler")
"""PyTorch's own operators, most of which move or add; others' may do anything."""


@dataclass(slots=True)
class Tally:
    """What was counted."""

    products: int = 0
    """Operations of matrix products and convolutions; a multiplication and an addition are two."""
    attention: int = 0
    """Operations of attention: queries times keys, and the result times values."""
    moved_bytes: int = 0
    """Read and written by every operation, as if nothing stayed in a cache."""
    peak_bytes: int = 0
    """The most that intermediate tensors took at once; without weights and inputs."""
    log_inner: float = 0.0
    """Of every product, its operations times log2 of its smaller inner side (what is summed over, or made): narrow
    products do not fill a GPU."""
    log_head: float = 0.0
    """Of every attention, its operations times log2 of the width of a head."""


@contextmanager
def tallied() -> Iterator[Tally]:
    """Count what is done inside with tensors of the meta device.

    Raises:
        CannotCount: an operator that multiplies and for which nobody has a formula.
        RuntimeError: the network looks at values that follow from its weights (`.item()`, `nonzero`).
    """
    tally = Tally()
    with torch.no_grad(), _no_autocast(), _Watch(tally), _FusedAttention(tally):
        yield tally


@contextmanager
def _no_autocast() -> Iterator[None]:
    """The meta device has no autocast, and raises where a network asks for one: there none is meant instead."""
    init = torch.autocast.__init__

    def begun(scope: Any, device_type: str, *given: Any, **named: Any) -> None:
        if device_type == META:
            init(scope, "cpu", enabled=False)
        else:
            init(scope, device_type, *given, **named)

    torch.autocast.__init__ = begun
    try:
        yield
    finally:
        torch.autocast.__init__ = init


class _Watch(TorchDispatchMode):  # type: ignore[misc]  # torch is untyped here
    """Sees every operator that reaches a device."""

    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self._tally = tally
        self._live = 0
        self._known = WeakIdKeyDictionary()

    def __torch_dispatch__(
        self, operator: Any, _types: object, arguments: Any = (), options: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(options or {})
        if operator is _COPY_TO and (arguments[0].is_meta or torch.device(named.get("device") or "cpu").type == META):
            named.pop("device", None)  # values stay where they are, and nothing comes back from the meta device
        given = _tensors_in((arguments, named))
        on_meta = sum(one.is_meta for one in given)
        if 0 < on_meta < len(given):
            arguments, named = tree_map(_without_values, (arguments, named))
        made = _at_once(operator, arguments, named)
        made = operator(*arguments, **named) if made is None else made
        if results := [one for one in _tensors_in((made,)) if one.is_meta]:
            self._count(operator, arguments, named, made)
            self._hold(given, results)
        return made

    def _count(self, operator: Any, arguments: Any, named: Mapping[str, Any], made: Any) -> None:
        from torch.utils.flop_counter import flop_registry

        packet = operator._overloadpacket
        if packet in flop_registry:
            operations = int(flop_registry[packet](*arguments, **named, out_val=made))
            self._tally.products += operations
            self._tally.log_inner += operations * math.log2(_inner_side(operations, _tensors_in(arguments), made))
        elif _may_multiply(packet):
            version = str(torch.__version__).partition("+")[0]
            raise CannotCount(f"PyTorch {version} has no formula for the operations of {packet}")

    def _hold(self, given: Sequence[Any], results: Sequence[Any]) -> None:
        """A view of what was given is no new memory, and moves nothing."""
        old = {one.untyped_storage()._cdata for one in given}
        new = [one for one in results if one.untyped_storage()._cdata not in old]
        if not new and not _writes(given, results):
            return
        self._tally.moved_bytes += sum(one.numel() * one.element_size() for one in (*given, *results))
        for one in new:
            storage = one.untyped_storage()
            if storage in self._known:
                continue
            size = self._known[storage] = storage.nbytes()
            self._live += size
            self._tally.peak_bytes = max(self._tally.peak_bytes, self._live)
            weakref.finalize(storage, self._free, size)

    def _free(self, size: int) -> None:
        self._live -= size


class _FusedAttention(TorchFunctionMode):  # type: ignore[misc]  # torch is untyped here
    """On the meta device PyTorch would take attention apart, into a matrix that no GPU ever holds."""

    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self._tally = tally

    def __torch_function__(
        self, function: Any, _types: object, arguments: Any = (), options: Mapping[str, Any] | None = None
    ) -> Any:
        named = options or {}
        if function is not _ATTENTION:
            return function(*arguments, **named)
        query, key, value = (*arguments, *(named[name] for name in ("query", "key", "value")[len(arguments) :]))[:3]
        if not any(one.is_meta for one in (query, key, value)):
            return function(*arguments, **named)
        batch = math.prod(torch.broadcast_shapes(query.shape[:-2]))
        length, width = query.shape[-2] * key.shape[-2], query.shape[-1] + value.shape[-1]
        operations = 2 * batch * length * width
        self._tally.attention += operations
        self._tally.log_head += operations * math.log2(query.shape[-1])
        made = torch.empty((*query.shape[:-1], value.shape[-1]), dtype=query.dtype, device=META)
        self._tally.moved_bytes += sum(one.numel() * one.element_size() for one in (query, key, value, made))
        return made


def _may_multiply(packet: Any) -> bool:
    """Whether an operator may do products, so that one without a formula is not passed over."""
    namespace, _, name = str(packet).rpartition(".")
    return namespace not in _OWN or bool(_MULTIPLIES.search(name))


def _inner_side(operations: int, given: Sequence[Any], made: Any) -> float:
    """The smaller of what a product sums over and the last side of its matrix, or its channels."""
    results = _tensors_in((made,))
    summed = operations / (2 * max(1, sum(one.numel() for one in results)))
    weight = given[-1] if len(given) < 3 or given[-1].dim() > 1 else given[1]
    made_side = int(weight.shape[0] if weight.dim() > 3 else weight.shape[-1])
    return float(max(1.0, min(summed, made_side)))


def _at_once(operator: Any, arguments: Any, named: Mapping[str, Any]) -> Any:
    """The result of the most frequent operators on the meta device, which PyTorch works out in Python, much slower.

    Only where shape, dtype and layout are plain; None for everything else.
    """
    if operator not in _POINTWISE and operator not in (_ATEN.addmm.default, _ATEN.mm.default):
        return None
    given = [one for one in arguments if isinstance(one, torch.Tensor)]
    first = given[0]
    plain = all(one.is_meta and one.dtype == first.dtype for one in given) and first.is_floating_point()
    if not plain or set(named) - {"approximate"}:
        return None
    if operator in _POINTWISE:
        if not all(one.is_contiguous() for one in given):
            return None
        shape = first.shape if len(given) == 1 else torch.broadcast_shapes(*(one.shape for one in given))
    else:
        shape = (given[-2].shape[0], given[-1].shape[1])
    return torch.empty(shape, dtype=first.dtype, device=META)


def _tensors_in(values: Any) -> list[Any]:
    """Of arguments or results, those in lists too; `tree_leaves` does it ten times slower, for every operator."""
    found: list[Any] = []
    for one in values.values() if isinstance(values, dict) else values:
        if isinstance(one, torch.Tensor):
            found.append(one)
        elif isinstance(one, tuple | list | dict):
            found += _tensors_in(one)
    return found


def _without_values(value: Any) -> Any:
    """A CPU's tensor as one of the meta device; numbers keep their values."""
    if not isinstance(value, torch.Tensor) or value.is_meta or value.dim() == 0:
        return value
    return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=META)


def _writes(given: Sequence[Any], results: Sequence[Any]) -> bool:
    """Whether the operator wrote into what it was given."""
    return any(one is other for one in given for other in results)
