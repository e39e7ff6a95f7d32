"""All that is known of a clip before it is made: whether it fits, seconds, joules, cost, and what each rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_vdb.estimates import prediction
from pytest_vdb.estimates.prediction import Prediction, Range, Reference
from pytest_vdb.models import fitting
from pytest_vdb.models.card import ModelCard
from pytest_vdb.models.counts import Counts, Uncounted
from pytest_vdb.models.fitting import Fit
from pytest_vdb.profiling.hardware import Hardware
from pytest_vdb.profiling.settings import Price
from pytest_vdb.records import Recipe

SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How clips shall be made."""

    devices: int = 1
    """That share each clip."""
    price_per_hour: Price | None = None
    """Of one device; None: not told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One model on one device. `low` and `high` are the ends of 90% intervals."""

    model: str
    gpu: str
    fits: bool | None
    """Into the device's memory as the recipe is; None: not known."""
    fits_with: str | None
    """Settings that make it fit, empty where it does without; None: none that is known."""
    memory_gib: float | None
    memory_rests_on: str
    seconds: float | None
    seconds_low: float | None
    seconds_high: float | None
    joules: float | None
    joules_low: float | None
    joules_high: float | None
    cost: float | None
    """Of a clip, by the price of the device's time alone."""
    cost_low: float | None
    cost_high: float | None
    cost_per_1000: float | None
    currency: str | None
    """As it was written behind the price; `money` where none was."""
    operations: float | None
    """Of a clip, counted."""
    rests_on: str
    """What seconds rest on; where there are none, why."""


def estimate(
    card: ModelCard,
    recipe: Recipe,
    found: Counts | Uncounted | None,
    device: Hardware,
    references: Sequence[Reference],
    plan: Plan,
) -> Estimate:
    """Put together what is known.

    Args:
        card: of the model.
        recipe: as `recipes.resolve` returned it; its batch is how many clips a call makes.
        found: its counts under the recipe, or why there are none.
        device: what it shall run on.
        references: what was measured.
        plan: how many devices, and what they cost.
    """
    fit = fitting.fit(card, recipe, found, device.memory_gib)
    predicted = _predicted(card, recipe, found, device, references, plan, fit)
    seconds, joules = _of_a_clip(predicted.seconds, recipe), _of_a_clip(predicted.joules, recipe)
    cost = None
    if seconds is not None and plan.price_per_hour is not None:
        cost = seconds.times(plan.devices * plan.price_per_hour.amount / SECONDS_PER_HOUR)
    return Estimate(
        model=card.name,
        gpu=device.name,
        fits=fit.fits,
        fits_with=None if fit.switches is None else _in_words(fit.switches),
        memory_gib=fit.needed_gib,
        memory_rests_on=fit.rests_on,
        **_three_fields("seconds", seconds),
        **_three_fields("joules", joules),
        **_three_fields("cost", cost),
        cost_per_1000=None if cost is None else 1000 * cost.value,
        currency=None if cost is None or plan.price_per_hour is None else plan.price_per_hour.currency,
        operations=found.operations if isinstance(found, Counts) else None,
        rests_on=predicted.rests_on,
    )


def _three_fields(name: str, of: Range | None) -> dict[str, Any]:
    ends = (None, None, None) if of is None else (of.value, of.low, of.high)
    return dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))


def _predicted(
    card: ModelCard,
    recipe: Recipe,
    found: Counts | Uncounted | None,
    device: Hardware,
    references: Sequence[Reference],
    plan: Plan,
    fit: Fit,
) -> Prediction:
    if not isinstance(found, Counts):
        reason = "not counted" if found is None else found.reason
        return Prediction(seconds=None, joules=None, rests_on=f"not known: {reason}")
    if fit.fits is False and fit.switches is None:
        return Prediction(seconds=None, joules=None, rests_on=f"it does not fit into {device.title}")
    if fit.fits is False and fit.switches is not None and fit.switches.offload == "sequential":
        reason = "it fits only with its weights coming one by one: how long that takes depends on the bus"
        return Prediction(seconds=None, joules=None, rests_on=f"not known: {reason}")
    return prediction.predict(card.name, recipe, found, device, references, clips=recipe.clips, devices=plan.devices)


def _of_a_clip(of_call: Range | None, recipe: Recipe) -> Range | None:
    return None if of_call is None else of_call.times(1 / recipe.clips)


def _in_words(switches: Recipe) -> str:
    return " ".join(f"{name}={str(value).lower()}" for name, value in switches.settings().items())
