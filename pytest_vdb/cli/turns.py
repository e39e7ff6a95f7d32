"""Two commands in turns: each block a session of its own, in a process of its own, with an output folder of its own."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_vdb import files
from pytest_vdb.cli.printing import add_last_lines
from pytest_vdb.errors import BlockFailed, OptionError, OutputError
from pytest_vdb.options import IN_A_BLOCK

if TYPE_CHECKING:
    from pytest_vdb.analysis.interleaved import Block

_OF_A_BLOCK = ("--vdb-cache=never", "--vdb-report=none", "--vdb-baseline=", "--vdb-fail-on=")
"""Every clip is made anew and timed; judged is at the end, and once."""
_ADDED = "PYTEST_ADDOPTS"
"""pytest puts these before what is typed and behind what the project's ini file says."""
_OF_THE_JOB = ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")
"""A block does not write on the page of the job."""
_SAID = "output.txt"
_GRACE_S = 20.0
"""How long a block that is stopped may take to write what it has."""
_LOOKS_UP_S = 1.0
_ENDED_BY_TESTS = frozenset({0, 1})
"""pytest's exit codes of a session that ran to its end: all passed, some failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two, and how its benchmark is started."""

    name: str
    """`base` or `head`."""
    command: tuple[str, ...]
    told: str
    """The command as it is told."""
    folder: Path
    """Where it is started."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What it has besides this process's."""
    version: Callable[[], str] = str
    """Says of which version it is now, where that may change while blocks run."""


def check_program(side: Side, *, where: str) -> None:
    """That it can be started: a typo in the second command must not cost the first block.

    Raises:
        OptionError: no such program.
    """
    program = side.command[0]
    found = shutil.which(program, path=side.environment.get("PATH"))
    if found is None and not files.is_file(side.folder / program):
        mend = "give a command that can be typed here: pytest benchmarks/, say"
        raise OptionError(f"there is no program {program!r}", where=where, mend=mend)


def check_options(command: Sequence[str], *, where: str) -> None:
    """That a command sets nothing that would make blocks which cannot be compared.

    Raises:
        OptionError: it does.
    """
    given, told = _options_in(command), shlex.join(command)
    for flag, mend in _NOT_OF_A_COMMAND.items():
        if flag in given:
            raise OptionError(f"{told!r} has a {flag} of its own", where=where, mend=mend)
    if given.get("--vdb-cache") in {"only-missing", "only-cache"}:
        mend = "leave --vdb-cache out: blocks keep no clips"
        raise OptionError(f"clips of {told!r} would come from a cache, and nothing be timed", where=where, mend=mend)


_NOT_OF_A_COMMAND = {
    "--vdb-output": "leave it out: each block has a folder of its own, below the --output of vdb ab",
    "--vdb-baseline": "leave it out: the other command is what is compared with",
    "--vdb-fail-on": "give --fail-on to vdb ab, before the first --",
}


def _options_in(command: Sequence[str]) -> dict[str, str]:
    """Each word with its value, whether that stands behind a `=` or a blank."""
    given = {}
    for word, following in zip(command, (*command[1:], ""), strict=True):
        name, equals, value = word.partition("=")
        given[name] = value if equals else following
    return given


def run_block(side: Side, place: Path) -> Block:
    """One session of a side.

    Args:
        place: its output folder, which is made.

    Raises:
        BlockFailed: it measured nothing, or did not end as a session does; with what it said last.
        KeyboardInterrupt: as this process was told to stop; the session is stopped, too.
    """
    from pytest_vdb.analysis.interleaved import Block
    from pytest_vdb.results import journal

    folder = files.make_folder(place).resolve()
    status, said = _ran(side, folder)
    files.write(folder / _SAID, said)
    runs = _runs_in(folder)
    if len(runs) > 1:
        raise _failed(side, f"wrote {len(runs)} runs", said, mend="give a command that is one session of pytest")
    if not runs:
        mend = (
            f"it must run pytest with pytest-vdb, hand {_ADDED} on to it (tox: pass_env), and set no --vdb-output"
            if status == 0
            else None
        )
        raise _failed(side, f"measured nothing (exit status {status})", said, mend=mend)
    run, records, _ = journal.read(runs[0])
    if run.finished_at is None or run.exit_status not in _ENDED_BY_TESTS or status != 0 == run.exit_status:
        raise _failed(side, f"did not end as it should (exit status {status})", said)
    if not records:
        raise _failed(side, "measured nothing", said)
    return Block(run, tuple(records))


def _runs_in(folder: Path) -> list[Path]:
    from pytest_vdb.results import journal

    place = folder / journal.RUNS
    return list(files.entries(place, error=OutputError)[0]) if files.is_folder(place) else []


def _failed(side: Side, what: str, said: str, *, mend: str | None = None) -> BlockFailed:
    error = BlockFailed(what, where=side.told, mend=mend)
    add_last_lines(error, said)
    return error


def _ran(side: Side, folder: Path) -> tuple[int, str]:
    """Exit status and everything that was said."""
    options = shlex.join([f"--vdb-output={folder}", *_OF_A_BLOCK])
    environment = {name: value for name, value in os.environ.items() if name not in _OF_THE_JOB}
    environment |= {**side.environment, IN_A_BLOCK: side.name}
    environment[_ADDED] = f"{environment.get(_ADDED, '')} {options}".strip()
    try:
        process = subprocess.Popen(
            side.command,
            cwd=side.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # it and all that it starts can be stopped together
        )
    except OSError as problem:
        raise OptionError(
            f"{side.told!r} cannot be started: {problem.strerror}", where=side.name, mend="give a command that runs"
        ) from problem
    with _ended_with_us(process):
        said = _all_that_is_said(process)
    return process.returncode, said.decode("utf-8", "replace")


def _all_that_is_said(process: subprocess.Popen[bytes]) -> bytes:
    """Until it ends. In short spells: a signal that comes between two reads is heard when Python looks up."""
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            said, _ = process.communicate(timeout=_LOOKS_UP_S)
            return said


@contextlib.contextmanager
def _ended_with_us(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """No session outlives the command that started it."""
    try:
        yield
    except BaseException:
        _signal_group(process, signal.SIGTERM)
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=_GRACE_S)
        finally:  # also of a second Ctrl-C
            _signal_group(process, getattr(signal, "SIGKILL", signal.SIGTERM))
            process.wait()
        raise


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(OSError):  # gone already
        if hasattr(os, "killpg"):
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
