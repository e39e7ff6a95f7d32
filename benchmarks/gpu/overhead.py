"""What watching costs on this device: a tiny pipeline of 50 steps, bare and watched in turns, bare against bare."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pytest_vdb.models.recipes import resolve
from pytest_vdb.models.registry import Registry
from pytest_vdb.models.source import WeightsSource
from pytest_vdb.profiling.latency import LATENCY
from pytest_vdb.profiling.profiler import Profiler
from pytest_vdb.profiling.settings import Settings
from pytest_vdb.records import Recipe

from .cards import Card
from .models import PROMPT
from .plan import Plan
from .rows import Figure, Row, told

STEPS = 50
GOAL = 0.01
Timed = Callable[[], tuple[float, float]]
"""Makes a call; returns its latency, and all that it took."""


def rows(plan: Plan, card: Card, left_s: Callable[[], float]) -> Iterator[Row]:
    """The median over pairs, and the noise of bare against bare."""
    registry = Registry.from_catalog()
    about = registry.get(plan.models[0])
    recipe = resolve(about, Recipe(steps=STEPS), "tiny")
    profiler = Profiler(card.device, settings=Settings(memory_rate_hz=10))
    with TemporaryDirectory() as folder:
        source = WeightsSource(mode="tiny", device=card.device, cache_dir=Path(folder), offline=True)
        model = registry.open(about, recipe, source)

        def bare() -> tuple[float, float]:
            began = time.perf_counter()
            model.generate(PROMPT, recipe, 0)
            card.synchronise()
            return (time.perf_counter() - began,) * 2

        def watched() -> tuple[float, float]:
            began = time.perf_counter()
            with profiler.watch(model.pipeline) as readings:
                model.generate(PROMPT, recipe, 0)
            latency = told(readings.measurements, LATENCY.name).value
            assert isinstance(latency, float)
            return latency, time.perf_counter() - began

        bare()
        found = _in_turns(bare, watched, plan.rounds, left_s)
        model.close()
    if not found:
        yield Figure(what="overhead of profiling", reason="the time was over")
        return
    bare_s = statistics.median(one.bare for one in found)
    noise = statistics.median(abs(one.bare / one.again - 1) for one in found)
    overhead = statistics.median(one.latency / statistics.mean((one.bare, one.again)) - 1 for one in found)
    yield Figure(
        what="overhead of profiling in the latency",
        value=overhead,
        goal=f"< {GOAL:.0%}",
        met=overhead < GOAL,
        reason=f"median of {len(found)} rounds of {about.name}, tiny, {STEPS} steps, {1000 * bare_s:.0f} ms each; half "
        f"of bare against bare lie beyond ±{noise:.1%}",
    )
    yield Figure(
        what="probes' start, stop and reading, outside the latency",
        value=statistics.median(one.whole - one.latency for one in found),
        unit="s",
    )


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds of three calls, whatever their order."""

    bare: float
    latency: float
    """As the profiler read it."""
    whole: float
    """With the probes' start and stop."""
    again: float


def _in_turns(bare: Timed, watched: Timed, rounds: int, left_s: Callable[[], float]) -> list[Round]:
    """As many rounds as the time is enough for; the one that is watched comes first and second in turns."""
    found: list[Round] = []
    for at in range(rounds):
        if left_s() <= 0:
            break
        before = bare() if at % 2 else None
        latency, whole = watched()
        after = bare()
        found.append(Round((before or bare())[0], latency, whole, after[0]))
    return found
