"""Models in this process: loaded when first needed, timed apart, at most one at a time, a failure never retried."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

from pytest_vdb.bench.doing import Activity
from pytest_vdb.errors import CannotRunHere, DoesNotRun, FailedBefore, OneClipOnly
from pytest_vdb.models import recipes
from pytest_vdb.models.card import ModelCard
from pytest_vdb.models.classes import pipeline_class
from pytest_vdb.models.conformance import Examination, Finding
from pytest_vdb.models.contract import Model, has_ended
from pytest_vdb.models.recipes import require_memory
from pytest_vdb.models.registry import Registry
from pytest_vdb.models.source import WeightsSource
from pytest_vdb.models.weights import finding
from pytest_vdb.profiling.latency import FIRST_CALL, LATENCY, LOAD_TIME
from pytest_vdb.profiling.probe import Reading
from pytest_vdb.profiling.profiler import Profiler
from pytest_vdb.records import Clip, Measurement, Prompt, Recipe
from pytest_vdb.sweeps import Point

WARM_UP = Prompt(id="warm-up", text="a warm-up clip that is thrown away")


class Shelf:
    """Holds the one model that is open.

    Args:
        memory_gib: what the device has; None: nobody knows.
        activity: told while a model is loaded.
        cannot_run: called with the reason why a model cannot run here; it must raise.
    """

    def __init__(
        self,
        registry: Registry,
        source: WeightsSource,
        profiler: Profiler,
        memory_gib: float | None,
        *,
        cannot_run: Callable[[CannotRunHere], NoReturn],
        activity: Activity,
    ) -> None:
        self.registry = registry
        self.source = source
        self.profiler = profiler
        self.memory_gib = memory_gib
        self.activity = activity
        self._cannot_run = cannot_run
        self._name: str | None = None
        self._model: Model | None = None
        self._loaded_for: Recipe | None = None
        """What the open model was loaded with."""
        self._warm: Recipe | None = None
        """By which the open model was called last since it was loaded."""
        self.first_call_s: float | None = None
        """How long the open model took when it was first called; None: nobody knows."""
        self._failures: dict[tuple[str, Recipe], str] = {}
        """Of loads, by what was needed; of first calls, by the whole recipe: a smaller batch may do."""

    def take(self, card: ModelCard, recipe: Recipe) -> tuple[Model, tuple[Measurement, ...]]:
        """The open model, and what loading it cost if it was loaded now.

        A recipe that differs from the last one in what a call is asked for needs no other load: of a pipeline one call
        of the new shape is made apart, and why there is no time of a load is told.

        Raises:
            Exception: what `cannot_run` raises: no weights here, known not to fit, broken in the library, or it failed
                before; else what loading it raised.
        """
        needed = recipes.needed_to_load(recipe)
        if self._model is not None and has_ended(self._model):
            self.clear()
        if self._model is not None and self._name == card.name and self._loaded_for == needed:
            return self._model, self._warmed_again(self._model, card, recipe)
        if card.broken:
            self._cannot_run(DoesNotRun(f"{card.name} does not run in the installed libraries: {card.broken}"))
        failures = (self._failures.get((card.name, by)) for by in (needed, recipe))
        if (failure := next(filter(None, failures), None)) is not None:
            said = f"not run: {card.name} did not load earlier in this process: {failure}"
            self._cannot_run(FailedBefore(said))
        self.clear()
        with self.activity.of("loads", card.name):
            return self._load(card, recipe)

    def is_warm(self, card: ModelCard, recipe: Recipe) -> bool:
        """Whether this model is open and was called last by this recipe, or needs no such call."""
        is_open = self._model is not None and self._name == card.name and not has_ended(self._model)
        return is_open and (self._warm == recipe or not card.warm_up)

    def note_first_call(self, recipe: Recipe, measured: Iterable[Measurement]) -> tuple[Measurement, ...]:
        """The open model was called for the first time by a recipe: what that cost, under its own name.

        Args:
            recipe: by which.
            measured: what was read of that call.
        """
        self._warm = recipe
        cost = _timed_as(FIRST_CALL, measured)
        self.first_call_s = None if cost is None else cost.value
        return () if cost is None else (cost,)

    def refuse_batch(self, recipe: Recipe) -> NoReturn:
        """Say that a batch is for calls that are timed."""
        said = f"batch={recipe.batch} is for calls that are timed (vdb.time): this benchmark makes one clip in a call"
        self._cannot_run(OneClipOnly(said))

    def clear(self) -> None:
        """Free the open model."""
        model, self._model, self._name = self._model, None, None
        self._loaded_for = self._warm = self.first_call_s = None
        if model is not None:
            model.close()

    def _warmed_again(self, model: Model, card: ModelCard, recipe: Recipe) -> tuple[Measurement, ...]:
        if self._warm in {None, recipe}:
            return ()
        reason = "not loaded for this recipe: the model was open, by another one that needs no other load"
        not_loaded = LOAD_TIME.of(None, reason=reason)
        if card.pipeline is None:  # who asks it makes its first call
            return (not_loaded,)
        with self.activity.of("generates", card.name, WARM_UP.id, model.pipeline):
            return (not_loaded, *self._first_call(model, card, recipe))

    def _load(self, card: ModelCard, recipe: Recipe) -> tuple[Model, tuple[Measurement, ...]]:
        try:
            if self.memory_gib is not None and recipe.weights in {"hub", "local", "random"} and not recipe.offload:
                require_memory(card, self.memory_gib)
            if card.pipeline is not None:
                finding.require_any(card, self.source)
                pipeline_class(card)  # what its libraries take to be imported is no cost of the model's
            with self.profiler.watch() as loading:
                model = self.registry.open(card, recipe, self.source)
        except CannotRunHere as error:
            self._cannot_run(error)
        except Exception as error:
            self._failures[card.name, recipes.needed_to_load(recipe)] = f"{type(error).__name__}: {error}"
            raise
        self._name, self._model, self._loaded_for = card.name, model, recipes.needed_to_load(recipe)
        load_time = _timed_as(LOAD_TIME, loading.measurements)
        costs: tuple[Measurement, ...] = () if load_time is None else (load_time,)
        if card.pipeline is not None:
            costs += self._first_call(model, card, recipe)
        return model, costs

    def _first_call(self, model: Model, card: ModelCard, recipe: Recipe) -> tuple[Measurement, ...]:
        """A call of full shape, whose clips are thrown away: allocator peaks and autotuning belong to it."""
        try:
            with self.profiler.watch() as first:
                answers(model, [WARM_UP] * recipe.clips, recipe, range(recipe.clips))
        except CannotRunHere as error:
            self.clear()
            self._cannot_run(error)
        except Exception as error:
            self._failures[card.name, recipe] = f"{type(error).__name__}: {error}"
            self.clear()
            raise
        return self.note_first_call(recipe, first.measurements)


def answers(model: Model, prompts: Sequence[Prompt], recipe: Recipe, seeds: Sequence[int]) -> tuple[Clip, ...]:
    """What one call makes: a clip, or as many as the recipe's batch.

    Args:
        model: loaded for the recipe.
        prompts: one of each clip.
        recipe: as it was resolved.
        seeds: one of each clip.
    """
    if recipe.clips == 1:
        return (model.generate(prompts[0], recipe, seeds[0]),)
    return tuple(model.generate_batch(prompts, recipe, seeds))


class ModelHandle:
    """What the `vdb_model` fixture gives: one selected model under the session's recipe, or a point of its sweep."""

    def __init__(self, card: ModelCard, recipe: Recipe, shelf: Shelf, point: Point | None = None) -> None:
        self.card = card
        self.point = point
        self.recipe = recipe
        self.loading: list[Measurement] = []
        """What loading cost, until a record takes it."""
        self._shelf = shelf
        self._examination = Examination(
            card, recipe, load=self.load, unload=shelf.clear, device=shelf.source.device, warmed=True
        )

    @property
    def name(self) -> str:
        """The card's name."""
        return self.card.name

    @property
    def shown_name(self) -> str:
        """The card's name, and what the point of a sweep is called."""
        return self.name if self.point is None else f"{self.name} ({self.point.name})"

    def load(self) -> Model:
        """Load the model if it is not the open one; a pipeline is warmed up, too."""
        model, costs = self._shelf.take(self.card, self.recipe)
        self.loading += costs
        return model

    @property
    def is_warm(self) -> bool:
        """Whether it was called since it was loaded, or needs no such call."""
        return self._shelf.is_warm(self.card, self.recipe)

    @property
    def first_call_s(self) -> float | None:
        """How long its first call took, if it is the open model."""
        return self._shelf.first_call_s if self.is_warm else None

    def note_first_call(self, measured: Iterable[Measurement]) -> None:
        """It was called for the first time; what was read of that becomes part of what loading cost."""
        self.loading += self._shelf.note_first_call(self.recipe, measured)

    def generate(self, prompt: Prompt, seed: int) -> Clip:
        """One clip, neither profiled nor cached: for a benchmark that times it in its own way.

        Raises:
            Exception: what the session's `cannot_run` raises, where the recipe asks for several clips in one call.
        """
        self.require_one_clip()
        return self.load().generate(prompt, self.recipe, seed)

    def generate_batch(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> tuple[Clip, ...]:
        """The clips of one call, neither profiled nor cached.

        Args:
            prompts: one of each clip, as many as the recipe's batch.
            seeds: one of each clip.
        """
        return answers(self.load(), prompts, self.recipe, seeds)

    def require_one_clip(self) -> None:
        """Where the recipe asks for several clips in a call, what makes and judges single ones is not run.

        Raises:
            Exception: what the session's `cannot_run` raises.
        """
        if self.recipe.clips > 1:
            self._shelf.refuse_batch(self.recipe)

    def examine(self, check: str) -> Finding:
        """One of `pytest_vdb.models.conformance.CHECKS` on this model."""
        self.require_one_clip()
        return self._examination.examine(check)


def _timed_as(reading: Reading, measurements: Iterable[Measurement]) -> Measurement | None:
    """The latency of a load or first call under its own name."""
    latency = next((measured for measured in measurements if measured.name == LATENCY.name), None)
    return None if latency is None else reading.of(latency.value, reason=latency.reason)
