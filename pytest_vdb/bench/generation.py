"""One clip: from the cache, or made now with a pinned seed and profiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_vdb.bench.shelf import answers
from pytest_vdb.errors import NotCached
from pytest_vdb.estimates.holding import held
from pytest_vdb.models.contract import devices_of, runs_elsewhere
from pytest_vdb.profiling.costs import EMISSIONS, ENERGY_COST, HARDWARE_COST
from pytest_vdb.profiling.gpus import ENERGY, MEMORY_CHANGE, Gpus, throttling_told
from pytest_vdb.profiling.latency import FIRST_CALL, LOAD_TIME, MFU
from pytest_vdb.records import Clip, Measurement, Prompt, Recipe, Sample, from_plain, to_plain

if TYPE_CHECKING:
    from pytest_vdb.bench.session import Session
    from pytest_vdb.bench.shelf import ModelHandle
    from pytest_vdb.models.contract import Model
    from pytest_vdb.results.cache import CachedClip


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A clip that was asked for."""

    sample: Sample
    model: str
    key: str
    """In the clip cache."""


ELSEWHERE = "not measured: the model is in a process of its own, and this probe sees the session's"
OF_ONE_CARD = "not measured: the clip is shared over several cards, and this probe sees the session's own"

Keep = Callable[..., object]
"""Takes measurements at once: they are kept whatever happens next."""


def generated(session: Session, handle: ModelHandle, prompt: Prompt, seed: int, keep: Keep) -> Made:
    """The clip of these settings.

    Args:
        keep: takes what loading the model cost, and what memory it had taken when it raised.

    Raises:
        Exception: what the session's `cannot_run` raises, or what the model raised.
    """
    handle.require_one_clip()
    key = session.cache.key(**session.clip_identity(handle, prompt, seed))
    found = _cached(session, handle, key)
    if found is not None:
        return Made(sample=_reused(session, handle, prompt, seed, found), model=handle.name, key=key)
    return _fresh(session, handle, prompt, seed, key, keep)


def withheld(session: Session, readings: tuple[Measurement, ...]) -> tuple[Measurement, ...]:
    """Readings without the timings, where other processes share the device."""
    reason = session.why_timings_are_withheld
    if reason is None:
        return readings
    return tuple(
        replace(m, value=None, reason=reason, interval=None, series=None) if _depends_on_others(m) else m
        for m in readings
    )


def of_the_model(model: Model, readings: tuple[Measurement, ...]) -> tuple[Measurement, ...]:
    """Readings without those of this process's memory, where the model is in another one; and of its card, where the
    clip is shared over several."""
    if not runs_elsewhere(model):
        return readings
    of_one_card = _of_one_card(readings) if devices_of(model) > 1 else frozenset()
    why = {m.name: ELSEWHERE for m in readings if _is_of_this_process(m)} | dict.fromkeys(of_one_card, OF_ONE_CARD)
    return tuple(
        replace(m, value=None, reason=why[m.name], interval=None, series=None) if m.name in why else m for m in readings
    )


def _of_one_card(readings: tuple[Measurement, ...]) -> frozenset[str]:
    """Names of what is read of the session's card, and what follows from it."""
    names = {reading.name for reading in Gpus.readings} | {HARDWARE_COST.name}
    if any(m.name == ENERGY.name for m in readings):  # else it is a processor's energy that is priced
        names |= {ENERGY_COST.name, EMISSIONS.name}
    return frozenset(names)


def _is_of_this_process(measured: Measurement) -> bool:
    """Whether it tells of memory, and not of the whole card's."""
    return measured.unit in {"MiB", "GB"} and measured.name != MEMORY_CHANGE.name


def _depends_on_others(measured: Measurement) -> bool:
    """Whether other processes on the device change it."""
    by_name = {one.name for one in (MFU, HARDWARE_COST, ENERGY_COST, EMISSIONS)}
    return (measured.unit in {"s", "frames/s", "J", "W"} or measured.name in by_name) and measured.value is not None


