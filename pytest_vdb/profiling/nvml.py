"""Cards as NVIDIA's management library (NVML) tells of them, named by UUID: indices differ with CUDA_VISIBLE_DEVICES.

Everything that it cannot tell is a `CannotTell` with the reason: no driver, no permission, no such sensor, a card that
MIG divides (whose sensors are of the whole card), a card that fell off the bus.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self, TypeVar

Told = TypeVar("Told")

THROTTLES = {
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
"""Bits of the clocks' event reasons that make a run slower than its card is; the software's power cap (0x04) is normal.

Source: nvml.h, nvmlClocksEventReason*.
"""


class CannotTell(Exception):
    """Why NVML does not tell something."""


@dataclass(frozen=True, slots=True)
class State:
    """How a card fares."""

    temperature_c: float | None
    clock_mhz: float | None
    limit_w: float | None
    utilisation: float | None
    """In [0, 1]: of the time in which some kernel ran."""
    throttles: int | None
    """Bits of `THROTTLES`."""
    used_mib: float | None
    """Of its memory, by all its users."""
    own_mib: float | None
    """Of its memory, by this process; None in most containers, which show other process numbers or none."""


class Cards:
    """The cards that a process uses, open until `close`.

    Args:
        uuids: as CUDA tells them, with or without `GPU-` or `MIG-`.

    Raises:
        CannotTell: no driver here, or no such card.
    """

    def __init__(self, uuids: Sequence[str]) -> None:
        import pynvml

        self._nvml: Any = pynvml
        self._ask("NVML is not available", pynvml.nvmlInit)
        try:
            found = [self._found(uuid) for uuid in uuids]
        except CannotTell:
            self.close()
            raise
        self.uuids = [uuid for uuid, _ in found]
        self._handles = [handle for _, handle in found]

    def _found(self, uuid: str) -> tuple[str, Any]:
        """A card's UUID as NVML spells it, and its handle. CUDA tells no prefix, not of a slice of a card either."""
        get, named = self._nvml.nvmlDeviceGetHandleByUUID, uuid.startswith(("GPU-", "MIG-"))
        spelling = uuid if named else f"GPU-{uuid}"
        try:
            return spelling, self._ask(f"card {spelling} is not found", partial(get, spelling))
        except CannotTell:
            if not named:
                with contextlib.suppress(self._nvml.NVMLError):
                    return f"MIG-{uuid}", get(f"MIG-{uuid}")
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """NVML may forget us."""
        try:
            self._nvml.nvmlShutdown()
        except self._nvml.NVMLError:
            return  # it has forgotten us already

    def why_shared(self) -> str | None:
        """Why sensors of these cards are not of this process alone: MIG divides one of them."""
        for uuid, handle in zip(self.uuids, self._handles, strict=True):
            try:
                divided = uuid.startswith("MIG-") or bool(self._nvml.nvmlDeviceGetMigMode(handle)[0])
            except self._nvml.NVMLError:
                continue  # the card knows no MIG
            if divided:
                return "whole_gpu_shared: the sensors are of the whole card, which MIG divides"
        return None

    def energy_mj(self) -> list[int]:
        """Of each card, millijoules since its driver was loaded.

        Raises:
            CannotTell: a card does not count, or may not be asked, or is lost.
        """
        read = self._nvml.nvmlDeviceGetTotalEnergyConsumption
        return [int(value) for value in self._of_each("counts no energy", read)]

    def power_w(self) -> list[float]:
        """Of each card, what it draws now; where only a mean of the last second is told, that.

        Raises:
            CannotTell: a card does not tell, or may not be asked, or is lost.
        """
        return self._of_each("tells no power", self._power_of)

    def states(self) -> list[State]:
        """How each card fares; what one does not tell is None."""
        return [self._state_of(handle) for handle in self._handles]

    def _power_of(self, handle: Any) -> float:
        field = getattr(self._nvml, "NVML_FI_DEV_POWER_INSTANT", None)
        try:
            told = None if field is None else self._nvml.nvmlDeviceGetFieldValues(handle, [field])[0]
        except self._nvml.NVMLError:
            told = None
        if told is not None and told.nvmlReturn == self._nvml.NVML_SUCCESS and told.value.uiVal:
            return float(told.value.uiVal) / 1000
        return float(self._nvml.nvmlDeviceGetPowerUsage(handle)) / 1000

    def _state_of(self, handle: Any) -> State:
        nvml = self._nvml
        limit_mw = self._or_none(nvml.nvmlDeviceGetEnforcedPowerLimit, handle)
        utilisation = self._or_none(lambda of: nvml.nvmlDeviceGetUtilizationRates(of).gpu, handle)
        reasons = getattr(nvml, "nvmlDeviceGetCurrentClocksEventReasons", None)
        throttles = self._or_none(reasons or nvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle)
        return State(
            temperature_c=self._or_none(
                lambda of: nvml.nvmlDeviceGetTemperature(of, nvml.NVML_TEMPERATURE_GPU), handle
            ),
            clock_mhz=self._or_none(lambda of: nvml.nvmlDeviceGetClockInfo(of, nvml.NVML_CLOCK_SM), handle),
            limit_w=None if limit_mw is None else limit_mw / 1000,
            utilisation=None if utilisation is None else utilisation / 100,
            throttles=None if throttles is None else int(throttles) & sum(THROTTLES),
            used_mib=self._or_none(lambda of: nvml.nvmlDeviceGetMemoryInfo(of).used / 2**20, handle),
            own_mib=self._own_mib(handle),
        )

    def _own_mib(self, handle: Any) -> float | None:
        try:
            users = self._nvml.nvmlDeviceGetComputeRunningProcesses(handle)
        except self._nvml.NVMLError:
            return None
        own = [user.usedGpuMemory for user in users if user.pid == os.getpid()]
        return own[0] / 2**20 if own and own[0] is not None else None

    def _or_none(self, read: Callable[[Any], float], handle: Any) -> float | None:
        try:
            return float(read(handle))
        except self._nvml.NVMLError:
            return None

    def _of_each(self, cannot: str, read: Callable[[Any], Told]) -> list[Told]:
        return [
            self._ask(f"card {uuid} {cannot}", partial(read, handle))
            for uuid, handle in zip(self.uuids, self._handles, strict=True)
        ]

    def _ask(self, cannot: str, read: Callable[[], Told]) -> Told:
        try:
            return read()
        except self._nvml.NVMLError as error:
            raise CannotTell(f"{cannot}: {error}") from error
