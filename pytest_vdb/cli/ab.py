"""`vdb ab`: is B worse than A, both measured here and now? Blocks in turns, so that the machine's mood cancels."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import secrets
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb import files
from pytest_vdb.cli import turns
from pytest_vdb.cli.arguments import Command
from pytest_vdb.cli.gate import rules_asked, show_verdicts
from pytest_vdb.cli.numbers import whole
from pytest_vdb.cli.printing import warn
from pytest_vdb.errors import BlockFailed, OptionError
from pytest_vdb.files import expanded
from pytest_vdb.options import BLOCKS, NOT_ASKED_RIGHTLY

if TYPE_CHECKING:
    from pytest_vdb.analysis.interleaved import Block, Turn
    from pytest_vdb.analysis.rules import Rule
    from pytest_vdb.cli.worktrees import Trees

_BEHIND = "--"
"""Before each command."""


def add_to(commands: Any) -> None:
    """Register the subcommand."""
    ab = commands.add_parser(
        "ab",
        help="is B worse or slower than A? Both are run in turns, block by block",
        usage="vdb ab [OPTIONS] -- CMD_A -- CMD_B\n       vdb ab [OPTIONS] --ref REF [-- PYTEST ARGUMENTS]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  vdb ab --ref main --fail-on 'steady_latency:+2%' -- benchmarks/ --vdb-models=wan2.1-t2v-1.3b\n"
        "  vdb ab --fail-on 'latency:+2%' -- pytest benchmarks/ -- env FLAG=1 pytest benchmarks/\n\n"
        "A is the base, B the head. Blocks run as A B B A A B B A ...; each is a session of its own without a clip\n"
        "cache. Costs are compared block by block, metrics as vdb gate does. With --ref the base is that git ref in a\n"
        "worktree of its own and the head what lies here, uncommitted changes included.\n\n"
        "Ends with 0: passed; 1: regressed; 12: something was not measured; 13: not to be compared; 14, if strict:\n"
        "the blocks at hand cannot tell; 2: not asked rightly.",
    )
    blocks = "blocks of either side (default: %(default)s); one is enough for metrics, costs need more"
    ab.add_argument("--blocks", default=str(BLOCKS), metavar="N", help=blocks)
    ab.add_argument("--ref", metavar="REF", help="the base: a branch, tag or commit; the head is the working tree")
    install = "with --ref: give both an environment of their own and run this in each, e.g. 'pip install .'"
    ab.add_argument("--install", metavar="CMD", help=install)
    rules = "e.g. 'latency:+2%%,sharpness:-1%%' (default: [tool.vdb.gate] of pyproject.toml)"
    ab.add_argument("--fail-on", dest="rules", metavar="RULES", help=rules)
    ab.add_argument("--strict", action="store_true", help="fail on what the blocks at hand cannot tell, too")
    shown = ab.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="print JSON instead of a table")
    shown.add_argument("--markdown", action="store_true", help="print Markdown instead of a table")
    where = "where the blocks' runs are kept (default: %(default)s)"
    ab.add_argument("--output", type=expanded, default=Path("reports/ab"), metavar="DIR", help=where)
    what = "-- CMD_A -- CMD_B; with --ref arguments of pytest"
    ab.add_argument("words", nargs=argparse.REMAINDER, metavar="...", help=what)
    ab.set_defaults(command=Command(AbArguments, _ab, refused=NOT_ASKED_RIGHTLY))


@dataclass(frozen=True, slots=True, kw_only=True)
class AbArguments:
    """What `vdb ab` was asked."""

    blocks: str
    """Not read yet: what argparse refuses ends with 1, and that is a regression."""
    ref: str | None
    install: str | None
    rules: str | None
    strict: bool
    json: bool
    markdown: bool
    output: Path
    words: tuple[str, ...]


def _ab(arguments: AbArguments) -> int:
    from pytest_vdb.analysis.gate import exit_code
    from pytest_vdb.analysis.interleaved import judge_turns

    blocks = whole("--blocks", 1)(arguments.blocks)
    typed = _typed_sides(arguments) if arguments.ref is None else None
    rules = rules_asked(arguments.rules, example="latency:+2%")
    with contextlib.nullcontext(typed) if typed else _sides_of_a_ref(arguments) as sides:
        output = files.make_folder(arguments.output / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}")
        session = _Session(sides, output.absolute(), blocks, rules)
        stop: KeyboardInterrupt | None = None
        try:
            session.run()
        except KeyboardInterrupt as stopped:
            stop = stopped
    verdicts = judge_turns(session.turns, rules, lost=session.lost)
    if stop is not None:
        done = f"{len(session.turns)} of {blocks} turns are in {output}"
        stop.add_note(f"{done}; what is said above is of these" if session.turns else f"{done}: nothing can be judged")
        if not session.turns:
            raise stop
    show_verdicts(verdicts, strict=arguments.strict, json=arguments.json, markdown=arguments.markdown)
    if stop is not None:
        raise stop
    warn(f"the blocks are in {output}")
    return exit_code(verdicts, strict=arguments.strict)


# --- the two sides ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _sides_of_a_ref(arguments: AbArguments) -> Iterator[tuple[turns.Side, turns.Side]]:
    """Base and head, as long as the base's worktree is there.

    Raises:
        OptionError, UnknownName: no arguments of pytest, or no such ref.
    """
    from pytest_vdb.cli.worktrees import beside

    words = arguments.words[1:] if arguments.words[:1] == (_BEHIND,) else arguments.words
    if _BEHIND in words:
        mend = "give either --ref REF -- PYTEST ARGUMENTS, or -- CMD_A -- CMD_B without --ref"
        raise OptionError("a ref and two commands", where="vdb ab", mend=mend)
    turns.check_options(("vdb", "run", *words), where=_BEHIND)
    install = () if arguments.install is None else _as_a_shell_splits(arguments.install)
    with beside(str(arguments.ref)) as trees:
        warn(trees.in_words)
        yield _side_of_tree("base", trees, words, install), _side_of_tree("head", trees, words, install)


def _side_of_tree(name: str, trees: Trees, words: Sequence[str], install: Sequence[str]) -> turns.Side:
    """`vdb run` on a tree's own benchmarks, in the folder of it in which the command was typed."""
    from pytest_vdb.cli.worktrees import environment_of, path_of, version_of_tracked_files

    tree = trees.base if name == "base" else trees.head
    folder = tree / trees.below
    if not files.is_folder(folder):
        mend = "type the command in a folder that both have"
        raise OptionError(f"{trees.reference} has no folder {trees.below}", where="--ref", mend=mend)
    variables = {"PYTHONPATH": path_of(tree, trees)}
    if install:
        warn(f"{name}: {shlex.join(install)}")
        variables |= environment_of(folder, trees.place / f"environment-{name}", install)
    return turns.Side(
        name=name,
        command=("python" if install else sys.executable, "-m", "pytest_vdb", "run", *words),
        told=shlex.join(["vdb", "run", *words]),
        folder=folder,
        environment=variables,
        version=version_of_tracked_files if name == "head" else str,
    )


