"""`vdb run`, `vdb report`, `vdb baseline`: make a run, show it again, keep it."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb.cli.projects import shipped

if TYPE_CHECKING:
    from pytest_vdb.records import Record, Run


def run(arguments: list[str]) -> int:
    """`vdb run` = pytest on the project's benchmarks, or on the shipped ones where the project has none."""
    import pytest

    names_a_path = any(not given.startswith("-") and Path(given.partition("::")[0]).exists() for given in arguments)
    suite = [] if names_a_path else ["benchmarks" if Path("benchmarks").is_dir() else str(shipped("benchmarks"))]
    return int(pytest.main([*suite, *arguments]))


def add_to(commands: Any) -> None:
    """Register the subcommands."""
    listed = commands.add_parser("run", help="run the benchmark suite; takes pytest's arguments", add_help=False)
    listed.set_defaults(command=lambda _: run([]))
    _add_report(commands)
    _add_baseline(commands)


def _add_report(commands: Any) -> None:
    report = commands.add_parser("report", help="rebuild every report from the records of one or more runs")
    report.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run's folder, run.json or records.jsonl")
    report.add_argument("-o", "--output", type=Path, help="where to write (default: the folder above runs/)")
    report.add_argument("--formats", default="html,latex,csv,markdown", help="comma-separated (default: %(default)s)")
    report.set_defaults(command=_report)


def _report(options: argparse.Namespace) -> int:
    from pytest_vdb import reporters
    from pytest_vdb.analysis import leaderboard
    from pytest_vdb.reporters import terminal

    run, records = _read_runs(options.runs)
    board = leaderboard.build(run, records)
    first = options.runs[0] if options.runs[0].is_dir() else options.runs[0].parent
    output = options.output or first.parent.parent
    formats = [name for name in options.formats.split(",") if name]
    written = reporters.write_all(board, output, formats)
    print(terminal.render(board, width=shutil.get_terminal_size((120, 24)).columns))
    print("\n".join(str(path) for path in written))
    return 0


def _read_runs(paths: Sequence[Path]) -> tuple[Run, list[Record]]:
    """All records of several runs; the run that ended last speaks for them."""
    from pytest_vdb.results import journal

    runs, records = [], []
    for path in paths:
        run, found, warnings = journal.read(path)
        runs.append(run)
        records += found
        for warning in warnings:
            print(f"vdb: {warning}", file=sys.stderr)
    return max(runs, key=lambda run: run.started_at), records


def _add_baseline(commands: Any) -> None:
    baseline = commands.add_parser("baseline", help="keep a run as the baseline of later ones")
    actions = baseline.add_subparsers(required=True, metavar="save")
    save = actions.add_parser("save", help="write the small JSON that --vdb-baseline reads")
    save.add_argument("run", type=Path, help="a run's folder, run.json or records.jsonl")
    default = Path("fixtures/baselines/main.json")
    save.add_argument("-o", "--output", type=Path, default=default, help="default: %(default)s")
    save.set_defaults(command=_save_baseline)


def _save_baseline(options: argparse.Namespace) -> int:
    from pytest_vdb.results import baselines

    run, records = _read_runs([options.run])
    options.output.parent.mkdir(parents=True, exist_ok=True)
    baselines.save(records, run, options.output)
    print(f"{options.output}: {len(records)} records of run {run.id}; gate on it with --vdb-baseline={options.output}")
    return 0
