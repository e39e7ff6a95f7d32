"""Values for weights that nobody trained: never zeros, never so small that a prompt makes no difference.

One rule for `tiny` and `random`: a matrix (a parameter of two or more dimensions, kernels too) is drawn from
N(0, 1 / fan_in), which keeps the size of what passes through it; a vector (a bias, a norm's scale) keeps what its
constructor gave it. Constructors start gates and output projections from zero for the sake of training: a model left
so would ignore its prompt, so they are drawn as well. Imports torch: import it where it is used.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

GATE_STD = 0.05
"""Spread of vectors that gate a branch and would start from zero."""


def redraw(model: torch.nn.Module) -> None:
    """Give a built model new values, in place, from torch's default generator."""
    for parameter, drawn in _parameters(model):
        if drawn:
            torch.nn.init.normal_(parameter.data, std=_std(parameter))


def _parameters(model: torch.nn.Module) -> Iterator[tuple[torch.nn.Parameter, bool]]:
    """Every parameter once, and whether its values are to be drawn."""
    for owner in model.modules():
        for name, parameter in owner.named_parameters(recurse=False):
            yield parameter, is_matrix(owner, parameter) or (name != "bias" and not parameter.any())


def is_matrix(owner: torch.nn.Module, parameter: torch.Tensor) -> bool:
    """Whether it multiplies vectors; a norm's scale may have the shape of a matrix too."""
    return parameter.dim() >= 2 and "norm" not in type(owner).__name__.lower()


def _std(parameter: torch.Tensor) -> float:
    return 1 / math.sqrt(parameter[0].numel()) if parameter.dim() >= 2 else GATE_STD