def _as_a_shell_splits(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as problem:
        raise OptionError(f"{text!r}: {problem}", where="--install", mend="close the quotation") from None
    if not words:
        raise OptionError("no command", where="--install", mend="give one: 'pip install .'")
    return words


def _typed_sides(arguments: AbArguments) -> tuple[turns.Side, turns.Side]:
    if arguments.install is not None:
        raise OptionError("only a ref is installed", where="--install", mend="give --ref REF, or leave it out")
    if arguments.words[:1] != (_BEHIND,):
        mend = "vdb ab -- CMD_A -- CMD_B, or vdb ab --ref REF -- PYTEST ARGUMENTS"
        raise OptionError("what shall be compared?", where="vdb ab", mend=mend)
    commands = [
        tuple(words) for is_mark, words in itertools.groupby(arguments.words, lambda w: w == _BEHIND) if not is_mark
    ]
    if len(commands) != 2:
        what = "one command" if len(commands) == 1 else f"{len(commands) or 'no'} commands"
        raise OptionError(f"{what}, and two are compared", where="--", mend="write vdb ab -- CMD_A -- CMD_B")
    sides = [
        turns.Side(name=name, command=command, told=shlex.join(command), folder=Path.cwd())
        for name, command in zip(("base", "head"), commands, strict=True)
    ]
    if commands[0] == commands[1]:
        warn("both commands are the same, so this measures the noise")
    for side, letter in zip(sides, "AB", strict=True):
        turns.check_program(side, where=f"CMD_{letter}")
        turns.check_options(side.command, where=f"CMD_{letter}")
    return sides[0], sides[1]


# --- blocks in turns --------------------------------------------------------------------------------------------------


class _Session:
    """Runs the blocks, and keeps what came of them."""

    def __init__(self, sides: tuple[turns.Side, turns.Side], output: Path, blocks: int, rules: Sequence[Rule]) -> None:
        self.turns: list[Turn] = []
        self.lost: list[str] = []
        """Which blocks failed."""
        self._sides = sides
        self._output = output
        self._blocks = blocks
        self._rules = rules

    def run(self) -> None:
        """All blocks, or the first turn alone, where it shows that the others would be for nothing.

        Raises:
            OptionError, UnknownName: both ran different tests, or none that measures what a rule names.
            KeyboardInterrupt: told to stop; what is finished is kept.
        """
        from pytest_vdb.analysis.interleaved import Turn

        versions = [side.version() for side in self._sides]
        for number in range(self._blocks):
            began = time.monotonic()
            blocks = self._run_turn(number)
            if len(blocks) == len(self._sides):
                self.turns.append(Turn(base=blocks["base"], head=blocks["head"]))
            if number == 0:
                if not self.turns:
                    return
                self._check_first_turn(self.turns[0])
                if self._blocks > 1:
                    self._foresee(time.monotonic() - began)
        for side, version in zip(self._sides, versions, strict=True):
            if side.version() != version:
                self.lost.append(f"{side.name} was edited while its blocks ran, so they are of no one version")

    def _run_turn(self, number: int) -> dict[str, Block]:
        """Both blocks, those that did not fail; a first one that fails is the only one."""
        blocks: dict[str, Block] = {}
        for side in self._sides if number % 2 == 0 else reversed(self._sides):
            began = time.monotonic()
            place = self._output / f"{number + 1:03}-{side.name}"
            try:
                blocks[side.name] = turns.run_block(side, place)
            except BlockFailed as failure:
                self.lost.append(f"block {number + 1} of {side.name} {failure.what}")
                warn(f"block {number + 1} of {self._blocks}, {side.name}: {failure}")
                for note in getattr(failure, "__notes__", ()):
                    warn(note)
                if number == 0:
                    warn("the other blocks are not run: they would fail as this one did")
                    break
            else:
                took = f"{_counted_tests(blocks[side.name])}, {time.monotonic() - began:.1f} s"
                warn(f"block {number + 1} of {self._blocks}, {side.name}: {took}")
        return blocks

    def _check_first_turn(self, turn: Turn) -> None:
        from pytest_vdb.analysis.interleaved import other_software, without_a_test_in_common
        from pytest_vdb.analysis.rules import check_names
        from pytest_vdb.records import Baseline

        if (different := without_a_test_in_common(turn)) is not None:
            mend = "both must run the same tests, prompts and seeds"
            raise OptionError(f"no test in common: {different}", where="vdb ab", mend=mend)
        check_names(self._rules, Baseline(run=turn.base.run, records=turn.base.records), where="--fail-on")
        if (software := other_software(turn)) is not None:
            warn(f"both have other software: {software}")

    def _foresee(self, seconds: float) -> None:
        left = (self._blocks - 1) * seconds
        shown = f"{left:.0f} s" if left < 100 else f"{left / 60:.0f} min"
        warn(f"a turn takes {seconds:.1f} s: about {shown} to go")


def _counted_tests(block: Block) -> str:
    """`6 tests`, `6 tests, 1 failed`."""
    from pytest_vdb.reporters.text import counted

    counts = Counter(record.status for record in block.records)
    total = counted(len(block.records), "test")
    return ", ".join([total, *(f"{n} {status}" for status, n in sorted(counts.items()) if status != "passed")])
