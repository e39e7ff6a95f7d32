"""The recipe's switches: asked of the pipeline class before anything is loaded, then set on what was loaded.

One `Switch` per setting of the recipe. `lacking` says why a class (or this environment) cannot follow a value; `apply`
sets it on the loaded pipeline. To add a switch, add a field to `Recipe`, both functions to the file of its kind (or to
a new one), and an entry to `SWITCHES`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from pytest_vdb.errors import RecipeError, VdbError
from pytest_vdb.models import classes
from pytest_vdb.models.card import ModelCard
from pytest_vdb.models.pipelines import (
    caches,
    calls,
    computing,
    loras,
    memory,
    parallelism,
    quantizations,
    quirks,
    schedulers,
)
from pytest_vdb.models.pipelines.reasons import OFF, Reason
from pytest_vdb.records import Recipe

if TYPE_CHECKING:
    from pytest_vdb.models.source import WeightsSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """One setting of the recipe."""

    lacking: Callable[[Any, Any], Reason]
    """(pipeline class, value) -> why the class cannot follow it, or None."""
    apply: Callable[[Any, Recipe, str], None] | None = None
    """(loaded pipeline, recipe, device): set it. None where loading or the call takes care of it."""


def check(card: ModelCard, recipe: Recipe, asked: Collection[str]) -> None:
    """Refuse what the card's pipeline class does not have. Imports diffusers, loads no weights.

    Args:
        card: a card with a pipeline class.
        recipe: complete.
        asked: the settings to check: those that the user gave.

    Raises:
        RecipeError: naming the setting and the reason.
    """
    kind = classes.pipeline_class(card)
    for setting in sorted(asked):
        value = getattr(recipe, setting)
        if value in OFF:
            continue
        reason = _lacking(kind, setting, value)
        if setting == "scheduler" and reason is None:
            reason = schedulers.why_unlike_the_described(card, recipe)
        if setting == "parallel" and reason is None:
            reason = parallelism.why_not_beside(recipe)
        if reason is not None:
            raise RecipeError(f"cannot follow {setting}={value}", where=f"model {card.name}", mend=reason)


def check_environment(card: ModelCard, recipe: Recipe, source: WeightsSource) -> None:
    """Refuse what the device, the weights mode or the installed packages cannot follow, before anything is loaded.

    Raises:
        RecipeError: naming the setting and the reason.
    """
    on_cpu = source.device.split(":")[0] == "cpu"
    unfit = quirks.of(card.pipeline or "").unfit_on_cpu
    if on_cpu and (known := quirks.first_unfit(unfit, recipe, recipe.settings())) is not None:
        raise RecipeError(
            f"cannot follow {known[0]}={getattr(recipe, known[0])}", where=f"model {card.name}", mend=known[1]
        )
    refusals = (
        (
            "offload",
            on_cpu,
            "there is nothing to offload from: it moves parts between an accelerator and the CPU, and this model lives "
            "on the CPU already; add --vdb-device=cuda where there is one",
        ),
        ("quantization", source.mode == "random", "quantisation happens while weights are read; random ones are not"),
        ("lora_scale", recipe.lora is None, "there is no LoRA to scale: give lora=PATH too"),
        *((setting, not _installed(package), f"pip install {package}") for setting, package in _packages(recipe)),
        ("parallel", (too_few := parallelism.why_not_here(recipe, source)) is not None, too_few),
        ("backend", (against := computing.why_no_onnx(recipe)) is not None, against),
    )
    for setting, refused, reason in refusals:
        value = getattr(recipe, setting)
        if refused and value not in OFF:
            raise RecipeError(f"cannot follow {setting}={value}", where=f"model {card.name}", mend=reason)


def apply(card: ModelCard, pipeline: Any, recipe: Recipe, device: str) -> None:
    """Set every switch of the recipe on a loaded pipeline and put it on the device.

    Raises:
        RecipeError: the loaded pipeline turned out not to have a switch that its class seemed to have.
        WeightsBroken: the LoRA is torn.
    """
    import torch

    for setting, switch in SWITCHES.items():
        value = getattr(recipe, setting)
        if switch.apply is None or value is None:
            continue
        try:
            switch.apply(pipeline, recipe, device)
        except (VdbError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            raise RecipeError(
                f"cannot follow {setting}={value}", where=f"model {card.name}", mend=f"{type(error).__name__}: {error}"
            ) from error
    if recipe.offload in OFF:
        pipeline.to(device)
    if recipe.compile not in OFF:
        computing.compile_denoisers(pipeline, recipe)


def _lacking(kind: Any, setting: str, value: Any) -> Reason:
    if setting in calls.NAMES:
        known = calls.settable(kind)
        return None if setting in known else f"{kind.__name__} takes no {setting}; it takes {', '.join(sorted(known))}"
    return SWITCHES[setting].lacking(kind, value)


def _packages(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """(setting, package that it needs, as pip calls it)."""
    if recipe.lora is not None:
        yield "lora", "peft"
    if recipe.quantization in quantizations.QUANTIZATIONS:
        yield "quantization", quantizations.QUANTIZATIONS[recipe.quantization or ""].package


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


SWITCHES: Mapping[str, Switch] = {
    "scheduler": Switch(lacking=schedulers.why_no_scheduler, apply=schedulers.set_scheduler),
    "vae_tiling": Switch(lacking=memory.vae_without("use_tiling"), apply=memory.set_vae("tiling")),
    "vae_slicing": Switch(lacking=memory.vae_without("use_slicing"), apply=memory.set_vae("slicing")),
    "lora": Switch(lacking=loras.why_no_lora, apply=loras.set_lora),
    "lora_scale": Switch(lacking=loras.why_no_lora_scale),
    "attention": Switch(lacking=computing.why_no_attention, apply=computing.set_attention),
    "layerwise_casting": Switch(lacking=memory.why_no_layerwise, apply=memory.set_layerwise),
    "quantization": Switch(lacking=quantizations.why_no_quantization),
    "cache": Switch(lacking=caches.why_no_cache, apply=caches.set_cache),
    "parallel": Switch(lacking=parallelism.why_no_parallel, apply=parallelism.set_parallel),
    "offload": Switch(lacking=memory.why_no_offload, apply=memory.set_offload),
    "compile": Switch(lacking=computing.why_no_compile),
    "backend": Switch(lacking=computing.why_no_backend),
}
"""In the order in which they are set."""
