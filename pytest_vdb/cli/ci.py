"""`vdb ci`: what a CI job does with the benchmarks, step by step; `action.yml` and the ready workflows use it."""

from __future__ import annotations

import argparse
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb import files
from pytest_vdb.cli.arguments import Command
from pytest_vdb.cli.gate import judged
from pytest_vdb.cli.printing import order, show
from pytest_vdb.cli.runs import run as run_pytest
from pytest_vdb.errors import OptionError, OutputError
from pytest_vdb.escaping import visible
from pytest_vdb.files import expanded
from pytest_vdb.options import FLAGS

if TYPE_CHECKING:
    from pytest_vdb.analysis.gate import Verdict

_PASSED_ON = ("models", "prompts", "weights", "metrics", "cache", "baseline", "fail-on", "output")
"""Options of a session that a job may leave empty: then the project's own count."""
_OUTPUT = "reports"
_REPORT = "leaderboard.html"


def add_to(commands: Any) -> None:
    """Register the subcommands."""
    ci = commands.add_parser("ci", help="the steps of a CI job: run and gate, annotate, comment on the pull request")
    steps = ci.add_subparsers(required=True, metavar="run|annotate|comment")
    _add_ci_run(steps)
    _add_annotate(steps)
    _add_comment(steps)


def yes_or_no(text: str) -> bool:
    """What a workflow writes for a switch; nothing is no.

    Raises:
        argparse.ArgumentTypeError: neither.
    """
    lower = text.strip().lower()
    if lower not in {"true", "yes", "1", "false", "no", "0", ""}:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return lower in {"true", "yes", "1"}


def _add_strict(parser: Any) -> None:
    what = "true: fail on what the prompts at hand cannot tell, too"
    parser.add_argument("--strict", type=yes_or_no, default=False, metavar="BOOL", help=what)


# --- run --------------------------------------------------------------------------------------------------------------


