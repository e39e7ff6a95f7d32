"""Memory of a CUDA card: what tensors took, what PyTorch held for them, what lies outside, and what card would do.

Four numbers that are often taken for one another: each is labelled.
"""

from __future__ import annotations

from typing import ClassVar

from pytest_vdb.profiling.devices import cuda_in_use, is_cuda
from pytest_vdb.profiling.probe import Reading, Window
from pytest_vdb.profiling.settings import Settings
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
OUTSIDE = Reading(
    "memory_outside_allocator",
    "MiB",
    better="neutral",
    window="the end of one call",
    how="what CUDA says is taken of the card, without what PyTorch's allocator holds: CUDA's context, other libraries",
    misses="whose it is: other processes on the card are in it",
)
FITS_ON = Reading(
    "fits_on",
    "GB",
    version="2",
    how="the smallest of cards of 8, 12, 16, 24, 32, 48, 80 and 141 GB that holds `peak_memory_reserved` and "
    "`memory_outside_allocator` together beside what the driver keeps (300 MiB and 1%)",
    misses="what an allocator that is short of room would give back: a smaller card may do; further cards of the call",
)
CARDS_MIB = {8: 8188, 12: 12282, 16: 16380, 24: 24564, 32: 32607, 48: 49140, 80: 81559, 141: 143771}
"""What nvidia-smi shows as the total of a card that is sold with so many GB (RTX 4060, 4070, 4080, 4090, 5090, RTX 6000
Ada, H100, H200)."""
KEPT_MIB, KEPT_SHARE = 300.0, 0.01
"""Of a card, what the driver keeps and CUDA never gives out, on Linux: MiB, and a share of the total.

Source: the capacity that PyTorch names when it runs out of memory beside what nvidia-smi shows, and a bound of that:
RTX 4090 23.61 GiB of 24564 MiB, RTX 5090 31.36 of 32607, H100 79.11 of 81559, A100 79.25 of 81920, A10 21.99 of 23028,
T4 14.75 of 15360 (GitHub's pinokiofactory/flux-webui 11, TrajectoryCrafter 20, vllm 27508, OOTDiffusion 235,
CogVLM 236, Open-Sora 697).
"""
_NOT_USED = "CUDA was not used by the end of the call"


def smallest_card(needed_mib: float) -> int | None:
    """GB of the smallest card of `CARDS_MIB` that has so much to give; None: none does."""
    gives = {size: total - KEPT_MIB - KEPT_SHARE * total for size, total in CARDS_MIB.items()}
    return next((size for size, most in gives.items() if needed_mib <= most), None)


class CudaMemory:
    """What PyTorch's allocator took and held, what lies outside of it, and the smallest card that would do."""

    readings: ClassVar[tuple[Reading, ...]] = (ALLOCATED, RESERVED, OUTSIDE, FITS_ON)

    def __init__(self, device: str) -> None:
        self._device = device
        self._peaks: dict[Reading, float] = {}
        self._outside_mib: float | None = None
        self._reason: str | None = None

    def start(self) -> None:
        """Forget earlier peaks; if CUDA is not awake yet there are none."""
        self._peaks, self._outside_mib, self._reason = {}, None, None
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
        """Note the peaks, and what lies outside the allocator."""
        self.note()
        cuda = cuda_in_use(self._device)
        if not self._peaks or cuda is None:
            self._reason = self._reason or _NOT_USED
            return
        free, total = cuda.mem_get_info(self._device)
        self._outside_mib = max((total - free - cuda.memory_reserved(self._device)) / 2**20, 0.0)

    def read(self, window: Window) -> tuple[Measurement, ...]:  # noqa: ARG002 - a peak needs no window
        """What was held and where it fits, or why nobody knows."""
        if self._outside_mib is None:
            reason = self._reason or _NOT_USED
            return tuple(reading.of(None, reason=reason) for reading in self.readings)
        needed = self._peaks[RESERVED] + self._outside_mib
        card = smallest_card(needed)
        sum_told = f"{needed:,.0f} MiB: {self._peaks[RESERVED]:,.0f} held at most and {self._outside_mib:,.0f} beside"
        return (
            ALLOCATED.of(self._peaks[ALLOCATED]),
            RESERVED.of(self._peaks[RESERVED]),
            OUTSIDE.of(self._outside_mib),
            FITS_ON.of(card, reason=sum_told if card else f"no card of {max(CARDS_MIB)} GB holds {sum_told}"),
        )


def probe_of(device: str, settings: Settings) -> CudaMemory | None:  # noqa: ARG001 - nothing to choose
    """Found by the profiler: there is something to read on CUDA devices."""
    return CudaMemory(device) if is_cuda(device) else None
