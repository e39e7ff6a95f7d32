"""Where the time of a diffusers call goes: encoding the prompt, denoising, decoding.

Hooks are put on the pipeline's own objects for one block and taken off again; the output does not change by a bit.
On CUDA the moments are events, read after the last synchronise: waiting for the device at every step would measure
the waiting. Forward hooks would not do for a VAE, whose `decode` bypasses `__call__`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar

from pytest_vdb.components import DENOISERS
from pytest_vdb.profiling.devices import cuda_in_use
from pytest_vdb.profiling.probe import Reading, Window
from pytest_vdb.records import Measurement

TEXT_ENCODING_TIME = Reading("text_encoding_time", "s")
ENCODING_TIME = Reading("encoding_time", "s")
DENOISING_TIME = Reading("denoising_time", "s")
STEP_TIME = Reading("step_time", "s")
DECODING_TIME = Reading("decoding_time", "s")
DENOISER_CALLS = Reading("denoiser_calls", "1", better="neutral")

Moment = Any
"""A CUDA event, or seconds of `perf_counter`."""


class Stages:
    """A probe of one pipeline.

    `text_encoding_time`, `encoding_time` (conditioning), `denoising_time` (first denoiser call to last scheduler step)
    and `decoding_time` in seconds, `step_time` in seconds per scheduler step, `denoiser_calls`.
    """

    readings: ClassVar[tuple[Reading, ...]] = (
        TEXT_ENCODING_TIME,
        ENCODING_TIME,
        DENOISING_TIME,
        STEP_TIME,
        DECODING_TIME,
        DENOISER_CALLS,
    )

    def __init__(self, pipeline: Any, device: str) -> None:
        self._pipeline = pipeline
        self._device = device
        self._spans: dict[str, list[tuple[Moment, Moment]]] = {}
        self._hooks = ExitStack()

    def start(self) -> None:
        """Put the hooks on."""
        self._spans = {}
        for owner, method, stage in (
            (self._pipeline, "encode_prompt", "text"),
            (getattr(self._pipeline, "vae", None), "encode", "encode"),
            (getattr(self._pipeline, "vae", None), "decode", "decode"),
            (getattr(self._pipeline, "scheduler", None), "step", "step"),
        ):
            if callable(getattr(owner, method, None)):
                self._hooks.enter_context(_replaced(owner, method, self._timed(stage, getattr(owner, method))))
        for name in DENOISERS:
            module = getattr(self._pipeline, name, None)
            if module is not None and hasattr(module, "_call_impl"):
                # `__call__` asks for this attribute first: eager and compiled modules alike go through it.
                call = module._compiled_call_impl or module._call_impl
                self._hooks.enter_context(_replaced(module, "_compiled_call_impl", self._timed("denoise", call)))

    def note(self) -> None:
        """Moments are kept as they come."""

    def stop(self) -> None:
        """Take the hooks off."""
        self._hooks.close()

    def read(self, window: Window) -> tuple[Measurement, ...]:
        """Seconds per stage; a stage that did not happen, or could not be hooked, is None and says so."""
        if window.seconds is None:
            return ()
        calls, steps = self._spans.get("denoise", []), self._spans.get("step", [])
        denoising = _between(calls[0][0], (steps or calls)[-1][1]) if calls else None
        return (
            self._total(TEXT_ENCODING_TIME, "text"),
            self._total(ENCODING_TIME, "encode"),
            _seconds(DENOISING_TIME, denoising, "no call of a denoiser was seen"),
            _seconds(
                STEP_TIME, denoising / len(steps) if denoising and steps else None, "no step of a scheduler was seen"
            ),
            self._total(DECODING_TIME, "decode"),
            DENOISER_CALLS.of(len(calls) or None, reason=None if calls else "none seen"),
        )

    def _timed(self, stage: str, call: Callable[..., Any]) -> Callable[..., Any]:
        spans = self._spans.setdefault(stage, [])

        def timed(*arguments: Any, **named: Any) -> Any:
            start = self._now()
            try:
                return call(*arguments, **named)
            finally:
                spans.append((start, self._now()))

        return timed

    def _now(self) -> Moment:
        cuda = cuda_in_use(self._device)
        if cuda is None:
            return time.perf_counter()
        event = cuda.Event(enable_timing=True)
        event.record()
        return event

    def _total(self, reading: Reading, stage: str) -> Measurement:
        spans = self._spans.get(stage, [])
        total = sum(_between(start, end) for start, end in spans) if spans else None
        return _seconds(reading, total, "the pipeline did not do this, or not where it can be seen")


def _seconds(reading: Reading, value: float | None, missing: str) -> Measurement:
    return reading.of(value, reason=missing if value is None else None)


def _between(start: Moment, end: Moment) -> float:
    return float(end - start if isinstance(start, float) else start.elapsed_time(end) / 1000)


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Give an object an attribute of its own for a while; afterwards it has what it had before, or none of its own."""
    absent = object()
    before = vars(owner).get(name, absent)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if before is absent:
            delattr(owner, name)
        else:
            setattr(owner, name, before)
