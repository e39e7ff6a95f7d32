"""Memory over the time of a call, looked at as often as the user chose."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

from pytest_vdb.profiling.devices import cuda_in_use, is_cuda
from pytest_vdb.profiling.probe import Reading, Window
from pytest_vdb.profiling.process_memory import resident_mib
from pytest_vdb.profiling.sampling import Sampler
from pytest_vdb.profiling.settings import Settings
from pytest_vdb.records import Measurement

TIMELINE = Reading(
    "memory_timeline",
    "MiB",
    better="neutral",
    how="a thread looks at `--vdb-memory-rate`: on CUDA what PyTorch's allocator holds, else what is resident",
    misses="what comes and goes between two looks; of more than 600 looks the highest of neighbours is kept",
)
MOST_LOOKS = 600


class Timeline:
    """`memory_timeline`: the highest that was seen, and every look as its series, in MiB.

    Args:
        rate_hz: looks per second.
        level_mib: what is held now, in MiB; None where nobody can tell.
    """

    readings: ClassVar[tuple[Reading, ...]] = (TIMELINE,)

    def __init__(self, rate_hz: float, level_mib: Callable[[], float | None]) -> None:
        self._rate_hz = rate_hz
        self._level_mib = level_mib
        self._levels: list[float] = []
        self._sampler: Sampler | None = None

    def start(self) -> None:
        """Begin to look."""
        self._levels = []
        self._sampler = Sampler(1 / self._rate_hz, self._look)

    def note(self) -> None:
        """Looks reset nothing."""

    def stop(self) -> None:
        """End."""
        if self._sampler is not None:
            self._sampler.stop()

    def read(self, window: Window) -> tuple[Measurement, ...]:  # noqa: ARG002 - the looks are the window
        """The looks, or why there are none; those before a look that failed are not the whole call."""
        failed = self._sampler.failed if self._sampler is not None else None
        if failed is not None or not self._levels:
            return (TIMELINE.of(None, reason=failed or "nobody tells how much is held"),)
        kept = thinned(self._levels, MOST_LOOKS)
        remark = f"{self._rate_hz:g} looks per second"
        if len(kept) < len(self._levels):
            remark += f", the highest of each {len(self._levels) / len(kept):.1f}"
        series = tuple(round(level, 1) for level in kept)
        return (replace(TIMELINE.of(max(self._levels), reason=remark), series=series),)

    def _look(self) -> None:
        level = self._level_mib()
        if level is not None:
            self._levels.append(level)


def thinned(levels: Sequence[float], most: int) -> list[float]:
    """At most so many values in order, each the highest of its neighbours: no peak is lost."""
    if len(levels) <= most:
        return list(levels)
    edges = [at * len(levels) // most for at in range(most + 1)]
    return [max(levels[low:high]) for low, high in itertools.pairwise(edges)]


def reserved_mib(device: str) -> float | None:
    """What PyTorch's allocator holds of a card."""
    cuda = cuda_in_use(device)
    return None if cuda is None else float(cuda.memory_reserved(device)) / 2**20


def probe_of(device: str, settings: Settings) -> Timeline | None:
    """Found by the profiler: where a rate was chosen."""
    if settings.memory_rate_hz is None:
        return None
    return Timeline(settings.memory_rate_hz, (lambda: reserved_mib(device)) if is_cuda(device) else resident_mib)
