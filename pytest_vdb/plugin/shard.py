"""`--vdb-shard`: an ordinary session over one shard of a job: goes on where others stopped, and stores what it does.

Every process that collects leaves out what is not of the shard, or done. The one that writes records says each to the
storage, too. Metrics of sets and gates speak of whole models: they are computed where the records come home.

What is split from the shard while the session runs is another's: the process that writes records hears of it from the
storage, and tells those that run tests.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Generator, Mapping, Sequence
from typing import TYPE_CHECKING

import pytest
from _pytest.outcomes import Failed, Skipped  # what pytest.fail() and skip() raise; a subclass needs its name
from _pytest.runner import runtestprotocol  # tears down what a test leaves that is the last of its module

from pytest_vdb.errors import VdbError
from pytest_vdb.escaping import visible
from pytest_vdb.options import address
from pytest_vdb.plugin.recording import Recorder
from pytest_vdb.plugin.session import given
from pytest_vdb.plugin.stocktaking import case_of
from pytest_vdb.plugin.stopping import Stopping
from pytest_vdb.plugin.telling import listen_to_controller, tell_worker

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

    from pytest_vdb.cluster.attempts import Attempt, End
    from pytest_vdb.cluster.jobs import Shard
    from pytest_vdb.storage import Storage

SHARD_SESSION = "vdb-shard"
_BEFORE = "vdb_shard_before"
"""Key of a worker's input: what attempts before this one did. Workers that asked might each collect something else."""
_Before = tuple[Sequence[str], Mapping[str, int]]
"""Tests that are done, and those that are quarantined with the number of sessions that died in them."""
_TOPIC_OF_SPLITS = "split"
"""Under which the controller tells a worker what another session has taken over."""
_PATIENCE_S = 60.0
"""How long a session that has ended waits for a storage that is away."""
_PATIENCE_OF_THE_PREEMPTED_S = 5.0
"""The machine will be gone soon: Slurm and clouds give half a minute."""


def take(config: pytest.Config, recorder: Recorder | None, stopping: Stopping) -> None:
    """Make this process one of the shard's.

    Args:
        config: of the process.
        recorder: where this process writes records; None on a worker.
        stopping: knows by which signal the session ends.

    Raises:
        pytest.UsageError: there is no such shard, or its storage cannot be reached.
    """
    place = address(given(config, "shard"))
    assert place is not None
    from pytest_vdb.cluster.jobs import shard_at
    from pytest_vdb.cluster.knowing import known_of
    from pytest_vdb.cluster.orphans import die_with_who_started_us

    die_with_who_started_us()
    leaving = LeavingOut(config)
    try:
        storage, shard = shard_at(place)
        _collect_its_model_alone(config, shard)
        if recorder is None:
            done, strikes = json.loads(config.workerinput[_BEFORE])  # type: ignore[attr-defined]
        else:
            before = known_of(storage, shard)
            done, strikes = sorted(before.done_of(shard)), before.quarantined
            session = ShardSession(recorder, stopping, storage, shard, (done, strikes), leaving)
            config.pluginmanager.register(session, SHARD_SESSION)
    except VdbError as problem:
        raise pytest.UsageError(str(problem)) from None
    config.pluginmanager.register(Selection(shard, frozenset(done)), "vdb-selection")
    config.pluginmanager.register(Quarantining(strikes), "vdb-quarantining")
    config.pluginmanager.register(leaving, "vdb-leaving-out")


def _collect_its_model_alone(config: pytest.Config, shard: Shard) -> None:
    """Where models are named: collecting 300 of them takes a minute. Where they are not, there are few.

    And where no test is named: pytest ends where it does not find one of another model.
    """
    named = given(config, "models").text()
    if named is not None and "recordings:" not in named and not any("[" in one for one in config.option.file_or_dir):
        config.option.vdb_models = shard.model


