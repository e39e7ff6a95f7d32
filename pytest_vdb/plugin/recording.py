"""From a test to a line of `records.jsonl`.

On the process that runs the test, the record becomes one JSON string on the report (a numpy scalar there would end an
xdist session). The controller, which without xdist is the same process, appends and flushes it before anybody is told
that the test has passed: what stands on the screen survives a kill. A teardown, or what comes after it, may still turn
the outcome; then the line is replaced when the test is over, by what pytest ends with.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections import Counter
from collections.abc import Generator, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_vdb.errors import OutputError, StorageError
from pytest_vdb.plugin.fixtures import BENCH
from pytest_vdb.plugin.session import COLLECTED, RUN_ID, LoadFailed, session_of

if TYPE_CHECKING:
    from pytest_vdb.bench.session import Session
    from pytest_vdb.plugin.collected import Collected
    from pytest_vdb.plugin.outcomes import Attempts
    from pytest_vdb.privacy import Privacy
    from pytest_vdb.records import CardFacts, Environment, Failure, Record, Run, Status
    from pytest_vdb.results.journal import Journal

SPARE_MIB = 200
"""What must be free: the records and previews of a small run, and a few lossless clips."""


class RecordSender:
    """Worker side: what a benchmark found out travels with its reports."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """A test that is tried again begins anew."""
        if BENCH in item.stash:
            del item.stash[BENCH]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach the record to the call report, or to the setup or teardown report that failed."""
        report = yield
        bench = item.stash.get(BENCH, None)
        if bench is not None and (call.when == "call" or not report.passed):
            error = call.excinfo.value if call.excinfo else None
            failure = None if report.passed else _failure(error, _longrepr(report))
            worker = os.environ.get("PYTEST_XDIST_WORKER")
            record = bench.to_record(_status_of_outcome(report.outcome, error), failure, worker=worker)
            if record is not None:
                from pytest_vdb.records import to_json

                vars(report)["vdb_record"] = to_json(record)
        return report


def _status_of_outcome(outcome: str, error: BaseException | None) -> Status:
    from pytest_vdb.bench.bench import ran_out_of_memory

    if isinstance(error, LoadFailed):
        return "not_run"
    if error is not None and ran_out_of_memory(error):
        return "oom"
    return "passed" if outcome == "passed" else "skipped" if outcome == "skipped" else "failed"


def _failure(error: BaseException | None, longrepr: str) -> Failure:
    from pytest_vdb.bench.bench import failure_of

    return failure_of(error, longrepr, otherwise="Skipped")