def _add_ci_run(steps: Any) -> None:
    run = steps.add_parser("run", help="run and gate the benchmarks; ends with pytest's exit code")
    for flag in (flag for flag in FLAGS if flag.name in _PASSED_ON):
        run.add_argument(f"--{flag.name}", default="", metavar=flag.metavar, help=f"{flag.flag}; empty: not given")
    run.set_defaults(output=_OUTPUT)
    _add_strict(run)
    run.add_argument("--args", default="", metavar="ARGS", help="further arguments of pytest, as a shell reads them")
    run.set_defaults(command=Command(CiRunArguments, _run_in_ci, hears_signals=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class CiRunArguments:
    """What `vdb ci run` was asked."""

    models: str
    prompts: str
    weights: str
    metrics: str
    cache: str
    baseline: str
    fail_on: str
    output: str
    strict: bool
    args: str


def _run_in_ci(arguments: CiRunArguments) -> int:
    try:
        further = shlex.split(arguments.args)
    except ValueError as problem:
        raise OptionError(f"{arguments.args!r}: {problem}", where="--args", mend="close the quotation") from None
    output = Path(arguments.output or _OUTPUT)
    sign = _SignOfLife(output)
    given = {name: getattr(arguments, name.replace("-", "_")) for name in _PASSED_ON} | {"output": output}
    options = [f"--vdb-{name}={value}" for name, value in given.items() if value]
    options += ["--vdb-strict"] if arguments.strict else []
    status = run_pytest([*options, f"--junit-xml={output / 'junit.xml'}", *further], sign)
    written = sign.run is not None and files.is_file(output / _REPORT)
    _tell_job(run=sign.run or "", report=output / _REPORT if written else "")
    return status


class _SignOfLife:
    """Tells the run's folder after its first test: a session that is killed can tell nothing at its end."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self._before = _run_folders(output)
        self._told = False

    @property
    def run(self) -> Path | None:
        """The folder of this session."""
        return max(_run_folders(self._output) - self._before, default=None)

    def pytest_runtest_logfinish(self) -> None:
        """A test has ended, here or on a worker."""
        if not self._told and self.run is not None:
            self._told = True
            _tell_job(run=self.run)


def _run_folders(output: Path) -> set[Path]:
    from pytest_vdb.results.journal import RUNS

    folder = output / RUNS
    return set(files.entries(folder, error=OutputError)[0]) if files.is_folder(folder) else set()


def _tell_job(**outputs: object) -> None:
    """What later steps of a job on GitHub can ask for; each on one line, so that none can pretend to be another."""
    path = os.environ.get("GITHUB_OUTPUT")
    if path:
        for name, value in outputs.items():
            files.append(path, f"{name}={visible(value)}".encode())


# --- annotate ---------------------------------------------------------------------------------------------------------


def _add_annotate(steps: Any) -> None:
    annotate = steps.add_parser("annotate", help="the ten worst verdicts as annotations, and the page of the comment")
    annotate.add_argument("run", metavar="RUN", help="a run's folder; empty: the session left none")
    annotate.add_argument("--baseline", default="", metavar="WHAT", help="as vdb gate takes it; empty: no gate")
    annotate.add_argument("--fail-on", dest="rules", default="", metavar="RULES", help="as vdb gate takes them")
    _add_strict(annotate)
    annotate.add_argument("--exit-code", type=int, default=0, metavar="N", help="what the session ended with")
    annotate.add_argument("-o", "--output", type=expanded, metavar="FILE", help="write the page of the comment there")
    annotate.set_defaults(command=Command(AnnotateArguments, _annotate))


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotateArguments:
    """What `vdb ci annotate` was asked."""

    run: str
    baseline: str
    rules: str
    strict: bool
    exit_code: int
    output: Path | None


def _annotate(arguments: AnnotateArguments) -> int:
    from pytest_vdb.analysis import leaderboard
    from pytest_vdb.analysis.gate import exit_code
    from pytest_vdb.reporters import gate, github
    from pytest_vdb.results import journal

    verdicts: tuple[Verdict, ...] = ()
    board, page = None, f"# Video benchmark\n\nNo test left a record: pytest ended with {arguments.exit_code}.\n"
    if arguments.run:
        run, records, _ = journal.read(expanded(arguments.run))
        board = leaderboard.build(run, records)
        if arguments.baseline:
            verdicts = judged(expanded(arguments.run), arguments.baseline, arguments.rules)
        page = github.page(verdicts, board, strict=arguments.strict)
    told = github.annotated(verdicts, _file_in_repository, strict=arguments.strict)
    if arguments.exit_code not in {0, exit_code(verdicts, strict=arguments.strict)}:
        told = [github.failure(arguments.exit_code, board), *told]
    for command in told[: github.MOST_ANNOTATIONS]:
        order(command)
    if arguments.output is not None:
        files.write(arguments.output, page)
    worst = gate.worst(verdicts, strict=arguments.strict)
    passed = "passed" if verdicts else ""
    _tell_job(verdict=worst[0].outcome if worst else passed)
    return 0


def _file_in_repository(benchmark: str) -> str | None:
    """The file of `benchmarks/test_x.py::test_y`, from the top of the repository, where it is there."""
    file = Path(benchmark.partition("::")[0])
    if not files.is_file(file):
        return None
    top = os.environ.get("GITHUB_WORKSPACE") or "."
    return Path(os.path.relpath(file, top)).as_posix()


# --- comment ----------------------------------------------------------------------------------------------------------


def _add_comment(steps: Any) -> None:
    comment = steps.add_parser(
        "comment",
        help="one comment on the pull request, brought up to date by every job",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Reads GITHUB_TOKEN (which may write comments), GITHUB_EVENT_PATH, GITHUB_REPOSITORY, GITHUB_API_URL,\n"
        "GITHUB_SERVER_URL and GITHUB_RUN_ID. Without a token or a pull request it says so and ends with 0;\n"
        "1: GitHub refused.",
    )
    comment.add_argument("page", type=expanded, metavar="FILE", help="Markdown, e.g. what vdb ci annotate -o wrote")
    name = "tells the comments of several jobs apart (default: %(default)s)"
    comment.add_argument("--name", default="benchmark", help=name)
    comment.set_defaults(command=Command(CommentArguments, _comment_on_pull_request))


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentArguments:
    """What `vdb ci comment` was asked."""

    page: Path
    name: str


def _comment_on_pull_request(arguments: CommentArguments) -> int:
    from pytest_vdb import pull_requests
    from pytest_vdb.reporters.github import COMMENT_LIMIT, cut

    if not re.fullmatch(r"[\w. -]{1,60}", arguments.name, re.ASCII) or "--" in arguments.name:
        mend = "letters, digits, dots, blanks and single hyphens, at most 60"
        raise OptionError(f"{arguments.name!r} cannot be hidden in a comment", where="--name", mend=mend)
    page = files.read_text(arguments.page, error=OptionError)
    pull = pull_requests.of_job(os.environ)
    if isinstance(pull, str):
        show(f"no comment: {pull}")
        return 0
    mark, origin = f"<!-- pytest-vdb: {arguments.name} -->", _origin_of_comment(pull.repository)
    room = COMMENT_LIMIT - len(mark) - len(origin) - 1
    done, address = pull_requests.comment(pull, cut(page, room) + origin, mark=mark)
    show(f"{done} the comment {address}")
    return 0


def _origin_of_comment(repository: str) -> str:
    """A link to the job, where the environment tells which that is."""
    server, job = os.environ.get("GITHUB_SERVER_URL", "https://github.com"), os.environ.get("GITHUB_RUN_ID", "")
    return f"\n[The job with its artefacts]({server}/{repository}/actions/runs/{job})\n" if job.isdecimal() else ""
