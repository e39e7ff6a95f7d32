"""Which worker runs which test: one queue per model, kept on the controller.

At most two tests are in flight per worker (xdist needs to know the next one before it runs the current one), so
affinity, balance, `-x` and crash recovery are one decision, taken each time a worker has room: the same model while
it has tests; else a model that nobody holds, the one with most work first; else help with the model whose remaining
work is worth one more load.

Suites without a single benchmark, and an explicit `--dist`, keep xdist's own scheduler.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pytest
from xdist.report import report_collection_diff
from xdist.scheduler import LoadScheduling
from xdist.workermanage import parse_tx_spec_config

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler.protocol import Scheduling
    from xdist.workermanage import WorkerController

IN_FLIGHT = 2
CRASHES_BEFORE_QUARANTINE = 2
GUESSED_LOAD_S = 5.0
GUESSED_TEST_S = 1.0

ModelOf = Callable[[str], str | None]


class ModelQueueScheduling:
    """xdist's `Scheduling` protocol over one queue per model.

    Args:
        model_of: the model a test id belongs to, or None for a test that is no benchmark.
    """

    def __init__(self, config: pytest.Config, log: Producer, model_of: ModelOf) -> None:
        self.config = config
        self.log = log
        self.model_of = model_of
        self.numnodes = len(parse_tx_spec_config(config))
        self.node2collection: dict[WorkerController, list[str]] = {}
        self.node2pending: dict[WorkerController, list[int]] = {}
        self.held: dict[WorkerController, str | None] = {}
        self.collection: list[str] | None = None
        self.models: list[str | None] = []
        self.queues: dict[str | None, deque[int]] = {}
        self.done: Counter[str | None] = Counter()
        self.spent_s: Counter[str | None] = Counter()
        self.loads = 0

    # What xdist asks -----------------------------------------------------------------------------------------------

    @property
    def nodes(self) -> list[WorkerController]:
        """The workers that are up."""
        return list(self.node2pending)

    @property
    def collection_is_completed(self) -> bool:
        """Every initial worker has said what it collected."""
        return len(self.node2collection) >= self.numnodes

    @property
    def tests_finished(self) -> bool:
        """Nothing is left to hand out; each worker may still run its last test."""
        return (
            self.collection_is_completed
            and not any(self.queues.values())
            and all(len(pending) < IN_FLIGHT for pending in self.node2pending.values())
        )

    @property
    def has_pending(self) -> bool:
        """Some test is queued or running."""
        return any(self.queues.values()) or any(self.node2pending.values())

    def add_node(self, node: WorkerController) -> None:
        """A worker is up."""
        self.node2pending[node] = []

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        """A worker has collected; a replacement must have collected the same tests."""
        if self.collection is not None and list(collection) != self.collection:
            self.log("the replacement worker collected different tests", node.gateway.id)
            return
        self.node2collection[node] = list(collection)

    def mark_test_complete(self, node: WorkerController, item_index: int, duration: float = 0) -> None:
        """A worker has finished a test and has room for another."""
        model = self.models[item_index]
        self.done[model] += 1
        self.spent_s[model] += duration or 0  # type: ignore[assignment]
        self.node2pending[node].remove(item_index)
        self._fill()

    def mark_test_pending(self, item: str) -> None:
        """A test shall run (again)."""
        assert self.collection is not None
        index = self.collection.index(item)
        self.queues[self.models[index]].appendleft(index)
        self._fill()

    def remove_pending_tests_from_node(self, node: WorkerController, indices: Sequence[int]) -> None:
        """Only schedulers that take tests back from workers need this; nothing beyond two tests leaves us."""
        raise AssertionError("no test is ever taken back from a worker")

    def remove_node(self, node: WorkerController) -> str | None:
        """A worker is gone. Returns the test it died in, which is not run again; its next one is."""
        pending = self.node2pending.pop(node)
        self.held.pop(node, None)
        # Its collection stays: xdist asks `collection_is_completed` again for every replacement, and that counts them.
        crashed = None
        if pending and self.collection is not None:
            crashed = self.collection[pending[0]]
            for index in reversed(pending[1:]):
                self.queues[self.models[index]].appendleft(index)
        return crashed

    def schedule(self) -> None:
        """Called whenever a worker has collected: hand out tests."""
        if self.collection is None:
            self._adopt_collection()
        if self.collection is not None:
            self._fill()

    # What we decide ------------------------------------------------------------------------------------------------

    def drop(self, model: str | None) -> list[str]:
        """Empty a model's queue. Returns the tests that will not run."""
        assert self.collection is not None
        dropped = [self.collection[index] for index in self.queues[model]]
        self.queues[model].clear()
        return dropped

    def left(self) -> list[str]:
        """Tests that nobody ran."""
        return [] if self.collection is None else [self.collection[i] for queue in self.queues.values() for i in queue]

    def _adopt_collection(self) -> None:
        (first, collection), *others = self.node2collection.items()
        for node, other in others:
            difference = report_collection_diff(collection, other, first.gateway.id, node.gateway.id)
            if difference:
                report = pytest.CollectReport(nodeid=node.gateway.id, outcome="failed", longrepr=difference, result=[])
                self.config.hook.pytest_collectreport(report=report)
                return
        self.collection = collection
        self.models = [self.model_of(nodeid) for nodeid in collection]
        for index, model in enumerate(self.models):
            self.queues.setdefault(model, deque()).append(index)

    def _work_s(self, model: str | None) -> float:
        each = self.spent_s[model] / self.done[model] if self.done[model] else GUESSED_TEST_S
        return each * len(self.queues[model])

    def _pick(self, node: WorkerController) -> tuple[bool, str | None]:
        """(is there one, the model whose next test this worker gets)."""
        if node in self.held and self.queues.get(self.held[node]):
            return True, self.held[node]
        waiting = [model for model, queue in self.queues.items() if queue]
        held = {model for other, model in self.held.items() if other is not node}
        free = [model for model in waiting if model not in held]
        # Helping must save more than loading the model once more costs; tests that are no benchmarks load nothing.
        candidates = free or [m for m in waiting if m is None or self._work_s(m) / 2 > self._load_s(m)]
        return (True, max(candidates, key=self._work_s)) if candidates else (False, None)

    def _load_s(self, model: str | None) -> float:
        """No load was timed on the controller: a model whose tests are fast is one that loads fast, too."""
        if not self.done[model]:
            return GUESSED_LOAD_S
        return min(GUESSED_LOAD_S, self.spent_s[model] / self.done[model])

    def _fill(self) -> None:
        handed_out = True
        while handed_out:  # one test per worker and turn, so that the first models spread over all workers
            handed_out = False
            for node, pending in list(self.node2pending.items()):
                if node.shutting_down or node not in self.node2collection or len(pending) >= IN_FLIGHT:
                    continue
                found, model = self._pick(node)
                if found:
                    self._send(node, model)
                    handed_out = True
                elif pending or not any(self.queues.values()):
                    # Its last test waits to hear whether another follows. A worker with nothing in flight is
                    # kept as a spare for a crash while anything is queued: it costs nothing.
                    node.shutdown()

    def _send(self, node: WorkerController, model: str | None) -> None:
        index = self.queues[model].popleft()
        if self.held.get(node, "") != model:
            self.loads += 1
        self.held[node] = model
        self.node2pending[node].append(index)
        node.send_runtest_some([index])


