"""The recipe's switches that trade time for memory: the VAE in pieces, weights in eight bits, parts kept elsewhere."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pytest_vdb.models import classes
from pytest_vdb.models.pipelines.reasons import Reason, class_names, no_denoiser, unknown_value
from pytest_vdb.records import Recipe

LAYERWISE = ("float8_e4m3fn", "float8_e5m2")


def vae_without(attribute: str) -> Callable[[Any, Any], Reason]:
    """The VAE's class has a switch if its own code reads the attribute that the switch sets."""

    def lacking(kind: Any, _value: Any) -> Reason:
        options = classes.component_classes(kind, "vae")
        if any(f"self.{attribute}" in inspect.getsource(option) for option in options):
            return None
        return f"its VAE ({class_names(options)}) has no {attribute.removeprefix('use_')}"

    return lacking


def set_vae(switch: str) -> Callable[[Any, Recipe, str], None]:
    """What enables or disables a switch of the VAE."""

    def set_(pipeline: Any, recipe: Recipe, _device: str) -> None:
        on = getattr(recipe, f"vae_{switch}")
        vae = getattr(pipeline, "vae", None)
        if vae is not None and (on or hasattr(vae, f"use_{switch}")):
            getattr(vae, f"{'enable' if on else 'disable'}_{switch}")()

    return set_


def why_no_layerwise(kind: Any, value: str) -> Reason:
    """Why the denoiser of a class cannot store its weights in that type."""
    if value not in LAYERWISE:
        return unknown_value(value, LAYERWISE)
    return no_denoiser(kind)


def set_layerwise(pipeline: Any, recipe: Recipe, _device: str) -> None:
    """Store the weights in eight bits, compute in their dtype."""
    import torch

    for network in classes.denoisers(pipeline):
        network.enable_layerwise_casting(
            storage_dtype=getattr(torch, recipe.layerwise_casting or ""), compute_dtype=network.dtype
        )


def why_no_offload(kind: Any, value: str) -> Reason:
    """Why the parts of a class cannot be moved in that way."""
    if value != "group" and classes.is_modular(kind):
        return f"{kind.__name__} is put together of blocks, which diffusers offloads by groups only; try offload=group"
    if value == "model" and not kind.model_cpu_offload_seq:
        return f"{kind.__name__} says no order to offload in (model_cpu_offload_seq); try offload=group"
    return None


def set_offload(pipeline: Any, recipe: Recipe, device: str) -> None:
    """Move parts to the device when they are used, and away."""
    import torch

    if recipe.offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
    elif recipe.offload == "sequential":
        pipeline.enable_sequential_cpu_offload(device=device)
    elif recipe.offload == "group":
        how = {"onload_device": torch.device(device), "offload_type": "leaf_level", "use_stream": "cuda" in device}
        if classes.is_modular(type(pipeline)):
            _offload_each(pipeline, how)
        else:
            pipeline.enable_group_offload(**how)


def _offload_each(pipeline: Any, how: Mapping[str, Any]) -> None:
    """What a `DiffusionPipeline` does of itself: every network by groups, but for those that say that they cannot."""
    import torch
    from diffusers.hooks import apply_group_offloading

    for part in pipeline.components.values():
        if not isinstance(part, torch.nn.Module):
            continue
        if getattr(part, "_supports_group_offloading", True):
            apply_group_offloading(part, **how)
        else:
            part.to(how["onload_device"])
