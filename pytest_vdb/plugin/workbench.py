"""What all tests of one process share: options, models, prompts, metrics, profiler and cache.

Built when the first benchmark is collected; torch comes in with the first model that needs it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from pytest_vdb import budget
from pytest_vdb import options as options_module
from pytest_vdb.errors import UnknownName, VdbError
from pytest_vdb.options import Given, Options
from pytest_vdb.plugin.cases import Case, cases

if TYPE_CHECKING:
    from pytest_vdb.metrics.contract import MetricSpec
    from pytest_vdb.metrics.engine import Engine
    from pytest_vdb.metrics.registry import MetricRegistry
    from pytest_vdb.models.card import ModelCard
    from pytest_vdb.models.registry import Registry
    from pytest_vdb.plugin.collected import Collected
    from pytest_vdb.plugin.loading import ModelHandle, Shelf
    from pytest_vdb.profiling.profiler import Profiler
    from pytest_vdb.records import Environment, Prompt, Recipe, Record, Suite
    from pytest_vdb.results.cache import ClipCache

SHIPPED = Path(__file__).parent.parent / "benchmarks"
"""The suite as the wheel carries it, which `vdb run` takes where a project has none."""

RUN_ID = pytest.StashKey[str]()
OPTIONS = pytest.StashKey[Options]()
WORKBENCH = pytest.StashKey["Workbench"]()
COLLECTED: pytest.StashKey[Collected] = pytest.StashKey()
"""The session's benchmarks: there once the collection has ended and found any."""


def options_of(config: pytest.Config) -> Options:
    """The session's options, read once.

    Raises:
        pytest.UsageError: an option that cannot be used.
    """
    if OPTIONS not in config.stash:
        try:
            options = options_module.read(lambda flag: given(config, flag.name), root=project_of(config))
        except VdbError as error:
            raise pytest.UsageError(str(error)) from None
        if options.budget is not None:
            os.environ[budget.VARIABLE] = str(options.budget)  # also for what this process starts
        config.stash[OPTIONS] = options
    return config.stash[OPTIONS]


def project_of(config: pytest.Config) -> Path:
    """The project's folder: its ini file's, else where the command was typed.

    Without an ini file pytest guesses a root from the arguments, which differs from command to command.
    """
    return config.rootpath if config.inipath is not None else config.invocation_params.dir


def given(config: pytest.Config, name: str) -> Given:
    """The option `name` as the user gave it: on the command line, else in the ini file."""
    flag = next(flag for flag in options_module.FLAGS if flag.name == name)
    on_command_line = getattr(config.option, flag.ini, None)
    if on_command_line not in (None, []):
        return Given(on_command_line, config.invocation_params.dir, flag.flag)
    where = flag.ini if config.inipath is None else f"{flag.ini} in {config.inipath.name}"
    folder = config.invocation_params.dir if config.inipath is None else config.inipath.parent
    value = config.getini(flag.ini)
    return Given(value, folder, where if value else flag.flag)


def workbench_of(config: pytest.Config) -> Workbench:
    """The session's workbench."""
    if WORKBENCH not in config.stash:
        config.stash[WORKBENCH] = Workbench(config, options_of(config))
    return config.stash[WORKBENCH]


