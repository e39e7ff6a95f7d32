"""What a probe is: it declares its readings, is started before a call, stopped after it, then asked for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from pytest_vdb.records import Better, Measurement


@dataclass(frozen=True, slots=True)
class Reading:
    """What can be read of a call, before anything was: every performance measurement is made from one."""

    name: str
    unit: str
    better: Better = "lower"
    version: str = "1"
    """Changes when it is read in another way; two versions are never compared."""

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


@dataclass(frozen=True, slots=True)
class Window:
    """The call that was watched.

    Args:
        seconds: how long it took, device included; None if the device failed and could not be waited for.
        frames: how many frames it made; None if nobody said.
    """

    seconds: float | None
    frames: int | None


class Probe(Protocol):
    """One kind of reading. It measures or says why not; it never raises and never reads 0 for what it could not see."""

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
