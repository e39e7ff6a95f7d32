"""The recipe's `cache`: accelerators that skip what changed little from one step to the next."""

from __future__ import annotations

import re
import sys
from typing import Any

from pytest_vdb.models import classes
from pytest_vdb.models.pipelines import quirks
from pytest_vdb.models.pipelines.reasons import Reason, class_names, unknown_value
from pytest_vdb.records import Recipe

CACHES = ("first-block", "faster-cache", "pab", "taylorseer", "magcache")
THRESHOLDS = frozenset({"first-block", "magcache"})
"""Caches whose figure is a threshold; that of the others is a number of steps."""


def why_no_cache(kind: Any, value: str) -> Reason:
    """Why a class cannot follow `NAME` or `NAME:FIGURE`."""
    from diffusers.models.cache_utils import CacheMixin

    name, _, figure = value.partition(":")
    if name not in CACHES:
        return unknown_value(name, CACHES)
    if figure and (reason := _no_figure(name, figure)) is not None:
        return reason
    options = classes.denoiser_classes(kind)
    if not any(issubclass(option, CacheMixin) for option in options):
        return f"its denoiser ({class_names(options)}) has no cache"
    known = quirks.of(kind.__name__)
    if name in known.unfit_caches or (name == "faster-cache" and not known.faster_cache):
        return f"{kind.__name__} fails with it in diffusers"
    if name in ("first-block", "taylorseer") and "cache_context" not in classes.code_of_call(kind):
        return f"{kind.__name__} gives its denoiser no cache context"
    if name in ("first-block", "magcache") and not any(_has_known_blocks(option) for option in options):
        return f"diffusers does not know where its denoiser's blocks ({class_names(options)}) keep their states"
    return None


def _no_figure(name: str, figure: str) -> Reason:
    """What follows a cache's name is a threshold, or how many steps it skips."""
    if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", figure) is None:
        return f"{figure!r} is no number: write e.g. {name}:0.1"
    if name not in THRESHOLDS and re.fullmatch(r"0*[1-9][0-9]*", figure) is None:
        return f"{figure!r} is no number of steps: write e.g. {name}:2"
    return None


def _has_known_blocks(denoiser: Any) -> bool:
    """Whether caches that skip whole blocks have the metadata of this denoiser's; unknown counts as yes."""
    from diffusers.hooks._helpers import TransformerBlockRegistry

    names = getattr(denoiser, "_repeated_blocks", None) or getattr(denoiser, "_no_split_modules", None) or ()
    blocks = [block for name in names if (block := getattr(sys.modules[denoiser.__module__], name, None)) is not None]
    for block in blocks:
        try:
            TransformerBlockRegistry.get(block)
        except ValueError:
            continue
        return True
    return not blocks


def set_cache(pipeline: Any, recipe: Recipe, _device: str) -> None:
    """Enable it in every denoiser."""
    for network in classes.denoisers(pipeline):
        network.enable_cache(_cache_config(pipeline, recipe))


def _cache_config(pipeline: Any, recipe: Recipe) -> Any:
    """The accelerator's configuration: `name` or `name:figure`, the figure being its threshold, range or interval."""
    import diffusers
    import torch
    from diffusers.hooks import mag_cache

    assert recipe.cache is not None
    name, _, text = recipe.cache.partition(":")
    figure = float(text) if text else None

    def current_timestep() -> Any:
        return pipeline._current_timestep

    if name == "first-block":
        return diffusers.FirstBlockCacheConfig(threshold=0.2 if figure is None else figure)
    if name == "magcache":
        steps = recipe.steps or 50
        return mag_cache.MagCacheConfig(
            threshold=0.06 if figure is None else figure, num_inference_steps=steps, mag_ratios=torch.ones(steps)
        )
    if name == "taylorseer":
        return diffusers.TaylorSeerCacheConfig(cache_interval=5 if figure is None else int(figure))
    if name == "pab":
        skip = 2 if figure is None else int(figure)
        return diffusers.PyramidAttentionBroadcastConfig(
            spatial_attention_block_skip_range=skip, current_timestep_callback=current_timestep
        )
    return diffusers.FasterCacheConfig(
        spatial_attention_block_skip_range=2 if figure is None else int(figure),
        unconditional_batch_skip_range=5,
        tensor_format="BCFHW",
        current_timestep_callback=current_timestep,
    )


def notes(recipe: Recipe) -> tuple[str, ...]:
    """What a reader of the result must know about the cache."""
    if recipe.cache is not None and recipe.cache.startswith("magcache"):
        return ("MagCache ran with flat magnitude ratios (1.0): it is not calibrated for this checkpoint",)
    return ()
