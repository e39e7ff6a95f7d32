"""What one call costs: the probes of a device around a `with` block.

Loading and first calls are watched by the same profiler in blocks of their own, so no first-call cost is in a latency.
"""

from __future__ import annotations

import importlib
import pkgutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from pytest_vdb import profiling
from pytest_vdb.profiling.costs import cost_readings, costs
from pytest_vdb.profiling.devices import gpus_in_use, is_cuda, synchronise
from pytest_vdb.profiling.guarded import Guarded
from pytest_vdb.profiling.latency import LATENCY, THROUGHPUT, latency, throughput
from pytest_vdb.profiling.probe import Probe, Reading, Window
from pytest_vdb.profiling.process_memory import AddedMemory
from pytest_vdb.profiling.settings import NOTHING_CHOSEN, Settings
from pytest_vdb.profiling.stage_memory import CudaStageMemory, ProcessStageMemory, StageMemory
from pytest_vdb.profiling.stages import Stages
from pytest_vdb.records import Measurement


@dataclass(slots=True)
class Readings:
    """What was read around one block; complete when the block has ended, also when it raised."""

    frames: int | None = None
    """Set it to the number of frames that were made, and throughput is known."""
    calls: int = 1
    """Set it to the number of calls that were made: what adds up is told of one."""
    measurements: tuple[Measurement, ...] = ()

    @property
    def memory(self) -> tuple[Measurement, ...]:
        """Only the peaks of memory."""
        return tuple(measured for measured in self.measurements if measured.unit == "MiB")


class Profiler:
    """Reads what calls on one device cost.

    Args:
        device: `cpu`, `cuda`, `cuda:1` or `mps`.
        make_probes: makes the probes of one block; default: those that belong to the device.
        settings: what the user chose.
    """

    def __init__(
        self,
        device: str,
        make_probes: Callable[[str], Sequence[Probe]] | None = None,
        *,
        settings: Settings = NOTHING_CHOSEN,
    ) -> None:
        self.device = device
        self._settings = settings
        self._make_probes = make_probes or (lambda device: probes_of(device, settings))
        self._open: list[Guarded] = []

    @property
    def readings(self) -> tuple[Reading, ...]:
        """Every reading that there is of a call on this device, whether it can be read or not."""
        of_probes = (one for probe in self._make_probes(self.device) for one in probe.readings)
        return (LATENCY, THROUGHPUT, *of_probes, *cost_readings(self._settings))

    @property
    def reads_memory_apart(self) -> bool:
        """Whether what a call adds to memory is read of a call that is not timed: it would change the timing."""
        return not is_cuda(self.device)

    @contextmanager
    def watch(self, pipeline: Any = None, *, memory_apart: bool = False) -> Iterator[Readings]:
        """Watch a block; a block within it is watched for itself and counts for both.

        Args:
            pipeline: the diffusers pipeline that is called in the block, if its stages shall be told apart.
            memory_apart: read what the call adds to memory, by stage, and no more (see `reads_memory_apart`).

        The clock starts when the device has finished what it was doing and stops when it has finished the block's
        work. Probes start before the clock and stop after it, so they cost no latency; one that fails loses its own
        readings and nothing else.
        """
        readings = Readings()
        synchronise(self.device)
        stages: Stages | None = None
        chosen = [AddedMemory()] if memory_apart else self._make_probes(self.device)
        probes = [Guarded(probe) for probe in chosen]
        self._note_open()
        if pipeline is not None:  # last: what the others take to start is before its first mark
            memory = self._memory_of_stages(memory_apart)
            stages = Stages(pipeline, self.device, None if memory is None else memory.entered)
            probes += [Guarded(probe) for probe in (memory, stages) if probe is not None]
        for probe in probes:
            probe.start()
        self._open += probes
        began = time.perf_counter()
        try:
            yield readings
        except BaseException:
            self._close(readings, probes, stages, began, failed=True)
            raise
        self._close(readings, probes, stages, began, failed=False)

    def _memory_of_stages(self, memory_apart: bool) -> StageMemory | None:
        if not self.reads_memory_apart:
            return CudaStageMemory(self._note_open, self.device)
        return ProcessStageMemory(self._note_open) if memory_apart else None

    def _note_open(self) -> None:
        """Somebody is about to reset what the device counts."""
        for probe in self._open:
            probe.note()

    def _close(
        self, readings: Readings, probes: Sequence[Guarded], stages: Stages | None, began: float, *, failed: bool
    ) -> None:
        """Stop the clock, then the probes.

        Raises:
            RuntimeError: the device failed after a block that seemed to pass; after one that raised, its own error
                matters more.
        """
        seconds: float | None = None
        error: RuntimeError | None = None
        try:
            synchronise(self.device)
            seconds = time.perf_counter() - began
        except RuntimeError as found:
            error = found
        for probe in probes:
            probe.stop()
            self._open.remove(probe)
        window = Window(seconds, readings.frames, began, readings.calls)
        if stages is not None:
            window = replace(window, division=stages.division(seconds, began))
        others = (measured for probe in probes for measured in probe.read(window))
        measured = (latency(window), throughput(window), *others)
        readings.measurements = (*measured, *costs(measured, self._settings, lambda: gpus_in_use(self.device)))
        if error is not None and not failed:
            raise error


def probes_of(device: str, settings: Settings) -> tuple[Probe, ...]:
    """The probes that belong to a device, by the names of their files."""
    found = (probe_of(device, settings) for probe_of in _ways_to_read())
    return tuple(probe for probe in found if probe is not None)


@cache
def _ways_to_read() -> tuple[Callable[[str, Settings], Probe | None], ...]:
    """The `probe_of` of every file of this room that has one."""
    names = sorted(found.name for found in pkgutil.iter_modules(profiling.__path__))
    modules = (importlib.import_module(f"{profiling.__name__}.{name}") for name in names)
    return tuple(module.probe_of for module in modules if hasattr(module, "probe_of"))
