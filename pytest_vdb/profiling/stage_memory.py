"""Peaks of memory in each stage of a diffusers call: the peak is read and forgotten when another stage begins.

A stage lasts until the next begins, so what is moved between two belongs to the first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from pytest_vdb.components import STAGES
from pytest_vdb.profiling.devices import cuda_in_use
from pytest_vdb.profiling.division import NOT_SEEN
from pytest_vdb.profiling.probe import Reading, Window
from pytest_vdb.profiling.process_memory import KERNEL, MARK, NOW, reset_mark, sizes_mib
from pytest_vdb.records import Measurement

_WINDOW = "one call, from the stage's beginning to the next one's"
ADDED_BY_STAGE = {
    stage: Reading(
        f"{stage}_added_rss",
        "MiB",
        window="one warm call apart, which is not timed, from the stage's beginning to the next one's",
        how="the kernel's high-water mark in the stage above what was resident when the call began, as `added_rss`",
        misses="as `added_rss`; None where the kernel does not reset its mark",
    )
    for stage in STAGES
}
ALLOCATED_IN_STAGE = {
    stage: Reading(
        f"{stage}_peak_memory_allocated",
        "MiB",
        window=_WINDOW,
        how="PyTorch's allocator: the most that tensors took at once in the stage, weights included",
        misses="as `peak_memory_allocated`",
    )
    for stage in STAGES
}


class StageMemory(ABC):
    """Peaks by stage.

    Args:
        note_others: called before a peak is forgotten, so that whoever watches a longer time keeps it.
    """

    by_stage: ClassVar[dict[str, Reading]]
    readings: ClassVar[tuple[Reading, ...]]

    def __init__(self, note_others: Callable[[], None]) -> None:
        self._note_others = note_others
        self._stage: str | None = None
        self._peaks: dict[str, float] = {}
        self._reason: str | None = None

    def start(self) -> None:
        """No stage has begun yet."""
        self._stage, self._peaks, self._reason = None, {}, None

    def entered(self, stage: str) -> None:
        """Another stage begins: keep the peak of the one before and forget it."""
        self._note_others()
        if self._reason is None and not self._forget():
            self._reason = "the peak of a stage cannot be told: nothing here forgets an earlier one"
        self._stage = stage

    def note(self) -> None:
        """Keep the peak of this stage so far: somebody is about to forget it."""
        peak = None if self._stage is None else self._peak_mib()
        if peak is not None and self._stage is not None:
            self._peaks[self._stage] = max(peak, self._peaks.get(self._stage, 0.0))

    def stop(self) -> None:
        """Keep the peak of the last stage."""
        self.note()

    def read(self, window: Window) -> tuple[Measurement, ...]:  # noqa: ARG002 - a peak needs no window
        """The peak of every stage; None for one that did not happen, or where nobody can tell."""
        missing = self._reason or NOT_SEEN
        peaks = {} if self._reason else self._peaks
        return tuple(
            reading.of(peaks.get(stage), reason=None if stage in peaks else missing)
            for stage, reading in self.by_stage.items()
        )

    @abstractmethod
    def _forget(self) -> bool:
        """Forget the peak; False where that cannot be done."""

    @abstractmethod
    def _peak_mib(self) -> float | None:
        """The peak since it was forgotten."""


class ProcessStageMemory(StageMemory):
    """`denoising_added_rss` and its like.

    Args:
        note_others: see `StageMemory`.
        kernel: where the kernel tells of this process.
    """

    by_stage = ADDED_BY_STAGE
    readings = tuple(ADDED_BY_STAGE.values())

    def __init__(self, note_others: Callable[[], None], kernel: Path = KERNEL) -> None:
        super().__init__(note_others)
        self._kernel = kernel
        self._before_mib: float | None = None

    def start(self) -> None:
        """Note where the process stands."""
        super().start()
        self._before_mib = sizes_mib(self._kernel).get(NOW)

    def _forget(self) -> bool:
        return reset_mark(self._kernel)

    def _peak_mib(self) -> float | None:
        peak = sizes_mib(self._kernel).get(MARK)
        return None if peak is None or self._before_mib is None else max(peak - self._before_mib, 0.0)


class CudaStageMemory(StageMemory):
    """`denoising_peak_memory_allocated` and its like."""

    by_stage = ALLOCATED_IN_STAGE
    readings = tuple(ALLOCATED_IN_STAGE.values())

    def __init__(self, note_others: Callable[[], None], device: str) -> None:
        super().__init__(note_others)
        self._device = device

    def _forget(self) -> bool:
        cuda = cuda_in_use(self._device)
        if cuda is not None:
            cuda.reset_peak_memory_stats(self._device)
        return cuda is not None

    def _peak_mib(self) -> float | None:
        cuda = cuda_in_use(self._device)
        return None if cuda is None else float(cuda.max_memory_allocated(self._device)) / 2**20
