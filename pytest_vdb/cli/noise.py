"""`vdb noise`: the same benchmark again and again. What differs is noise, and a gate's margin should be larger."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb import files
from pytest_vdb.cli.arguments import Command
from pytest_vdb.cli.numbers import whole
from pytest_vdb.cli.printing import print_json, show, warn
from pytest_vdb.errors import OptionError, RecordError
from pytest_vdb.files import expanded
from pytest_vdb.options import project_gate

if TYPE_CHECKING:
    from pytest_vdb.analysis.margins import Limit
    from pytest_vdb.analysis.rules import Rule
    from pytest_vdb.records import Baseline
    from pytest_vdb.results.noise import Noise

_WIDEST_OF_NOISE = 120
_LEAST_OF_NOISE = 2
"""Sessions: one shows no difference."""
_LETS_END_S = 1.0
"""How long a session may take to hear that it shall end: a terminal's Ctrl-C reaches it, too."""
_ENDED_WITH_RECORDS = frozenset({0, 1})
"""What pytest ends with where its tests ran, passed or failed."""


def add_to(commands: Any) -> None:
    """Register the subcommand."""
    noise = commands.add_parser(
        "noise",
        help="run the same benchmark again and again: how much differs where nothing has changed?",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="vdb noise [PYTEST ARGUMENTS] [--sessions N] [--workers N,N] [--seeds N,N] [--fail-on RULES] "
        "[--save FILE] [--json]\n       vdb noise --runs RUN RUN ... [--fail-on RULES] [--save FILE] [--json]",
        epilog="examples:\n"
        "  vdb noise --sessions=5 --vdb-models=wan2.1-t2v-1.3b\n"
        "  vdb noise benchmarks/test_generation.py --workers=0,2\n"
        "  vdb noise --runs reports/noise/runs/* --fail-on 'sharpness:-2%,latency:+10%' --save fixtures/noise.json\n\n"
        "Everything that is not listed above goes to pytest, as with vdb run. Clips are made anew in every session\n"
        "(--vdb-cache=never): what comes from the cache costs nothing.",
    )
    existing = "judge these runs of one commit instead of making some: folders of runs, or baselines"
    noise.add_argument("--runs", nargs="+", type=expanded, default=[], metavar="RUN", help=existing)
    count = whole("--sessions", _LEAST_OF_NOISE)
    noise.add_argument(
        "--sessions", type=count, metavar="N", help="how many to run (default: 2; costs need 5 and more)"
    )
    workers = "the -n of each session, in turns: 0,2"
    noise.add_argument("--workers", type=_numbers("--workers"), default=(), metavar="N,N", help=workers)
    seeds = "the --vdb-seed of each session, in turns: 0,1 shows what other seeds do (default: the same)"
    noise.add_argument("--seeds", type=_numbers("--seeds"), default=(), metavar="N,N", help=seeds)
    where = "where the sessions are kept (default: %(default)s)"
    noise.add_argument(
        "--output", "--vdb-output", type=expanded, default=Path("reports/noise"), metavar="DIR", help=where
    )
    rules = "which margins lie above the noise? (default: [tool.vdb.gate] of pyproject.toml)"
    noise.add_argument("--fail-on", dest="rules", metavar="RULES", help=rules)
    noise.add_argument("--strict", action="store_true", help="end with 14 where a margin lies below the noise floor")
    save = "keep the noise floor there: gates read it with --vdb-noise=FILE"
    noise.add_argument("--save", type=expanded, metavar="FILE", help=save)
    printed = noise.add_mutually_exclusive_group()
    printed.add_argument("--json", action="store_true", help="print JSON instead of a table")
    printed.add_argument("--markdown", action="store_true", help="print Markdown instead of a table")
    noise.set_defaults(command=Command(NoiseArguments, _tell_noise, takes_pytest=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseArguments:
    """What `vdb noise` was asked."""

    runs: tuple[Path, ...]
    sessions: int | None
    workers: tuple[int, ...]
    seeds: tuple[int, ...]
    output: Path
    rules: str | None
    strict: bool
    save: Path | None
    json: bool
    markdown: bool
    pytest: tuple[str, ...] = ()
    """What is pytest's."""


def _numbers(flag: str) -> Callable[[str], tuple[int, ...]]:
    """An argparse type: whole numbers, comma-separated."""
    one = whole(flag, 0)
    return lambda text: tuple(one(part.strip()) for part in text.split(","))


def _tell_noise(arguments: NoiseArguments) -> int:
    from pytest_vdb.analysis.gate import EXIT_CODES
    from pytest_vdb.analysis.margins import limits_of
    from pytest_vdb.analysis.rules import parse_rules
    from pytest_vdb.reporters import noise as report
    from pytest_vdb.results.noise import save_noise

    rules = parse_rules(arguments.rules or project_gate(Path("pyproject.toml")) or "", where="--fail-on")
    if arguments.save is not None:
        files.check_writable(arguments.save)
    sessions = _existing(arguments, rules) if arguments.runs else _made(arguments, rules)
    if isinstance(sessions, int):
        return sessions
    noise = _noise_of(sessions)
    limits, judged = limits_of(noise.floors), limits_of(noise.floors, rules) if rules else ()
    for told in _of_nothing_here(rules, noise):
        warn(told)
    if arguments.save is not None:
        save_noise(noise, arguments.save)
        warn(f"{arguments.save}: gates read it with --vdb-noise={arguments.save}")
    if arguments.json:
        print_json(_noise_for_programs(noise, limits, judged))
    elif arguments.markdown:
        show(report.render_markdown(noise, limits, judged))
    else:
        width = min(_WIDEST_OF_NOISE, shutil.get_terminal_size((100, 24)).columns)
        show(report.render_terminal(noise, limits, judged, width=width))
    return EXIT_CODES["inconclusive"] if arguments.strict and any(limit.below for limit in judged) else 0


def _noise_of(sessions: Sequence[Baseline]) -> Noise:
    """What they say together.

    Raises:
        RecordError: nothing that was measured twice.
    """
    from pytest_vdb.analysis.noise import floors_of
    from pytest_vdb.results.noise import Noise

    for told in _what_may_differ(sessions):
        warn(told)
    floors = floors_of(sessions)
    if not any(floor.between is not None for floor in floors):
        reasons = Counter(floor.reason for floor in floors)
        why = reasons.most_common(1)[0][0] if floors else "nothing was measured by real networks"
        where = ", ".join(session.run.id for session in sessions)
        mend = "give sessions of the same models, prompts, recipes and hardware"
        raise RecordError(f"nothing was measured twice: {why}", where=where, mend=mend)
    return Noise(run=sessions[0].run, sessions=tuple(session.run.id for session in sessions), floors=floors)


def _what_may_differ(sessions: Sequence[Baseline]) -> list[str]:
    """What may be no noise: sessions of other commits, or of other software."""
    told = []
    commits = {session.run.environment.git_commit for session in sessions}
    if len(commits) > 1:
        named = ", ".join(sorted(str(commit)[:10] for commit in commits))
        told.append(f"the sessions are of {len(commits)} commits ({named}): what differs may be what was changed")
    if len({tuple(sorted(session.run.environment.packages.items())) for session in sessions}) > 1:
        told.append("the sessions ran with other versions of the libraries: what differs may be theirs")
    return told


def _of_nothing_here(rules: Sequence[Rule], noise: Noise) -> list[str]:
    """Rules of the project that may be about other tests than these."""
    floors = noise.floors
    idle = [str(rule) for rule in rules if not any(rule.covers(floor.metric, floor.model) for floor in floors)]
    return [f"the sessions measured nothing that these rules name: {', '.join(idle)}"] if idle else []


# --- sessions that exist ----------------------------------------------------------------------------------------------


def _existing(arguments: NoiseArguments, rules: Sequence[Rule]) -> list[Baseline]:
    """Of `--runs`.

    Raises:
        OptionError: with arguments that only new sessions can obey.
        RecordError: fewer than two, one that cannot be read, or the same one twice.
    """
    for_new = {"--sessions": arguments.sessions, "--workers": arguments.workers, "--seeds": arguments.seeds}
    unused = [*(flag for flag, value in for_new.items() if value), *arguments.pytest]
    if unused:
        mend = "leave it out, or leave out --runs"
        raise OptionError(f"{unused[0]!r} is for sessions that are to be made", where="--runs", mend=mend)
    sessions = [_read_session(path) for path in arguments.runs]
    ids = [session.run.id for session in sessions]
    if len(set(ids)) < _LEAST_OF_NOISE:
        what = "one session shows no difference" if len(ids) == 1 else f"the same session {len(ids)} times"
        raise RecordError(what, where=arguments.runs[0], mend="give at least two runs of one commit")
    if twice := sorted({one for one in ids if ids.count(one) > 1}):
        raise RecordError(f"{twice[0]} was given twice", where="--runs", mend="give each run once")
    _check_rules(rules, sessions[0], arguments)
    return sessions


def _read_session(path: Path) -> Baseline:
    from pytest_vdb.results import baselines, journal

    session = baselines.load(path)
    for warning in session.warnings:
        warn(warning)
    if (lacking := journal.shortfall(session.run, session.records)) is not None:
        warn(f"{path}: {lacking}")
    return session


def _check_rules(rules: Sequence[Rule], session: Baseline, arguments: NoiseArguments) -> None:
    """That the session measures what the user asks of; the project's own rules may be about other tests."""
    from pytest_vdb.analysis.rules import check_names

    if arguments.rules:
        check_names(rules, session, where="--fail-on")


# --- sessions that are made -------------------------------------------------------------------------------------------


def _made(arguments: NoiseArguments, rules: Sequence[Rule]) -> list[Baseline] | int:
    """Run them one after the other, each a process of its own.

    Returns:
        The sessions, or what pytest ended with where one could not run.

    Raises:
        OptionError: fewer sessions than workers or seeds in turns.
        RecordError: a session that left no record.
    """
    turns = max(_LEAST_OF_NOISE, max(1, len(arguments.workers)) * max(1, len(arguments.seeds)))
    count = arguments.sessions or turns
    if count < turns:
        mend = f"give --sessions={turns} at least"
        raise OptionError(f"{count} sessions cannot take {turns} turns", where="--sessions", mend=mend)
    sessions: list[Baseline] = []
    folders: list[Path] = []
    try:
        for place in range(count):
            command = _command_of_session(arguments, place)
            warn(f"session {place + 1} of {count}: vdb {shlex.join(command)}")
            before = _finished(arguments.output)
            status = _ended(command)
            if status not in _ENDED_WITH_RECORDS:
                warn(f"session {place + 1} ended with {status}, so there is no noise to tell")
                return status
            if status:
                warn(f"session {place + 1}: not all of its tests passed; what they measured counts")
            folders.append(_new_run(before, arguments.output))
            sessions.append(_read_session(folders[-1]))
            if place == 0:
                _check_rules(rules, sessions[0], arguments)
    except KeyboardInterrupt as stop:
        if folders:
            finished = " ".join(map(str, folders))
            stop.add_note(f"{len(folders)} of {count} sessions are finished: vdb noise --runs {finished}")
        raise
    return sessions


def _command_of_session(arguments: NoiseArguments, place: int) -> list[str]:
    """Later options win: the user's over ours, the turns over the user's. Each seed runs with all workers in turns."""
    ours = ["-q", "--vdb-cache=never", "--vdb-report=none", "--vdb-baseline="]
    turns = [f"--vdb-output={arguments.output}"]
    if arguments.workers:
        turns.append(f"-n{arguments.workers[place % len(arguments.workers)]}")
    if arguments.seeds:
        turns.append(f"--vdb-seed={arguments.seeds[place // max(1, len(arguments.workers)) % len(arguments.seeds)]}")
    return ["run", *ours, *arguments.pytest, *turns]


def _ended(command: Sequence[str]) -> int:
    """Run a session to its end; what it prints goes to stderr. A signal that ends this process ends it, too."""
    output = subprocess.DEVNULL if sys.stderr is None else 2
    with subprocess.Popen([sys.executable, "-P", "-m", "pytest_vdb", *command], stdout=output) as session:
        try:
            return session.wait()
        except KeyboardInterrupt:
            with contextlib.suppress(subprocess.TimeoutExpired):
                session.wait(_LETS_END_S)
            if session.poll() is None:
                session.terminate()
            session.wait()
            raise


def _finished(output: Path) -> set[Path]:
    from pytest_vdb.results import baselines

    return {one.folder for one in baselines.runs_in(output)}


def _new_run(before: set[Path], output: Path) -> Path:
    new = _finished(output) - before
    if not new:
        mend = "choose tests that ask for a model: vdb run --collect-only shows which there are"
        raise RecordError("the session left no finished run", where=output, mend=mend)
    return max(new)


# --- for programs -----------------------------------------------------------------------------------------------------


def _noise_for_programs(noise: Noise, limits: Sequence[Limit], judged: Sequence[Limit]) -> dict[str, Any]:
    environment = noise.run.environment
    return {
        "sessions": noise.sessions,
        "commit": environment.git_commit,
        "dirty": environment.git_dirty,
        "hardware": environment.hardware,
        "floors": [{**dataclasses.asdict(limit.floor), "smallest": limit.smallest} for limit in limits],
        "rules": [_rule_for_programs(limit) for limit in judged],
    }


def _rule_for_programs(limit: Limit) -> dict[str, Any]:
    from pytest_vdb.analysis.margins import sentence

    return {
        "model": limit.floor.model,
        "metric": limit.floor.metric,
        "benchmark": limit.floor.benchmark,
        "rule": str(limit.rule),
        "margin": limit.margin,
        "smallest": limit.smallest,
        "catches": limit.catches,
        "below": limit.below if limit.is_known else None,
        "needed": limit.needed,
        "reason": sentence(limit) or limit.floor.reason,
    }
