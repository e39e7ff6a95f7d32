"""Seconds, joules and cost of a clip that nobody made yet: from what was measured nearest to it, scaled by counts.

The time of a clip is its operations over the device's peak times a share that is reached. The share has a level, which
is the device's and its software's, and falls where products and attention heads are narrow. What was measured nearest
gives the level: the same model here, other models here, the same model elsewhere, others' published runs; each farther
one with a wider interval. Slopes, levels and intervals are fitted on published figures: see docs/estimates.md.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import linear_regression, mean, median

import msgspec

from pytest_vdb import files
from pytest_vdb.components import DENOISERS
from pytest_vdb.errors import RecordError
from pytest_vdb.estimates.limit import peak_of_dtype_per_s
from pytest_vdb.models.counts import Counts
from pytest_vdb.models.pipelines.reasons import OFF
from pytest_vdb.profiling.hardware import Hardware, known
from pytest_vdb.records import Recipe

FITTED = Path(__file__).with_name("fitted.toml")
PUBLISHED = FITTED.with_name("published.toml")
OWN_HALF_WIDTH = 0.05
"""Of what was measured here under the same recipe: as much as two sessions may differ."""
OTHER_RECIPE_HALF_WIDTH = 0.10
"""Of what was measured here under another recipe."""
OUTSIDE = 2.0
"""How much wider an interval is for a model unlike all that were fitted, for a device beyond those that were measured,
and where a device was measured once, by others."""
_WITHOUT_EFFECT = frozenset({"weights", "vae_tiling", "vae_slicing", "negative_prompt", "fps"})
"""Settings by which a call takes no longer, as far as anybody measured."""
_NOT_IN_COUNTS = ("attention", "quantization", "layerwise_casting", "compile", "cache", "backend", "offload")
"""Settings whose effect on the time is not counted: only a run under them knows it."""
UNKNOWN_HALF_WIDTH = 0.7
"""Of a device that nobody measured, half or twice as long: three devices are known, too few to say it better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What was fitted: `fitted.toml`."""

    inner_slope: float
    head_slope: float
    inner_range: tuple[float, float]
    """Least and most log2 of the products' width among the fitted models."""
    head_range: tuple[float, float]
    further_gpus: tuple[float, float]
    """Coefficients of log k: seconds of n GPUs are t/n (1 + k (n - 1))."""
    half_width: dict[str, float]
    """Of 90% intervals, in natural logarithms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A clip that was measured."""

    model: str
    device: Hardware
    recipe: Recipe
    counts: Counts
    seconds: float
    joules: float | None
    source: str
    """Who measured it."""
    own: bool = False
    """Whether it was here."""
    spread: float = 0.0
    """Half the range of the logarithms of several measurements of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A value between two others."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> Range:
        """All three."""
        return Range(value=self.value * factor, low=self.low * factor, high=self.high * factor)


UNKNOWN_POWER = Range(value=0.86, low=0.5, high=1.05)
"""Share of its board's limit that a device draws which nobody measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Of one clip on one device, or of a batch on several."""

    seconds: Range | None
    joules: Range | None
    rests_on: str
    """What it rests on; where there are no seconds, why."""


@cache
def fitted() -> Fitted:
    """What is shipped."""
    return msgspec.convert(files.read_toml(FITTED, error=RecordError), Fitted)


def predict(
    model: str,
    recipe: Recipe,
    found: Counts,
    device: Hardware,
    references: Sequence[Reference],
    *,
    clips: int = 1,
    devices: int = 1,
) -> Prediction:
    """Predict a generation.

    Args:
        model: name of its card.
        recipe: as `recipes.resolve` returned it.
        found: its counts under the recipe.
        device: what it shall run on.
        references: what was measured, here and elsewhere.
        clips: made in one call.
        devices: alike, that share each clip (sequence parallelism).
    """
    if recipe.devices > 1:
        mend = "--devices tells how others' clips scaled"
        return Prediction(seconds=None, joules=None, rests_on=f"not known under parallel={recipe.parallel}: {mend}")
    rate = peak_of_dtype_per_s(device, recipe)
    if rate is None:
        return Prediction(
            seconds=None, joules=None, rests_on=f"the peak of {device.title} in {recipe.dtype} is not known"
        )
    if widths_of(found) is None:
        return Prediction(seconds=None, joules=None, rests_on="it has no denoiser whose operations were counted")
    level = _nearest_level(model, recipe, device, [one for one in references if _has_level(one)])
    seconds = math.exp(level.value + _without_level(found, math.log(rate))) * clips / devices
    seconds *= 1 + _further(found) * (devices - 1)
    half, source = level.half_width, level.rests_on
    if not _is_inside(found) and not any(one.own and one.model == model for one in level.of):
        half, source = half * OUTSIDE, f"{source}; its layers are unlike those that were fitted"
    if unknown := _switches_without(recipe, level.of):
        half, source = half * OUTSIDE, f"{source}; what {' and '.join(unknown)} would change is not in it"
    if devices > 1:
        half, source = half + fitted().half_width["known_gpu"], f"{source}; {devices} devices as others scaled"
    time = _around(seconds, half)
    return Prediction(seconds=time, joules=_joules(time, model, device, references, devices), rests_on=source)


