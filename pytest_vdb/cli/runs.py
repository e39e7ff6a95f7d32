"""`vdb run`, `vdb report`, `vdb baseline`: make a run, show it again, keep it."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from pytest_vdb.cli.printing import show, warn
from pytest_vdb.cli.projects import shipped
from pytest_vdb.errors import RecordError
from pytest_vdb.files import expanded


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
    report = commands.add_parser(
        "report",
        help="rebuild every report from runs, scored clips and published figures",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  vdb report reports/runs/*                                     one leaderboard over several runs\n"
        "  vdb report reports/scores/veo.jsonl                           of clips that vdb score measured\n"
        "  vdb report reports/runs/LAST reports/scores/veo.jsonl others_eval_results.json\n\n"
        "Scored clips stand beside the models of test_generation. What others published (VBench's result files) is\n"
        "shown as published, and never ranked.",
    )
    what = "a run's folder, run.json or records.jsonl; what vdb score wrote; a result file of VBench"
    report.add_argument("runs", nargs="+", metavar="[MODEL=]RUN", help=what)
    where = "where to write (default: the folder above runs/ or scores/)"
    report.add_argument("-o", "--output", type=expanded, help=where)
    formats = "html,latex,csv,markdown,vbench"
    report.add_argument("--formats", default=formats, help="comma-separated (default: %(default)s)")
    report.set_defaults(command=_report)


def _report(options: argparse.Namespace) -> int:
    from pytest_vdb import reporters
    from pytest_vdb.analysis import leaderboard
    from pytest_vdb.cli import reported
    from pytest_vdb.reporters import terminal

    sources, problems = reported.read(options.runs)
    for problem in (*problems, *(warning for source in sources for warning in source.warnings)):
        warn(problem)
    run = max((source.run for source in sources), key=lambda run: run.started_at)
    board = leaderboard.build(run, [record for source in sources for record in source.records])
    known = (source.output for source in sources if source.output is not None)
    output = options.output or next(known, Path("reports"))
    formats = [name for name in options.formats.split(",") if name]
    written = reporters.write_all(board, output, formats)
    show(terminal.render(board, width=shutil.get_terminal_size((120, 24)).columns))
    show("\n".join(str(path) for path in written))
    return 0


def _add_baseline(commands: Any) -> None:
    baseline = commands.add_parser("baseline", help="keep a run as the baseline of later ones")
    actions = baseline.add_subparsers(required=True, metavar="save")
    save = actions.add_parser("save", help="write the small JSON that --vdb-baseline reads")
    save.add_argument("run", type=expanded, help="a run's folder, run.json or records.jsonl")
    default = Path("fixtures/baselines/main.json")
    save.add_argument("-o", "--output", type=expanded, default=default, help="default: %(default)s")
    save.set_defaults(command=_save_baseline)


_NO_RUN = {
    "ledger": "what vdb score wrote",
    "baseline": "a baseline already",
    "published": "a result file of VBench",
}


def _save_baseline(options: argparse.Namespace) -> int:
    from pytest_vdb.results import baselines, journal, sources

    if (sort := sources.sort_of(options.run)) != "run":
        raise RecordError(f"{_NO_RUN[sort]}, no run", where=options.run, mend="give a run's folder: reports/runs/RUN")
    run, records, warnings = journal.read(options.run)
    for warning in warnings:
        warn(warning)
    if not records:
        raise RecordError("the run has no records", where=options.run, mend="run it to its first test at least")
    if (lacking := journal.shortfall(run, records)) is not None:
        warn(f"{options.run}: {lacking}; a later run is compared with these alone")
    baselines.save(records, run, options.output)
    show(f"{options.output}: {len(records)} records of run {run.id}; gate on it with --vdb-baseline={options.output}")
    return 0
