"""What a probe is: it declares its readings, is started before a call, stopped after it, then asked for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from pytest_vdb.profiling.division import Division
from pytest_vdb.records import Better, Measurement


@dataclass(frozen=True, slots=True)
class Reading:
    """What can be read of a call, before anything was: every performance measurement is made from one.

    `docs/readings.md` has a line of each, in these very words.
    """

    name: str
    unit: str
    better: Better = "lower"
    version: str = "1"
    """Changes when it is read in another way; two versions are never compared."""
    window: str = "one call"
    """Of which time it is."""
    how: str = ""
    """How it is read."""
    misses: str = "nothing known"
    """What it does not see."""

    def of(
        self,
        value: float | None,
        *,
        reason: str | None = None,
        n: int = 1,
        interval: tuple[float, float] | None = None,
    ) -> Measurement:
        """What was read; with the reason where nothing was, or with a remark on the value."""
        return Measurement(
            name=self.name,
            value=value,
            unit=self.unit,
            better=self.better,
            kind="performance",
            reason=reason,
            n=n,
            interval=interval,
            version=self.version,
        )


DEVICE_FAILED = "the device failed and could not be waited for"
"""Why a window has no seconds."""


@dataclass(frozen=True, slots=True)
class Window:
    """The calls that were watched.

    Args:
        seconds: how long they took, device included; None if the device failed and could not be waited for.
        frames: how many frames they made; None if nobody said.
        began: when, on the clock of `time.perf_counter`.
        calls: how many they were: what adds up is divided by it.
        division: how the time divides into stages, where they were told apart.
    """

    seconds: float | None
    frames: int | None = None
    began: float = 0.0
    calls: int = 1
    division: Division | None = None


class Probe(Protocol):
    """One kind of reading. It measures or says why not, and never reads 0 for what it could not see.

    One that raises all the same loses its readings, which are then None with what it raised; the generation goes on.
    """

    readings: ClassVar[tuple[Reading, ...]]
    """All that it can tell: whoever has no call to watch says of each why there is none."""

    def start(self) -> None:
        """The call begins now."""

    def note(self) -> None:
        """A block within this one is about to begin, and may reset what the device counts: keep what it shows now."""

    def stop(self) -> None:
        """The call has ended."""

    def read(self, window: Window) -> tuple[Measurement, ...]:
        """What was measured between `start` and `stop`."""
