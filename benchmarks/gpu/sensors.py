"""Sensors of a card under a known load, against `nvidia-smi`, and the counter of energy against the power."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from pytest_vdb.profiling.devices import cards_in_use
from pytest_vdb.profiling.division import DENOISE
from pytest_vdb.profiling.energy import SHORTEST_WINDOW_S, Look, integrated
from pytest_vdb.profiling.gpus import (
    CLOCK,
    ENERGY,
    LIMIT,
    MEMORY_CHANGE,
    OWN_MEMORY,
    PERIOD_S,
    POWER,
    STAGE_ENERGIES,
    TEMPERATURE,
    THROTTLED,
    UTILISATION,
)
from pytest_vdb.profiling.latency import LATENCY
from pytest_vdb.profiling.nvml import THROTTLES, CannotTell, Cards
from pytest_vdb.profiling.profiler import Profiler
from pytest_vdb.profiling.sampling import Sampler
from pytest_vdb.profiling.stages import TIMES
from pytest_vdb.records import Measurement

from . import smi
from .cards import Card
from .pipeline import Work, WorkingPipeline
from .plan import Plan
from .probes import uuid_of
from .rows import Row, Told, compare, told

WATCHED = ("power.draw", "clocks.sm", "temperature.gpu", "utilization.gpu")
RISE_S = 1.5
"""Of a load, after which a mean of the last second, as the driver's program shows it, is of the load alone."""
NONE_OF_IT = Told(None, f"{smi.SOURCE} does not tell")


def rows(plan: Plan, card: Card, left_s: Callable[[], float]) -> Iterator[Row]:  # noqa: ARG001 - takes seconds
    """All of them, of one window."""
    uuid = str(uuid_of(card).value)
    steps = 40
    work = Work(short_s=0.1, step_s=plan.window_s / steps, steps=steps, decode_mib=1)
    pipeline, power = WorkingPipeline(card, work), _Power(card.device)
    card.give_back()  # else a block is taken from what the allocator holds, and the card's memory does not change
    throttling, _ = smi.first_known(smi.THROTTLING, uuid)
    with smi.Watch(WATCHED, uuid) as watch:
        card.work(0.0 if plan.is_rehearsal else RISE_S)
        with Profiler(card.device).watch(pipeline) as readings:
            began = time.perf_counter()
            sampler = Sampler(PERIOD_S, power.look)
            block = card.hold(plan.block_mib)
            pipeline()
            bits = smi.asked((throttling,), uuid)[throttling] if throttling else None
            own = smi.memory_of_process(os.getpid())
            card.synchronise()
            sampler.stop()
        ended = time.perf_counter()
        del block
    power.close()
    seen = _SeenBySmi(watch, began, ended)
    measured = readings.measurements
    yield from _of_power(measured, seen, power)
    yield from _of_state(measured, seen, uuid, bits)
    yield compare(
        OWN_MEMORY.name,
        told(measured, OWN_MEMORY.name),
        Told(own, f"{smi.SOURCE} does not show this process: containers do not"),
        source=smi.SOURCE,
        unit="MiB",
        absolute=32,
    )
    taken = plan.block_mib if card.allocated_mib() is not None else None
    yield compare(
        MEMORY_CHANGE.name,
        told(measured, MEMORY_CHANGE.name),
        Told(taken, "a processor has none"),
        source="the block that was taken",
        unit="MiB",
        absolute=128,
    )


class _Power:
    """The second source of the energy counter: the power, looked at by ourselves."""

    def __init__(self, device: str) -> None:
        self.looks: list[Look] = []
        self.reason: str | None = None
        try:
            self._cards: Cards | None = Cards(cards_in_use(device))
        except CannotTell as error:
            self._cards, self.reason = None, str(error)

    def look(self) -> None:
        if self._cards is not None and self.reason is None:
            try:
                self.looks.append(Look(time.perf_counter(), power_w=sum(self._cards.power_w())))
            except CannotTell as error:
                self.reason = str(error)

    def joules(self) -> Told:
        if self.reason is not None or len(self.looks) < 2:
            return Told(None, self.reason or "there were no two looks")
        found, reason = integrated(self.looks)
        return Told(None, reason) if reason else Told(found[-1])

    def close(self) -> None:
        if self._cards is not None:
            self._cards.close()


class _SeenBySmi:
    """What the driver's program told within the window."""

    def __init__(self, watch: smi.Watch, began: float, ended: float) -> None:
        self._watch, self._span = watch, (began, ended)

    def of(self, name: str, how: Callable[[Sequence[float]], float], factor: float = 1.0) -> Told:
        found = self._watch.of(name, *self._span, how)
        return NONE_OF_IT if found is None else Told(found * factor)


def _of_power(measured: Sequence[Measurement], seen: _SeenBySmi, power: _Power) -> Iterator[Row]:
    latency = told(measured, LATENCY.name).value
    long_enough = isinstance(latency, float) and latency >= SHORTEST_WINDOW_S
    why = Told(None, f"the window is shorter than {SHORTEST_WINDOW_S:g} s")
    drawn = seen.of("power.draw", statistics.mean) if long_enough else why
    tenth = partial(compare, relative=0.10)
    yield tenth(POWER.name, told(measured, POWER.name), drawn, unit="W", source=smi.SOURCE)
    joules = Told(drawn.value * latency) if isinstance(drawn.value, float) and isinstance(latency, float) else drawn
    yield tenth(ENERGY.name, told(measured, ENERGY.name), joules, unit="J", source=smi.SOURCE)
    by_power = power.joules() if long_enough else why
    yield tenth(
        f"{ENERGY.name}, by the counter",
        told(measured, ENERGY.name),
        by_power,
        unit="J",
        source="NVML's power, integrated",
    )
    stage, reading = told(measured, TIMES[DENOISE].name).value, STAGE_ENERGIES[DENOISE]
    enough = isinstance(stage, float) and stage >= SHORTEST_WINDOW_S and isinstance(drawn.value, float)
    of_stage = Told(drawn.value * stage) if enough else NONE_OF_IT  # type: ignore[operator]
    yield tenth(reading.name, told(measured, reading.name), of_stage, unit="J", source=smi.SOURCE)


def _of_state(measured: Sequence[Measurement], seen: _SeenBySmi, uuid: str, bits: str | None) -> Iterator[Row]:
    def beside(name: str, second: Told, unit: str, **tolerance: float) -> Row:
        return compare(name, told(measured, name), second, source=smi.SOURCE, unit=unit, **tolerance)

    yield beside(TEMPERATURE.name, seen.of("temperature.gpu", max), "°C", absolute=3)
    yield beside(CLOCK.name, seen.of("clocks.sm", statistics.mean), "MHz", relative=0.05)
    yield beside(UTILISATION.name, seen.of("utilization.gpu", statistics.mean, 0.01), "1", absolute=0.15)
    limit = smi.number(smi.asked(("enforced.power.limit",), uuid)["enforced.power.limit"])
    yield beside(LIMIT.name, Told(limit), "W", absolute=1)
    slowed = None if bits is None else float(bool(int(bits, 0) & sum(THROTTLES)))
    # One look of theirs at the end, all looks of ours: a card that was slowed down for a while differs.
    yield beside(THROTTLED.name, Told(slowed), "1", absolute=0.5)