def widths_of(found: Counts) -> tuple[float, float] | None:
    """Width of attention's heads and of the products, of the stage that does most; None where nothing was counted."""
    stages = [stage for stage in found.stages if stage.part in DENOISERS and stage.inner_width]
    if not stages:
        return None
    most = max(stages, key=lambda stage: stage.operations)
    assert most.inner_width is not None
    return most.head_width or 2 ** fitted().head_range[0], most.inner_width


def operations_per_call(found: Counts) -> float:
    """Of a denoiser."""
    stages = [stage for stage in found.stages if stage.part in DENOISERS]
    calls = sum(stage.calls for stage in stages)
    return sum(stage.operations for stage in stages) / calls if calls else found.operations


# Levels -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """How near a device comes to its peak."""

    value: float
    """The logarithm of one over the share that is reached, without what narrow layers cost."""
    half_width: float
    """Of its interval, likewise a logarithm."""
    rests_on: str
    of: Sequence[Reference]
    """The measurements that it is from."""


def _nearest_level(model: str, recipe: Recipe, device: Hardware, references: Sequence[Reference]) -> Level:
    """From the nearest of what was measured."""

    def of(what: str, used: Sequence[Reference], half_width: float) -> Level:
        return Level(value=_median_level(used), half_width=half_width, rests_on=f"{what}: {_who(used)}", of=tuple(used))

    half = fitted().half_width
    here = [one for one in references if one.device.name == device.name]
    same = [one for one in here if one.model == model]
    own = [one for one in same if one.own]
    if exact := [one for one in own if _takes_as_long(one.recipe, recipe)]:
        return of("measured here", exact, max(OWN_HALF_WIDTH, *(one.spread for one in exact)))
    if own:
        return of("measured here at another recipe", own, OTHER_RECIPE_HALF_WIDTH)
    if exact := [one for one in same if _takes_as_long(one.recipe, recipe)]:
        return of("published for this model on this device", exact, half["other_gpu"])
    if others := [one for one in here if one.own]:
        return of("other models measured here", others, half["calibrated"])
    if same:
        return of("published for this model on this device at another recipe", same, half["other_gpu"])
    elsewhere = [one for one in references if one.model == model]
    lone = here and len({one.model for one in here}) == 1
    if elsewhere and here:
        width = half["other_gpu"] if not lone else half["calibrated"] * OUTSIDE
        between = [_level_of(one) + _median_level(here) - _of_device(one.device, references) for one in elsewhere]
        return dataclasses.replace(of("this model on another device", elsewhere, width), value=median(between))
    if here:
        width = half["known_gpu"] if not lone else half["calibrated"] * OUTSIDE
        return of("counts, and other models on this device", here, width)
    if (twin := known().get(device.chip_of or "")) is not None and any(one.device == twin for one in references):
        level = _nearest_level(model, recipe, twin, [one for one in references if not one.own])
        width, source = math.hypot(level.half_width, half["other_gpu"]), f"{level.rests_on}, which has the same chip"
        return dataclasses.replace(level, half_width=width, rests_on=source)
    return _of_unknown_device(recipe, device, references)


def _switches_without(recipe: Recipe, references: Sequence[Reference]) -> list[str]:
    """The switches of a recipe that change how long a call takes, and under which nothing was measured."""
    asked = {name: value for name in _NOT_IN_COUNTS if (value := getattr(recipe, name)) not in OFF}
    return [
        f"{name}={value}"
        for name, value in asked.items()
        if not any(getattr(one.recipe, name) == value for one in references)
    ]


def _takes_as_long(one: Recipe, other: Recipe) -> bool:
    """Whether two recipes take as long: where the weights come from does not matter, nor what is not done in tiles."""
    shaping = [{name: value for name, value in of.settings().items() if value not in OFF} for of in (one, other)]
    return all(shaping[0].get(name) == shaping[1].get(name) for name in {*shaping[0], *shaping[1]} - _WITHOUT_EFFECT)


def _has_level(one: Reference) -> bool:
    """Whether it says how near its device comes to its peak: an upsampler that was run here has no denoiser."""
    return peak_of_dtype_per_s(one.device, one.recipe) is not None and widths_of(one.counts) is not None


def _level_of(one: Reference) -> float:
    return math.log(one.seconds) - _without_level(one.counts, _log_peak(one.device, one.recipe))


def _median_level(references: Sequence[Reference]) -> float:
    """Each model counts once, however often it was measured."""
    models = {one.model: [_level_of(other) for other in references if other.model == one.model] for one in references}
    return mean(median(levels) for levels in models.values())


def _of_device(device: Hardware, references: Sequence[Reference]) -> float:
    return _median_level([one for one in references if one.device.name == device.name])


