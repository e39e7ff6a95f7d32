"""From a test to a line of `records.jsonl`.

On the process that runs the test, the record becomes one JSON string on the report (a numpy scalar there would end an
xdist session). The controller, which without xdist is the same process, appends and flushes it as it arrives.
"""

from __future__ import annotations

import dataclasses
import os
import secrets
from collections import Counter
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_vdb.errors import OutputError
from pytest_vdb.plugin.cases import Case, case_ids, model_of, slug
from pytest_vdb.plugin.fixtures import BENCHMARK
from pytest_vdb.plugin.workbench import RUN_ID, Workbench, workbench_of

if TYPE_CHECKING:
    from pytest_vdb.records import Record, Run
    from pytest_vdb.results.journal import Journal

SPARE_MIB = 200
"""What must be free: the records and previews of a small run, and a few lossless clips."""


def new_run_id() -> str:
    """Sorts by time, to the microsecond; two runs of the same one differ by chance."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%d-%H%M%S}-{now.microsecond:05x}{secrets.token_hex(1)}"


class RecordSender:
    """Worker side: one record per benchmark, sent with the report that decides its outcome."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach the record to the call report, or to the setup or teardown report that failed."""
        report = yield
        benchmark = item.stash.get(BENCHMARK, None)
        if benchmark is None or benchmark.case.model is None:
            return report
        if call.when == "call" or not report.passed:
            error = call.excinfo.value if call.excinfo else None
            traceback = None if report.passed else _longrepr(report)
            worker = os.environ.get("PYTEST_XDIST_WORKER")
            from pytest_vdb.records import to_json

            vars(report)["vdb_record"] = to_json(benchmark.to_record(report.outcome, error, traceback, worker))
        return report


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

    @property
    def bench(self) -> Workbench:
        """The session's workbench."""
        return workbench_of(self.config)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Append what a test sent; write the record of a test that could not send one."""
        sent = getattr(report, "vdb_record", None)
        if sent is not None:
            from pytest_vdb.records import Record, from_json

            self._keep(from_json(sent, Record, where=report.nodeid))
        elif getattr(report, "vdb_status", None) is not None:
            self._keep(self._record_of_lost_test(report))

    def _keep(self, record: Record) -> None:
        """A disk that takes no more records ends the session: what is finished is safe, the rest would be lost."""
        try:
            self.append(record)
        except OutputError as error:
            self.problem = str(error)
            for name in ("session", "dsession"):  # pytest's own, and xdist's on its controller
                session = self.config.pluginmanager.get_plugin(name)
                if session is not None:
                    session.shouldstop = f"the record of {record.nodeid} could not be written"

    @property
    def output(self) -> Path:
        """Where reports are written."""
        return self.bench.options.output

    @property
    def folder(self) -> Path:
        """The run's own folder."""
        return self.bench.run_folder

    def check_output(self) -> None:
        """Say before the first generation what would fail after it.

        Raises:
            pytest.UsageError: the output or the clip cache cannot be written, or its disk is nearly full.
        """
        from pytest_vdb.results import output

        options = self.bench.options
        try:
            output.check_writable(options.output, SPARE_MIB)
            if options.cache in {"only-missing", "always"}:
                output.check_writable(options.cache_dir, SPARE_MIB)
        except OutputError as error:
            raise pytest.UsageError(str(error)) from None

    def append(self, record: Record) -> None:
        """One line, flushed; the first one starts the run's folder."""
        if self._journal is None:
            from pytest_vdb.results.journal import Journal

            self._journal = Journal.create(self.bench.options.output, self.started_run())
        self._journal.append(record)
        self.records[record.nodeid] = record

    def latest(self) -> tuple[Record, ...]:
        """One record per test."""
        return tuple(self.records.values())

    def started_run(self) -> Run:
        """The run as it is known before it ends."""
        if self.run is None:
            from pytest_vdb.records import Run

            bench = self.bench
            self.run = Run(
                id=self.config.stash[RUN_ID],
                started_at=self.started_at.isoformat(timespec="seconds"),
                environment=bench.environment,
                options={
                    **bench.options.plain(),
                    "arguments": list(map(str, self.config.invocation_params.args)),
                },
            )
        return self.run

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
            summary={
                "tests": len(records),
                "statuses": dict(sorted(statuses.items())),
                "reused_clips": sum(record.reused_from is not None for record in records),
                "models": sorted({record.model for record in records}),
            },
        )
        self._journal.finish(self.run)
        return self.run

    def _record_of_lost_test(self, report: pytest.TestReport) -> Record:
        """A worker died in it, or nobody was left to run it: what is known is its name and the session's options."""
        from pytest_vdb.records import Failure, Record

        model = next(card for card in self.bench.models if slug(card.name) == model_of(report.nodeid, self.slugs()))
        case = self._case(model.name, report.nodeid)
        recipe = self.bench.recipe(model)
        return Record(
            run=self.config.stash[RUN_ID],
            nodeid=report.nodeid,
            benchmark=report.nodeid.partition("[")[0].rpartition("::")[2],
            model=model.name,
            status=report.vdb_status,
            prompt=case.prompt.id if case.prompt else None,
            prompt_text=case.prompt.text if case.prompt else None,
            category=case.prompt.category if case.prompt else None,
            sample_index=case.sample_index,
            seed=self.bench.seed(case),
            task=model.task,
            weights=recipe.weights,
            revision=model.revision,
            recipe=recipe.settings(),
            recipe_digest=recipe.digest(),
            hardware=self.bench.environment.hardware,
            environment=self.bench.environment_digest,
            failure=Failure(type=report.vdb_status, message=str(report.longrepr)),
        )

    def _case(self, model: str, nodeid: str) -> Case:
        prompts = [None, *self.bench.suite.prompts]
        every = [Case(model, prompt, index) for prompt in prompts for index in range(self.bench.options.samples)]
        wanted = nodeid.rpartition("[")[2].removesuffix("]")
        return dict(zip(case_ids(every), every, strict=True)).get(wanted, Case(model, None))

    def slugs(self) -> list[str]:
        """The selected models as they stand in test ids, longest first."""
        return sorted({slug(card.name) for card in self.bench.models}, key=len, reverse=True)