class BenchmarkScheduling:
    """Decides at the first `schedule()` which scheduler serves this collection, and is that one from then on.

    Args:
        before_first: called once before the first benchmark is handed out; what it raises ends the session.
    """

    def __init__(
        self, config: pytest.Config, log: Producer, model_of: ModelOf, before_first: Callable[[], None]
    ) -> None:
        self._before_first = before_first
        self._ours = ModelQueueScheduling(config, log, model_of)
        self._xdists = LoadScheduling(config, log)
        self.chosen: ModelQueueScheduling | None = None
        self._decided = False

    def schedule(self) -> None:
        """Hand out tests."""
        if not self._decided:
            self._decided = True
            some = next(iter(self._ours.node2collection.values()))
            if any(self._ours.model_of(nodeid) is not None for nodeid in some):
                self._before_first()
                self.chosen = self._ours
        self._serving().schedule()

    def add_node(self, node: WorkerController) -> None:
        """A worker is up: until we know the tests, both must hear of it."""
        for scheduler in self._listening():
            scheduler.add_node(node)

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        """A worker has collected."""
        for scheduler in self._listening():
            scheduler.add_node_collection(node, collection)

    def remove_node(self, node: WorkerController) -> str | None:
        """A worker is gone."""
        crashed: list[str | None] = [scheduler.remove_node(node) for scheduler in self._listening()]
        return crashed[0]

    def _listening(self) -> list[Scheduling]:
        return [self._serving()] if self._decided else [self._ours, self._xdists]

    def _serving(self) -> Scheduling:
        return self.chosen or (self._xdists if self._decided else self._ours)

    def __getattr__(self, name: str) -> object:
        return getattr(self._serving(), name)


