"""What pytest ended a test with: known when all of its reports are there, not when one of them is made.

A failed subtest turns its test red after the fact, a failing teardown does, plugins that try again take failures back,
`xfail` turns them round, and any plugin may edit a report. So the reports are kept until the test is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from pytest_vdb.records import DECIDED, Failure, Measurement, Record, Status, from_json

_TRIED_AGAIN = "rerun"
"""The outcome that pytest-rerunfailures gives to a report that does not count."""
_MOST = 2000
"""Characters of a message that are kept."""


@dataclass(slots=True)
class Attempts:
    """The reports of one test that is not over yet."""

    reports: list[pytest.TestReport] = field(default_factory=list)
    """Of the attempt that runs, without those of subtests."""
    failed_subtests: list[str] = field(default_factory=list)
    earlier: list[Record] = field(default_factory=list)
    """What attempts recorded that did not count: some plugin tries failed tests again."""
    sent: str | None = None
    """What the test recorded last, as JSON."""
    is_over: bool = False
    """Whether it counts as finished without the report of its teardown."""

    def hear(self, report: pytest.TestReport) -> None:
        """Keep a report and what came with it."""
        if type(report) is not pytest.TestReport:  # pytest's and pytest-subtests' own subclass
            if report.failed:
                self.failed_subtests.append(_first_line_of_report(report))
            return
        self.reports.append(report)
        self.sent = getattr(report, "vdb_record", None) or self.sent

    def foreseen(self, blank: Record, report: pytest.TestReport) -> Record | None:
        """The record of a test whose call has passed, as it will be if the teardown passes too; None: nobody knows yet.

        Args:
            blank: the test's record as it stood before anything ran.
            report: of the call, which nobody has heard yet.
        """
        if report.outcome != "passed" or self.failed_subtests:
            return None
        sent = getattr(report, "vdb_record", None) or self.sent
        return replace(self, reports=[*self.reports, report], sent=sent, is_over=True).record(blank)

    def record(self, blank: Record) -> Record | None:
        """The record of the finished test; None: this attempt does not count, another follows.

        Args:
            blank: the test's record as it stood before anything ran.
        """
        record = from_json(self.sent, Record, where=blank.nodeid) if self.sent else blank
        if any(str(report.outcome) == _TRIED_AGAIN for report in self.reports):
            self.earlier.append(record)
            self.reports, self.failed_subtests, self.sent = [], [], None
            return None
        status, failure, note = self._outcome(record)
        return replace(
            record,
            status=status,
            failure=failure,
            notes=(*record.notes, note) if note else record.notes,
            attempts=1 + len(self.earlier),
            measurements=(*record.measurements, *self._costs_of_earlier(record)),
        )

    def _costs_of_earlier(self, record: Record) -> list[Measurement]:
        """What only an earlier attempt measured, like the loading of the model: the last one found it loaded."""
        named = {measured.name for measured in record.measurements}
        costs: dict[str, Measurement] = {}
        for earlier in self.earlier:
            costs |= {m.name: m for m in earlier.measurements if m.kind == "performance" and m.name not in named}
        return list(costs.values())

    def _outcome(self, record: Record) -> tuple[Status, Failure | None, str | None]:
        """Status, failure and a note, of what all reports say together."""
        failed = [report for report in self.reports if report.outcome == "failed"]
        if failed or self.failed_subtests:
            status: Status = record.status if record.status in {"oom", "not_run"} and record.failure else "failed"
            return status, self._failure(record, failed), None
        skipped = next((report for report in self.reports if report.outcome == "skipped"), None)
        expected = next((report for report in self.reports if hasattr(report, "wasxfail")), None)
        if expected is not None:
            mark = str(expected.wasxfail).removeprefix("reason: ") or "no reason given"
            if expected.outcome == "passed":
                return "passed", None, f"passed although marked xfail: {mark}"
            said = record.failure.message if record.failure else _first_line_of_report(expected)
            return "xfailed", Failure(type="xfail", message=f"{mark} ({said})"[:_MOST]), None
        if skipped is not None:
            kept = record.failure if record.failure and record.status in {"skipped", "not_run"} else None
            status = "not_run" if kept and record.status == "not_run" else "skipped"
            kind = DECIDED if hasattr(skipped, "vdb_spared") else "Skipped"
            return status, kept or Failure(type=kind, message=_skip_reason(skipped)), None
        if not self.is_over and not any(report.when == "teardown" for report in self.reports):
            return "interrupted", Failure(type="interrupted", message="the session was stopped while it ran"), None
        return "passed", None, None

    def _failure(self, record: Record, failed: Sequence[pytest.TestReport]) -> Failure:
        kept = record.failure
        if kept is None and failed:
            kept = Failure(type=f"{failed[0].when} failed", message=_first_line_of_report(failed[0]))
        kept = kept or Failure(type="subtest", message="failed in a subtest")
        if not self.failed_subtests:
            return kept
        return replace(kept, message="; ".join([kept.message, *self.failed_subtests])[:_MOST])


def _first_line_of_report(report: pytest.TestReport) -> str:
    """What failed: the error's own line where the report has one."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else report.longreprtext
    return next((line for line in str(text).splitlines() if line.strip()), "no reason given").strip()


def _skip_reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ") or "no reason given"
    return _first_line_of_report(report)
