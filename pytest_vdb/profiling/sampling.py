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
        self._done = threading.Event()
        self._try()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look a last time and end; twice is once."""
        if not self._done.is_set():
            self._done.set()
            self._thread.join()
            self._try()

    def _run(self) -> None:
        while not self._done.wait(self._period_s) and self.failed is None:
            self._try()

    def _try(self) -> None:
        if self.failed is None:
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 - a thread has nobody to raise to
                self.failed = f"{type(error).__name__}: {error}"
