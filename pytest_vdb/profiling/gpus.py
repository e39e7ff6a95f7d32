"""What the cards of a call drew and how they fared, all of them together; every other user of theirs is included.

A thread looks at energy and power ten times a second and at temperature, clock and throttling once a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

from pytest_vdb.components import STAGES
from pytest_vdb.profiling.devices import cards_in_use, is_cuda
from pytest_vdb.profiling.division import NOT_SEEN
from pytest_vdb.profiling.energy import Drawn, Look, drawn, why_too_short
from pytest_vdb.profiling.nvml import THROTTLES, CannotTell, Cards, State
from pytest_vdb.profiling.probe import Reading, Window
from pytest_vdb.profiling.sampling import Sampler
from pytest_vdb.profiling.settings import Settings
from pytest_vdb.records import Measurement

PERIOD_S = 0.1
LOOKS_PER_STATE = 10
_ALL_USERS = "which of the card's users drew it; hosts, fans, power supplies"
ENERGY = Reading(
    "energy",
    "J",
    window="calls of 5 s together, per call; shorter: None (`window_too_short`)",
    how="NVML's counter of each card, added up; where a card does not count (version `1-power`) its power, integrated",
    misses=f"{_ALL_USERS}; a quarter of the time is sampled on A100 and H100: gate no difference under 5%",
)
STAGE_ENERGIES = {
    stage: Reading(
        f"{stage}_energy",
        "J",
        window="the stage, from its first call to the end of its last; shorter than 5 s: None (`window_too_short`)",
        how="as `energy`, between these moments; told where stages are",
        misses=f"{_ALL_USERS}; what other stages drew meanwhile is in it",
    )
    for stage in STAGES
}
POWER = Reading(
    "power",
    "W",
    window="calls of 5 s together; shorter: None (`window_too_short`)",
    how="`energy` over the seconds, of all cards together",
    misses=_ALL_USERS,
)
TEMPERATURE = Reading(
    "gpu_temperature",
    "°C",
    how="NVML, once a second: the highest of any card; the series: before, highest, after",
    misses="the memory's temperature",
)
CLOCK = Reading(
    "gpu_clock",
    "MHz",
    better="neutral",
    how="NVML, once a second: the mean clock of the multiprocessors of all cards",
    misses="what happens within a second",
)
LIMIT = Reading(
    "gpu_power_limit",
    "W",
    better="neutral",
    how="NVML: the enforced limits of all cards, added up at the end",
    misses="a limit that was changed meanwhile",
)
UTILISATION = Reading(
    "gpu_utilisation",
    "1",
    better="neutral",
    how="NVML, once a second: the mean of all cards",
    misses="how much of a card worked: it only means that some kernel ran",
)
OWN_MEMORY = Reading(
    "gpu_process_memory",
    "MiB",
    window="the end of one call",
    how="NVML: what this process holds of all its cards, CUDA's context included",
    misses="peaks; most containers and WSL, where it is None",
)
MEMORY_CHANGE = Reading(
    "gpu_memory_change",
    "MiB",
    better="neutral",
    how="NVML: what is taken of all cards after the call, above what was before it",
    misses="peaks; who took it: other processes are in it",
)
THROTTLED = Reading(
    "throttled",
    "1",
    how="NVML, once a second: the share of looks at which heat, the hardware or the power brake slowed a card down",
    misses="the software's power cap, which is normal; what happens within a second",
)


class Gpus:
    """Energy, power and state of all cards of a call.

    Args:
        uuids: tells the cards; raises `CannotTell` where they are not known.
        period_s: from look to look; None: nobody looks but who calls `look`.
        clock: the time in seconds.
    """

    readings: ClassVar[tuple[Reading, ...]] = (
        ENERGY,
        POWER,
        TEMPERATURE,
        CLOCK,
        LIMIT,
        UTILISATION,
        THROTTLED,
        OWN_MEMORY,
        MEMORY_CHANGE,
    )

    def __init__(
        self,
        uuids: Callable[[], Sequence[str]],
        *,
        period_s: float | None = PERIOD_S,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._uuids = uuids
        self._period_s = period_s
        self._clock = clock
        self._cards: Cards | None = None
        self._reason = ""
        self._counts = True
        self._looks: list[list[Look]] = []
        self._states: list[list[State]] = []
        self._sampler: Sampler | None = None

    def start(self) -> None:
        """Find the cards and begin to look."""
        self._reason, self._counts, self._looks, self._states, self._sampler = "", True, [], [], None
        try:
            self._cards = Cards(self._uuids())
            self._reason = self._cards.why_shared() or ""
        except CannotTell as error:
            self._cards, self._reason = None, str(error)
        if not self._reason and self._period_s is not None:
            self._sampler = Sampler(self._period_s, self.look)
        elif not self._reason:
            self.look()

    def note(self) -> None:
        """A counter that nobody resets needs no help."""

    def stop(self) -> None:
        """Look a last time, and let NVML go."""
        if self._sampler is not None:
            self._sampler.stop()
            self._reason = self._reason or self._sampler.failed or ""
        elif not self._reason:
            self.look()
        if self._cards is not None and not self._reason:
            self._states.append(self._cards.states())
        if self._cards is not None:
            self._cards.close()
            self._cards = None

    def look(self) -> None:
        """Read every card once; a card that is lost, or may not be asked, is the reason why there are no readings."""
        if self._cards is None or self._reason:
            return
        if len(self._looks) % LOOKS_PER_STATE == 0:
            self._states.append(self._cards.states())
        try:
            self._looks.append(self._look_at_energy(self._cards))
        except CannotTell as error:
            self._reason = str(error)

    def read(self, window: Window) -> tuple[Measurement, ...]:
        """What was drawn per call and how the cards fared, or why nobody knows."""
        if self._reason or not self._looks:
            reason = self._reason or "nobody looked at the cards"
            return tuple(one.of(None, reason=reason) for one in self.readings)
        return (*self._drawn(window), *self._fared())

    def _look_at_energy(self, cards: Cards) -> list[Look]:
        if self._counts:
            try:
                return [Look(self._clock(), counter_mj=value) for value in cards.energy_mj()]
            except CannotTell:
                if self._looks:
                    raise
                self._counts = False  # from the first look on, or not at all
        return [Look(self._clock(), power_w=value) for value in cards.power_w()]

    def _drawn(self, window: Window) -> tuple[Measurement, ...]:
        cards: list[Drawn] = []
        reason = why_too_short(window.seconds)
        for card in range(len(self._looks[0])) if reason is None else ():
            limits = [states[card].limit_w or 0.0 for states in self._states]
            one, reason = drawn([looks[card] for looks in self._looks], max(limits, default=0.0) or None)
            if one is None:
                break
            cards.append(one)
        of_stages = STAGE_ENERGIES if window.division is not None else {}
        if reason is not None or not window.seconds:
            return tuple(one.of(None, reason=reason) for one in (ENERGY, POWER, *of_stages.values()))
        by_counter = all(card.by_counter for card in cards)
        version = "1" if by_counter else "1-power"
        remark = None if by_counter else "integrated from the power ten times a second: a card does not count"
        energy, power = (replace(one, version=version) for one in (ENERGY, POWER))
        total = sum(card.joules[-1] for card in cards)
        return (
            energy.of(total / window.calls, reason=remark),
            power.of(total / window.seconds, reason=remark),
            *(_energy_of_stage(stage, reading, cards, window) for stage, reading in of_stages.items()),
        )

    def _fared(self) -> tuple[Measurement, ...]:
        heat = [_known(state.temperature_c for state in states) for states in self._states]
        hottest = [max(one) for one in heat if one]
        highest = TEMPERATURE.of(max(hottest)) if hottest else _untold(TEMPERATURE)
        if hottest:
            highest = replace(highest, series=(hottest[0], max(hottest), hottest[-1]))
        every = [state for states in self._states for state in states]
        limits = _known(state.limit_w for state in self._states[-1])
        return (
            highest,
            _mean_told(CLOCK, _known(state.clock_mhz for state in every)),
            LIMIT.of(sum(limits)) if limits else _untold(LIMIT),
            _mean_told(UTILISATION, _known(state.utilisation for state in every)),
            self._throttled(),
            *self._held(),
        )

    def _held(self) -> tuple[Measurement, Measurement]:
        own = _known(state.own_mib for state in self._states[-1])
        before, after = ([state.used_mib for state in self._states[at]] for at in (0, -1))
        changes = [b - a for a, b in zip(before, after, strict=True) if a is not None and b is not None]
        missing = "the card does not show this process: containers and WSL do not"
        return (
            OWN_MEMORY.of(sum(own)) if own else OWN_MEMORY.of(None, reason=missing),
            MEMORY_CHANGE.of(sum(changes)) if changes else _untold(MEMORY_CHANGE),
        )

    def _throttled(self) -> Measurement:
        looks = [_known(state.throttles for state in states) for states in self._states]
        looks = [bits for bits in looks if bits]
        if not looks:
            return _untold(THROTTLED)
        slowed = [bits for bits in looks if any(bits)]
        seen = {name for bits in slowed for one in bits for bit, name in THROTTLES.items() if int(one) & bit}
        remark = f"throttled at {len(slowed)} of {len(looks)} looks: {', '.join(sorted(seen))}" if slowed else None
        return THROTTLED.of(len(slowed) / len(looks), reason=remark)


def _energy_of_stage(stage: str, reading: Reading, cards: Sequence[Drawn], window: Window) -> Measurement:
    """What all cards drew from a stage's beginning to its end, if it was long enough."""
    span = None if window.division is None else window.division.spans.get(stage)
    if span is None:
        return reading.of(None, reason=NOT_SEEN)
    start, end = span
    reason = why_too_short(end - start)
    joules = sum(card.between(window.began + start, window.began + end) for card in cards)
    return reading.of(None if reason else joules, reason=reason)


def throttling_told(measured: Sequence[Measurement]) -> tuple[str, ...]:
    """A sentence for the record, if a card was slowed down."""
    return tuple(m.reason for m in measured if m.name == THROTTLED.name and m.value and m.reason)


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean_told(reading: Reading, values: Sequence[float]) -> Measurement:
    return reading.of(sum(values) / len(values)) if values else _untold(reading)


def _untold(reading: Reading) -> Measurement:
    return reading.of(None, reason="the card does not tell")


def probe_of(device: str, settings: Settings) -> Gpus | None:  # noqa: ARG001 - nothing to choose
    """Found by the profiler: NVIDIA's cards have sensors."""
    return Gpus(lambda: cards_in_use(device)) if is_cuda(device) else None
