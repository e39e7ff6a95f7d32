"""`vdb`: look at models and metrics, run the suite, score clips, rebuild reports, keep baselines, start a project."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from pytest_vdb import __version__
from pytest_vdb.cli import (
    backbones,
    calibrate,
    check,
    compare,
    export,
    listings,
    projects,
    reference,
    runs,
    score,
    validate,
)
from pytest_vdb.errors import VdbError

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script. Returns the exit status: 0, 1 for an error that is said, or pytest's own."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["run"]:  # everything behind `run` is pytest's, also --help
        return runs.run(given[1:])
    options = _parser().parse_args(given)
    try:
        command: Command = options.command
        return command(options)
    except VdbError as error:
        print(f"vdb: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `vdb models | head`
        sys.stderr.close()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vdb",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  vdb models 'wan*'                      which models there are\n"
        "  vdb models wan2.1-t2v-1.3b             one model in full, with the command that runs it\n"
        "  vdb run --vdb-models=tag:t2v -n auto   the benchmark suite, one GPU per worker\n"
        "  vdb score clips/ --prompts mine.jsonl  the metrics of clips that exist already\n"
        "  vdb report reports/runs/*              one leaderboard over several runs\n"
        "  vdb compare reports/runs/LAST A B      is model A better than model B, or is it noise?\n"
        "  vdb baseline save reports/runs/LAST -o fixtures/baselines/main.json",
    )
    parser.add_argument("--version", action="version", version=f"pytest-vdb {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for part in (listings, runs, compare, score, validate, calibrate, check, export, backbones, reference, projects):
        part.add_to(commands)
    return parser
