"""What a probe is: started before a call, stopped after it, then asked for its measurements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pytest_vdb.records import Better, Measurement


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

    def start(self) -> None:
        """The call begins now."""

    def note(self) -> None:
        """A block within this one is about to begin, and may reset what the device counts: keep what it shows now."""

    def stop(self) -> None:
        """The call has ended."""

    def read(self, window: Window) -> tuple[Measurement, ...]:
        """What was measured between `start` and `stop`."""


def reading(
    name: str,
    value: float | None,
    unit: str,
    *,
    better: Better = "lower",
    reason: str | None = None,
    version: str = "1",
) -> Measurement:
    """A performance measurement."""
    return Measurement(
        name=name, value=value, unit=unit, better=better, kind="performance", reason=reason, version=version
    )
