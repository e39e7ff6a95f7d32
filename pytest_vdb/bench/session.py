"""What all benchmarks of one process share: options, models, prompts, metrics, profiler and cache.

Everything is built when it is first asked for; torch comes in with the first model or network that needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pytest_vdb.bench.doing import Activity
from pytest_vdb.errors import CannotRunHere, PointRefused, RecipeError, UnknownName
from pytest_vdb.options import Options

if TYPE_CHECKING:
    from pytest_vdb.backbones.registry import BackboneRegistry
    from pytest_vdb.bench.shelf import ModelHandle, Shelf
    from pytest_vdb.metrics.contract import MetricSpec
    from pytest_vdb.metrics.engine import Engine
    from pytest_vdb.metrics.registry import MetricRegistry
    from pytest_vdb.models.card import ModelCard
    from pytest_vdb.models.registry import Registry
    from pytest_vdb.models.source import WeightsSource
    from pytest_vdb.profiling.profiler import Profiler
    from pytest_vdb.records import CardFacts, Environment, Prompt, Recipe, Record, Suite
    from pytest_vdb.results.cache import ClipCache
    from pytest_vdb.sweeps import Point


def refuse(error: CannotRunHere) -> NoReturn:
    """What becomes of a model that cannot run here: its error is raised. pytest skips instead."""
    raise error


class Session:
    """Shared by the benchmarks of one process.

    Args:
        options: what was asked for.
        run_id: the name of the run.
        tagged: the modules in which the user's `@model`, `@metric` and `@backbone` stand, as far as they are imported.
        workers: how many processes share this machine's devices.
        gpus: how many GPUs they have between them.
        cannot_run: called with the reason why a model cannot run here; it must raise.
    """

    def __init__(
        self,
        options: Options,
        *,
        run_id: str,
        tagged: Callable[[], Iterable[object]] = tuple,
        workers: int = 1,
        gpus: int = 0,
        cannot_run: Callable[[CannotRunHere], NoReturn] = refuse,
    ) -> None:
        self.options = options
        self.run_id = run_id
        self.cannot_run = cannot_run
        self._tagged = tagged
        self._workers = workers
        self._gpus = gpus
        self._handles: dict[tuple[str, Point | None], ModelHandle] = {}
        self.activity = Activity()
        """What this process is doing."""

    @cached_property
    def run_folder(self) -> Path:
        """Where this run's files are."""
        from pytest_vdb.results.journal import RUNS

        return self.options.output / RUNS / self.run_id

    # Who is asked what ----------------------------------------------------------------------------------------------

    @cached_property
    def registry(self) -> Registry:
        """The catalogue, the models of installed packages, and those that the user tagged."""
        from pytest_vdb.models.registry import Registry

        registry = Registry.from_catalog(base_seed=self.options.seed)
        registry.add_entry_points()
        for module in self._tagged():
            registry.add_from(module)
        return registry

    def look_again(self) -> None:
        """Add what was tagged in modules that were imported since."""
        before = len(self.registry.names())
        for module in self._tagged():
            self.registry.add_from(module)
        if len(self.registry.names()) != before:
            self.__dict__.pop("models", None)
        for name in ("backbones", "metric_registry", "metrics", "metrics_of_pairs"):
            self.__dict__.pop(name, None)

    @cached_property
    def suite(self) -> Suite:
        """The prompts of this session."""
        from pytest_vdb.prompts import suites

        return suites.load(self.options.prompts, root=self.options.prompts_folder)

    @cached_property
    def suite_digest(self) -> str:
        """Of the prompts, computed once."""
        return self.suite.digest()

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Ids of the prompts as every model answers them where a gate may stop early; else none: the suite's order."""
        from pytest_vdb.records import pinned_order

        if not self.options.may_stop:
            return ()
        return pinned_order((prompt.id for prompt in self.suite.prompts), self.options.seed, self.suite_digest)

    @cached_property
    def environment_digest(self) -> str:
        """Of the environment, computed once."""
        return self.environment.digest()

    @cached_property
    def models(self) -> tuple[ModelCard, ...]:
        """The models of this session."""
        return self.registry.select(self.options.models, folder=self.options.models_folder)

    def known_models(self) -> tuple[str, ...] | None:
        """The names of this session's models; None while a name is unknown: its module may not be imported yet."""
        try:
            return tuple(card.name for card in self.models)
        except UnknownName:
            return None

    def check_names(self) -> None:
        """Whether every name that the options hold is known, before anything is generated.

        Raises:
            VdbError: which option, which name, and what it may have meant.
        """
        from pytest_vdb.results.environment import check_device

        check_device(self.options.device, where="--vdb-device")
        self.check_backbones(where="--vdb-backbone")
        assert self.metrics is not None
        assert self.suite.prompts
        assert self.models

    def check_backbones(self, *, where: str) -> None:
        """Whether every network that the options name the weights of is one.

        Raises:
            UnknownName: with the names it may have meant.
        """
        for name, _ in self.options.backbones:
            self.backbones.get(name, where=where)

    @cached_property
    def points(self) -> tuple[Point | None, ...]:
        """Those of the sweep, each a recipe of every model; without one there is the recipe alone."""
        from pytest_vdb import sweeps

        return sweeps.points(self.options.sweep) or (None,)

    def about(self, name: str, point: Point | None = None) -> Record:
        """What every record of a model says, whatever becomes of its test."""
        from pytest_vdb.records import Record

        card, suite = self.registry.get(name), self.suite
        recipe = self._recipe_or_what_was_asked(card, point)
        return Record(
            run=self.run_id,
            nodeid="",
            benchmark="",
            model=name,
            status="not_run",
            task=card.task,
            weights=recipe.weights,
            revision=card.revision,
            recipe=recipe.settings(),
            recipe_digest=recipe.digest(),
            suite=f"{suite.name}@{suite.version}",
            suite_digest=self.suite_digest,
            hardware=self.environment.hardware,
            environment=self.environment_digest,
        )

    def recipe(self, card: ModelCard) -> Recipe:
        """The session's recipe for one model, every default filled in."""
        return self.handle(card.name).recipe

    def _recipe_or_what_was_asked(self, card: ModelCard, point: Point | None) -> Recipe:
        """Of a point that the model cannot follow what was asked for: its tests are skipped, and say so."""
        from dataclasses import replace

        from pytest_vdb.models import recipes

        try:
            return recipes.resolve(card, self._asked(point), self.options.weights)
        except RecipeError:
            if point is None:
                raise
            weights = self.options.weights if card.pipeline is not None else "none"
            return replace(recipes.as_asked(card, self._asked(point), weights), weights=weights)

    def _asked(self, point: Point | None) -> Recipe:
        return self.options.recipe if point is None else point.over(self.options.recipe)

    def seed(self, prompt: Prompt | None, sample_index: int = 0) -> int:
        """The pinned seed of one sample."""
        from pytest_vdb.records import seed_of

        return seed_of(self.options.seed, prompt.id if prompt else "", sample_index)

    # What measures --------------------------------------------------------------------------------------------------

    @cached_property
    def device(self) -> str:
        """Where models and metrics run."""
        from pytest_vdb.results.environment import device_here

        return device_here(self.options.device)

    @cached_property
    def environment(self) -> Environment:
        """Where this process runs."""
        from pytest_vdb.results import environment

        return environment.capture(self.device)

    @cached_property
    def profiler(self) -> Profiler:
        """Reads what a generation costs."""
        from pytest_vdb.profiling.profiler import Profiler
        from pytest_vdb.profiling.settings import Price, Settings

        chosen = self.options
        settings = Settings(
            memory_rate_hz=chosen.memory_rate_hz,
            gpu_hour=Price(*chosen.price_gpu_hour) if chosen.price_gpu_hour else None,
            kwh=Price(*chosen.price_kwh) if chosen.price_kwh else None,
            grid_g_per_kwh=chosen.grid_intensity,
        )
        return Profiler(self.device, settings=settings)

    @cached_property
    def backbones(self) -> BackboneRegistry:
        """Our networks and those that the user tagged."""
        from pytest_vdb.backbones.registry import BackboneRegistry

        registry = BackboneRegistry.builtin()
        for module in self._tagged():
            registry.add_from(module)
        return registry

    @cached_property
    def metric_registry(self) -> MetricRegistry:
        """Our metrics and those that the user tagged."""
        from pytest_vdb.metrics.registry import MetricRegistry

        registry = MetricRegistry.builtin(self.backbones)
        for module in self._tagged():
            registry.add_from(module)
        return registry

    def own_bounds(self, measured: Iterable[str]) -> dict[str, tuple[float | None, float | None]]:
        """What measurements of the user's own metrics can be, where these say so.

        Whoever rebuilds a report has none of these metrics: so the run keeps it.

        Args:
            measured: names of measurements.
        """
        from pytest_vdb.metrics.registry import MetricRegistry

        ours = {name for spec in MetricRegistry.builtin() for name in spec.part_names()}
        if not (foreign := set(measured) - ours):
            return {}
        bounds = {name: spec.bounds for spec in self.metric_registry for name in spec.part_names()}
        return {name: bounds[name] for name in sorted(foreign & bounds.keys()) if bounds[name] != (None, None)}

    def card_facts(self, models: Iterable[str]) -> dict[str, CardFacts]:
        """What the cards of these models say; a model that has none, or whose card says nothing of it, is left out.

        Whoever rebuilds a report may have other cards, or none: so the run keeps it.
        """
        from pytest_vdb.models.card import UNVERIFIED
        from pytest_vdb.records import CardFacts

        found = {}
        for name in sorted(set(models) & set(self.registry.names())):
            card = self.registry.get(name)
            facts = CardFacts(
                family=card.family,
                licence=None if card.licence == UNVERIFIED else card.licence,
                repository=card.repository,
                pipeline=card.pipeline,
                parameters=card.parameters,
                download_gb=card.download_gb,
            )
            if (facts.licence, facts.repository, facts.pipeline) != (None, None, None):
                found[name] = facts
        return found

    @cached_property
    def metrics(self) -> tuple[MetricSpec, ...]:
        """The metrics of this session."""
        return self.metric_registry.select(self.options.metrics, paired=False)

    @cached_property
    def metrics_of_pairs(self) -> tuple[MetricSpec, ...]:
        """The default's paired metrics: a generated clip has nothing to be compared with, only some tests' clips do.

        Without those whose tiny random networks would say nothing.
        """
        tiny = self.options.weights == "tiny"
        chosen = self.metric_registry.select(self.options.metrics, paired=True)
        return tuple(spec for spec in chosen if spec not in self.metrics and not (tiny and spec.backbones))

    @cached_property
    def engine(self) -> Engine:
        """Computes the metrics; a `tiny` run gets tiny networks, whose values are marked as wiring only."""
        return self.engine_of(self.metrics)

    @cached_property
    def engine_of_pairs(self) -> Engine:
        """Computes the default's paired metrics."""
        return self.engine_of(self.metrics_of_pairs)

    def engine_of(self, metrics: Sequence[MetricSpec]) -> Engine:
        """Computes these metrics, through the session's networks."""
        from pytest_vdb.metrics.engine import Engine

        self._pin_threads()
        return Engine(
            metrics,
            device=self.device,
            tiny=self.options.weights == "tiny",
            backbone_paths=dict(self.options.backbones),
            cache_dir=self.options.cache_dir,
            offline=self.options.offline,
        )

    # What generates -------------------------------------------------------------------------------------------------

    @cached_property
    def cache(self) -> ClipCache:
        """Finished clips, by what they were made from."""
        from pytest_vdb.results.cache import ClipCache

        folder = self.options.cache_dir / "clips"
        if self.options.clips is None:
            return ClipCache(folder)
        from pytest_vdb.results.shared_clips import SharedClips
        from pytest_vdb.storage import storage_at

        return ClipCache(folder, SharedClips(storage_at(f"{self.options.clips}/clips"), folder))

    def settle_clips(self, patience_s: float) -> list[str]:
        """Wait for clips that are under way to other machines; what did not reach them, a sentence each."""
        return self.cache.settle(patience_s) if "cache" in vars(self) else []

    @cached_property
    def source(self) -> WeightsSource:
        """Where weights come from; tiny ones get one thread."""
        from pytest_vdb.models.source import WeightsSource

        self._pin_threads()
        return WeightsSource(
            mode=self.options.weights,
            device=self.device,
            cache_dir=self.options.cache_dir / "weights",
            local_dir=self.options.weights_dir,
            offline=self.options.offline,
        )

    @cached_property
    def shelf(self) -> Shelf:
        """The open model."""
        from pytest_vdb.bench.shelf import Shelf
        from pytest_vdb.results.environment import memory_gib_of

        return Shelf(
            self.registry,
            self.source,
            self.profiler,
            memory_gib_of(self.device, self.environment),
            cannot_run=self.cannot_run,
            activity=self.activity,
        )

    def handle(self, name: str, point: Point | None = None) -> ModelHandle:
        """One model under the session's recipe, or that of a point of its sweep; loads nothing.

        Raises:
            UnknownName: no such model.
            RecipeError: a setting that it cannot follow.
            Exception: what `cannot_run` raises, where it cannot follow a point.
        """
        from pytest_vdb.bench.shelf import ModelHandle
        from pytest_vdb.models.recipes import resolve

        if (name, point) not in self._handles:
            card = self.registry.get(name)
            try:
                recipe = resolve(card, self._asked(point), self.options.weights)
            except RecipeError as error:
                if point is None:
                    raise
                why = f"{error.what}: {error.mend}" if error.mend else error.what
                self.cannot_run(PointRefused(why, where=error.where))
            self._handles[name, point] = ModelHandle(card, recipe, self.shelf, point)
        return self._handles[name, point]

    def close(self) -> None:
        """Free the open model."""
        if "shelf" in self.__dict__:
            self.shelf.clear()

    # What a number depends on ---------------------------------------------------------------------------------------

    def clip_identity(self, handle: ModelHandle, prompt: Prompt, seed: int) -> dict[str, object]:
        """Everything that can change the pixels: two clips with the same identity are the same clip.

        Raises:
            Exception: what `cannot_run` raises, where an isolated model has no wall here.
        """
        from pytest_vdb.records import digest

        try:
            source = self.registry.fingerprint(handle.card)
        except CannotRunHere as error:
            self.cannot_run(error)
        return {
            "model": handle.name,
            "source": source,
            "weights_dir": str(self.options.weights_dir) if handle.recipe.weights == "local" else None,
            "prompt": [prompt.id, prompt.text, prompt.negative, *map(_file_digest, (prompt.image, prompt.video))],
            "seed": seed,
            "recipe": handle.recipe.digest(),
            "environment": digest([self.environment.hardware, sorted(self.environment.packages.items())]),
        }

    @cached_property
    def why_timings_are_withheld(self) -> str | None:
        """Workers that share a device slow each other down: their timings would not be the model's."""
        if self._workers > 1 and not self.device.startswith("cuda"):
            return f"withheld: {self._workers} workers share this {self.device.upper()}"
        each = self.options.devices_of_a_clip
        if self._workers > max(self._gpus // each, 1):
            of_each = f", {each} to a clip" if each > 1 else ""
            return f"withheld: {self._workers} workers share {self._gpus} GPU(s){of_each}"
        return None

    def _pin_threads(self) -> None:
        """Tiny networks are fastest on one thread, and a sum's last bits depend on the number of threads."""
        if self.options.weights == "tiny":
            from pytest_vdb.profiling import threads

            threads.use_one_thread()


def _file_digest(path: str | None) -> str | None:
    import hashlib

    return None if path is None else hashlib.sha256(Path(path).read_bytes()).hexdigest()
