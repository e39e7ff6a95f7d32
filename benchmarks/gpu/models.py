"""Full-size models with random weights at a published recipe: ours beside the published figure and the prediction.

Loaded apart, warmed up by a call of full shape and few steps, then timed once, stages and steps told apart. Where the
time is too short for the whole clip fewer steps are made: seconds per step are measured then, a latency is not made up.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pytest_vdb.errors import BadClip, RecipeError
from pytest_vdb.estimates.estimate import Estimate, estimate
from pytest_vdb.estimates.estimate import Plan as WhichClips
from pytest_vdb.estimates.limit import Limit, limit
from pytest_vdb.estimates.prediction import published
from pytest_vdb.models import counts, fitting, recipes
from pytest_vdb.models.card import ModelCard
from pytest_vdb.models.counts import Counts, Uncounted
from pytest_vdb.models.registry import Registry
from pytest_vdb.models.source import WeightsSource
from pytest_vdb.presets import PRESETS
from pytest_vdb.profiling import hardware
from pytest_vdb.profiling.cuda_memory import ALLOCATED, OUTSIDE, RESERVED
from pytest_vdb.profiling.gpus import ENERGY, POWER
from pytest_vdb.profiling.hardware import Hardware
from pytest_vdb.profiling.latency import LATENCY
from pytest_vdb.profiling.profiler import Profiler
from pytest_vdb.profiling.stages import OTHER_TIME, STEP_TIME, TIMES
from pytest_vdb.records import Measurement, Prompt, Recipe

from .cards import Card
from .plan import Plan
from .rows import Check, MeasuredModel, Row, Told, compare, told

PROMPT = Prompt(id="gpu", text="a red ball rolls over the grass")
ROOM = 1.1
"""By how much a call may take longer than the warm-up says before its share of the time is over."""
LEAST_S = 15.0
"""For a model that is loaded and warmed up, and no more."""
FREE_MIB = 512
"""That a model should leave of a card."""


def rows(plan: Plan, card: Card, left_s: Callable[[], float]) -> Iterator[Row]:
    """A model after another; one that fails, or does not fit, loses itself alone."""
    registry = Registry.from_catalog()
    described = [_Described.of(registry.get(name), plan, card) for name in plan.models]
    # The shortest first: as many as possible are measured whole, and the last one is cut.
    described.sort(key=lambda about: about.beside.predicted_s or float("inf"))
    card.give_back()
    with TemporaryDirectory() as folder:
        for following, about in zip(reversed(range(len(described))), described, strict=True):
            left = left_s() - following * LEAST_S
            try:
                yield from _measured_on_card(registry, about, plan, card, Path(folder), left)
            except Exception as error:
                if plan.is_rehearsal:  # there it is the script that failed; here a full card, say
                    raise
                yield dataclasses.replace(about.beside, reason=f"{type(error).__name__}: {_first_line_of_error(error)}")
            card.give_back()


def recipe_of(card: ModelCard, plan: Plan) -> tuple[Recipe, tuple[str, ...]]:
    """The preset as far as a model can follow it, and what it cannot.

    Raises:
        RecipeError: what stands beside the preset is refused.
    """
    followed, left_out = [], []
    for setting in PRESETS[plan.preset].settings:
        try:
            recipes.resolve(card, Recipe.parse([setting], where=plan.preset), plan.weights)
            followed.append(setting)
        except RecipeError as error:
            left_out.append(f"{setting}: {' '.join(str(error).split())}")
    asked = Recipe.parse([*followed, *plan.beside], where=plan.preset)
    return recipes.resolve(card, asked, plan.weights), tuple(left_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Described:
    """All that is known of a model before it runs."""

    card: ModelCard
    recipe: Recipe
    found: Counts | Uncounted | None
    device: Hardware | None
    beside: MeasuredModel

    @classmethod
    def of(cls, card: ModelCard, plan: Plan, on: Card) -> _Described:
        recipe, left_out = recipe_of(card, plan)
        device = hardware.find(on.name)
        found = None if plan.is_rehearsal else _counted(card, recipe)
        known, blind = None, None
        if device is not None and found is not None:
            others = [one for one in published() if one.model != card.name]
            known, blind = (
                estimate(card, recipe, found, device, references, WhichClips()) for references in (published(), others)
            )
        needed = fitting.fit(card, recipe, found, None).needed_gib
        settings = dict(recipe.settings())
        beside = MeasuredModel(model=card.name, recipe=settings, left_out=left_out, needed_gib=needed)
        return cls(
            card=card,
            recipe=recipe,
            found=found,
            device=device,
            beside=_with_published(_with_estimates(beside, known, blind), device),
        )

    def why_it_does_not_fit(self, free_mib: float | None) -> str | None:
        """By our own estimate, into what is free of the card."""
        needed = self.beside.needed_gib
        if needed is None or free_mib is None or needed * 1024 <= free_mib - FREE_MIB:
            return None
        return f"not run: it needs {needed:.1f} GiB by our estimate, {free_mib / 1024:.1f} GiB of the card are free"


def _counted(card: ModelCard, recipe: Recipe) -> Counts | Uncounted:
    """Shipped, or counted now: seconds, on the processor."""
    if (found := counts.shipped_of(card, recipe)) is not None:
        return found
    from pytest_vdb.estimates import counting

    return counting.count(card, recipe)


def _with_estimates(beside: MeasuredModel, one: Estimate | None, blind: Estimate | None) -> MeasuredModel:
    if one is None or blind is None:
        return beside
    return dataclasses.replace(
        beside,
        predicted_s=one.seconds,
        predicted_low_s=one.seconds_low,
        predicted_high_s=one.seconds_high,
        predicted_joules=one.joules,
        predicted_blind_s=blind.seconds,
        rests_on=one.rests_on,
    )


def _with_published(beside: MeasuredModel, device: Hardware | None) -> MeasuredModel:
    """What others published of this model on this very card."""
    rows_of_it = [one for one in published() if device and (one.model, one.device.name) == (beside.model, device.name)]
    if not rows_of_it:
        return beside
    one = rows_of_it[0]
    return dataclasses.replace(beside, published_s=one.seconds, published_joules=one.joules, published_by=one.source)


def _measured_on_card(
    registry: Registry, about: _Described, plan: Plan, card: Card, folder: Path, left_s: float
) -> Iterator[Row]:
    if (reason := about.why_it_does_not_fit(card.free_mib())) is not None:
        yield dataclasses.replace(about.beside, reason=reason)
        return
    if left_s <= 0:
        yield dataclasses.replace(about.beside, reason="not run: the time was over")
        return
    ends = time.monotonic() + left_s
    profiler = Profiler(card.device)
    source = WeightsSource(mode=plan.weights, device=card.device, cache_dir=folder, offline=True)
    with profiler.watch() as loading:
        model = registry.open(about.card, about.recipe, source)
    try:
        warm = _pipeline_called(profiler, model, about, max(plan.warm_up_steps, about.card.minimum_steps))
        steps, reason = _steps_in_time(warm, about, ends - time.monotonic())
        timed = warm if steps is None else _pipeline_called(profiler, model, about, steps)
    finally:
        model.close()
    steps = steps or max(plan.warm_up_steps, about.card.minimum_steps)
    yield _row_of_measured_model(about, timed, loading.measurements, steps, reason)
    yield from _checks_of(about, timed, steps, plan)


def _pipeline_called(profiler: Profiler, model: Any, about: _Described, steps: int) -> Sequence[Measurement]:
    recipe = dataclasses.replace(about.recipe, steps=steps)
    with profiler.watch(model.pipeline) as readings, contextlib.suppress(BadClip):  # random weights: NaN took as long
        clip = model.generate(PROMPT, recipe, 0)
        readings.frames = len(clip.frames)
    return readings.measurements


def _steps_in_time(warm: Sequence[Measurement], about: _Described, left_s: float) -> tuple[int | None, str | None]:
    """How many steps the time is enough for, and why not all; None: for none but those of the warm-up."""
    wanted = about.recipe.steps or 1
    series = next((one.series or () for one in warm if one.name == STEP_TIME.name), ())
    latency = told(warm, LATENCY.name).value
    if not series or not isinstance(latency, float):
        return wanted, None  # nobody knows how long it takes: whoever watches the time ends it
    step, rest = series[-1], latency - sum(series)
    possible = int((left_s / ROOM - rest) / step) if step > 0 else wanted
    if possible >= wanted:
        return wanted, None
    reason = f"the time was enough for {max(possible, 0)} of {wanted} steps: no latency of a whole clip"
    return (possible, reason) if possible > len(series) else (None, f"{reason}; those of the warm-up are told")


def _row_of_measured_model(
    about: _Described,
    timed: Sequence[Measurement],
    loading: Sequence[Measurement],
    steps: int,
    reason: str | None,
) -> MeasuredModel:
    def read(name: str) -> float | None:
        value = told(timed, name).value
        return value if isinstance(value, float) else None

    latency, whole = read(LATENCY.name), steps == about.recipe.steps
    stages = {one.name: value for one in (*TIMES.values(), OTHER_TIME) if (value := read(one.name)) is not None}
    energy = told(timed, ENERGY.name)
    return dataclasses.replace(
        about.beside,
        steps=steps,
        load_s=next((one.value for one in loading if one.name == LATENCY.name), None),
        latency_s=latency if whole else None,
        step_s=read(STEP_TIME.name),
        stages_s=stages,
        joules=read(ENERGY.name) if whole else None,
        watts=read(POWER.name),
        allocated_mib=read(ALLOCATED.name),
        reserved_mib=read(RESERVED.name),
        outside_mib=read(OUTSIDE.name),
        utilisation=_utilisation(about, latency, steps),
        reason=reason or (f"no energy: {energy.reason}" if energy.value is None else None),
    )


def _utilisation(about: _Described, latency: float | None, steps: int) -> float | None:
    if about.device is None or latency is None or not isinstance(about.found, Counts):
        return None
    return limit(about.found.at_steps(steps), about.recipe, about.device, latency).utilisation


def _checks_of(about: _Described, timed: Sequence[Measurement], steps: int, plan: Plan) -> Iterator[Check]:
    """The readings of a real call hold together, and are not faster than the card."""
    name, latency = about.card.name, told(timed, LATENCY.name)
    parts = [told(timed, one.name).value for one in (*TIMES.values(), OTHER_TIME)]
    whole = Told(sum(value for value in parts if isinstance(value, float)))
    yield compare(
        f"{name}: stages and the rest",
        whole,
        latency,
        source=LATENCY.name,
        unit="s",
        relative=0.02,
        absolute=plan.slack_s,
    )
    series = next((one.series or () for one in timed if one.name == STEP_TIME.name), ())
    yield compare(f"{name}: steps", Told(len(series)), Told(steps), source="the recipe")
    if about.device is not None and isinstance(about.found, Counts) and isinstance(latency.value, float):
        judged = limit(about.found.at_steps(steps), about.recipe, about.device, latency.value)
        yield beside_physics(name, latency.value, judged)


def beside_physics(model: str, latency_s: float, judged: Limit) -> Check:
    """A call may not be faster than its device; where nobody knows how fast that is, nothing is checked."""
    return Check(
        what=f"{model}: as slow as physics",
        ours=latency_s,
        second=judged.least_seconds,
        unit="s",
        source="operations and bytes over the data sheet's peaks",
        passed=None if judged.least_seconds is None else not judged.is_impossible,
        reason=judged.reason,
    )


def _first_line_of_error(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0]
