"""After the last test, on the controller: `run.json`, the reports, and the short table in the terminal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_vdb.errors import VdbError
from pytest_vdb.escaping import lines, visible
from pytest_vdb.figures import figure_alone
from pytest_vdb.plugin.gates import Gates
from pytest_vdb.plugin.recording import Recorder
from pytest_vdb.plugin.timing import leave_out_table

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

    from pytest_vdb.analysis.tables import Leaderboard
    from pytest_vdb.records import Record


class Summary:
    """Writes and shows the leaderboard."""

    def __init__(self, config: pytest.Config, recorder: Recorder, gates: Gates) -> None:
        self.config = config
        self.recorder = recorder
        self.gates = gates
        self.board: Leaderboard | None = None
        self.written: list[Path] = []
        self.problem: str | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write `run.json` and the reports; the records are on disk already, whatever happens here."""
        self._write(int(exitstatus))
        leave_out_table(self.config, {record.nodeid for record in self.recorder.latest()})
        if (self.problem or self.recorder.problem) and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _write(self, exit_status: int) -> None:
        self.recorder.settle()
        if not self.recorder.records:
            return
        from pytest_vdb import reporters
        from pytest_vdb.analysis import leaderboard
        from pytest_vdb.reporters import formats

        try:
            run = self.recorder.finish(exit_status)
            self.board = leaderboard.build(run, self.recorder.latest())
            wanted = formats.chosen(self.recorder.session().options.report)
            self.written = reporters.write_all(self.board, self.recorder.output(), wanted)
            self._write_step_summary()
        except (OSError, VdbError) as error:
            self.problem = (
                f"the reports were not written: {error}\n  `vdb report {self.recorder.folder()}` rebuilds them"
            )

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """The table, the gates and where the rest is; also under -q and -n."""
        for problem in filter(None, (self.recorder.problem, self.problem)):
            _write_lines(terminalreporter, lines(problem), red=True)
        if self.board is None and not self.gates.verdicts:
            return
        from pytest_vdb.analysis.pinned import saved_in_words
        from pytest_vdb.reporters import gate, terminal

        if self.board is not None and terminalreporter.verbosity >= -1:
            terminalreporter.section("vdb leaderboard")
            _write_lines(terminalreporter, terminal.render(self.board, width=terminalreporter._tw.fullwidth))
        if self.gates.verdicts:
            terminalreporter.section("vdb gates")
            for warning in self.gates.warnings:
                _write_lines(terminalreporter, lines(visible(warning)))
            saved = saved_in_words(self.recorder.started_run(), self.recorder.latest())
            told = gate.render_terminal(self.gates.verdicts, strict=self.gates.strict, saved=saved)
            _write_lines(terminalreporter, "\n".join([told, *map(visible, self.gates.obstacles)]))
        if self.board is not None:
            records = self.recorder.folder() / "records.jsonl"
            _write_lines(terminalreporter, f"records:     {visible(_relative(records))}")
        for path in self.written:
            if path.suffix == ".html":
                _write_lines(terminalreporter, f"leaderboard: {visible(_relative(path))}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Under -v, what was just measured instead of a bare PASSED."""
        sent = getattr(report, "vdb_record", None)
        if sent is None or report.when != "call" or not report.passed or self.config.option.verbose < 1:
            return None
        from pytest_vdb.records import Record, from_json

        return "passed", ".", f"PASSED {_live(from_json(sent, Record))}"

    def _write_step_summary(self) -> None:
        """The Markdown report on the page of a GitHub job."""
        path = os.environ.get("GITHUB_STEP_SUMMARY")
        if not path or self.board is None:
            return
        from pytest_vdb.reporters import github

        page = github.page(self.gates.verdicts, self.board, strict=self.gates.strict)
        with Path(path).open("a", encoding="utf-8") as stream:
            stream.write(github.cut(page, github.STEP_SUMMARY_LIMIT - stream.tell()))


def _live(record: Record) -> str:
    shown = [m for m in record.measurements if m.value is not None and m.series is None][:4]
    parts = [f"{m.name} {figure_alone(m.value)}{'' if m.unit == '1' else ' ' + m.unit}" for m in shown]
    return visible(", ".join((["clip reused"] if record.reused_from else []) + parts))


def _write_lines(terminalreporter: TerminalReporter, text: str, **markup: bool) -> None:
    """Line by line, with `?` for what the terminal's encoding lacks: pytest would write all of it as escapes."""
    encoding = getattr(terminalreporter._tw._file, "encoding", None) or "utf-8"
    for line in text.split("\n"):
        terminalreporter.write_line(line.encode(encoding, "replace").decode(encoding), **markup)


def _relative(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
