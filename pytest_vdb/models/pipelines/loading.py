"""A loaded pipeline, wherever its weights come from.

`hub`, `local` and `tiny` all end in a folder that `from_pretrained` reads: one path from there on. `random` makes a
full-size pipeline in memory; it is then dressed and placed exactly as the others are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_vdb.errors import CardError, WeightsBroken, WeightsMissing
from pytest_vdb.models import classes
from pytest_vdb.models.card import ModelCard
from pytest_vdb.models.pipelines import calls, quantizations, schedulers, switches
from pytest_vdb.models.source import WeightsSource
from pytest_vdb.models.weights import architectures, blueprints, finding, folders, modular, tiny
from pytest_vdb.models.weights.reading import check_filled, read_folder
from pytest_vdb.records import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A pipeline that is ready to be called."""

    pipeline: Any
    revision: str | None = None
    """Commit of the repository, for `hub` weights."""
    call: Mapping[str, Any] = field(default_factory=dict)
    """Arguments that every call needs."""


def load_pipeline(card: ModelCard, recipe: Recipe, source: WeightsSource) -> Loaded:
    """Load a card's pipeline, set the recipe's switches and put it on the device.

    Args:
        card: a card with a pipeline class.
        recipe: as `recipes.resolve` returned it.
        source: where the weights come from.

    Raises:
        CardError: the installed diffusers has no such class.
        RecipeError: a switch that this pipeline, device or environment cannot follow.
        WeightsMissing: the weights are not here (and may not or cannot be downloaded).
        WeightsBroken: they are here but torn, pickled, incomplete or of another architecture.
    """
    kind = classes.pipeline_class(card)
    switches.check_environment(card, recipe, source)
    with _quiet_loading():
        make = _random if source.mode == "random" else _from_folder
        loaded = make(card, kind, recipe, source)
        loaded.pipeline.set_progress_bar_config(disable=True)
        if card.scheduler and source.mode != "tiny":
            schedulers.change_scheduler(loaded.pipeline, card.scheduler)
        switches.apply(card, loaded.pipeline, recipe, source.device)
    return loaded


def dtypes_of(card: ModelCard, recipe: Recipe) -> Any:
    """What `from_pretrained` takes as `dtype`: one dtype, or one for each component that stays in float32."""
    import torch

    dtype = getattr(torch, recipe.dtype or "float32")
    if not card.float32 or dtype == torch.float32:
        return dtype
    return {"default": dtype, **dict.fromkeys(card.float32, torch.float32)}


def _from_folder(card: ModelCard, kind: Any, recipe: Recipe, source: WeightsSource) -> Loaded:
    """Tiny weights that turn out to be torn are made anew, once: nobody could copy them again."""
    try:
        return _from_folder_as_it_is(card, kind, recipe, source)
    except WeightsBroken:
        if source.mode != "tiny":
            raise
        tiny.discard(card.pipeline or "", source.cache_dir)
        return _from_folder_as_it_is(card, kind, recipe, source)


def _from_folder_as_it_is(card: ModelCard, kind: Any, recipe: Recipe, source: WeightsSource) -> Loaded:
    inputs = calls.conditions(kind, card.task)
    found = finding.find(card, kind, recipe, source, inputs=inputs)
    index = folders.read_index(found.folder, finding.index_names(kind))
    only = modular.needed(kind, inputs) if classes.is_modular(kind) else None
    folders.check(found.folder, index, given=found.given, only=only)
    settings = {
        "dtype": dtypes_of(card, recipe),
        "use_safetensors": True,
        "local_files_only": True,
        "variant": card.variant if source.mode == "hub" else None,
        "trust_remote_code": source.trust_remote_code,
        **quantizations.loading_settings(kind, recipe),
        **found.given,
    }

    def read() -> Any:
        if classes.is_modular(kind):
            return modular.load(kind, found.folder, index, settings, inputs=inputs)
        return kind.from_pretrained(found.folder, **settings)

    pipeline = read_folder(read, found.folder, str(card.pipeline))
    check_filled(pipeline.components, found.folder)
    if source.mode != "tiny":
        return Loaded(pipeline=pipeline, revision=found.revision, call=card.call)
    tiny.after_load(pipeline)
    return Loaded(pipeline=pipeline, call=tiny.call_settings(card.pipeline or ""))


def _random(card: ModelCard, kind: Any, recipe: Recipe, source: WeightsSource) -> Loaded:
    """The full-size architecture with values that nobody trained, made where it is to run."""
    import torch

    if card.architecture is None:
        raise WeightsMissing(
            "no full-size architecture is described for it: its configuration is not published where we could read it; "
            "it cannot be made with random weights",
            where=f"model {card.name}",
            mend="use --vdb-weights=tiny, local or hub, or add a preset to architectures/full/",
        )
    plan = architectures.preset(card.architecture)
    device = source.device if recipe.offload in (None, "none") else "cpu"
    components = architectures.build(plan, dtype=getattr(torch, recipe.dtype or "float32"), device=device)
    if classes.is_modular(kind):
        pipeline = modular.assemble(kind, components, inputs=calls.conditions(kind, card.task))
    else:
        known = classes.components(kind)
        pipeline = kind(**{name: component for name, component in components.items() if name in known})
    for name in card.float32:
        if (part := getattr(pipeline, name, None)) is None:
            raise CardError(f"`float32` names {name!r}, which {card.pipeline} does not have", where=card.where)
        part.float()
    blueprints.adjust(pipeline, plan)
    return Loaded(pipeline=pipeline, call={**card.call, **plan.call})


@contextlib.contextmanager
def _quiet_loading() -> Iterator[None]:
    """Progress bars of loading off: pytest's own line is the only one. Put back afterwards."""
    import diffusers.utils.logging as of_diffusers
    import transformers.utils.logging as of_transformers

    before = [(bars, bars.is_progress_bar_enabled()) for bars in (of_diffusers, of_transformers)]
    try:
        for bars, _ in before:
            bars.disable_progress_bar()
        yield
    finally:
        for bars, enabled in before:
            if enabled:
                bars.enable_progress_bar()
