"""Peaks of PyTorch's CUDA allocator: what tensors took, and what the allocator held back for them.

Neither counts what CUDA itself, other libraries or other processes take.
"""

from __future__ import annotations

from typing import ClassVar

from pytest_vdb.profiling.devices import cuda_in_use
from pytest_vdb.profiling.probe import Reading, Window
from pytest_vdb.records import Measurement

ALLOCATED = Reading(
    "peak_memory_allocated",
    "MiB",
    how="PyTorch's allocator: the most that tensors took at once, weights included",
    misses="what the allocator held back, CUDA's own context, other libraries and processes",
)
RESERVED = Reading(
    "peak_memory_reserved",
    "MiB",
    how="PyTorch's allocator: the most that it held of the card at once",
    misses="CUDA's own context, other libraries and processes",
)
_NOT_USED = "CUDA was not used by the end of the call"


class CudaMemory:
    """`peak_memory_allocated` and `peak_memory_reserved`, in MiB."""

    readings: ClassVar[tuple[Reading, ...]] = (ALLOCATED, RESERVED)

    def __init__(self, device: str) -> None:
        self._device = device
        self._peaks: dict[Reading, float] = {}
        self._reason: str | None = None

    def start(self) -> None:
        """Forget earlier peaks; if CUDA is not awake yet there are none."""
        self._peaks, self._reason = {}, None
        cuda = cuda_in_use(self._device)
        if cuda is not None:
            try:
                cuda.reset_peak_memory_stats(self._device)
            except RuntimeError as error:
                self._reason = f"the earlier peak could not be forgotten: {error}"

    def note(self) -> None:
        """Keep the peaks that a block within this one will make the allocator forget."""
        cuda = cuda_in_use(self._device)
        if cuda is None or self._reason:
            return
        try:
            now = {
                ALLOCATED: cuda.max_memory_allocated(self._device) / 2**20,
                RESERVED: cuda.max_memory_reserved(self._device) / 2**20,
            }
        except RuntimeError as error:
            self._peaks, self._reason = {}, f"the peak could not be read: {error}"
        else:
            self._peaks = {one: max(peak, self._peaks.get(one, 0.0)) for one, peak in now.items()}

    def stop(self) -> None:
        """Note the peaks."""
        self.note()
        if not self._peaks:
            self._reason = self._reason or _NOT_USED

    def read(self, window: Window) -> tuple[Measurement, ...]:  # noqa: ARG002 - a peak needs no window
        """Both peaks, or why there are none."""
        return tuple(reading.of(self._peaks.get(reading), reason=self._reason) for reading in self.readings)


def probe_of(device: str) -> CudaMemory | None:
    """Found by the profiler: there is something to read on CUDA devices."""
    return CudaMemory(device) if device.partition(":")[0] == "cuda" else None
