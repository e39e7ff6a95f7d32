"""A warm model timed by the protocol: loaded and called once apart, then the same clip several times, each watched.

The probes start before pytest-benchmark's clock and stop after it: what they read costs no latency.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_vdb.bench.generation import Keep, of_the_model, warm_up, withheld
from pytest_vdb.estimates.holding import held
from pytest_vdb.profiling.costs import EMISSIONS, ENERGY_COST
from pytest_vdb.profiling.energy import TOO_SHORT, calls_to_fill
from pytest_vdb.profiling.gpus import ENERGY, POWER, throttling_told
from pytest_vdb.profiling.latency import LATENCY, THROUGHPUT
from pytest_vdb.profiling.rounds import OF_ROUNDS, of_rounds, over_rounds, rounds_for

if TYPE_CHECKING:
    from pytest_vdb.bench.session import Session
    from pytest_vdb.bench.shelf import ModelHandle
    from pytest_vdb.profiling.profiler import Readings
    from pytest_vdb.records import Clip, Measurement, Prompt


@dataclass(frozen=True, slots=True)
class Timed:
    """What timing a model left, besides measurements."""

    clips: tuple[Clip, ...]
    """Of the last round's call."""
    notes: tuple[str, ...]
    """What the model, its card and its latency say of it."""


_QUICK_S = 10.0
Call = Callable[[], "tuple[Clip, ...]"]
"""What is timed."""


def timed(
    session: Session,
    handle: ModelHandle,
    prompts: Sequence[Prompt],
    seeds: Sequence[int],
    benchmark: Any,
    keep: Keep,
) -> Timed:
    """Time a model.

    Args:
        prompts: one of each clip of a call, as many as the recipe's batch.
        seeds: one of each clip.
        benchmark: the fixture of pytest-benchmark, which is used up.
        keep: takes what was measured.

    Raises:
        FasterThanPhysics: the calls took less than the device needs at best.
        Exception: what the session's `cannot_run` raises, or what the model raised.
    """
    loading: list[Measurement] = []
    try:
        warm_up(session, handle, prompts, seeds, lambda *measured: loading.extend(measured))
        with session.activity.of("generates", handle.shown_name, prompts[0].id):
            call = _call_of(handle, prompts, seeds)
            if not loading and _is_called_again(session, handle):
                call()
            return _timed_rounds(session, handle, call, benchmark, keep)
    finally:
        keep(*loading)  # last: what a call costs comes first in a table


def _is_called_again(session: Session, handle: ModelHandle) -> bool:
    """Whether one more call goes before the timed ones of a model that was called before other things were done.

    What was measured meanwhile took its pages and caches: to take them back made the first of five calls twice as long,
    of the first model alone. Where a call takes ten seconds nobody would notice.
    """
    first_s = handle.first_call_s
    return handle.card.warm_up and not session.why_timings_are_withheld and first_s is not None and first_s < _QUICK_S


def _timed_rounds(session: Session, handle: ModelHandle, call: Call, benchmark: Any, keep: Keep) -> Timed:
    model = handle.load()
    pipeline = model.pipeline
    rounds = 1 if session.why_timings_are_withheld else rounds_for(handle.first_call_s)
    watched: list[Readings] = []
    open_round = ExitStack()

    def begin() -> None:
        watched.append(open_round.enter_context(session.profiler.watch(pipeline)))

    def end() -> None:
        open_round.close()

    try:
        clips: tuple[Clip, ...] = benchmark.pedantic(call, setup=begin, teardown=end, rounds=rounds)
    except Exception:
        end()
        for readings in watched[-1:]:
            keep(*of_the_model(model, readings.memory))  # how much it had taken when it ran out, say
        raise
    end()  # with --benchmark-disable there is one call and no teardown
    one = clips[0]
    found = rates(session, benchmark, frames=len(one.frames), fps=one.fps, clips=len(clips))
    checked = held(handle.card, handle.recipe, session.environment.hardware, found, session.options.cache_dir)
    costs = withheld(session, of_the_model(model, _costs(watched)))
    keep(*checked.readings, *costs)
    if checked.error is not None:
        raise checked.error
    if session.profiler.reads_memory_apart:
        keep(*of_the_model(model, _memory_apart(session, pipeline, call)))
    if _lacks_energy(watched):
        keep(*withheld(session, _of_filled_window(session, call, watched)))
    return Timed(clips, (*model.notes, *throttling_told(costs)))


def _memory_apart(session: Session, pipeline: Any, call: Call) -> tuple[Measurement, ...]:
    """What one more call adds to memory, in each of its stages."""
    with session.profiler.watch(pipeline, memory_apart=True) as readings:
        call()
    return readings.memory


def _lacks_energy(watched: list[Readings]) -> bool:
    """Whether the sensors would tell what a call draws, if it were longer."""
    energies = [m for readings in watched for m in readings.measurements if m.name == ENERGY.name]
    return bool(energies) and all((energy.reason or "").startswith(TOO_SHORT) for energy in energies)


def _of_filled_window(session: Session, call: Call, watched: list[Readings]) -> tuple[Measurement, ...]:
    """What so many calls draw that the sensors can tell, as that of one call."""
    shortest = min(m.value or 0.0 for readings in watched for m in readings.measurements if m.name == LATENCY.name)
    with session.profiler.watch() as filled:
        filled.calls = calls_to_fill(shortest)
        for _ in range(filled.calls):
            call()
    told = {ENERGY.name, POWER.name, ENERGY_COST.name, EMISSIONS.name}
    return tuple(m for m in filled.measurements if m.name in told)


def rates(
    session: Session, benchmark: object, *, frames: int, fps: float | None, clips: int = 1
) -> tuple[Measurement, ...]:
    """What pytest-benchmark timed: every round is one call of a warm model.

    Args:
        benchmark: its fixture, after its call.
        frames: of each clip.
        fps: at which they play.
        clips: that each call made.
    """
    stats = getattr(getattr(benchmark, "stats", None), "stats", None)
    seconds = list(stats.data) if stats is not None else []
    reason = session.why_timings_are_withheld or (None if seconds else "not measured: --benchmark-disable")
    if reason:
        return tuple(reading.of(None, reason=reason) for reading in OF_ROUNDS)
    return of_rounds(seconds, frames=frames, fps=fps, clips=clips)


def _call_of(handle: ModelHandle, prompts: Sequence[Prompt], seeds: Sequence[int]) -> Call:
    return lambda: handle.generate_batch(prompts, seeds)


def _costs(watched: list[Readings]) -> tuple[Measurement, ...]:
    """What the probes read of all rounds; how long these took, pytest-benchmark tells."""
    told = {LATENCY.name, THROUGHPUT.name}
    return over_rounds([[m for m in readings.measurements if m.name not in told] for readings in watched])
