"""`--vdb-stop-when-decided`: prompts in a pinned random order, and no test more than the gate needs.

The controller, which without xdist is the same process, looks at every record that it has written (`analysis.early`),
and tells the workers which benchmarks of which models are decided. Each of their tests is skipped where it would begin;
one that a worker has begun by then is finished.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Mapping
from typing import TYPE_CHECKING

import pytest
from _pytest.outcomes import Skipped  # what pytest.skip() raises; a subclass needs its name

from pytest_vdb.escaping import visible
from pytest_vdb.plugin.gates import Gates
from pytest_vdb.plugin.recording import Recorder
from pytest_vdb.plugin.session import COLLECTED, options_of, session_of
from pytest_vdb.plugin.telling import listen_to_controller, tell_worker

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

    from pytest_vdb.analysis.early import Settled, Watch
    from pytest_vdb.plugin.cases import Case

TOPIC_OF_DECISIONS = "decided"
"""Under which the controller tells a worker what is decided."""
_Benchmark = tuple[str, str]
"""Its name and a model's."""


class Spared(Skipped):
    """The test can no longer change any verdict."""

    __module__, __qualname__ = "builtins", "Skipped"  # as pytest writes it, and takes it off again


class Sparing:
    """On every process that runs tests: skips those of which it has heard that they are not needed."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self._heard: list[str] = []
        """Unread, as they came from another thread."""
        self._reasons: dict[_Benchmark, str] = {}
        listen_to_controller(config, self.hear)

    def hear(self, topic: str, text: str) -> None:
        """A benchmark of a model is decided."""
        if topic == TOPIC_OF_DECISIONS:
            self._heard.append(text)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Before any fixture, so that no model is loaded for it."""
        while self._heard:
            benchmark, model, reason = json.loads(self._heard.pop(0))
            self._reasons[benchmark, model] = reason
        if not self._reasons:
            return
        collected = self.config.stash.get(COLLECTED, None)
        test = collected.tests.get(item.nodeid) if collected is not None else None
        reason = self._reasons.get((test.benchmark, test.model)) if test is not None else None
        if reason is not None:
            raise Spared(reason, _use_item_location=True)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Tell such a skip from a user's own."""
        report = yield
        if call.excinfo is not None and isinstance(call.excinfo.value, Spared):
            vars(report)["vdb_spared"] = True
        return report


class Deciding:
    """On the controller: watches the records, and says what is decided."""

    def __init__(self, config: pytest.Config, recorder: Recorder, gates: Gates, sparing: Sparing) -> None:
        self.config = config
        self.recorder = recorder
        self.gates = gates
        self.sparing = sparing
        self._watch: Watch | None = None
        self._told: list[str] = []
        self._workers: list[WorkerController] = []

    @property
    def is_on(self) -> bool:
        """Whether this session may stop early."""
        return self.gates.baseline is not None and options_of(self.config).may_stop

    @pytest.hookimpl
    def pytest_report_header(self) -> list[str]:
        """Because of which rules nothing can be skipped: said before the night, not after."""
        return [visible(f"vdb: {obstacle}") for obstacle in self.gates.obstacles]

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: WorkerController) -> None:
        """A worker is up, perhaps in the place of one that died: it hears what is decided already."""
        self._workers.append(node)
        for text in self._told:
            tell_worker(node, TOPIC_OF_DECISIONS, text)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logfinish(self, nodeid: str) -> Generator[None, None, None]:
        """A test is over, and its record is written."""
        yield
        self._look_at(nodeid)

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # outermost: the recorder, a wrapper too, has written it by then
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, None, None]:
        """A test that was lost with its worker, or never ran, has no end of its own."""
        yield
        if hasattr(report, "vdb_status"):
            self._look_at(report.nodeid)

    def _look_at(self, nodeid: str) -> None:
        record = self.recorder.records.get(nodeid)
        if record is None or not self.is_on:
            return
        for settled in self._watching().hear(record):
            text = _as_told(settled)
            self._told.append(text)
            self.sparing.hear(TOPIC_OF_DECISIONS, text)
            for node in self._workers:
                tell_worker(node, TOPIC_OF_DECISIONS, text)

    def _watching(self) -> Watch:
        if self._watch is None:
            from pytest_vdb.analysis.early import Watch

            collected, baseline = self.recorder.collected, self.gates.baseline
            assert collected is not None
            assert baseline is not None
            planned = [collected.record(nodeid) for nodeid in collected.tests]
            self._watch = Watch(planned, self.recorder.started_run(), baseline, self.gates.rules)
        return self._watch


def _as_told(settled: Settled) -> str:
    return json.dumps([settled.benchmark, settled.model, settled.reason])


def in_pinned_order(config: pytest.Config, items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """The tests of each function and model in the places that they have, in the order of their prompts.

    Whoever shuffled them (pytest-randomly) did so anew in every session, and a bet must know its place.
    """
    from pytest_vdb.plugin.stocktaking import case_of

    items = list(items)
    ranks = {prompt: rank for rank, prompt in enumerate(session_of(config).order)}
    places: dict[tuple[str, str | None], list[int]] = {}
    for place, item in enumerate(items):
        case = case_of(item)
        if case is not None and case.prompt is not None:
            places.setdefault((item.nodeid.partition("[")[0], case.model), []).append(place)
    for of_function in places.values():
        tests = [items[place] for place in of_function]
        tests.sort(key=lambda item: _pinned_place(case_of(item), ranks, item))
        for place, item in zip(of_function, tests, strict=True):
            items[place] = item
    return items


def _pinned_place(case: Case | None, ranks: Mapping[str, int], item: pytest.Item) -> tuple[int, int, str]:
    assert case is not None
    assert case.prompt is not None
    return ranks[case.prompt.id], case.sample_index, item.nodeid