class Workbench:
    """Shared by the tests of one process."""

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self.config = config
        self.options = options
        self.run_id = config.stash[RUN_ID]
        self.run_folder = options.output / "runs" / self.run_id
        self._handles: dict[str, ModelHandle] = {}
        self._modules: dict[str, ModuleType] = {}
        """Test modules, which may tag models and metrics, too."""

    # Who is asked what ----------------------------------------------------------------------------------------------

    @cached_property
    def registry(self) -> Registry:
        """The catalogue, the models of installed packages, and those that conftests and plugins tagged."""
        from pytest_vdb.models.registry import Registry

        registry = Registry.from_catalog(base_seed=self.options.seed)
        registry.add_entry_points()
        for module in self._plugin_modules():
            registry.add_from(module)
        return registry

    def _plugin_modules(self) -> list[ModuleType]:
        """Conftests and installed plugins: where `@model` and `@metric` stand."""
        return [plugin for plugin in self.config.pluginmanager.get_plugins() if isinstance(plugin, ModuleType)]

    def hear_of(self, module: ModuleType) -> None:
        """Add what a test module, and every conftest that was imported since, tags."""
        before = len(self.registry.names())
        self._modules[module.__name__] = module
        for source in (module, *self._plugin_modules()):
            self.registry.add_from(source)
        if len(self.registry.names()) != before:
            self.__dict__.pop("models", None)

    def metric_files(self) -> tuple[str, ...]:
        """The user's files that tag the session's metrics."""
        import inspect

        files = dict.fromkeys(inspect.getfile(spec.function) for spec in self.metrics)
        ours = Path(__file__).parent.parent
        return tuple(file for file in files if not Path(file).is_relative_to(ours))

    def import_metrics(self, files: Iterable[str]) -> None:
        """On a controller, which collects nothing: import the conftests and modules that tag the session's metrics."""
        from _pytest.pathlib import import_path

        root, mode = self.config.rootpath, self.config.getoption("importmode")
        packages = self.config.getini("consider_namespace_packages")
        for path in map(Path, files):
            if path.name == "conftest.py":
                manager = self.config.pluginmanager
                module = manager._importconftest(path, mode, root, consider_namespace_packages=packages)
            else:
                module = import_path(path, mode=mode, root=root, consider_namespace_packages=packages)
            self._modules[str(path)] = module

    def known_models(self) -> tuple[str, ...] | None:
        """The names of this session's models; None while a name is unknown: its conftest may not be imported yet."""
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

        asked = self.options
        check_device(asked.device, where="--vdb-device")
        if asked.backbones:
            from pytest_vdb.metrics.features import BACKBONES

            for name, _ in asked.backbones:
                if name not in BACKBONES:
                    raise UnknownName("network", name, BACKBONES, where="--vdb-backbone", mend="See: vdb backbones.")
        assert self.metrics is not None
        assert self.suite.prompts
        assert self.models

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
    def environment_digest(self) -> str:
        """Of the environment, computed once."""
        return self.environment.digest()

    @cached_property
    def models(self) -> tuple[ModelCard, ...]:
        """The models of this session."""
        return self.registry.select(self.options.models, folder=self.options.models_folder)

    def cases(self, *, with_model: bool, with_prompt: bool) -> list[Case]:
        """The flat parametrisation of one test function; every recipe is resolved (and refused) here.

        Raises:
            VdbError: an unknown name, a broken prompt file, a recipe that a model cannot follow.
        """
        models = [card.name for card in self.models] if with_model else [None]
        if with_model:
            for card in self.models:
                self.recipe(card)
        prompts: list[Prompt | None] = list(self.suite.prompts) if with_prompt else [None]
        return cases(models, prompts, self.options.samples if with_prompt else 1)

    def about(self, name: str) -> Record:
        """What every record of a model says, whatever becomes of its test."""
        from pytest_vdb.records import Record

        handle, suite = self.handle(name), self.suite
        return Record(
            run=self.run_id,
            nodeid="",
            benchmark="",
            model=name,
            status="not_run",
            task=handle.card.task,
            weights=handle.recipe.weights,
            revision=handle.card.revision,
            recipe=handle.recipe.settings(),
            recipe_digest=handle.recipe.digest(),
            suite=f"{suite.name}@{suite.version}",
            suite_digest=self.suite_digest,
            hardware=self.environment.hardware,
            environment=self.environment_digest,
        )

    def name_of_file(self, path: Path) -> str:
        """A test file's name in records: relative to the project, or within the shipped suite wherever that lies."""
        for folder, prefix in ((self.options.root, Path()), (SHIPPED, Path(SHIPPED.name))):
            if path.is_relative_to(folder):
                return (prefix / path.relative_to(folder)).as_posix()
        return path.name

    def recipe(self, card: ModelCard) -> Recipe:
        """The session's recipe for one model, every default filled in."""
        return self.handle(card.name).recipe

    def seed(self, case: Case) -> int:
        """The pinned seed of one test."""
        from pytest_vdb.records import seed_of

        return seed_of(self.options.seed, case.prompt.id if case.prompt else "", case.sample_index)

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

        return Profiler(self.device)

    @cached_property
    def metrics(self) -> tuple[MetricSpec, ...]:
        """The metrics of this session: ours and those that conftests and plugins tagged."""
        return self._registry.select(self.options.metrics, paired=False)

    @cached_property
    def metrics_of_pairs(self) -> tuple[MetricSpec, ...]:
        """The default's paired metrics: a generated clip has nothing to be compared with, only some tests' clips do.

        Without those whose tiny random networks would say nothing.
        """
        tiny = self.options.weights == "tiny"
        chosen = self._registry.select(self.options.metrics, paired=True)
        return tuple(spec for spec in chosen if spec not in self.metrics and not (tiny and spec.backbones))

    @cached_property
    def _registry(self) -> MetricRegistry:
        from pytest_vdb.metrics.registry import MetricRegistry

        registry = MetricRegistry.builtin()
        for module in (*self._plugin_modules(), *self._modules.values()):
            registry.add_from(module)
        return registry

    @cached_property
    def engine(self) -> Engine:
        """Computes the metrics; a `tiny` run gets tiny networks, whose values are marked as wiring only."""
        return self._engine(self.metrics)

    @cached_property
    def engine_of_pairs(self) -> Engine:
        """Computes the default's paired metrics."""
        return self._engine(self.metrics_of_pairs)

    def _engine(self, metrics: tuple[MetricSpec, ...]) -> Engine:
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

    @cached_property
    def cache(self) -> ClipCache:
        """Finished clips, by what they were made from."""
        from pytest_vdb.results.cache import ClipCache

        return ClipCache(self.options.cache_dir / "clips")

    @cached_property
    def shelf(self) -> Shelf:
        """The open model."""
        from pytest_vdb.models.weights import WeightsSource
        from pytest_vdb.plugin.loading import Shelf

        self._pin_threads()
        source = WeightsSource(
            mode=self.options.weights,
            device=self.device,
            cache_dir=self.options.cache_dir / "weights",
            local_dir=self.options.weights_dir,
            offline=self.options.offline,
        )
        return Shelf(self.registry, source, self.profiler, self._memory_gib())

    def handle(self, name: str) -> ModelHandle:
        """One model under the session's recipe; loads nothing."""
        from pytest_vdb.plugin.loading import ModelHandle

        if name not in self._handles:
            card = self.registry.get(name)
            self._handles[name] = ModelHandle(card, card.resolve(self.options.recipe, self.options.weights), self.shelf)
        return self._handles[name]

    # What a number depends on ---------------------------------------------------------------------------------------

    def clip_identity(self, handle: ModelHandle, prompt: Prompt, seed: int) -> dict[str, object]:
        """Everything that can change the pixels: two clips with the same identity are the same clip."""
        from pytest_vdb.records import digest

        return {
            "model": handle.name,
            "source": self.registry.fingerprint(handle.card),
            "weights_dir": str(self.options.weights_dir) if handle.recipe.weights == "local" else None,
            "prompt": [prompt.id, prompt.text, prompt.negative, *map(_file_digest, (prompt.image, prompt.video))],
            "seed": seed,
            "recipe": handle.recipe.digest(),
            "environment": digest([self.environment.hardware, sorted(self.environment.packages.items())]),
        }

    @cached_property
    def why_timings_are_withheld(self) -> str | None:
        """Workers that share a device slow each other down: their timings would not be the model's."""
        given = getattr(self.config, "workerinput", {})
        workers, gpus = given.get("vdb_workers", 1), given.get("vdb_gpus", 0)
        if workers > 1 and not self.device.startswith("cuda"):
            return f"withheld: {workers} workers share this {self.device.upper()}"
        if workers > max(gpus, 1):
            return f"withheld: {workers} workers share {gpus} GPU(s)"
        return None

    def close(self) -> None:
        """Free the open model."""
        if "shelf" in self.__dict__:
            self.shelf.clear()

    def _memory_gib(self) -> float | None:
        gpus = [gpu.memory_mib for gpu in self.environment.gpus if gpu.memory_mib]
        if self.device.startswith("cuda"):
            return gpus[0] / 1024 if gpus else None
        return self.environment.memory_mib / 1024

    def _pin_threads(self) -> None:
        """Tiny networks are fastest on one thread, and a sum's last bits depend on the number of threads."""
        if self.options.weights == "tiny":
            from pytest_vdb.profiling import threads

            threads.use_one_thread()


def _file_digest(path: str | None) -> str | None:
    import hashlib

    return None if path is None else hashlib.sha256(Path(path).read_bytes()).hexdigest()
