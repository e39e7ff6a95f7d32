"""SIGTERM and SIGHUP end a session as Ctrl-C does: Slurm and Kubernetes end jobs this way.

The records are on disk already; what follows a KeyboardInterrupt writes `run.json` and the reports. Workers are told at
once and do not outlive the session: a generation that does not hear the signal is killed after a second.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterable
from types import FrameType

import pytest

from pytest_vdb import signals
from pytest_vdb.plugin.telling import tell

PROCESS = "process"
"""Topic under which a worker tells its process id."""

GRACE_S = 1.0
"""How long workers may take to hear that the session ends."""


class Stopping:
    """Turns the signals into a KeyboardInterrupt, once; registered on every process of a session."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.signal: str | None = None
        """The one that ended the session."""
        self._workers: dict[str, int] = {}
        """Process ids of the workers on this machine."""
        self._handled: list[signal.Signals] = []

    def watch(self) -> None:
        """From now on. Whoever handles or ignores a signal already (`nohup`) keeps doing so."""
        if self._handled or threading.current_thread() is not threading.main_thread():
            return
        for one in signals.OF_AN_END:
            if signal.getsignal(one) == signal.SIG_DFL:
                signal.signal(one, self._stop)
                self._handled.append(one)

    def hear_of(self, worker: str, process: str) -> None:
        """A worker of this machine tells its process id."""
        self._workers[worker] = int(process)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Tell the controller which process this is."""
        tell(self.config, PROCESS, str(os.getpid()))

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self) -> None:
        """End the workers of a session that was stopped; a second Ctrl-C is not needed."""
        if self._workers:
            _end(self._workers.values())

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """What is left to do (`run.json`, the reports) is done whole."""
        for one in self._handled:
            signal.signal(one, signal.SIG_IGN)

    def pytest_unconfigure(self) -> None:
        """Leave the process as it was."""
        for one in self._handled:
            signal.signal(one, signal.SIG_DFL)
        self._handled.clear()

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        for one in self._handled:
            signal.signal(one, signal.SIG_IGN)
        self.signal = signal.Signals(number).name
        raise KeyboardInterrupt(self.signal)


def _end(processes: Iterable[int]) -> None:
    """Interrupt processes, and kill those that do not hear it."""
    left = [pid for pid in processes if _sent(pid, signal.SIGINT)]
    until = time.monotonic() + GRACE_S
    while left and time.monotonic() < until:
        time.sleep(0.02)
        left = [pid for pid in left if _runs(pid)]
    for pid in left:
        _sent(pid, getattr(signal, "SIGKILL", signal.SIGTERM))


def _sent(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except OSError:  # gone already
        return False
    return True


def _runs(pid: int) -> bool:
    """Whether a process is neither gone nor dead and waiting to be asked for its status."""
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
