"""A probe whose errors cost its own readings only: no generation is lost because something that watched it failed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from pytest_vdb.profiling.probe import Probe, Window
from pytest_vdb.records import Measurement


class Guarded:
    """A probe that never raises: what it raised becomes the reason why there are no readings.

    Args:
        probe: any.
    """

    def __init__(self, probe: Probe) -> None:
        self.readings = probe.readings
        self._probe = probe
        self._failed: str | None = None

    def start(self) -> None:
        """Start it; one that fails half way is stopped, so that nothing of it stays."""
        self._try(self._probe.start)
        if self._failed:
            with contextlib.suppress(Exception):
                self._probe.stop()

    def note(self) -> None:
        """Let it keep what it shows now."""
        self._try(self._probe.note)

    def stop(self) -> None:
        """Stop it."""
        if not self._failed:
            self._try(self._probe.stop)
        else:
            with contextlib.suppress(Exception):
                self._probe.stop()

    def read(self, window: Window) -> tuple[Measurement, ...]:
        """What it read; or of each of its readings why there is none."""
        found: list[Measurement] = []
        if not self._failed:
            self._try(lambda: found.extend(self._probe.read(window)))
        if self._failed:
            return tuple(one.of(None, reason=self._failed) for one in self.readings)
        return tuple(found)

    def _try(self, does: Callable[[], object]) -> None:
        if self._failed:
            return
        try:
            does()
        except Exception as error:  # noqa: BLE001 - whatever it is: the generation matters more
            self._failed = f"the probe failed: {type(error).__name__}: {error}"