def _longrepr(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return report.longreprtext


class Recorder:
    """Controller side: the journal, and what has arrived so far."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.started_at = datetime.now(UTC)
        self.records: dict[str, Record] = {}
        self.run: Run | None = None
        self.problem: str | None = None
        """Why records could not be written, once that happened."""
        self._journal: Journal | None = None
        self._privacy: Privacy | None = None
        self._about: dict[str, Any] = {}
        """What else `run.json` says of how it ended."""
        self._running: dict[str, Attempts] = {}
        self._foreseen: dict[str, Record] = {}
        """Records that were written although their tests are not over, as they were written."""

    @property
    def collected(self) -> Collected | None:
        """The session's benchmarks, as whoever collected them told; None: there are none."""
        return self.config.stash.get(COLLECTED, None)

    def model_of(self, nodeid: str) -> str | None:
        """The model that a test is about; None: it is no benchmark of a model."""
        return self.collected.model_of(nodeid) if self.collected is not None else None

    def blank(self, nodeid: str) -> Record:
        """A benchmark's record before anything is known of what became of it."""
        assert self.collected is not None
        return self.collected.record(nodeid)

    def session(self) -> Session:
        """What the session's benchmarks share; no property: some versions of pytest read every plugin's properties."""
        return session_of(self.config)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A benchmark begins, or is tried again."""
        if self.model_of(nodeid) is not None:
            from pytest_vdb.plugin.outcomes import Attempts

            self._running.setdefault(nodeid, Attempts())

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, None, None]:
        """Write the record of a benchmark before it is printed as passed; keep what is told of it."""
        attempts = self._running.get(report.nodeid)
        if attempts is not None and report.when == "call" and report.nodeid not in self._foreseen:
            record = attempts.foreseen(self.blank(report.nodeid), report)
            if record is not None and self._keep(record):
                self._foreseen[report.nodeid] = self.records[report.nodeid]
        if report.when == "teardown" and attempts is not None:
            self._tell_junit(report, attempts)
        yield  # whoever edits a report has done so
        lost: Status | None = getattr(report, "vdb_status", None)
        if lost is not None:
            self._record_lost(report, lost)
        elif report.nodeid in self._running:
            self._running[report.nodeid].hear(report)

    def _tell_junit(self, report: pytest.TestReport, attempts: Attempts) -> None:
        """What `--junitxml` writes of a benchmark that is over: its values, as the properties of its test case."""
        if self.config.getoption("xmlpath", None):
            from pytest_vdb.exports import junit
            from pytest_vdb.records import Record, from_json

            record = from_json(attempts.sent, Record) if attempts.sent else self.blank(report.nodeid)
            report.user_properties += junit.properties_of(self.privacy().record(record))

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """A benchmark is over: its record is written, unless it will be tried again."""
        attempts = self._running.get(nodeid)
        if attempts is None:
            return
        record = attempts.record(self.blank(nodeid))
        if record is not None:
            del self._running[nodeid]
            self._keep(record)

    def _record_lost(self, report: pytest.TestReport, status: Status) -> None:
        """A worker died in it, or nobody was left to run it: what it had measured is kept."""
        from pytest_vdb.records import Failure, Record, from_json

        attempts = self._running.pop(report.nodeid, None)
        sent = attempts.sent if attempts else None
        known = from_json(sent, Record) if sent else self.blank(report.nodeid)
        worker = getattr(getattr(report, "node", None), "gateway", None)
        reason = report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else report.longrepr
        self._keep(
            dataclasses.replace(
                known,
                status=status,
                failure=Failure(type=status, message=str(reason)),
                worker=worker.id if worker is not None else known.worker,
            )
        )

    def take(self, record: Record) -> bool:
        """Write the record of a test that ended elsewhere.

        Returns:
            Whether it was written.
        """
        return self._keep(record)

    def ran_in(self, environment: Environment, **about: Any) -> None:
        """The tests ran elsewhere: there, and not here, is the run's environment.

        Args:
            environment: of those that ran most of it.
            about: what else `run.json` says in its summary.
        """
        self.run = dataclasses.replace(self.started_run(), environment=environment)
        self._about |= about

    def settle(self) -> None:
        """Write the records of benchmarks that were running when the session was stopped."""
        for nodeid, attempts in list(self._running.items()):
            record = attempts.record(self.blank(nodeid))
            if record is not None:
                self._keep(record)
        self._running.clear()

    def _keep(self, record: Record) -> bool:
        """A disk that takes no more records ends the session: what is finished is safe, the rest would be lost."""
        try:
            self.append(record)
            return True
        except OutputError as error:
            self.problem = str(error)
            for name in ("session", "dsession"):  # pytest's own, and xdist's on its controller
                session = self.config.pluginmanager.get_plugin(name)
                if session is not None:
                    session.shouldstop = f"the record of {record.nodeid} could not be written"
            return False

    def privacy(self) -> Privacy:
        """What others need not know: nothing of it is written."""
        if self._privacy is None:
            from pytest_vdb.privacy import Privacy, settings_in

            arguments = [*sys.argv, *map(str, self.config.invocation_params.args), *self.config.getini("addopts")]
            settings = settings_in(self.config.inipath)
            self._privacy = Privacy(self.session().options.root, arguments=arguments, settings=settings)
        return self._privacy

    def output(self) -> Path:
        """Where reports are written."""
        return self.session().options.output

    def folder(self) -> Path:
        """The run's own folder."""
        return self.session().run_folder

    def check_output(self) -> None:
        """Say before the first generation what would fail after it.

        Raises:
            pytest.UsageError: the output or the clip cache cannot be written, or its disk is nearly full; or the
                storage of shared clips cannot be reached.
        """
        from pytest_vdb.results import output
        from pytest_vdb.storage import storage_at

        options = self.session().options
        try:
            output.check_writable(options.output, SPARE_MIB)
            if options.cache in {"only-missing", "always"}:
                output.check_writable(options.cache_dir, SPARE_MIB)
            if options.clips is not None:
                storage_at(options.clips).has("clips")
        except (OutputError, StorageError) as error:
            raise pytest.UsageError(str(error)) from None

    def append(self, record: Record) -> None:
        """One line, flushed, in the place of what was foreseen; the first one starts the run's folder."""
        if self._journal is None:
            from pytest_vdb.results.journal import Journal, is_small

            # A shard is small, but they are merged by the thousand.
            in_full = is_small(self._collected()) and self.session().options.shard is None
            self._journal = Journal.create(self.session().options.output, self.started_run(), in_full=in_full)
        record = self.privacy().record(record)
        foreseen = self._foreseen.pop(record.nodeid, None)
        if foreseen is None:
            self._journal.append(record)
        elif foreseen != record:
            self._journal.replace(foreseen, record)
        self.records[record.nodeid] = record

    def latest(self) -> tuple[Record, ...]:
        """One record per test."""
        return tuple(self.records.values())

    def started_run(self) -> Run:
        """The run as it is known before it ends."""
        if self.run is None:
            from pytest_vdb.records import Run

            session = self.session()
            self.run = Run(
                id=self.config.stash[RUN_ID],
                started_at=self.started_at.isoformat(timespec="seconds"),
                environment=session.environment,
                collected=self._collected(),
                order=session.order,
                options=session.options.plain(self.privacy()),
            )
        return self.run

    def _card_facts(self, records: Iterable[Record]) -> dict[str, CardFacts]:
        """A repository may be a folder of this machine."""
        known = self.session().card_facts(record.model for record in records)
        told = self.privacy().text
        return {
            name: dataclasses.replace(facts, repository=facts.repository and told(facts.repository))
            for name, facts in known.items()
        }

    def _collected(self) -> int:
        return len(self.collected.tests) if self.collected is not None else 0

    def finish(self, exit_status: int) -> Run:
        """Write `run.json`: what ran, where, with which recipes, and how it ended."""
        assert self._journal is not None
        records = self.latest()
        statuses = Counter(record.status for record in records)
        self.run = dataclasses.replace(
            self.started_run(),
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
            exit_status=exit_status,
            recipes={record.recipe_digest: record.recipe for record in records if record.recipe_digest},
            suites={record.suite: record.suite_digest for record in records if record.suite and record.suite_digest},
            bounds=self.session().own_bounds(m.name for r in records for m in r.measurements if m.kind == "quality"),
            models=self._card_facts(records),
            summary={
                "tests": len(records),
                "collected": self._collected(),
                "statuses": dict(sorted(statuses.items())),
                "reused_clips": sum(record.reused_from is not None for record in records),
                "models": sorted({record.model for record in records}),
                **self._about,
            },
        )
        self._journal.finish(self.run)
        return self.run
