"""Money and CO2 of a call: from the user's own figures alone, what hardware costs apart from what energy costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from pytest_vdb.profiling.gpus import ENERGY
from pytest_vdb.profiling.latency import LATENCY
from pytest_vdb.profiling.probe import Reading
from pytest_vdb.profiling.rapl import CPU_ENERGY
from pytest_vdb.profiling.settings import Settings
from pytest_vdb.records import Measurement

_ENERGIES = (ENERGY.name, CPU_ENERGY.name)
"""The first that is read is priced."""
HARDWARE_COST = Reading(
    "hardware_cost",
    "money",
    how="GPUs x `latency` x `--vdb-price-gpu-hour`, in the currency that was written there",
    misses="the energy; the hours in which the GPU waits",
)
ENERGY_COST = Reading(
    "energy_cost",
    "money",
    window="that of `energy`",
    how="`energy` (without a GPU `cpu_energy`) x `--vdb-price-kwh`",
    misses="cooling and power supplies; all that `energy` misses",
)
EMISSIONS = Reading(
    "emissions",
    "g",
    window="that of `energy`",
    how="`energy` (without a GPU `cpu_energy`) x `--vdb-grid-intensity`: grams of CO2 equivalent",
    misses="making the hardware; all that `energy` misses",
)
J_PER_KWH = 3.6e6


def cost_readings(settings: Settings) -> tuple[Reading, ...]:
    """What can be told with the figures that the user gave."""
    told = []
    if settings.gpu_hour is not None:
        told.append(replace(HARDWARE_COST, unit=settings.gpu_hour.currency))
    if settings.kwh is not None:
        told.append(replace(ENERGY_COST, unit=settings.kwh.currency))
    if settings.grid_g_per_kwh is not None:
        told.append(EMISSIONS)
    return tuple(told)


def costs(measured: Sequence[Measurement], settings: Settings, gpus: Callable[[], int]) -> tuple[Measurement, ...]:
    """What a call cost, by the figures that the user gave.

    Args:
        measured: what was read of it.
        settings: the figures.
        gpus: tells how many GPUs it used.
    """
    by_name = {one.name: one for one in measured}
    energy = next((by_name[name] for name in _ENERGIES if name in by_name), None)
    kwh = None if energy is None or energy.value is None else energy.value / J_PER_KWH
    no_energy = "there is no energy to price" if energy is None else f"no energy: {energy.reason}"
    found = []
    for reading in cost_readings(settings):
        if reading.name == HARDWARE_COST.name and settings.gpu_hour is not None:
            hours = by_name[LATENCY.name].value
            used = gpus()
            value = None if not used or hours is None else used * hours / 3600 * settings.gpu_hour.amount
            found.append(reading.of(value, reason=None if value is not None else "no GPU was used, or not timed"))
            continue
        rate = settings.kwh.amount if reading.name == ENERGY_COST.name and settings.kwh else settings.grid_g_per_kwh
        value = None if kwh is None or rate is None else kwh * rate
        found.append(reading.of(value, reason=None if value is not None else no_energy))
    return tuple(found)