def _cached(session: Session, handle: ModelHandle, key: str) -> CachedClip | None:
    mode = session.options.cache
    found = session.cache.get(key) if mode in {"only-missing", "only-cache"} else None
    if found is None and mode == "only-cache":
        why = f"{handle.name}: this clip is not in the cache, and --vdb-cache=only-cache generates nothing"
        session.cannot_run(NotCached(why))
    return found


def _reused(session: Session, handle: ModelHandle, prompt: Prompt, seed: int, found: CachedClip) -> Sample:
    """The cached clip: with the readings of this very run, or with the reason why there are none."""
    run = str(found.about.get("run", "an earlier run"))
    sample = Sample(clip=found.clip, prompt=prompt, seed=seed, recipe=handle.recipe)
    if run == session.run_id:  # another test of this run generated it, under the same conditions
        return replace(sample, readings=tuple(from_plain(found.about["readings"], tuple[Measurement, ...])))
    reason = f"not measured: the clip was reused from run {run} (--vdb-cache=always measures anew)"
    none = tuple(reading.of(None, reason=reason) for reading in (LOAD_TIME, FIRST_CALL, *session.profiler.readings))
    return replace(sample, readings=none, reused_from=run)


def _fresh(session: Session, handle: ModelHandle, prompt: Prompt, seed: int, key: str, keep: Keep) -> Made:
    warm_up(session, handle, [prompt], [seed], keep)
    model = handle.load()
    with session.activity.of("generates", handle.shown_name, prompt.id, model.pipeline):
        (clip,), readings = _call_watched(session, model, [prompt], handle.recipe, [seed], keep)
    checked = held(handle.card, handle.recipe, session.environment.hardware, readings, session.options.cache_dir)
    measured = withheld(session, checked.readings)
    if checked.error is not None:
        keep(*measured)
        raise checked.error
    if session.options.cache != "never":
        about = {"run": session.run_id, "model": handle.name, "prompt": prompt.id}
        session.cache.put(key, clip, {**about, "readings": to_plain(measured)})
    notes = (*model.notes, *throttling_told(measured))
    sample = Sample(clip=clip, prompt=prompt, seed=seed, recipe=handle.recipe, readings=measured, notes=notes)
    return Made(sample=sample, model=handle.name, key=key)


def warm_up(session: Session, handle: ModelHandle, prompts: Sequence[Prompt], seeds: Sequence[int], keep: Keep) -> None:
    """Load the model, and call it where nobody has called it since: what is timed then is warm, whoever is first.

    A pipeline was called when it was loaded. Another model is asked these very prompts: it may know no others.

    Args:
        prompts: one of each clip of a call.
        seeds: one of each clip.
        keep: takes what loading and the first call cost.

    Raises:
        Exception: what the session's `cannot_run` raises, or what the model raised.
    """
    model = handle.load()
    _tell_loading(session, handle, keep)
    if not handle.is_warm:
        with session.activity.of("generates", handle.shown_name, prompts[0].id, model.pipeline):
            _, measured = _call_watched(session, model, prompts, handle.recipe, seeds, keep)
        handle.note_first_call(withheld(session, measured))
        _tell_loading(session, handle, keep)


def _tell_loading(session: Session, handle: ModelHandle, keep: Keep) -> None:
    keep(*withheld(session, tuple(handle.loading)))
    handle.loading.clear()


def _call_watched(
    session: Session, model: Model, prompts: Sequence[Prompt], recipe: Recipe, seeds: Sequence[int], keep: Keep
) -> tuple[tuple[Clip, ...], tuple[Measurement, ...]]:
    """The clips of a call and what it cost; of one that raised, `keep` takes how much memory it had taken."""
    try:
        with session.profiler.watch() as readings:
            clips = answers(model, prompts, recipe, seeds)
            readings.frames = sum(len(clip.frames) for clip in clips)
    except Exception:
        keep(*of_the_model(model, readings.memory))  # how much it had taken when it ran out, say
        raise
    return clips, of_the_model(model, readings.measurements)
