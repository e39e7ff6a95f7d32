"""Energy that a graphics card drew during a call: the difference of its own counter (NVML), all its users included.

The counter moves about every 100 ms, and on A100 and H100 only a quarter of the time is sampled (arXiv 2312.02741),
so a short call has no figure: repeat it to fill the window, and gate no difference under 5%. Unverified on a GPU.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pytest_vdb.profiling.devices import cuda_in_use
from pytest_vdb.profiling.probe import Reading, Window
from pytest_vdb.records import Measurement

ENERGY = Reading("energy", "J")
SHORTEST_WINDOW_S = 5.0


class Energy:
    """`energy`, in joules, of one CUDA device."""

    readings: ClassVar[tuple[Reading, ...]] = (ENERGY,)

    def __init__(self, device: str) -> None:
        self._device = device
        self._before_mj: int | None = None
        self._after_mj: int | None = None
        self._reason = ""

    def start(self) -> None:
        """Read the counter."""
        self._before_mj, self._reason = self._counter()

    def note(self) -> None:
        """A counter that nobody resets needs no help."""

    def stop(self) -> None:
        """Read the counter again."""
        if self._before_mj is not None:
            self._after_mj, self._reason = self._counter()

    def read(self, window: Window) -> tuple[Measurement, ...]:
        """The difference, if the call was long enough."""
        if self._before_mj is None or self._after_mj is None:
            return (ENERGY.of(None, reason=self._reason),)
        drawn_joules, reason = joules(self._before_mj, self._after_mj, window.seconds)
        return (ENERGY.of(drawn_joules, reason=reason),)

    def _counter(self) -> tuple[int | None, str]:
        """Millijoules since the driver was loaded, or None and why."""
        cuda = cuda_in_use(self._device)
        if cuda is None:
            return None, "CUDA was not used by the beginning of the call, so the card is not known"
        import pynvml

        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            return None, f"NVML is not available: {error}"
        try:
            handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{cuda.get_device_properties(self._device).uuid}")
            if _is_shared(pynvml, handle):
                return None, "whole_gpu_shared: the counter is of the whole card, which MIG divides"
            return int(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)), ""
        except (pynvml.NVMLError, RuntimeError, AttributeError) as error:
            return None, f"the card does not tell: {error}"
        finally:
            pynvml.nvmlShutdown()


def joules(before_mj: int, after_mj: int, seconds: float | None) -> tuple[float | None, str | None]:
    """The energy between two readings, or None and why it cannot be told."""
    if seconds is None:
        return None, "the device failed and could not be waited for"
    if seconds < SHORTEST_WINDOW_S:
        return None, f"window_too_short: {seconds:.3g} s, and the counter needs {SHORTEST_WINDOW_S:g} s"
    if after_mj < before_mj:
        return None, "the counter went backwards: the driver was reloaded meanwhile"
    return (after_mj - before_mj) / 1000, None


def _is_shared(nvml: Any, handle: Any) -> bool:
    try:
        return bool(nvml.nvmlDeviceGetMigMode(handle)[0])
    except nvml.NVMLError:
        return False  # the card has no MIG


def probe_of(device: str) -> Energy | None:
    """Found by the profiler: NVIDIA's cards count their energy."""
    return Energy(device) if device.partition(":")[0] == "cuda" else None