def _of_unknown_device(recipe: Recipe, device: Hardware, references: Sequence[Reference]) -> Level:
    """A device's level by its peak: the faster a device, the smaller the share that is reached.

    A straight line through the devices that were measured, in logarithms; beyond them it stays level.
    """
    measured = {one.device.name: one for one in references}.values()
    peaks = [_log_peak(one.device, one.recipe) for one in measured]
    levels = [_of_device(one.device, references) for one in measured]
    slope, constant = linear_regression(peaks, levels)
    asked = _log_peak(device, recipe)
    inside = _clamped(asked, (min(peaks), max(peaks)))
    return Level(
        value=constant + slope * inside,
        half_width=UNKNOWN_HALF_WIDTH * (OUTSIDE if asked != inside else 1),
        rests_on="counts, and other models on other devices: nobody measured one on this device",
        of=tuple(references),
    )


def _log_peak(device: Hardware, recipe: Recipe) -> float:
    rate = peak_of_dtype_per_s(device, recipe)
    assert rate is not None
    return math.log(rate)


def _without_level(found: Counts, log_peak: float) -> float:
    """The logarithm of the seconds of a clip at a share of one, and of what narrow layers cost."""
    widths = widths_of(found)
    assert widths is not None
    fit = fitted()
    head, inner = (math.log2(width) for width in widths)
    cost = fit.head_slope * _clamped(head, fit.head_range) + fit.inner_slope * _clamped(inner, fit.inner_range)
    return math.log(found.operations) - log_peak - cost


def _clamped(value: float, between: tuple[float, float]) -> float:
    return min(max(value, between[0]), between[1])


def _is_inside(found: Counts) -> bool:
    """Whether a model's widths lie among those of the fitted ones, and most of what it does is a transformer's."""
    widths = widths_of(found)
    if widths is None or not any(stage.attention for stage in found.stages if stage.part in DENOISERS):
        return False
    fit = fitted()
    spans = zip(widths, (fit.head_range, fit.inner_range), strict=True)
    return all(low - 0.5 <= math.log2(width) <= high + 0.5 for width, (low, high) in spans)


def _further(found: Counts) -> float:
    constant, slope = fitted().further_gpus
    return math.exp(constant + slope * math.log2(operations_per_call(found)))


# Energy -------------------------------------------------------------------------------------------------------------


def _joules(
    seconds: Range, model: str, device: Hardware, references: Sequence[Reference], devices: int
) -> Range | None:
    """Power times time; the power is a share of the board's limit, as it was measured on this device or is usual."""
    if device.board_power_w is None:
        return None
    limit_w = device.board_power_w * devices
    measured = [one for one in references if one.joules is not None and one.device.name == device.name]
    measured = [one for one in measured if one.model == model] or measured
    shares = [(one.joules or 0) / one.seconds / device.board_power_w for one in measured]
    if shares:
        width = fitted().half_width["joules"]
        value = seconds.value * mean(shares) * limit_w
        time = math.log(seconds.high / seconds.value)
        return _around(value, math.hypot(width, time))
    share, watts = UNKNOWN_POWER, limit_w
    ends = seconds.low * share.low * watts, seconds.high * share.high * watts
    return Range(value=seconds.value * share.value * watts, low=ends[0], high=ends[1])


def _around(value: float, half: float) -> Range:
    return Range(value=value, low=value * math.exp(-half), high=value * math.exp(half))


def _who(references: Sequence[Reference]) -> str:
    """Whose measurements, in short."""
    told = [f"{one.model} on {one.device.name} ({one.source})" for one in references]
    kinds = list(dict.fromkeys(told))
    more = f" and {len(kinds) - 2} more" if len(kinds) > 2 else ""
    return ", ".join(kinds[:2]) + more


# Published ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    """A latency that others published, as `published.toml` has it."""

    model: str
    gpu: str
    recipe: Recipe
    """What differs from the card's default one."""
    seconds: float
    joules: float | None = None
    source: str


@cache
def published_rows() -> tuple[PublishedRow, ...]:
    """All rows of `published.toml`."""
    tables = files.read_toml(PUBLISHED, error=RecordError)
    return msgspec.convert(tables["row"], tuple[PublishedRow, ...])


@cache
def published() -> tuple[Reference, ...]:
    """The published rows whose counts are shipped: all of them, unless a card changed since it was counted."""
    from pytest_vdb.models import counts, recipes
    from pytest_vdb.models.registry import Registry

    registry, made = Registry.from_catalog(), []
    for row in published_rows():
        card = registry.get(row.model)
        recipe = recipes.resolve(card, row.recipe, "hub")
        found = counts.shipped_of(card, recipe)
        if isinstance(found, Counts):
            made.append(
                Reference(
                    model=card.name,
                    device=known()[row.gpu],
                    recipe=recipe,
                    counts=found,
                    seconds=row.seconds,
                    joules=row.joules,
                    source=row.source,
                )
            )
    return tuple(made)
