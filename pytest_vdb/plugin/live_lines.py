"""Lines below what pytest writes, on a terminal: drawn again and again, and gone before anything else is written.

They stand under the line that pytest is writing (its dots), whose cursor stays where it is. Where the screen ends they
make room first, so nothing is overwritten.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from threading import Lock, RLock

_DOWN_MAKING_ROOM, _UP = "\x1bD", "\x1b[A"
_SAVE, _RESTORE = "\x1b7", "\x1b8"
_NEXT_EMPTY = "\x1b[B\r\x1b[2K"
_NARROWEST = 20


class LiveLines:
    """On a descriptor of its own: pytest redirects the standard ones while a test runs.

    Args:
        descriptor: of the terminal; closed by `close`.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = RLock()
        self._shown: list[str] = []
        self._is_closed = False

    def show(self, lines: Sequence[str]) -> None:
        """Draw these in the place of those that stand there; a line that is too long is cut."""
        with self._lock:
            width, height = self._size()
            fitting = [line[: width - 1] for line in lines[: max(1, height - 2)]]
            if fitting != self._shown and not self._is_closed:
                self._erase()
                self._shown = fitting
                down, up = (move * len(fitting) for move in (_DOWN_MAKING_ROOM, _UP))  # `[0A` would be one line up
                self._write(down + up + _SAVE + "".join(_NEXT_EMPTY + line for line in fitting) + _RESTORE)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Somebody else writes: the lines are gone, and nothing is drawn meanwhile."""
        with self._lock:
            self._erase()
            yield

    def close(self) -> None:
        """For good; twice is once."""
        with self._lock:
            if not self._is_closed:
                self._erase()
                self._is_closed = True
                os.close(self._descriptor)

    def _erase(self) -> None:
        if self._shown:
            self._write(_SAVE + _NEXT_EMPTY * len(self._shown) + _RESTORE)
            self._shown = []

    def _size(self) -> tuple[int, int]:
        try:
            size = os.get_terminal_size(self._descriptor)
        except OSError:
            return 80, 24
        return max(_NARROWEST, size.columns), size.lines or 24

    def _write(self, text: str) -> None:
        """What cannot be drawn is no failure of a test: the terminal may be gone."""
        if self._is_closed:
            return
        try:
            os.write(self._descriptor, text.encode("utf-8", "replace"))
        except OSError:
            self._is_closed = True


class PlainLines:
    """The same where nothing can be drawn over: now and then a few lines of their own, for whoever reads a log.

    Args:
        descriptor: of the log; closed by `close`.
        period_s: seconds from one time to the next, at least.
    """

    def __init__(self, descriptor: int, period_s: float = 30.0) -> None:
        self._descriptor = descriptor
        self._period_s = period_s
        self._lock = Lock()
        self._last = time.monotonic()

    def show(self, lines: Sequence[str]) -> None:
        """Write these, if it is time."""
        with self._lock:  # a number that is closed meanwhile may be that of another file
            if lines and time.monotonic() - self._last >= self._period_s and self._descriptor >= 0:
                self._last = time.monotonic()
                text = "".join(f"\n{line}" for line in lines) + "\n"
                with suppress(OSError):
                    os.write(self._descriptor, text.encode("utf-8", "replace"))

    def aside(self) -> AbstractContextManager[None]:
        """Nothing is in anybody's way."""
        return nullcontext()

    def close(self) -> None:
        """For good; twice is once."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
