"""Energy of the processor's packages by their own counters (RAPL, in Linux's powercap), where they may be read.

Most kernels let only root: then there is none, never an estimate.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pytest_vdb.profiling.devices import is_cuda
from pytest_vdb.profiling.probe import Reading, Window
from pytest_vdb.profiling.settings import Settings
from pytest_vdb.records import Measurement

CPU_ENERGY = Reading(
    "cpu_energy",
    "J",
    window="one call, of whatever length, but at most one turn of the counter",
    how="the difference of `energy_uj` of every processor package (RAPL); where there is none, no such reading",
    misses="which process drew it; memory, boards, power supplies; a counter that wraps twice",
)
POWERCAP = Path("/sys/class/powercap")


class CpuEnergy:
    """`cpu_energy`, in joules, of all packages.

    Args:
        powercap: where the kernel shows the packages.
    """

    readings: ClassVar[tuple[Reading, ...]] = (CPU_ENERGY,)

    def __init__(self, powercap: Path = POWERCAP) -> None:
        self._powercap = powercap
        self._before: dict[Path, int] = {}
        self._after: dict[Path, int] = {}
        self._reason: str | None = None

    def start(self) -> None:
        """Read the counters."""
        self._reason = None
        self._before, self._after = self._counters(), {}

    def note(self) -> None:
        """A counter that nobody resets needs no help."""

    def stop(self) -> None:
        """Read the counters again."""
        if self._reason is None:
            self._after = self._counters()

    def read(self, window: Window) -> tuple[Measurement, ...]:
        """Joules per call, or why nobody knows."""
        if self._reason is not None:
            return (CPU_ENERGY.of(None, reason=self._reason),)
        total_uj = 0
        for package, before in self._before.items():
            step = self._after[package] - before
            total_uj += step if step >= 0 else step + int((package / "max_energy_range_uj").read_text())
        return (CPU_ENERGY.of(total_uj / 1e6 / window.calls),)

    def _counters(self) -> dict[Path, int]:
        packages = _processor_packages(self._powercap)
        if not packages:
            self._reason = "unsupported: the system shows no energy counter of its processor (RAPL)"
            return {}
        try:
            return {package: int((package / "energy_uj").read_text()) for package in packages}
        except (OSError, ValueError) as error:
            self._reason = f"the processor's counter may not be read: {getattr(error, 'strerror', None) or error}"
            return {}


def _processor_packages(powercap: Path) -> list[Path]:
    """Whole packages: their parts have a second colon, and are in them."""
    return sorted(found for found in powercap.glob("intel-rapl:*") if found.name.count(":") == 1)


def probe_of(device: str, settings: Settings) -> CpuEnergy | None:  # noqa: ARG001 - nothing to choose
    """Found by the profiler: a processor with counters; beside a card it draws little of what a call costs."""
    return None if is_cuda(device) or not _processor_packages(POWERCAP) else CpuEnergy()
