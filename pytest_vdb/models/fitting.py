"""Whether a model fits into a device's memory, and which switches make it fit: from published figures and from counts.

Needed is the most over all stages: the weights that are on the device then, and what the stage holds at once, with what
the allocator loses, and the device's context. How near that comes to measured peaks stands in docs/estimates.md.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pytest_vdb.components import DENOISERS
from pytest_vdb.errors import OptionError
from pytest_vdb.models import counts, recipes
from pytest_vdb.models.card import ModelCard
from pytest_vdb.models.counts import Counts, StageCount
from pytest_vdb.models.pipelines.reasons import OFF
from pytest_vdb.records import Recipe

GIB = 2**30
CONTEXT_GIB = 0.6
"""Of a CUDA context with its libraries."""
LOST = 1.1
"""What the allocator holds over what it gave out, of intermediate tensors."""

SWITCHES: tuple[Recipe, ...] = (
    Recipe(vae_tiling=True),
    Recipe(offload="model"),
    Recipe(vae_tiling=True, offload="model"),
    Recipe(vae_tiling=True, offload="model", layerwise_casting="float8_e4m3fn"),
    Recipe(vae_tiling=True, offload="sequential"),
)
"""What is tried to make a model fit, the least slowing first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How a model's memory compares with a device's."""

    needed_gib: float | None
    """At the recipe as it is; None: nobody knows."""
    rests_on: str
    """Where that is from; or why it is not known."""
    fits: bool | None
    switches: Recipe | None = None
    """The settings that make it fit, none of them where it does without; None: nothing that is known does."""
    switched_gib: float | None = None
    """Needed with these."""


def fit(card: ModelCard, recipe: Recipe, found: Counts | counts.Uncounted | None, memory_gib: float | None) -> Fit:
    """Compare.

    Args:
        card: of the model.
        recipe: as `recipes.resolve` returned it.
        found: its counts under the recipe.
        memory_gib: all of the device's; None: not known.
    """
    needed, source = _needed_as_it_is(card, recipe, found)
    if needed is None or memory_gib is None:
        return Fit(needed_gib=needed, rests_on=source, fits=None)
    if needed <= memory_gib:
        return Fit(needed_gib=needed, rests_on=source, fits=True, switches=Recipe(), switched_gib=needed)
    if isinstance(found, Counts):
        for switches in SWITCHES:
            switched = needed_gib(found, switches.over(recipe))
            if switched <= memory_gib:
                return Fit(needed_gib=needed, rests_on=source, fits=False, switches=switches, switched_gib=switched)
    return Fit(needed_gib=needed, rests_on=source, fits=False)


def needed_gib(found: Counts, recipe: Recipe) -> float:
    """Of the stage that needs most, under the recipe's switches."""
    stages = [_of_stage(found, stage, recipe) for stage in found.stages]
    return max(stages, default=found.weights_bytes / GIB) + CONTEXT_GIB


def those_that_fit(size: str, cards: tuple[ModelCard, ...]) -> Iterator[ModelCard]:
    """The models that fit into so much memory at their default recipe, without any switch; what is not known does not.

    Args:
        size: e.g. `24GB`; as cards are sold, so 1 GB is 1 GiB.
        cards: to choose from.

    Raises:
        OptionError: no size.
    """
    if not (asked := re.fullmatch(r"(\d+(?:\.\d+)?)\s*(?:GB|GiB|G)?", size.strip(), re.IGNORECASE)):
        raise OptionError(f"{size!r} is no size of memory", where="fits:", mend="write it like fits:24GB")
    for card in cards:
        if card.pipeline is None:
            continue
        recipe = recipes.resolve(card, Recipe(), "random")
        if fit(card, recipe, counts.shipped_of(card, recipe), float(asked[1])).fits:
            yield card


def _needed_as_it_is(
    card: ModelCard, recipe: Recipe, found: Counts | counts.Uncounted | None
) -> tuple[float | None, str]:
    """A published figure is of the default recipe alone."""
    default = dataclasses.replace(recipe, weights=None) == dataclasses.replace(card.defaults, weights=None)
    if default and card.minimum_memory_gib is not None:
        return card.minimum_memory_gib, f"published: {card.minimum_memory_source or 'source not given'}"
    if isinstance(found, Counts):
        return needed_gib(found, recipe), "counted: weights and the intermediate tensors of the largest stage"
    reason = "it was not counted at this recipe yet" if found is None else found.reason
    return None, f"not known: {reason}"


def _of_stage(found: Counts, stage: StageCount, recipe: Recipe) -> float:
    """All clips of a call are held at once, but where the VAE decodes one after the other."""
    tiled = recipe.vae_tiling and stage.stage == "decode" and stage.tiled_peak_bytes is not None
    peak = stage.tiled_peak_bytes if tiled else stage.peak_bytes
    assert peak is not None
    clips = 1 if recipe.vae_slicing and stage.stage == "decode" else recipe.clips
    return (_resident(found, stage, recipe) + clips * peak * LOST) / GIB


def _resident(found: Counts, stage: StageCount, recipe: Recipe) -> float:
    """Bytes of weights that are on the device in a stage."""
    if recipe.offload in ("sequential", "group"):
        return found.parts[stage.part].largest_bytes
    here = [stage.part] if recipe.offload == "model" else list(found.parts)
    return sum(_bytes_of_weights(found, part, recipe) for part in here)


def _bytes_of_weights(found: Counts, part: str, recipe: Recipe) -> float:
    """A denoiser in eight bits has a byte for each parameter."""
    counted = found.parts[part]
    smaller = recipe.layerwise_casting not in OFF or recipe.quantization not in OFF
    return counted.parameters if part in DENOISERS and smaller else counted.bytes
