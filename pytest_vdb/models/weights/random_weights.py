"""Values for weights that nobody trained: never zeros, never so small that a prompt makes no difference.

One rule for `tiny` and `random`: a matrix (a parameter of two or more dimensions, kernels too) is drawn from
N(0, 1 / fan_in), which keeps the size of what passes through it; a vector (a bias, a norm's scale) keeps what its
constructor gave it. Constructors start gates and output projections from zero for the sake of training: a model left
so would ignore its prompt, so they are drawn as well. Imports torch: import it where it is used.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from pytest_vdb.records import digest

GATE_STD = 0.05
"""Spread of vectors that gate a branch and would start from zero."""

POOL_SIZE = 2**24 - 3
"""How many normal values full-size matrices are cut from, a prime: no two rows of a matrix are alike. Drawing billions
of values one by one takes minutes on a CPU; cutting them from a pool takes as long as writing them."""


@contextmanager
def seeded(name: str) -> Iterator[None]:
    """Draw from a seed that depends on the name alone, and leave torch's default generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(digest(name, length=8), 16))
        yield


def redraw(model: torch.nn.Module) -> None:
    """Give a built model new values, in place, from torch's default generator."""
    for owner, name, parameter in _parameters(model):
        if is_matrix(owner, parameter) or _is_closed_gate(name, parameter):
            torch.nn.init.normal_(parameter.data, std=_std(parameter))


@contextmanager
def skeletons(dtype: torch.dtype) -> Iterator[None]:
    """Inside, models are built without their matrices, which are left on the meta device.

    Vectors and buffers are real, so RoPE tables and everything else that constructors compute is as they made it (which
    `to_empty` would destroy). `dtype` is the default one while they are built, as it is in `from_pretrained`.
    """
    register, default = torch.nn.Module.register_parameter, torch.get_default_dtype()

    def register_skeleton(owner: torch.nn.Module, name: str, parameter: torch.nn.Parameter | None) -> None:
        if parameter is not None and not parameter.is_meta and is_matrix(owner, parameter):  # tied ones come twice
            parameter = torch.nn.Parameter(parameter.detach().to("meta"), requires_grad=parameter.requires_grad)
        register(owner, name, parameter)

    torch.nn.Module.register_parameter = register_skeleton
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.nn.Module.register_parameter = register
        torch.set_default_dtype(default)


class Filler:
    """Gives skeletons their values, on one device in one dtype.

    Args:
        dtype: of the weights, but for those that the model itself keeps in float32.
        device: where they are to be; nothing large is made anywhere else.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self._dtype = dtype
        self._device = device
        self._cursor = 0
        with seeded("random weights"):  # drawn on the CPU: the same values on every device
            pool = torch.randn(POOL_SIZE)
        self._pools = {kind: pool.to(device, kind) for kind in {dtype, torch.float32}}

    def fill(self, model: torch.nn.Module) -> None:
        """Make every parameter real and move every buffer, in place."""
        float32 = kept_in_float32(model, self._dtype)
        done: dict[int, torch.nn.Parameter] = {}
        for path, owner in model.named_modules():
            for name, parameter in list(owner.named_parameters(recurse=False)):
                kept = any(part in float32 for part in (*path.split("."), name))
                if id(parameter) not in done:  # tied weights stay tied
                    done[id(parameter)] = self._filled(name, parameter, torch.float32 if kept else self._dtype)
                setattr(owner, name, done[id(parameter)])
            for name, buffer in list(owner.named_buffers(recurse=False)):
                setattr(owner, name, buffer.to(self._device))

    def _filled(self, name: str, parameter: torch.nn.Parameter, dtype: torch.dtype) -> torch.nn.Parameter:
        if parameter.is_meta or _is_closed_gate(name, parameter):
            values = torch.empty(parameter.shape, dtype=dtype, device=self._device)
            self._cut(values.view(-1), _std(parameter))
        else:
            values = parameter.detach().to(self._device, dtype)
        return torch.nn.Parameter(values, requires_grad=parameter.requires_grad)

    def _cut(self, flat: torch.Tensor, std: float) -> None:
        """Fill a vector with the next values of the pool, which begins anew at its end."""
        pool, done = self._pools[flat.dtype], 0
        while done < len(flat):
            length = min(len(flat) - done, POOL_SIZE - self._cursor)
            torch.mul(pool[self._cursor : self._cursor + length], std, out=flat[done : done + length])
            done += length
            self._cursor = (self._cursor + length) % POOL_SIZE


def is_matrix(owner: torch.nn.Module, parameter: torch.Tensor) -> bool:
    """Whether it multiplies vectors; a norm's scale may have the shape of a matrix too."""
    return parameter.dim() >= 2 and "norm" not in type(owner).__name__.lower()


def _is_closed_gate(name: str, parameter: torch.Tensor) -> bool:
    return name != "bias" and not parameter.is_meta and not parameter.any()


def _parameters(model: torch.nn.Module) -> Iterator[tuple[torch.nn.Module, str, torch.nn.Parameter]]:
    for owner in model.modules():
        for name, parameter in owner.named_parameters(recurse=False):
            yield owner, name, parameter


def _std(parameter: torch.Tensor) -> float:
    return 1 / math.sqrt(parameter[0].numel()) if parameter.dim() >= 2 else GATE_STD


def kept_in_float32(model: Any, dtype: torch.dtype) -> set[str]:
    """Names of modules and parameters that the model's own loader leaves in float32 when the rest is in `dtype`."""
    import transformers

    if dtype == torch.float32:
        return set()
    kept = set(getattr(model, "_keep_in_fp32_modules", None) or ())
    if isinstance(model, transformers.PreTrainedModel):
        # There the plain list is for float16 alone.
        kept = (kept if dtype == torch.float16 else set()) | set(model._keep_in_fp32_modules_strict or ())
    return kept
