"""A recipe for a model: completed from its card, and checked against what the card says that the model can make."""

from __future__ import annotations

import dataclasses

from pytest_vdb.budget import budget, in_words
from pytest_vdb.errors import DoesNotFit, RecipeError, near_misses
from pytest_vdb.models.card import ModelCard
from pytest_vdb.models.pipelines import quirks
from pytest_vdb.models.pipelines.reasons import OFF
from pytest_vdb.records import DTYPES, OF_THE_CALL, Recipe, WeightsMode, degrees

OF_THE_CARD = frozenset({"frames", "height", "width", "fps", "steps", "dtype", "weights", "batch"})
"""Settings that are checked against the card alone; every other one is a question to the pipeline class."""


def resolve(card: ModelCard, recipe: Recipe, weights: WeightsMode) -> Recipe:
    """The recipe with every default filled in, checked against what the model can do. Loads no weights.

    Args:
        card: of the model.
        recipe: what was asked for; unset fields come from the card.
        weights: the weights mode; a model without a pipeline has none and always gets `none`.

    Raises:
        RecipeError: a frame count, size or name that the model cannot follow, with the nearest legal values, or a
            switch that its pipeline class does not have.
    """
    full = as_asked(card, recipe, weights)
    full = dataclasses.replace(full, weights=_weights_mode(card, weights), dtype=_dtype_of(card, full.dtype))
    degrees(full.parallel, where=f"model {card.name}")  # a card's own may be none
    full = full.spelt_as_recorded()
    if full.batch == 1:  # as where nobody says anything, in every identity
        full = dataclasses.replace(full, batch=None)
    _check_counts(card, full)
    _check_frames(card, full)
    _check_frame_size(card, full)
    _check_budget(card, full)
    asked = set(recipe.settings())
    if card.pipeline is None:
        return full
    if full.clips > 1 and (reason := quirks.why_no_batch(card.pipeline, card.task)) is not None:
        raise _refused(card, f"batch={full.batch}", f"{card.pipeline}: {reason}")
    if full.clips > 1 and full.backend == "onnx":
        raise _refused(card, f"batch={full.batch}", "its graphs are exported for one clip: leave backend=onnx away")
    if (known := quirks.first_unfit(quirks.of(card.pipeline).unfit, full, asked)) is not None:
        raise _refused(card, f"{known[0]}={getattr(full, known[0])}", f"{card.pipeline}: {known[1]}")
    if asked := asked - OF_THE_CARD:
        from pytest_vdb.models.pipelines import switches  # imports diffusers, so only when a switch was asked for

        switches.check(card, full, asked)
    return full


def as_asked(card: ModelCard, recipe: Recipe, weights: WeightsMode) -> Recipe:
    """The recipe with every default filled in, whether the model can follow it or not."""
    default = card.tiny if weights == "tiny" and card.pipeline is not None else card.defaults
    return recipe.over(default)


def needed_to_load(recipe: Recipe) -> Recipe:
    """What a model that is open must have been loaded with to follow a recipe.

    Exported graphs have static shapes, and some caches count a call's steps: these follow one recipe alone.

    Args:
        recipe: as `resolve` returned it.
    """
    if recipe.backend not in OFF or recipe.cache not in OFF:
        return recipe
    return dataclasses.replace(recipe, **dict.fromkeys(OF_THE_CALL))


def require_memory(card: ModelCard, available_gib: float) -> None:
    """Refuse a device that is published to be too small for the default recipe.

    Raises:
        DoesNotFit: with both figures and where the published one comes from.
    """
    if card.minimum_memory_gib is not None and card.minimum_memory_gib > available_gib:
        raise DoesNotFit(
            f"needs {card.minimum_memory_gib:g} GiB, the device has {available_gib:.1f} GiB "
            f"({card.minimum_memory_source or 'source not given'})",
            where=card.name,
            mend="add --vdb-recipe offload=model, use fewer frames or a smaller size, or a larger device",
        )


def _weights_mode(card: ModelCard, weights: WeightsMode) -> WeightsMode:
    if card.pipeline is None:
        return "none"
    if weights == "none":
        raise _refused(card, "weights=none", "it is a diffusers pipeline: hub, local, random or tiny")
    if weights == "hub" and card.repository is None:
        raise _refused(card, "weights=hub", "no repository is known for it: use local, random or tiny")
    return weights


def _dtype_of(card: ModelCard, dtype: str | None) -> str | None:
    if dtype is None or dtype in DTYPES:
        return DTYPES.get(dtype or "")
    near = near_misses(dtype, DTYPES)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise _refused(card, f"dtype={dtype}", f"{hint}Known: {', '.join(sorted(set(DTYPES.values())))}")


def _check_counts(card: ModelCard, recipe: Recipe) -> None:
    for name in ("frames", "height", "width", "fps", "steps"):
        value = getattr(recipe, name)
        if value is not None and value <= 0:
            raise _refused(card, f"{name}={value}", f"{name} must be positive")
    if recipe.steps is not None and recipe.steps < card.minimum_steps:
        raise _refused(card, f"steps={recipe.steps}", f"it needs at least {card.minimum_steps} steps")


def _check_frames(card: ModelCard, recipe: Recipe) -> None:
    frames, rule = recipe.frames, card.frame_rule
    if frames is not None and not rule.allows(frames):
        near = " or ".join(map(str, rule.nearest(frames)))
        raise _refused(card, f"frames={frames}", f"its frame counts are {rule.text}; nearest: {near}")


def _check_frame_size(card: ModelCard, recipe: Recipe) -> None:
    for name in ("height", "width"):
        size, multiple = getattr(recipe, name), card.size_multiple
        if size is not None and size % multiple:
            below, above = size // multiple * multiple, (size // multiple + 1) * multiple
            near = " or ".join(str(n) for n in (below, above) if n > 0)
            raise _refused(card, f"{name}={size}", f"{name} must be a multiple of {multiple}; nearest: {near}")


def _check_budget(card: ModelCard, recipe: Recipe) -> None:
    """A clip that no command could read again need not be generated."""
    size = (recipe.frames or 0) * (recipe.height or 0) * (recipe.width or 0) * 3
    if size > budget().size:
        raise _refused(
            card,
            f"frames={recipe.frames}, height={recipe.height}, width={recipe.width}",
            f"the clip would take {in_words(size)}, more than {in_words(budget().size)}: make it smaller, or allow "
            f"more with --vdb-budget",
        )


def _refused(card: ModelCard, setting: str, mend: str) -> RecipeError:
    return RecipeError(f"cannot follow {setting}", where=f"model {card.name}", mend=mend)
