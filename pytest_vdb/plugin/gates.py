"""Each gate as a test of its own: a regression is a failed test in the exit code, the terminal and JUnit.

The reports are made on the controller after the last real test, so gates work with and without xdist.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from functools import cache, partial
from typing import TYPE_CHECKING

import pytest

from pytest_vdb.errors import VdbError
from pytest_vdb.escaping import lines, visible
from pytest_vdb.plugin.cases import SEPARATOR, slug
from pytest_vdb.plugin.recording import Recorder
from pytest_vdb.plugin.session import given, options_of

if TYPE_CHECKING:
    from pytest_vdb.analysis.gate import Verdict
    from pytest_vdb.analysis.paired_sets import SetsOfRuns
    from pytest_vdb.analysis.rules import Rule
    from pytest_vdb.records import Baseline, Run

GATES_PATH = "vdb-gates"


class Gates:
    """Compares the finished run with `--vdb-baseline`."""

    def __init__(self, config: pytest.Config, recorder: Recorder) -> None:
        self.config = config
        self.recorder = recorder
        self.verdicts: tuple[Verdict, ...] = ()
        self.strict = False
        self.warnings: list[str] = []
        """Margins below their noise floor, known before anything runs."""
        self.baseline: Baseline | None = None
        self.rules: tuple[Rule, ...] = ()
        self.obstacles: tuple[str, ...] = ()
        """Why a session that may stop early cannot."""

    @pytest.hookimpl
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Read the baseline and the rules before anything runs: a typo in them must not cost a night.

        Raises:
            pytest.UsageError: the baseline cannot be read, or there is a baseline without rules or rules without it;
                where the user is strict, a margin below its noise floor.
        """
        if not given(self.config, "baseline").text():
            for name in ("fail-on", "noise"):
                if getattr(self.config.option, f"vdb_{name.replace('-', '_')}"):
                    raise pytest.UsageError(
                        f"--vdb-{name}: there is nothing to compare with\n  give --vdb-baseline=PATH"
                    )
            if self.config.option.vdb_stop_when_decided:
                raise pytest.UsageError(
                    "--vdb-stop-when-decided: there is no gate that could decide\n"
                    "  give --vdb-baseline=PATH and --vdb-fail-on='sharpness:-2%', say"
                )
            return
        from pytest_vdb.analysis import margins, rules
        from pytest_vdb.results import baselines

        options = options_of(self.config)
        assert options.baseline is not None
        try:
            self.strict = options.strict
            self.rules = rules.parse_rules(options.fail_on or "")
            self.baseline = baselines.find(options.baseline, options.output)
            rules.check_names(self.rules, self.baseline)
            if self.rules:
                self.warnings = margins.said_before(
                    options.noise,
                    self.baseline,
                    self.rules,
                    strict=self.strict,
                    where=given(self.config, "noise").where,
                )
        except VdbError as error:
            raise pytest.UsageError(str(error)) from None
        if options.may_stop:
            from pytest_vdb.analysis.early import obstacles

            self.obstacles = obstacles(self.rules, self.baseline)
        if not self.rules:
            raise pytest.UsageError(
                "--vdb-baseline: no gate says what may not get worse\n"
                "  give --vdb-fail-on='latency:+10%', say, or write [tool.vdb.gate] in pyproject.toml"
            )

    def pytest_report_header(self) -> list[str]:
        """What the gate will not see is said before the night, not after."""
        return [f"vdb gate: {visible(warning)}" for warning in self.warnings]

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # outermost: judges what the set metrics added, too
    def pytest_runtestloop(self, session: pytest.Session) -> object:
        """After the last test: one synthetic test per verdict."""
        finished = yield
        if self.baseline is None or self.config.option.collectonly:
            return finished
        from pytest_vdb.analysis import gate

        run = self.recorder.started_run()
        sets = cache(partial(self._sets_beside, run, self.baseline))
        self.verdicts = gate.judge(self.recorder.latest(), run, self.baseline, self.rules, sets=sets)
        session.testscollected += len(self.verdicts)
        for verdict, name in zip(self.verdicts, _names_of_verdicts(self.verdicts), strict=True):
            self._report(verdict, name)
        return finished

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Where nothing but gates failed, end as `vdb gate` does: a regression is no missing value."""
        failing = [verdict for verdict in self.verdicts if verdict.fails(strict=self.strict)]
        if failing and exitstatus == pytest.ExitCode.TESTS_FAILED and session.testsfailed == len(failing):
            from pytest_vdb.analysis.gate import exit_code

            session.exitstatus = exit_code(failing, strict=self.strict)

    def _sets_beside(self, run: Run, baseline: Baseline) -> SetsOfRuns:
        """What the networks saw in both runs' clips: read only where a set metric has changed."""
        from pytest_vdb.analysis.paired_sets import SetsOfRuns, used_by_both

        session = self.recorder.session()
        return SetsOfRuns(
            registry=session.metric_registry,
            references=used_by_both(baseline.run, run),
            before=baseline.folder,
            now=self.recorder.folder(),
            cache_dir=session.options.cache_dir,
        )

    def _report(self, verdict: Verdict, name: str) -> None:
        nodeid, location = f"{GATES_PATH}::{name}", (GATES_PATH, None, name)
        hook = self.config.hook
        hook.pytest_runtest_logstart(nodeid=nodeid, location=location)
        for when in ("setup", "call", "teardown"):
            bad = verdict.fails(strict=self.strict) and when == "call"
            report = pytest.TestReport(
                nodeid=nodeid,
                location=location,
                keywords={"vdb_gate": 1},
                outcome="failed" if bad else "passed",
                longrepr=lines(verdict.reason) if bad else None,
                when=when,
                start=time.time(),
                stop=time.time(),
            )
            hook.pytest_runtest_logreport(report=report)
        hook.pytest_runtest_logfinish(nodeid=nodeid, location=location)


def _names_of_verdicts(verdicts: Sequence[Verdict]) -> list[str]:
    """`METRIC[BENCHMARK--MODEL]` of each: the function alone where that tells the verdicts apart, else all of it."""
    short = [
        _name_of_verdict(verdict, verdict.benchmark and verdict.benchmark.rpartition("::")[2]) for verdict in verdicts
    ]
    several = {name for name, times in Counter(short).items() if times > 1}
    return [
        _name_of_verdict(verdict, verdict.benchmark) if name in several else name
        for verdict, name in zip(verdicts, short, strict=True)
    ]


def _name_of_verdict(verdict: Verdict, benchmark: str | None) -> str:
    subject = SEPARATOR.join(slug(part) for part in (benchmark, verdict.model) if part)
    return f"{slug(verdict.metric)}[{subject}]"
