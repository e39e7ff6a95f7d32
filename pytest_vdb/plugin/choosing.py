"""Which models and prompts each test is parametrised with: settled when everything that can tag a model is imported.

pytest parametrises a module's tests as it collects it, before it has imported the conftests of other folders. So a test
is parametrised with what is known by then, and once more at the end of the collection if that was not all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest

from pytest_vdb.errors import VdbError
from pytest_vdb.plugin.cases import case_ids, cases_of
from pytest_vdb.plugin.session import hear_of, session_of

_ASKING = {"vdb_model", "vdb_prompt", "vdb_seed"}
_Function = tuple[str, str]
"""Node id of its module or class, and its name."""


@dataclass(slots=True)
class Choices:
    """With which models each function was parametrised; None: a name was not known yet."""

    made: dict[_Function, tuple[str, ...] | None] = field(default_factory=dict)


CHOICES = pytest.StashKey[Choices]()


def parametrize(metafunc: pytest.Metafunc) -> None:
    """One flat parametrisation of a test that asks for a model or a prompt.

    Raises:
        pytest.Collector.CollectError: a broken prompt file, a recipe that a model cannot follow.
    """
    wanted = set(metafunc.fixturenames)
    if "vdb_case" not in wanted or not wanted & _ASKING:
        return
    session = session_of(metafunc.config)
    with_model, with_prompt = "vdb_model" in wanted, "vdb_prompt" in wanted
    try:
        hear_of(metafunc.config, metafunc.module)
        chosen = session.known_models() if with_model else ()
        if with_model:
            choices = metafunc.config.stash.setdefault(CHOICES, Choices())
            parent = metafunc.definition.parent
            choices.made[parent.nodeid if parent else "", metafunc.definition.name] = chosen
        if chosen is None:
            return  # the conftest that tags it may not be imported yet
        listed = cases_of(session, with_model=with_model, with_prompt=with_prompt)
    except VdbError as error:
        raise pytest.Collector.CollectError(str(error)) from None
    metafunc.parametrize("vdb_case", listed, ids=case_ids(listed), indirect=True)


def settle(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Parametrise anew what was parametrised too early, and check every name that the options hold.

    Raises:
        pytest.UsageError: a name that nobody knows; on a worker a failed collection says it, and no benchmark is left.
    """
    if not any(is_benchmark(item) for item in items):
        return
    session = session_of(config)
    try:
        for module in {id(item.module): item.module for item in items if hasattr(item, "module")}.values():
            hear_of(config, module)
        session.check_names()
        final = tuple(card.name for card in session.models)
        choices = config.stash.get(CHOICES, Choices())
        stale = {function for function, made in choices.made.items() if made != final}
        if stale:
            items[:] = list(_anew(items, stale))
    except (VdbError, pytest.Collector.CollectError) as error:
        _refuse(config, items, str(error))


def is_benchmark(item: pytest.Item) -> bool:
    """Whether a test uses our fixtures."""
    return "vdb_case" in getattr(item, "fixturenames", ())


def _anew(items: Iterable[pytest.Item], stale: set[_Function]) -> Iterable[pytest.Item]:
    """The items, with all of a stale function where its first one stood."""
    done: set[_Function] = set()
    for item in items:
        function = _function_of(item)
        if function not in stale:
            yield item
        elif function not in done:
            done.add(function)
            yield from _generated(item)


def _function_of(item: pytest.Item) -> _Function:
    parent = item.parent
    return (parent.nodeid if parent else "", getattr(item, "originalname", item.name))


def _generated(item: Any) -> list[pytest.Item]:
    """pytest's own generation of one function's items; its `PyCollector` has no public door to it."""
    made: list[pytest.Item] = list(item.parent._genfunctions(item.originalname, item.obj))
    for new in made:
        new.ihook.pytest_itemcollected(item=new)
    return made


def _refuse(config: pytest.Config, items: list[pytest.Item], message: str) -> None:
    items[:] = [item for item in items if not is_benchmark(item)]
    if not hasattr(config, "workerinput"):
        raise pytest.UsageError(message)
    # What a worker raises here ends it and has it replaced, again and again: tell the controller as a collection error.
    report = pytest.CollectReport(nodeid="vdb", outcome="failed", longrepr=message, result=[])
    config.hook.pytest_collectreport(report=report)
