"""Benchmarks are noted where they are collected, and told to whoever writes records.

Under xdist only the workers import the user's conftests and modules, so each tells the controller what it collected.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_vdb.places import file_of
from pytest_vdb.plugin.cases import Case
from pytest_vdb.plugin.collected import Collected, Test
from pytest_vdb.plugin.session import COLLECTED, TOLD
from pytest_vdb.plugin.telling import tell
from pytest_vdb.records import from_json, to_json

if TYPE_CHECKING:
    from pytest_vdb.bench.session import Session
    from pytest_vdb.metrics.contract import MetricSpec
    from pytest_vdb.sweeps import Point

SHIPPED = Path(__file__).parent.parent / "benchmarks"
"""The suite as the wheel carries it, which `vdb run` takes where a project has none."""

TOPIC = "collected"
"""Under which a worker tells what it collected."""


def take_stock(config: pytest.Config, items: Iterable[pytest.Item], session: Session) -> None:
    """Note the benchmarks among the collected tests; on a worker, tell the controller."""
    found = {item.nodeid: item for item in items if _asks_a_model(item)}
    if not found:
        return
    tests = {nodeid: _test(item, session) for nodeid, item in found.items()}
    prompts = {prompt.id: prompt for prompt in session.suite.prompts} if any(t.prompt for t in tests.values()) else {}
    points = {tests[nodeid].setup: _point_of_item(item) for nodeid, item in found.items()}
    models = {test.setup: test.model for test in tests.values()}
    about = {setup: session.about(model, points[setup]) for setup, model in models.items()}
    config.stash[COLLECTED] = Collected(
        tests=tests,
        models=about,
        prompts=prompts,
        seed=session.options.seed,
        sets=any(spec.scope == "set" for spec in session.metrics),
        tagged_in=_files_of(session.metrics),
    )
    if hasattr(config, "workerinput"):
        tell(config, TOPIC, to_json(config.stash[COLLECTED]))


def keep(config: pytest.Config, told: str) -> None:
    """What a worker collected, as it came to the controller: all workers tell the same, the first is believed.

    Nothing is read here: each worker is heard on a thread of its own, and msgspec's first look at a class crashes
    the process if two threads have it at once.
    """
    config.stash.setdefault(TOLD, told)


def believe(config: pytest.Config) -> None:
    """Read what was kept, on the main thread."""
    if COLLECTED not in config.stash:
        config.stash[COLLECTED] = from_json(config.stash[TOLD], Collected, where="what a worker collected")


def _asks_a_model(item: pytest.Item) -> bool:
    case = case_of(item)
    return case is not None and case.model is not None


def case_of(item: pytest.Item) -> Case | None:
    """What a test is about, if `vdb_case` was parametrised for it."""
    case: Case | None = _parameters_of_item(item).get("vdb_case")
    return case


def _parameters_of_item(item: pytest.Item) -> Mapping[str, Any]:
    callspec = getattr(item, "callspec", None)
    return callspec.params if callspec is not None else {}


def _test(item: pytest.Item, session: Session) -> Test:
    case = case_of(item)
    assert case is not None
    assert case.model is not None
    return Test(
        benchmark=benchmark_of(item, session.options.root),
        model=case.model,
        prompt=case.prompt.id if case.prompt else None,
        sample_index=case.sample_index,
        parameters=dict(_own_parameters(item)),
        point=case.point.name if case.point else "",
    )


def _point_of_item(item: pytest.Item) -> Point | None:
    case = case_of(item)
    return case.point if case is not None else None


def benchmark_of(item: pytest.Item, root: Path) -> str:
    """`benchmarks/test_generation.py::TestClass::test_generation`: the same from whichever folder pytest was called.

    The path is relative to the ini file's folder, else to where the command was typed; the shipped suite keeps its own
    name wherever it is installed.
    """
    function = getattr(item, "originalname", None) or item.name
    classes = [node.name for node in item.listchain() if isinstance(node, pytest.Class)]
    return "::".join([_name_of_file(item.path, root), *classes, function])


def _name_of_file(path: Path, root: Path) -> str:
    """Relative to the project, or within the shipped suite wherever that lies."""
    for folder, prefix in ((root, Path()), (SHIPPED, Path(SHIPPED.name))):
        if path.is_relative_to(folder):
            return (prefix / path.relative_to(folder)).as_posix()
    return path.name


def _files_of(metrics: Iterable[MetricSpec]) -> tuple[str, ...]:
    """The user's files that tag these metrics and the networks that they look through."""
    found = (file_of(tagged) for spec in metrics for tagged in spec.tagged)
    files = dict.fromkeys(file for file in found if file is not None)
    return tuple(file for file in files if not Path(file).is_relative_to(SHIPPED.parent))


def _own_parameters(item: pytest.Item) -> Iterable[tuple[str, str]]:
    """The user's own parameters as text; those of plugins that repeat a test (`__pytest_repeat...`) tell nothing apart.

    A value that is no plain one is named as pytest names it in the test's id: `model0`, or as the user said.
    """
    ids = getattr(getattr(item, "callspec", None), "id", "")
    for name, value in _parameters_of_item(item).items():
        if name == "vdb_case" or name.startswith("_"):
            continue
        if value is None or isinstance(value, str | int | float | bool):
            yield name, str(value)
        else:
            numbered = re.search(rf"(?:^|-)({re.escape(name)}\d+)(?:-|$)", ids)
            yield name, numbered[1] if numbered else ids
