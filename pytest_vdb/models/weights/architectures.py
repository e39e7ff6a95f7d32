"""Weights mode `random`: released models at their full size, with values that nobody trained and nobody downloads.

Speed and memory are real, pixels are not. What a model is made of is data, in `architectures/full/*.toml` and the form
that `blueprints` describes; each table is a **preset**, named like the card of the model, with the parameter counts
that were published for it. Class defaults are not taken on trust: for several classes they are no released model.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from pytest_vdb.models.weights import blueprints

if TYPE_CHECKING:
    import torch


def names() -> tuple[str, ...]:
    """All presets, sorted."""
    return tuple(sorted(blueprints.blueprints("full")))


def preset(name: str) -> blueprints.Blueprint:
    """A preset by its name, or the first one of a pipeline class.

    Raises:
        UnknownName: there is none, with near misses.
    """
    presets = blueprints.blueprints("full")
    of_class = (plan for plan in presets.values() if plan.pipeline == name)
    return presets.get(name) or next(of_class, None) or blueprints.blueprint("full", name)


def build(
    plan: blueprints.Blueprint,
    *,
    dtype: torch.dtype,
    device: str | torch.device,
    only: Collection[str] | None = None,
) -> dict[str, Any]:
    """Every constructor argument of a pipeline, its models full-size on the device.

    Args:
        plan: what it is made of: a `preset`.
        dtype: of the weights, but for those that a model keeps in float32 of its own accord.
        device: where the weights are made. Nothing large is made anywhere else.
        only: roles to build, e.g. `("transformer", "vae")`; None: all. The other models are left out.

    Raises:
        CardError: the installed libraries do not have one of its classes.
    """
    import torch

    from pytest_vdb.models.weights.random_weights import Filler

    filler = Filler(dtype, torch.device(device))
    built = {}
    for role, component in plan.components.items():
        if not blueprints.is_model(component):
            built[role] = blueprints.construct(component)
        elif only is None or role in only:
            built[role] = skeleton(role, component, dtype)
            filler.fill(built[role])
    return built


def count_parameters(name: str, *, only: Collection[str] | None = None) -> dict[str, int]:
    """Parameters of each model of a preset, or of those that play these roles, counted without making them."""
    return {
        role: _parameters_of(json.dumps(component, sort_keys=True))
        for role, component in _models(preset(name))
        if only is None or role in only
    }


@cache
def _parameters_of(component: str) -> int:
    """Of one described model, as JSON, shared ones once. Presets have many in common: a text encoder takes seconds."""
    import torch

    model = skeleton("counted", json.loads(component), torch.float32)
    return sum(parameter.numel() for parameter in model.parameters())


def _models(plan: blueprints.Blueprint) -> Iterator[tuple[str, Any]]:
    return ((role, component) for role, component in plan.components.items() if blueprints.is_model(component))


def skeleton(role: str, component: Any, dtype: torch.dtype) -> Any:
    """A described model whose matrices are on the meta device; it takes next to no memory."""
    from pytest_vdb.models.weights import random_weights

    with random_weights.seeded(role), random_weights.skeletons(dtype):
        return blueprints.construct(component)
