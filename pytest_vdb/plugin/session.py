"""The session of one pytest process: its options, and the modules in which the user's tags stand."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

import pytest
from _pytest.outcomes import Skipped  # what pytest.skip() raises; a subclass needs its name

from pytest_vdb import budget
from pytest_vdb import options as options_module
from pytest_vdb.bench.session import Session
from pytest_vdb.errors import CannotRunHere, FailedBefore, VdbError
from pytest_vdb.options import Given, Options

if TYPE_CHECKING:
    from pytest_vdb.plugin.collected import Collected

RUN_ID = pytest.StashKey[str]()
OPTIONS = pytest.StashKey[Options]()
SESSION = pytest.StashKey[Session]()
COLLECTED: pytest.StashKey[Collected] = pytest.StashKey()
"""The session's benchmarks: there once the collection has ended and found any."""
TOLD = pytest.StashKey[str]()
"""The same as a worker told the controller, unread."""
MODULES = pytest.StashKey[dict[str, ModuleType]]()
"""Test modules, which may tag models, metrics and networks, too."""


def options_of(config: pytest.Config) -> Options:
    """The session's options, read once.

    Raises:
        pytest.UsageError: an option that cannot be used.
    """
    if OPTIONS not in config.stash:
        from pytest_vdb.reporters import formats

        try:
            options = options_module.read(lambda flag: given(config, flag.name), root=project_of(config))
            formats.chosen(options.report, where=given(config, "report").where)
            if options.overall is not None:
                from pytest_vdb.analysis.overall import overall_of

                overall_of(options.overall, where=given(config, "overall").where)
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
    value = config.getini(flag.ini)
    if not value or config.inipath is None:  # a default means the same as if it had been typed
        return Given(value, config.invocation_params.dir, flag.ini if value else flag.flag)
    return Given(value, config.inipath.parent, f"{flag.ini} in {config.inipath.name}")


def session_of(config: pytest.Config) -> Session:
    """What the benchmarks of this process share; built when the first one is collected."""
    if SESSION not in config.stash:
        from pytest_vdb.cluster.jobs import SHARERS

        given = getattr(config, "workerinput", {})
        config.stash[SESSION] = Session(
            options_of(config),
            run_id=config.stash[RUN_ID],
            tagged=lambda: tagged_in(config),
            workers=given.get("vdb_workers", 1) * int(os.environ.get(SHARERS, 1)),
            gpus=given.get("vdb_gpus", 0),
            cannot_run=skip,
        )
    return config.stash[SESSION]


class LoadFailed(Skipped):
    """The model raised while it was loaded, earlier in this process: that test failed, this one is not run."""


def skip(error: CannotRunHere) -> NoReturn:
    """A test of a model that cannot run here is skipped with the reason."""
    if isinstance(error, FailedBefore):
        raise LoadFailed(str(error))
    pytest.skip(str(error))


# Where the user's tags stand ------------------------------------------------------------------------------------------


def tagged_in(config: pytest.Config) -> list[ModuleType]:
    """Conftests, installed plugins and test modules: where `@model`, `@metric` and `@backbone` stand."""
    plugins = [plugin for plugin in config.pluginmanager.get_plugins() if isinstance(plugin, ModuleType)]
    return [*plugins, *config.stash.setdefault(MODULES, {}).values()]


def hear_of(config: pytest.Config, module: ModuleType) -> None:
    """Add what a test module, and every conftest that was imported since, tags."""
    config.stash.setdefault(MODULES, {})[module.__name__] = module
    session_of(config).look_again()


def import_metrics(config: pytest.Config, files: Iterable[str]) -> None:
    """On a controller, which collects nothing: import what tags the session's metrics and their networks."""
    from _pytest.pathlib import import_path

    root, mode = config.rootpath, config.getoption("importmode")
    packages = config.getini("consider_namespace_packages")
    for path in map(Path, files):
        if path.name == "conftest.py":
            manager = config.pluginmanager
            module = manager._importconftest(path, mode, root, consider_namespace_packages=packages)
        else:
            module = import_path(path, mode=mode, root=root, consider_namespace_packages=packages)
        config.stash.setdefault(MODULES, {})[str(path)] = module
    session_of(config).look_again()
