"""A thread that looks at something at a steady rate until it is stopped."""

from __future__ import annotations

from _thread import allocate_lock, start_new_thread
from collections.abc import Callable


class Sampler:
    """Calls `look` at once, then every period, and once more when it is stopped.

    The thread is none of `threading`'s: one of those waits until it has begun, which takes three times as long, and a
    call waits for that.

    Args:
        period_s: from look to look.
        look: what raises ends the thread, and `failed` says what it was.
    """

    def __init__(self, period_s: float, look: Callable[[], object]) -> None:
        self.failed: str | None = None
        self._period_s = period_s
        self._look = look
        self._going = allocate_lock()  # held until it is stopped: to wait for an Event takes more than most looks do
        self._at_work = allocate_lock()  # held until the thread has ended
        self._going.acquire()
        self._at_work.acquire()
        self._try()
        start_new_thread(self._run, ())

    def stop(self) -> None:
        """Look a last time and end; twice is once."""
        if self._going.locked():
            self._going.release()
            with self._at_work:
                self._try()

    def _run(self) -> None:
        try:
            while not self._going.acquire(timeout=self._period_s):
                self._try()
                if self.failed is not None:
                    return
            self._going.release()
        finally:
            self._at_work.release()

    def _try(self) -> None:
        if self.failed is None:
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 - a thread has nobody to raise to
                self.failed = f"{type(error).__name__}: {error}"
