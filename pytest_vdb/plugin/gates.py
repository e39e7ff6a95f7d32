"""Each gate as a test of its own: a regression is a failed test in the exit code, the terminal and JUnit.

The reports are made on the controller after the last real test, so gates work with and without xdist.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from pytest_vdb.plugin.cases import slug
from pytest_vdb.plugin.recording import Recorder

if TYPE_CHECKING:
    from pytest_vdb.analysis.comparison import Verdict

GATES_PATH = "vdb-gates"


class Gates:
    """Compares the finished run with `--vdb-baseline`."""

    def __init__(self, config: pytest.Config, recorder: Recorder) -> None:
        self.config = config
        self.recorder = recorder
        self.verdicts: tuple[Verdict, ...] = ()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> object:
        """After the last test: one synthetic test per verdict."""
        finished = yield
        options = self.recorder.bench.options
        if options.baseline is None or self.config.option.collectonly:
            return finished
        self.verdicts = self._compare()
        session.testscollected += len(self.verdicts)
        for verdict in self.verdicts:
            self._report(verdict)
        return finished

    def _compare(self) -> tuple[Verdict, ...]:
        from pytest_vdb.analysis import comparison
        from pytest_vdb.results import baselines

        options = self.recorder.bench.options
        assert options.baseline is not None
        baseline = baselines.load(options.baseline)
        rules = comparison.parse_rules(options.fail_on or "")
        return comparison.compare(self.recorder.latest(), self.recorder.started_run(), baseline, rules)

    def _report(self, verdict: Verdict) -> None:
        name = f"{slug(verdict.metric)}[{slug(verdict.model)}]"
        nodeid, location = f"{GATES_PATH}::{name}", (GATES_PATH, None, name)
        hook = self.config.hook
        hook.pytest_runtest_logstart(nodeid=nodeid, location=location)
        for when in ("setup", "call", "teardown"):
            bad = verdict.failed and when == "call"
            report = pytest.TestReport(
                nodeid=nodeid,
                location=location,
                keywords={"vdb_gate": 1},
                outcome="failed" if bad else "passed",
                longrepr=verdict.reason if bad else None,
                when=when,
                start=time.time(),
                stop=time.time(),
            )
            hook.pytest_runtest_logreport(report=report)
        hook.pytest_runtest_logfinish(nodeid=nodeid, location=location)