class Selection:
    """On every process that collects: this shard's tests that are not done."""

    def __init__(self, shard: Shard, done: Collection[str]) -> None:
        self._shard = shard
        self._done = done

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Before anybody orders them."""
        left = [item for item in items if self._is_ours(item) and item.nodeid not in self._done]
        if len(left) < len(items):
            chosen = set(left)
            config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
            items[:] = left

    def _is_ours(self, item: pytest.Item) -> bool:
        case = case_of(item)
        if case is None or case.model is None:
            return False
        return self._shard.has(case.model, None if case.prompt is None else case.prompt.id)


class _Quarantined(Failed):
    """Too many sessions died in this test."""

    __module__, __qualname__ = "builtins", "Failed"  # as pytest writes its own


class Quarantining:
    """On every process that runs tests: those in which sessions died fail where they would begin."""

    def __init__(self, strikes: Mapping[str, int]) -> None:
        self._strikes = strikes

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Before any fixture, so that no model is loaded for it."""
        strikes = self._strikes.get(item.nodeid)
        if strikes is not None:
            raise _Quarantined(f"not run: quarantined, because {strikes} sessions died in this test", pytrace=False)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Tell it from a test that failed."""
        report = yield
        if call.excinfo is not None and isinstance(call.excinfo.value, _Quarantined):
            report.when = "call"  # a failure, and not an error of the setup
            vars(report)["vdb_status"] = "quarantined"
        return report


class _TakenOver(Skipped):
    """Another session has the test now."""

    __module__, __qualname__ = "builtins", "Skipped"  # as pytest writes its own


class LeavingOut:
    """On every process that runs tests: those that were split from the shard meanwhile do not begin.

    Nothing is reported of them: they are another session's to tell.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._heard: list[str] = []
        """Unread, as they came from another thread."""
        self._taken: frozenset[str] = frozenset()
        self._leaves_out: str | None = None
        listen_to_controller(config, self.hear)

    def hear(self, topic: str, text: str) -> None:
        """All prompts whose tests are another session's by now."""
        if topic == _TOPIC_OF_SPLITS:
            self._heard.append(text)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """In the place of pytest's own, so that no report is made."""
        if self._heard:
            self._taken = frozenset(json.loads(self._heard[-1]))
        case = case_of(item)
        if case is None or case.prompt is None or case.prompt.id not in self._taken:
            return None
        self._leaves_out = item.nodeid
        runtestprotocol(item, log=False, nextitem=nextitem)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Before any fixture, so that no model is loaded for it."""
        if item.nodeid == self._leaves_out:
            raise _TakenOver("another session has it", _use_item_location=True)


class ShardSession:
    """On the process that writes records: says to the storage what becomes of the shard."""

    def __init__(
        self,
        recorder: Recorder,
        stopping: Stopping,
        storage: Storage,
        shard: Shard,
        before: _Before,
        leaving: LeavingOut,
    ) -> None:
        self.config = recorder.config
        self.recorder = recorder
        self.stopping = stopping
        self.storage = storage
        self.shard = shard
        self.before = before
        self.leaving = leaving
        self._workers: list[WorkerController] = []
        self._told_of_splits: str | None = None
        self._attempt: Attempt | None = None
        self._end: End = "finished"
        self._lost: str | None = None
        """Why some of what was measured is not in the storage."""
        for name in ("vdb-sets", "vdb-gates"):
            self.config.pluginmanager.unregister(self.config.pluginmanager.get_plugin(name))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: WorkerController) -> None:
        """What a worker need not run."""
        node.workerinput[_BEFORE] = json.dumps(self.before)

    def pytest_report_header(self) -> str:
        """Which shard, and what is left of it."""
        left = self.shard.tests - len(self.before[0])
        return visible(f"vdb shard: {self.shard.id}, {left} of {self.shard.tests} tests are left")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Around all tests, also where none is left: that is told."""
        if self.config.option.collectonly:
            return (yield)
        from pytest_vdb.cluster.attempts import Attempt
        from pytest_vdb.cluster.jobs import WORKER

        environment = self.recorder.session().environment
        self._attempt = Attempt(self.storage, self.shard, environment, os.environ.get(WORKER))
        return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test that ends the session, and is never heard of again, has a strike."""
        self._tell_of_splits()
        if self._attempt is not None and self.recorder.model_of(nodeid) is not None:
            self._attempt.begin(nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logfinish(self, nodeid: str) -> Generator[None]:
        """The record is written, unless the test is tried again."""
        yield
        self._keep(nodeid)
        self._tell_of_splits()
        if self._attempt is not None and self._attempt.is_cancelled:
            self._end = "cancelled"
            for name in ("session", "dsession"):  # pytest's own, and pytest-xdist's on its controller
                session = self.config.pluginmanager.get_plugin(name)
                if session is not None:
                    session.shouldstop = "the job is cancelled"

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None]:
        """A test that was lost with its worker, or is quarantined, has no end of its own."""
        yield
        if hasattr(report, "vdb_status"):
            self._keep(report.nodeid)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: WorkerController) -> None:
        """A worker is up, perhaps in the place of one that died."""
        self._workers.append(node)
        if self._told_of_splits is not None:
            tell_worker(node, _TOPIC_OF_SPLITS, self._told_of_splits)

    def _tell_of_splits(self) -> None:
        """What the storage says by now."""
        now = self.shard if self._attempt is None else self._attempt.shard
        if now == self.shard:
            return
        text = json.dumps(sorted({*self.shard.prompts} - {*now.prompts}))
        if text != self._told_of_splits:
            self._told_of_splits = text
            self.leaving.hear(_TOPIC_OF_SPLITS, text)
            for node in self._workers:
                tell_worker(node, _TOPIC_OF_SPLITS, text)

    def _keep(self, nodeid: str) -> None:
        record = self.recorder.records.get(nodeid)
        if record is not None and self._attempt is not None:
            self._attempt.keep(record, self.recorder.folder())

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self) -> None:
        """Said at once: the machine may be gone before pytest is."""
        if self._end != "cancelled":
            self._end = "interrupted" if self.stopping.signal is None else "preempted"
        self._close(_PATIENCE_OF_THE_PREEMPTED_S)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """How the session ends tells the engine whether to try again."""
        from pytest_vdb.cluster.jobs import NOT_STORED, PREEMPTED

        self._close(_PATIENCE_S)
        if self._lost is not None:
            session.exitstatus = NOT_STORED
        elif self._end in {"preempted", "interrupted"}:
            session.exitstatus = PREEMPTED
        elif self._end == "cancelled":
            session.exitstatus = pytest.ExitCode.OK

    def _close(self, patience_s: float) -> None:
        attempt, self._attempt = self._attempt, None
        if attempt is not None and not attempt.end(self._end, patience_s=patience_s):
            self._lost = attempt.problem or "the storage took too long"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """What was measured and is nowhere but here."""
        if self._lost is not None:
            said = f"vdb shard: not all records are in the storage, so the shard is not done: {self._lost}"
            terminalreporter.write_line(visible(said), red=True)
