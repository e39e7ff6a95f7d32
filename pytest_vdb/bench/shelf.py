"""Models in this process: loaded when first needed, timed apart, at most one at a time, a failure never retried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn

from pytest_vdb.errors import CannotRunHere, DoesNotRun, FailedBefore
from pytest_vdb.models.card import ModelCard
from pytest_vdb.models.classes import pipeline_class
from pytest_vdb.models.conformance import Examination, Finding
from pytest_vdb.models.contract import Model
from pytest_vdb.models.recipes import require_memory
from pytest_vdb.models.registry import Registry
from pytest_vdb.models.source import WeightsSource
from pytest_vdb.profiling.latency import LATENCY
from pytest_vdb.profiling.probe import Reading
from pytest_vdb.profiling.profiler import Profiler
from pytest_vdb.records import Clip, Measurement, Prompt, Recipe

LOAD_TIME = replace(LATENCY, name="load_time")
WARMUP_TIME = replace(LATENCY, name="warmup_time")
WARM_UP = Prompt(id="warm-up", text="a warm-up clip that is thrown away")


class Shelf:
    """Holds the one model that is open.

    Args:
        memory_gib: what the device has; None: nobody knows.
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
    ) -> None:
        self.registry = registry
        self.source = source
        self.profiler = profiler
        self.memory_gib = memory_gib
        self._cannot_run = cannot_run
        self._name: str | None = None
        self._model: Model | None = None
        self._failures: dict[str, str] = {}

    def take(self, card: ModelCard, recipe: Recipe) -> tuple[Model, tuple[Measurement, ...]]:
        """The open model, and what loading it cost if it was loaded now.

        Raises:
            Exception: what `cannot_run` raises: no weights here, known not to fit, broken in the library, or it failed
                before; else what loading it raised.
        """
        if self._model is not None and self._name == card.name:
            return self._model, ()
        if card.broken:
            self._cannot_run(DoesNotRun(f"{card.name} does not run in the installed libraries: {card.broken}"))
        if card.name in self._failures:
            said = f"not run: {card.name} did not load earlier in this process: {self._failures[card.name]}"
            self._cannot_run(FailedBefore(said))
        self.clear()
        return self._load(card, recipe)

    def clear(self) -> None:
        """Free the open model."""
        model, self._model, self._name = self._model, None, None
        if model is not None:
            model.close()

    def _load(self, card: ModelCard, recipe: Recipe) -> tuple[Model, tuple[Measurement, ...]]:
        try:
            if self.memory_gib is not None and recipe.weights in {"hub", "local", "random"} and not recipe.offload:
                require_memory(card, self.memory_gib)
            if card.pipeline is not None:
                pipeline_class(card)  # what its libraries take to be imported is no cost of the model's
            with self.profiler.watch() as loading:
                model = self.registry.open(card, recipe, self.source)
            with self.profiler.watch() as warming:
                if model.pipeline is not None:  # a full-shape call: allocator peaks and autotuning belong to it
                    model.generate(WARM_UP, recipe, seed=0)
        except CannotRunHere as error:
            self._cannot_run(error)
        except Exception as error:
            self._failures[card.name] = f"{type(error).__name__}: {error}"
            raise
        self._name, self._model = card.name, model
        costs = [_timed_as(LOAD_TIME, loading.measurements)]
        if model.pipeline is not None:
            costs.append(_timed_as(WARMUP_TIME, warming.measurements))
        return model, tuple(cost for cost in costs if cost is not None)


class ModelHandle:
    """What the `vdb_model` fixture gives: one selected model under the session's recipe."""

    def __init__(self, card: ModelCard, recipe: Recipe, shelf: Shelf) -> None:
        self.card = card
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

    def load(self) -> Model:
        """Load (and warm up) the model if it is not the open one."""
        model, costs = self._shelf.take(self.card, self.recipe)
        self.loading += costs
        return model

    def generate(self, prompt: Prompt, seed: int) -> Clip:
        """One clip, neither profiled nor cached: for a benchmark that times it in its own way."""
        return self.load().generate(prompt, self.recipe, seed)

    def examine(self, check: str) -> Finding:
        """One of `pytest_vdb.models.conformance.CHECKS` on this model."""
        return self._examination.examine(check)


def _timed_as(reading: Reading, measurements: tuple[Measurement, ...]) -> Measurement | None:
    """The latency of a load or warm-up under its own name."""
    latency = next((measured for measured in measurements if measured.name == LATENCY.name), None)
    return None if latency is None else reading.of(latency.value, reason=latency.reason)
