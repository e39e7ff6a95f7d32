"""Ctrl-C, SIGTERM and SIGHUP end a command alike: what is finished is kept, one sentence says so, status 128 + signal.

Slurm and Kubernetes end jobs by SIGTERM, a closed terminal by SIGHUP. All of them arrive as `KeyboardInterrupt`; a
command that kept something notes it on the way (`stop.add_note`).
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from pytest_vdb import signals


class Stopped(KeyboardInterrupt):
    """A signal that ends this process."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextlib.contextmanager
def signals_that_stop() -> Iterator[None]:
    """Raise `Stopped` where SIGTERM or SIGHUP would kill, in the main thread; what was there before is put back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in signals.OF_AN_END}
    for number, handler in before.items():
        if handler == signal.SIG_DFL:  # `nohup` ignores SIGHUP, and means it
            signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # None: not set by Python, so it cannot be put back
                signal.signal(number, handler)


def sentence(stop: KeyboardInterrupt) -> str:
    """What was kept, as the command noted it."""
    name = f" by {stop}" if isinstance(stop, Stopped) else ""
    kept = "; ".join(getattr(stop, "__notes__", ())) or "nothing was kept; files that were there are as they were"
    return f"stopped{name}: {kept}"


def status(stop: KeyboardInterrupt) -> int:
    """128 + the signal's number, as shells have it: 130 of Ctrl-C, 143 of SIGTERM."""
    return 128 + (stop.number if isinstance(stop, Stopped) else signal.SIGINT)


def _stop(number: int, _: FrameType | None) -> None:
    raise Stopped(number)
