"""One clip: from the cache, or made now with a pinned seed and profiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_vdb.errors import NotCached
from pytest_vdb.estimates.holding import held
from pytest_vdb.records import Measurement, Prompt, Sample, from_plain, to_plain

if TYPE_CHECKING:
    from pytest_vdb.bench.session import Session
    from pytest_vdb.bench.shelf import ModelHandle
    from pytest_vdb.results.cache import CachedClip


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A clip that was asked for."""

    sample: Sample
    model: str
    key: str
    """In the clip cache."""


Keep = Callable[..., object]
"""Takes measurements at once: they are kept whatever happens next."""


def generated(session: Session, handle: ModelHandle, prompt: Prompt, seed: int, keep: Keep) -> Made:
    """The clip of these settings.

    Args:
        keep: takes what loading the model cost, and what memory it had taken when it raised.

    Raises:
        Exception: what the session's `cannot_run` raises, or what the model raised.
    """
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
        replace(m, value=None, reason=reason) if m.unit in {"s", "frames/s"} and m.value is not None else m
        for m in readings
    )


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
    none = tuple(reading.of(None, reason=reason) for reading in session.profiler.readings)
    return replace(sample, readings=none, reused_from=run)


def _fresh(session: Session, handle: ModelHandle, prompt: Prompt, seed: int, key: str, keep: Keep) -> Made:
    model = handle.load()
    keep(*withheld(session, tuple(handle.loading)))
    handle.loading.clear()
    try:
        with session.profiler.watch() as readings:
            clip = model.generate(prompt, handle.recipe, seed)
            readings.frames = len(clip.frames)
    except Exception:
        keep(*readings.memory)  # how much it had taken when it ran out, say
        raise
    checked = held(
        handle.card, handle.recipe, session.environment.hardware, readings.measurements, session.options.cache_dir
    )
    measured = withheld(session, checked.readings)
    if checked.error is not None:
        keep(*measured)
        raise checked.error
    if session.options.cache != "never":
        about = {"run": session.run_id, "model": handle.name, "prompt": prompt.id}
        session.cache.put(key, clip, {**about, "readings": to_plain(measured)})
    notes = (*model.notes, *((checked.note,) if checked.note is not None else ()))
    sample = Sample(clip=clip, prompt=prompt, seed=seed, recipe=handle.recipe, readings=measured, notes=notes)
    return Made(sample=sample, model=handle.name, key=key)
