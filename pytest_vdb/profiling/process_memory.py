"""Resident memory of this process: its peak, libraries and all, and how far the call drove it above where it stood.

What earlier models and metrics left in the process lies in the peak, and not in what the call added.

Linux keeps a high-water mark and lets a process reset its own, so the peak of one call is exact. Where that is not
allowed a thread looks every few milliseconds and misses shorter peaks; the two are told apart by their version.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pytest_vdb.garbage import give_back_free_pages
from pytest_vdb.profiling.devices import is_cuda
from pytest_vdb.profiling.probe import Reading, Window
from pytest_vdb.profiling.sampling import Sampler
from pytest_vdb.profiling.settings import Settings
from pytest_vdb.records import Measurement

if TYPE_CHECKING:
    import psutil

PEAK_RSS = Reading(
    "peak_rss",
    "MiB",
    how="the kernel's high-water mark, reset before the call; version `1-sampled`: a look every 10 ms",
    misses="nothing of this process: libraries, earlier models and metrics are in it; other processes",
)
ADDED_RSS = Reading(
    "added_rss",
    "MiB",
    window="one warm call apart, which is not timed",
    how="the same mark above what was resident when the call began, free pages given back before",
    misses="the weights, which are resident before; what fits into pages that Python keeps",
)
SAMPLE_S = 0.01
_SAMPLED = "1-sampled"

KERNEL = Path("/proc/self")
MARK, NOW = "VmHWM", "VmRSS"
_SIZE = re.compile(rb"^(VmHWM|VmRSS):\s*(\d+) kB", re.MULTILINE)
_ENOUGH = 65536
"""Bytes: what the kernel tells of a process is a few thousand."""
_SLACK_MIB = 64.0
"""How far the mark may lie above the present size right after a reset that worked (other threads go on meanwhile)."""


class ProcessMemory:
    """`peak_rss`, in MiB.

    Args:
        kernel: where the kernel tells of this process; where there is no such folder, a thread looks instead.
    """

    readings: ClassVar[tuple[Reading, ...]] = (PEAK_RSS,)

    def __init__(self, kernel: Path = KERNEL) -> None:
        self._kernel = kernel
        self._sampler: Sampler | None = None
        self._peak_mib: float | None = None

    def start(self) -> None:
        """Reset the high-water mark, or begin to look."""
        if reset_mark(self._kernel):
            self._sampler, self._peak_mib = None, None
        else:
            self._peak_mib = None
            self._sampler = Sampler(SAMPLE_S, self._look)

    def note(self) -> None:
        """Keep the mark that a block within this one will reset; a sampler needs no help."""
        mark = None if self._sampler else sizes_mib(self._kernel).get(MARK)
        if mark is not None:
            self._peak_mib = max(mark, self._peak_mib or 0.0)

    def stop(self) -> None:
        """Note the peak."""
        if self._sampler:
            self._sampler.stop()
        self.note()

    def read(self, window: Window) -> tuple[Measurement, ...]:  # noqa: ARG002 - a peak needs no window
        """The peak, with how it was found in the version; or why there is none."""
        return (self._told(PEAK_RSS, self._peak_mib),)

    def _told(self, reading: Reading, value_mib: float | None) -> Measurement:
        if self._sampler is not None and self._sampler.failed is not None:
            return reading.of(None, reason=self._sampler.failed)
        if value_mib is None:
            return reading.of(None, reason="the system does not tell the size of this process")
        if self._sampler is None:
            return reading.of(value_mib)
        sampled = f"sampled every {SAMPLE_S * 1000:.0f} ms: shorter peaks are missed"
        return replace(reading, version=_SAMPLED).of(value_mib, reason=sampled)

    def _look(self) -> None:
        level = resident_mib()
        if level is not None:
            self._peak_mib = max(self._peak_mib or 0.0, level)


class AddedMemory(ProcessMemory):
    """`added_rss`, in MiB: of a call that nobody times, for to take pages anew that were given back takes time."""

    readings: ClassVar[tuple[Reading, ...]] = (ADDED_RSS,)

    def __init__(self, kernel: Path = KERNEL) -> None:
        super().__init__(kernel)
        self._before_mib: float | None = None

    def start(self) -> None:
        """Give back what is free and note where the process stands."""
        give_back_free_pages()  # else a call that fits into what an earlier one freed would seem to add nothing
        super().start()
        self._before_mib = resident_mib() if self._sampler else sizes_mib(self._kernel).get(NOW)

    def read(self, window: Window) -> tuple[Measurement, ...]:  # noqa: ARG002 - a peak needs no window
        """What the call added, or why nobody knows."""
        known = self._peak_mib is not None and self._before_mib is not None
        added = max((self._peak_mib or 0.0) - (self._before_mib or 0.0), 0.0)
        return (self._told(ADDED_RSS, added if known else None),)


def reset_mark(kernel: Path) -> bool:
    """Set the kernel's high-water mark to the present size; False where the kernel does not do it."""
    try:
        _tell_kernel(f"{kernel}/clear_refs", b"5")
    except OSError:
        return False
    sizes = sizes_mib(kernel)
    return MARK in sizes and NOW in sizes and sizes[MARK] <= sizes[NOW] + _SLACK_MIB


def sizes_mib(kernel: Path) -> dict[str, float]:
    """What the kernel tells of this process: `MARK` and `NOW`, in MiB; empty where it tells nothing."""
    try:
        told = _told_by_kernel(f"{kernel}/status")
    except OSError:
        return {}
    return {name.decode(): int(size) / 1024 for name, size in _SIZE.findall(told)}


def resident_mib() -> float | None:
    """What is resident of this process now, on any system; None where it does not tell."""
    with contextlib.suppress(OSError):
        return int(_told_by_kernel(f"{KERNEL}/statm").split()[1]) * mmap.PAGESIZE / 2**20
    import psutil

    try:
        return float(_process(os.getpid()).memory_info().rss) / 2**20
    except psutil.Error:
        return None


def _told_by_kernel(path: str) -> bytes:
    """A file of the kernel's, at once and without what Python does for texts: a call is waited for meanwhile."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, _ENOUGH)
    finally:
        os.close(descriptor)


def _tell_kernel(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)


@cache
def _process(pid: int) -> psutil.Process:
    """Made once: to make it takes longer than to ask it, and a timeline asks ten times a second."""
    import psutil

    return psutil.Process(pid)


def probe_of(device: str, settings: Settings) -> ProcessMemory | None:  # noqa: ARG001 - nothing to choose
    """Found by the profiler: the process is where models of other devices lie; beside a GPU it holds little of them."""
    return None if is_cuda(device) else ProcessMemory()