class Quarantine:
    """A model that kills its worker twice is not given a third one: its remaining tests fail with the reason.

    Args:
        model_of: the model a test id belongs to, or None for a test that is no benchmark.
    """

    def __init__(self, config: pytest.Config, model_of: ModelOf) -> None:
        self.config = config
        self.model_of = model_of
        self.crashes: Counter[str] = Counter()
        self.scheduler: BenchmarkScheduling | None = None
        self._stopped_worker = False

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: WorkerController, error: object) -> None:
        """Tell a worker that was interrupted from one that died."""
        self._stopped_worker = error == "keyboard-interrupt"

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport, sched: Scheduling) -> None:
        """Count the crash; drop the model's queue at the second one."""
        report.when = "call"  # xdist says "???", which no terminal or JUnit file counts
        model = self.model_of(crashitem)
        if model is None:
            return
        if self._stopped_worker:
            _take_back(report)
            return
        vars(report)["vdb_status"] = "crashed"
        if not isinstance(sched, BenchmarkScheduling) or sched.chosen is None:
            return
        self.crashes[model] += 1
        if self.crashes[model] < CRASHES_BEFORE_QUARANTINE:
            return
        reason = f"not run: {model} is quarantined after killing its worker {self.crashes[model]} times"
        for nodeid in sched.chosen.drop(model):
            self.config.hook.pytest_runtest_logreport(report=failed_report(nodeid, reason, status="quarantined"))

    @pytest.hookimpl(wrapper=True, trylast=True)  # innermost: what was lost is known before anything is summed up
    def pytest_runtestloop(self, session: pytest.Session) -> object:
        """Say of every test that nobody was left to run that it did not run; of a session that was stopped, nothing."""
        try:
            finished = yield
        except (KeyboardInterrupt, pytest.exit.Exception):
            raise
        except BaseException:
            self._say_what_is_left()
            raise
        if not session.shouldstop and not session.shouldfail:
            self._say_what_is_left()
        return finished

    def _say_what_is_left(self) -> None:
        scheduler = self.scheduler and self.scheduler.chosen
        for nodeid in scheduler.left() if scheduler else ():
            reason = "not run: no worker was left to run it"
            self.config.hook.pytest_runtest_logreport(report=failed_report(nodeid, reason, status="not_run"))


def _take_back(report: pytest.TestReport) -> None:
    """Nothing failed: the worker was told to stop."""
    reason = "interrupted: the session was stopped while it ran"
    report.outcome = "skipped"
    report.longrepr = (report.nodeid.partition("::")[0], 0, f"Skipped: {reason}")
    vars(report)["vdb_status"] = "interrupted"


def failed_report(nodeid: str, reason: str, *, status: str) -> pytest.TestReport:
    """A report for a test that never ran."""
    path = nodeid.partition("::")[0]
    return pytest.TestReport(
        nodeid=nodeid,
        location=(path, None, nodeid.partition("::")[2]),
        keywords={},
        outcome="failed",
        longrepr=reason,
        when="call",
        vdb_status=status,
    )
