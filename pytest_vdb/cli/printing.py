"""What commands say: tables for people, JSON for programs, warnings on stderr. Everything leaves through here.

Names and messages from outside are shown, never obeyed, and no output encoding ends in a traceback. Where JSON is asked
for, nothing else reaches stdout: what a library or a model prints goes to stderr.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextvars import ContextVar
from typing import TextIO, TypeVar

from pytest_vdb.errors import OutputError
from pytest_vdb.escaping import json_text, lines, visible

Thing = TypeVar("Thing")

_ANSWER: ContextVar[TextIO | None] = ContextVar("answer", default=None)
"""The real stdout, while others are kept away from it."""


def encode_everything() -> None:
    """Let a stream that is not UTF-8 (a redirect on Windows, `LANG=C`) show `?` for what it cannot encode."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # a test's or an editor's stand-in may have none
        if reconfigure is not None:
            reconfigure(errors="replace")


def shows(text: str) -> bool:
    """Whether stdout's encoding has all of these characters: drawings of question marks say nothing."""
    try:
        text.encode(getattr(_ANSWER.get() or sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


@contextlib.contextmanager
def json_alone() -> Iterator[None]:
    """Keep stdout for `print_json`: whatever else is printed meanwhile goes to stderr."""
    token = _ANSWER.set(sys.stdout)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _ANSWER.reset(token)


def show(text: object = "") -> None:
    """On stdout, for people.

    Raises:
        OutputError: stdout goes to a disk that is full.
    """
    _print_answer(lines(text))


def order(command: str) -> None:
    """On stdout, a line that the CI runner shall obey: what `escaping.workflow_command` made, and nothing else.

    Raises:
        OutputError: stdout goes to a disk that is full.
    """
    _print_answer(command)


def print_json(value: object) -> None:
    """Indented, in the order given; not a number is null.

    Raises:
        OutputError: stdout goes to a disk that is full.
    """
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False, default=str, allow_nan=False)
    except ValueError:
        text = json.dumps(_with_nulls(value), indent=2, ensure_ascii=False, default=str)
    _print_answer(json_text(text))


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A missing value is a dash.

    Raises:
        OutputError: stdout goes to a disk that is full.
    """
    from tabulate import tabulate

    cells = [[None if cell is None else visible(cell) for cell in row] for row in rows]
    show(tabulate(cells, headers=list(header), tablefmt="simple", missingval="–", disable_numparse=True))


def warn(text: object) -> None:
    """On stderr: what to know besides the answer. Whoever shows a progress bar keeps it whole."""
    if sys.stderr is None:
        return  # `2>&-`
    from tqdm import tqdm

    tqdm.write(lines(f"vdb: {text}"), file=sys.stderr)


def progress(things: Iterable[Thing], *, total: int, unit: str) -> Iterable[Thing]:
    """The same things, and on stderr how many there were: a line where a person looks at it, nothing in a pipe."""
    if sys.stderr is None:
        return things
    from tqdm import tqdm

    counted: Iterable[Thing] = tqdm(things, total=total, unit=unit, file=sys.stderr, disable=None, leave=False)
    return counted


def flush() -> None:
    """Everything that was shown leaves now, while it can be said that it does not.

    Raises:
        OutputError: stdout goes to a disk that is full.
        BrokenPipeError: nobody reads any more.
    """
    if sys.stdout is not None:
        with _said():
            sys.stdout.flush()


def let_go() -> None:
    """What stdout still holds can go nowhere: the interpreter must not try again when it ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or a stand-in without a number
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _with_nulls(value: object) -> object:
    """JSON knows neither infinity nor "not a number"."""
    if isinstance(value, dict):
        return {key: _with_nulls(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_with_nulls(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _print_answer(text: str) -> None:
    with _said():
        print(text, file=_ANSWER.get() or sys.stdout)


@contextlib.contextmanager
def _said() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as problem:
        let_go()
        mend = "check the disk's space and permissions"
        raise OutputError(f"cannot be written: {problem.strerror or problem}", where="stdout", mend=mend) from problem


def add_last_lines(error: Exception, said: str, *, most: int = 12) -> None:
    """What a command that failed said last, as a note of the error; nothing where it said nothing."""
    if last := said.rstrip().splitlines()[-most:]:
        error.add_note("it said last:\n" + "\n".join(f"  | {line}" for line in last))
