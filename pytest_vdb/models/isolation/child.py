"""The process of an isolated model: started, asked line by line within a time, ended with all that it started.

Nothing that it says is trusted: an answer is one line of at most a mebibyte and of the fields below, what it writes to
stderr is read to its end and the last of it kept, and a silence longer than allowed ends it.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pytest_vdb.budget import budget
from pytest_vdb.errors import ModelOutOfMemory, ModelProcessError
from pytest_vdb.escaping import lines
from pytest_vdb.models.isolation.limits import grouped, launcher
from pytest_vdb.models.isolation.serve import MOST_CHARACTERS, VERSION
from pytest_vdb.models.isolation.settings import Isolation
from pytest_vdb.models.isolation.walls import Walled

MOST_OF_ANSWER = 2**20
"""Bytes of one answer."""

_READ_AT_ONCE = 2**16
_KEPT_OF_STDERR = 2**14
"""Bytes: its end is what tells why."""
_SHOWN_OF_STDERR = 4000
_IN_MESSAGE = 600
_HEADER = 2**12
"""Bytes that a file of a clip has beside its frames, and some to spare."""
_SECONDS_TO_END = 2.0
_SECONDS_TO_DIE = 10.0
_OUT_OF_MEMORY = frozenset({"MemoryError", "OutOfMemoryError"})
"""Errors by their names: Python's, and torch's."""
_OF_SHELLS = 128
"""Above it, an exit status is a signal that ended what a launcher had started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the other side may say; every request has its own of these."""

    ok: bool
    id: int
    """Of the request that it answers."""
    version: int | None = None
    python: str | None = None
    packages: dict[str, str] = field(default_factory=dict)
    fps: float | None = None
    shape: tuple[int, ...] = ()
    dtype: str | None = None
    notes: tuple[str, ...] = ()
    peak_memory_mib: float | None = None
    type: str | None = None
    message: str | None = None
    revision: str | None = None
    """Of the weights that were loaded, where the model knows."""
    fatal: bool = False


class Child:
    """A running process.

    Args:
        name: of the model, for errors.
        isolation: its limits.
        walled: its command line.

    Raises:
        ModelProcessError: it cannot be started.
    """

    def __init__(self, name: str, isolation: Isolation, walled: Walled) -> None:
        self._name = name
        self._walled = walled
        self._memory_gib = isolation.memory_gib
        memory = None if isolation.memory_gib is None else int(isolation.memory_gib * 2**30)
        self._group = None if walled.container else grouped(memory, isolation.pids, isolation.cpus)
        self.exchange = walled.exchange
        self.notes = walled.notes
        before: list[str] = []
        if walled.container is None:
            before, not_held = launcher(self._group, memory, budget().size + _HEADER)
            self.notes += (not_held,) if not_held else ()
        self._stderr: collections.deque[bytes] = collections.deque()
        self._unread = b""
        self._asked = 0
        self._process = self._started([*before, *walled.command], walled)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def hello(self, seconds: float) -> Answer:
        """The first request: who is there.

        Raises:
            ModelProcessError: it speaks another version, or see `ask`.
        """
        said = self.ask({"do": "hello", "version": VERSION}, seconds)
        if said.version != VERSION:
            self.kill()
            what = f"it speaks version {said.version} of the protocol, this pytest-vdb version {VERSION}"
            raise ModelProcessError(what, where=self._where, mend="copy the serve.py of this version beside the model")
        return said

    @property
    def has_ended(self) -> bool:
        """Whether it is of no more use: gone, or its stdout is closed."""
        return self._process.poll() is not None or not self._is_open()

    def ask(self, request: Mapping[str, Any], seconds: float) -> Answer:
        """One request, and its answer.

        Args:
            request: `do` says what.
            seconds: until it is ended.

        Raises:
            ModelOutOfMemory: it says that it has no memory left, or was ended for it.
            ModelProcessError: it raised, ended, was silent for too long, or said what is no answer.
        """
        until = time.monotonic() + seconds
        if self._is_open() and self._unread:  # would be taken for the answer to come
            self.kill()
            raise self._error("it said more than it was asked for")
        try:
            self._asked += 1
            self._send(json.dumps({**request, "id": self._asked}).encode() + b"\n", until)
            line = self._line(until)
        except TimeoutError:
            self.kill()
            raise self._error(f"no answer to `{request['do']}` within {seconds:g} s: ended") from None
        except BaseException:  # Ctrl-C, a test's own time-out: what it still answers would be taken for another clip
            self.kill()
            raise
        try:
            said = msgspec.json.decode(line, type=Answer)
        except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
            self.kill()
            raise self._error(f"no answer but {line[:200].decode(errors='replace')!r} ({problem})") from None
        if said.id != self._asked:
            self.kill()
            raise self._error(f"it answers request {said.id}, not {self._asked}")
        if not said.ok:
            raise self._raised(said)
        return said

    def close(self) -> None:
        """Ask it to end, and end it where it does not."""
        with contextlib.suppress(OSError, TimeoutError, subprocess.TimeoutExpired, ModelProcessError):
            if not self.has_ended:
                self._send(b'{"do": "close"}\n', time.monotonic() + _SECONDS_TO_END)
                self._process.wait(_SECONDS_TO_END)
        self.kill()

    def kill(self) -> None:
        """End it and all that it started: launchers put their ranks into sessions of their own."""
        _kill_tree(self._process)
        self._walled.clear()
        self._listener.join(_SECONDS_TO_END)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        if self._group is not None:
            self._group.remove()

    @property
    def _where(self) -> str:
        return f"model {self._name}"

    def _started(self, command: list[str], walled: Walled) -> subprocess.Popen[bytes]:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=walled.folder,
                env=walled.environment,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as problem:
            if self._group is not None:
                self._group.remove()
            what = f"its process cannot be started: {problem}"
            raise ModelProcessError(what, where=self._where, mend="see docs/isolated.md") from None
        assert process.stdin is not None
        assert process.stdout is not None
        os.set_blocking(process.stdin.fileno(), False)
        os.set_blocking(process.stdout.fileno(), False)
        return process

    def _listen(self) -> None:
        """Read stderr to its end, so that it never blocks; keep the last of it."""
        assert self._process.stderr is not None
        with self._process.stderr as stream, contextlib.suppress(OSError, ValueError):
            kept = 0
            while data := os.read(stream.fileno(), _READ_AT_ONCE):
                self._stderr.append(data)
                kept += len(data)
                while kept - len(self._stderr[0]) >= _KEPT_OF_STDERR:
                    kept -= len(self._stderr.popleft())

    def _send(self, data: bytes, until: float) -> None:
        assert self._process.stdin is not None
        pipe = self._process.stdin.fileno()
        try:
            while data:
                _wait_for(pipe, selectors.EVENT_WRITE, until)
                data = data[os.write(pipe, data) :]
        except BrokenPipeError:
            raise self._ended() from None

    def _is_open(self) -> bool:
        """Whether its stdout can still bring an answer; what lies in it is kept as unread."""
        assert self._process.stdout is not None
        if self._process.stdout.closed:
            return False
        try:
            data = os.read(self._process.stdout.fileno(), _READ_AT_ONCE)
        except BlockingIOError:  # nothing lies in it
            return True
        self._unread += data
        return data != b""

    def _line(self, until: float) -> bytes:
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        parts, size = [self._unread], len(self._unread)
        while b"\n" not in parts[-1]:
            if size > MOST_OF_ANSWER:
                self.kill()
                raise self._error(f"an answer of more than {MOST_OF_ANSWER:,} bytes")
            _wait_for(pipe, selectors.EVENT_READ, until)
            data = os.read(pipe, _READ_AT_ONCE)
            if not data:
                raise self._ended()
            parts.append(data)
            size += len(data)
        line, _, self._unread = b"".join(parts).partition(b"\n")
        return line

    def _raised(self, said: Answer) -> ModelProcessError:
        if said.fatal:
            self.kill()
        kind = ModelOutOfMemory if said.type in _OUT_OF_MEMORY else ModelProcessError
        what = f"{said.type or 'error'}: {said.message or 'without a word'}"
        return self._error(what[:MOST_CHARACTERS], kind=kind, tail=False)

    def _ended(self) -> ModelProcessError:
        """The error of a process that closed its end: how it ended, and the last that it wrote."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_SECONDS_TO_DIE)
        status = self._process.poll()
        was_killed = self._group is not None and self._group.oom_kills() > 0
        out_of_memory = was_killed or self._walled.was_out_of_memory()
        self.kill()
        if out_of_memory:
            limit = "" if self._memory_gib is None else f" of {self._memory_gib:g} GiB"
            return self._error(f"its process was ended for its memory: the limit{limit}", kind=ModelOutOfMemory)
        return self._error(f"its process ended with {_status_in_words(status)}")

    def _error(
        self, what: str, *, kind: Callable[..., ModelProcessError] = ModelProcessError, tail: bool = True
    ) -> ModelProcessError:
        """An error whose note is the end of stderr.

        Args:
            tail: whether its last words belong into the message, too: nothing else says what happened.
        """
        written = b"".join(self._stderr)[-_SHOWN_OF_STDERR:].decode(errors="replace").strip()
        last = written[-_IN_MESSAGE:] if tail else ""
        error = kind(what, where=self._where, mend=f"its stderr ends with: {last}" if last else None)
        if written:
            error.add_note(f"the end of its stderr:\n{lines(written)}")
        return error


def _wait_for(pipe: int, event: int, until: float) -> None:
    """Until a pipe can be read or written.

    Raises:
        TimeoutError: it cannot in time.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, event)
        if not selector.select(max(0.0, until - time.monotonic())):
            raise TimeoutError


def _kill_tree(process: subprocess.Popen[bytes]) -> None:
    import psutil

    with contextlib.suppress(psutil.Error):
        for one in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                one.kill()
    with contextlib.suppress(OSError):
        process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_SECONDS_TO_DIE)


def _status_in_words(status: int | None) -> str:
    """`signal SIGSEGV`, `exit status 3`, or of a launcher both."""
    if status is None:
        return "nothing: it closed its stdout and goes on"
    number = -status if status < 0 else status - _OF_SHELLS
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"exit status {status}"
    return f"signal {name}" if status < 0 else f"exit status {status}: signal {name} behind its wall"
