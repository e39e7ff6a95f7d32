"""`vdb history`: what became of metrics over all runs, and the run and commit at which one changed."""

from __future__ import annotations

import argparse
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb import files
from pytest_vdb.cli.arguments import Command
from pytest_vdb.cli.numbers import whole
from pytest_vdb.cli.printing import print_json, show, shows, warn
from pytest_vdb.files import expanded

if TYPE_CHECKING:
    from pytest_vdb.analysis.history import Point, Series, Step
    from pytest_vdb.results.history import RunInShort

LAST = 100


def add_to(commands: Any) -> None:
    """Register the subcommand."""
    history = commands.add_parser(
        "history",
        help="what became of metrics over all runs, and the first run of every change",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  vdb history\n"
        "  vdb history 'wan*' --metrics=sharpness,latency --branch=main\n"
        "  vdb history --html=trend.html\n"
        "  vdb history --output nightly-h100 nightly-a100 --last=30 --json",
    )
    history.add_argument("model", nargs="?", default="*", metavar="MODEL", help="a name or a glob (default: all)")
    history.add_argument("--metrics", default="*", metavar="NAMES", help="names or globs, comma-separated")
    where = "output folders with runs/, of one machine or of many (default: reports)"
    history.add_argument("--output", nargs="+", type=expanded, default=[Path("reports")], metavar="DIR", help=where)
    history.add_argument("--branch", metavar="B", help="only runs of this git branch")
    last = "only so many runs, the newest (default: %(default)s)"
    history.add_argument("--last", type=whole("--last", 1), default=LAST, metavar="N", help=last)
    history.add_argument("--json", action="store_true", help="print JSON instead of a table")
    page = "also write a page with a drawing for each series"
    history.add_argument("--html", type=expanded, metavar="FILE", help=page)
    history.set_defaults(command=Command(HistoryArguments, _history))


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryArguments:
    """What `vdb history` was asked."""

    model: str
    metrics: str
    output: tuple[Path, ...]
    branch: str | None
    last: int
    json: bool
    html: Path | None


def _history(arguments: HistoryArguments) -> int:
    if arguments.html is not None:
        files.check_writable(arguments.html)
    from pytest_vdb.analysis.history import EDITION, in_short, trends
    from pytest_vdb.reporters import history as report
    from pytest_vdb.reporters import history_page
    from pytest_vdb.results import history

    found = history.read(arguments.output, in_short, edition=EDITION)
    for warning in found.warnings:
        warn(warning)
    metrics = [name.strip() for name in arguments.metrics.split(",") if name.strip()]
    every = trends(found.runs, model=arguments.model, metrics=metrics, branch=arguments.branch, last=arguments.last)
    if arguments.html is not None:
        files.write(arguments.html, history_page.render(every))
        warn(arguments.html)
    if arguments.json:
        print_json([_series_for_programs(series) for series in every])
    elif every:
        width = shutil.get_terminal_size((100, 24)).columns
        show(report.render(every, width=width, bars=report.BARS if shows(report.BARS) else report.PLAIN_BARS))
    else:
        show("nothing was measured by real networks in these runs")
    return 0


def _series_for_programs(series: Series) -> dict[str, Any]:
    from pytest_vdb.reporters.history import standing

    asked, figure = series.asked, series.figure
    return {
        "model": asked.model,
        "metric": figure.metric,
        "standing": standing(series),
        "latest": None if series.lacking else figure.value,
        "runs": len(series.points),
        "reason": series.lacking or None,
        "change": series.change,
        "unit": figure.unit,
        "better": figure.better,
        "kind": figure.kind,
        "version": figure.version,
        "benchmark": asked.benchmark,
        "parameters": asked.parameters,
        "weights": asked.weights,
        "recipe": asked.recipe,
        "hardware": asked.hardware,
        "revision": asked.revision,
        "prompts": asked.prompts,
        "changes": [_step_for_programs(step) for step in series.steps],
        "points": [_point_for_programs(point) for point in series.points],
    }


def _step_for_programs(step: Step) -> dict[str, Any]:
    return {
        "worse": step.worse,
        "before": step.before,
        "after": step.after,
        "first": _run_for_programs(step.first),
        "last_before": _run_for_programs(step.last),
    }


def _point_for_programs(point: Point) -> dict[str, Any]:
    figure = point.figure
    return {
        **_run_for_programs(point.run),
        "value": figure.value,
        "n": figure.n,
        "compared": point.comparable is not None,
        "reason": figure.why or None,
    }


def _run_for_programs(run: RunInShort) -> dict[str, Any]:
    return {"run": run.run, "began": run.began, "commit": run.commit, "dirty": run.dirty, "branch": run.branch}
