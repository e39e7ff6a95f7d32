"""A thread that looks at something at a steady rate until it is stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Sampler:
    """Calls `look` at once, then every period, and once more when it is stopped.

    Args:
        period_s: from look to look.
        look: what raises ends the thread, and `failed` says what it was.
        name: of the thread.
    """

    def __init__(self, period_s: float, look: Callable[[], object], name: str) -> None:
        self.failed: str | None = None
        self._period_s = period_s
        self._look = look
        self._going = threading.Lock()  # held until it is stopped: to wait for an Event takes more than most looks do
        self._going.acquire()
        self._try()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look a last time and end; twice is once."""
        if self._going.locked():
            self._going.release()
            self._thread.join()
            self._try()

    def _run(self) -> None:
        while not self._going.acquire(timeout=self._period_s):
            self._try()
            if self.failed is not None:
                return
        self._going.release()

    def _try(self) -> None:
        if self.failed is None:
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 - a thread has nobody to raise to
                self.failed = f"{type(error).__name__}: {error}"
