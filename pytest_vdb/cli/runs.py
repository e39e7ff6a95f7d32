"""`vdb run`, `vdb plan`, `vdb report`: make a run, say what it would be, show it again."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb import files
from pytest_vdb.cli.arguments import Command, Nothing
from pytest_vdb.cli.numbers import whole
from pytest_vdb.cli.printing import show, warn
from pytest_vdb.cli.projects import shipped
from pytest_vdb.errors import OptionError
from pytest_vdb.files import expanded
from pytest_vdb.garbage import kept, setting_aside
from pytest_vdb.options import FLAGS, OF_JOBS

if TYPE_CHECKING:
    import pytest

    from pytest_vdb.analysis.tables import Leaderboard
    from pytest_vdb.reporters.formats import Format

_ALREADY_HERE = ("-W", "ignore:Module already imported so cannot be rewritten; pytest_vdb")
"""pytest would rewrite the assertions of packages that bring plugins, and warns that `vdb` is running already."""


def run(arguments: list[str], *plugins: object) -> int:
    """`vdb run` = pytest on the project's benchmarks, or on the shipped ones where the project has none.

    Args:
        arguments: pytest's.
        plugins: further ones, for this session.

    Raises:
        OptionError: neither is there.
    """
    import pytest

    suite = "benchmarks" if files.is_folder("benchmarks") else str(shipped("benchmarks"))
    return int(pytest.main([*_ALREADY_HERE, *_joined(arguments)], plugins=[_Suite(suite), *plugins]))


def plan(arguments: list[str]) -> int:
    """`vdb plan` = `vdb run` that says what the job would be: where no engine is named, on this machine.

    Args:
        arguments: pytest's.
    """
    named = any(argument.partition("=")[0] in {"--on", "--vdb-on"} for argument in arguments)
    return run([*arguments, "--vdb-plan", *([] if named else ["--vdb-on=local"])])


class _Suite:
    """The tests of a command line that names none: only pytest's own parser, with every plugin's options, knows which.

    Added after pytest has chosen its root, which so is the project's and never a place between it and site-packages.
    """

    def __init__(self, suite: str) -> None:
        self._suite = suite

    def pytest_load_initial_conftests(self, early_config: pytest.Config, args: list[str]) -> None:
        """Before pytest's own, which looks for conftests beside the tests that are named."""
        named: list[str] = early_config.known_args_namespace.file_or_dir
        if not named:
            named.append(self._suite)
            args.insert(0, self._suite)


def _joined(arguments: Sequence[str]) -> list[str]:
    """`--vdb-output out` as `--vdb-output=out`: pytest looks for its root before it knows our options, and takes their
    values for tests. And `--on` as `--vdb-on`: pytest has no such options."""
    flags = {flag.flag for flag in FLAGS if not flag.switch}
    short = {f"--{name}": f"--vdb-{name}" for name in OF_JOBS}
    joined: list[str] = []
    given = iter(arguments)
    for argument in given:
        if argument == "--":
            return [*joined, argument, *given]
        name, equals, rest = argument.partition("=")
        argument = f"{short.get(name, name)}{equals}{rest}"
        value = next(given, None) if argument in flags else None
        joined.append(argument if value is None else f"{argument}={value}")
    return joined


def add_to(commands: Any) -> None:
    """Register the subcommands."""
    listed = commands.add_parser("run", help="run the benchmark suite; takes pytest's arguments", add_help=False)
    listed.set_defaults(command=Command(Nothing, lambda _: run([])))
    foreseen = "what `vdb run --on` would be: shards, hours, cost; runs nothing; takes pytest's arguments"
    planned = commands.add_parser("plan", help=foreseen, add_help=False)
    planned.set_defaults(command=Command(Nothing, lambda _: plan([])))
    _add_report(commands)


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
    formats = "formats of reports, comma-separated, as --vdb-report takes them (default: all)"
    report.add_argument("--formats", default="all", help=formats)
    what = "an overall score, as --vdb-overall takes it (default: the newest run's own)"
    report.add_argument("--overall", metavar="SCORE", help=what)
    latex = report.add_argument_group("LaTeX", "what a paper takes of leaderboard.tex")
    what = "columns of the standings, in this order, and no table of a benchmark: names or globs, comma-separated"
    latex.add_argument("--latex-columns", default="", metavar="NAMES", help=f"{what} (default: those that tell most)")
    what = "models or rows: names or globs, comma-separated (default: all)"
    latex.add_argument("--latex-rows", default="", metavar="NAMES", help=what)
    what = "of a line, in points: a wider table is split into several (default: 345, an article's)"
    latex.add_argument("--latex-width", type=whole("--latex-width", 1), metavar="POINTS", help=what)
    what = "a document of its own: methods, figures, tables and bibliography"
    latex.add_argument("--latex-standalone", action="store_true", help=what)
    report.set_defaults(command=Command(ReportArguments, _rebuild_reports, leaves_at_once=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportArguments:
    """What `vdb report` was asked."""

    runs: tuple[str, ...]
    output: Path | None
    formats: str
    overall: str | None
    latex_columns: str
    latex_rows: str
    latex_width: int | None
    latex_standalone: bool


def _rebuild_reports(arguments: ReportArguments) -> int:
    # numpy's matrix products are small here, and its threads wait for the next one at full speed
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from pytest_vdb import reporters
    from pytest_vdb.analysis import leaderboard
    from pytest_vdb.analysis.overall import OPTION, overall_of
    from pytest_vdb.reporters import formats, scores, terminal
    from pytest_vdb.results import reported

    wanted = formats.chosen(arguments.formats, where="--formats")
    if arguments.overall is not None:
        overall_of(arguments.overall, where="--overall")
    with setting_aside():
        sources, problems = kept(reported.read(arguments.runs))
    for problem in (*problems, *(warning for source in sources for warning in source.warnings)):
        warn(problem)
    run = max((source.run for source in sources), key=lambda run: run.started_at)
    cards = {name: facts for source in sources for name, facts in source.run.models.items()}
    run = replace(run, models={**cards, **run.models})
    if arguments.overall is not None:
        run = replace(run, options={**run.options, OPTION: arguments.overall})
    with setting_aside():
        board = kept(leaderboard.build(run, [record for source in sources for record in source.records]))
    known = (source.output for source in sources if source.output is not None)
    output = files.make_folder(arguments.output or next(known, Path("reports")))
    written = reporters.write_all(board, output, wanted, instead=_as_a_paper_wants(board, arguments, wanted))
    width = shutil.get_terminal_size((120, 24)).columns
    show("\n\n".join(filter(None, (terminal.render(board, width=width), scores.render(board, width=width)))))
    show("\n".join(str(path) for path in written))
    return 0


def _as_a_paper_wants(board: Leaderboard, arguments: ReportArguments, wanted: Sequence[str]) -> list[Format]:
    """LaTeX, where something was asked of it.

    Raises:
        OptionError: it is none of the formats that are wanted.
        UnknownName: a column or a row that is not there.
    """
    from pytest_vdb.reporters.formats import latex

    paper = latex.paper_for(
        board,
        columns=arguments.latex_columns,
        rows=arguments.latex_rows,
        width=arguments.latex_width,
        standalone=arguments.latex_standalone,
    )
    if paper == latex.Paper():
        return []
    if latex.FORMAT.name not in wanted:
        mend = f"add {latex.FORMAT.name} to --formats, or leave the options of LaTeX away"
        raise OptionError("LaTeX is none of the formats", where="--formats", mend=mend)
    return [latex.format_for(paper)]
