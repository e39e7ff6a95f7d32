"""`vdb`: look at models and metrics, run the suite, score clips, rebuild reports, keep baselines, start a project."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import pkgutil
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pytest_vdb import __version__
from pytest_vdb.cli import printing, runs, stopping
from pytest_vdb.cli.arguments import Command
from pytest_vdb.errors import VdbError
from pytest_vdb.escaping import lines


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script.

    Returns:
        The exit status: 0, what the command says of an error (1), 128 + a signal, or pytest's own.
    """
    printing.encode_everything()
    given = list(sys.argv[1:] if arguments is None else arguments)
    refused = 1
    try:
        if given[:1] == ["run"]:  # everything behind `run` is pytest's, also --help and signals
            return runs.run(given[1:])
        if given[:1] == ["plan"]:
            return runs.plan(given[1:])
        options = _options(given)
        refused = options.command.refused
        with contextlib.nullcontext() if options.command.hears_signals else stopping.signals_that_stop():
            status = _exit_status(vars(options))
            printing.flush()
        if arguments is None and options.command.leaves_at_once:
            _leave(status)
        return status
    except VdbError as error:
        for said in (error, *getattr(error, "__notes__", ())):
            printing.warn(said)
        return refused
    except BrokenPipeError:  # `vdb models | head`
        printing.let_go()
        return 0
    except KeyboardInterrupt as stop:
        printing.warn(stopping.sentence(stop))
        status = stopping.status(stop)
    if arguments is None:
        _leave(status)
    return status


def _options(given: Sequence[str]) -> Any:
    """What argparse read, and what it left to pytest where a command starts sessions."""
    parser = _parser()
    options, left = parser.parse_known_args(given)
    if options.command.takes_pytest:
        options.pytest = [argument for place, argument in enumerate(left) if place or argument != "--"]
    elif left:
        parser.error(f"unrecognized arguments: {' '.join(left)}")
    return options


def _exit_status(given: dict[str, Any]) -> int:
    """What argparse read goes no further: a command sees its own frozen arguments."""
    command: Command[Any] = given["command"]
    with printing.json_alone() if given.get("json") else contextlib.nullcontext():
        return command.answer(given)


def _leave(status: int) -> None:
    """End at once, where the interpreter would wait for clips that are still being measured and that nobody wants, or
    take apart what was read."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(status)


class _Parser(argparse.ArgumentParser):
    """Shows what it was given, and does not obey it. Half an option is none: tomorrow it may be half of two."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **how})

    def _print_message(self, message: str, file: Any = None) -> None:
        super()._print_message(lines(message), file)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
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
    for add_to in _those_with_commands():
        add_to(commands)
    return parser


def _those_with_commands() -> Iterator[Callable[[Any], None]]:
    """A new command is a new file beside this one, with a function `add_to` that adds its parser."""
    for found in pkgutil.iter_modules(__path__):
        add_to = getattr(importlib.import_module(f"{__name__}.{found.name}"), "add_to", None)
        if add_to is not None:
            yield add_to
