"""Where the time of a diffusers call goes: encoding the prompt, denoising and each of its steps, decoding, the rest.

Hooks are put on the pipeline's own objects for one block and taken off again; the output does not change by a bit.
On CUDA the moments are events, read after the last synchronise: waiting for the device at every step would measure
the waiting. Forward hooks would not do for a VAE, whose `decode` bypasses `__call__`; `callback_on_step_end`, which ten
pipelines lack, is not needed: a step ends with `scheduler.step`.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, ClassVar

from pytest_vdb.components import DENOISERS, PROCESSORS, STAGES, TEXT_ENCODERS
from pytest_vdb.profiling.devices import cuda_in_use, is_cuda
from pytest_vdb.profiling.division import DECODE, DENOISE, ENCODE, NOT_SEEN, POST, TEXT, Division, Marks, divide
from pytest_vdb.profiling.hooks import Hooks
from pytest_vdb.profiling.probe import DEVICE_FAILED, Reading, Window
from pytest_vdb.records import Measurement

_WITHIN = {
    TEXT: ("within `encode_prompt`, or within the text encoders where there is none", "tokenizing outside of them"),
    ENCODE: ("within `vae.encode`: of the image or clip that is given", "networks that look at an image otherwise"),
    DENOISE: (
        "from the denoiser's first call to the scheduler's last step, without other stages that fall between",
        "denoisers that are not called `transformer`, `transformer_2` or `unet`",
    ),
    DECODE: ("within `vae.decode`", "decoders of sound"),
    POST: (
        "from the last decoded latents to the finished clip, and within the pipeline's processor before",
        "nothing after the clip: no file is written",
    ),
}
_MARKS = "marks around the pipeline's own methods (on CUDA events, read at the end)"
TIMES = {
    stage: Reading(f"{stage}_time", "s", how=f"{how}; {_MARKS}", misses=misses)
    for stage, (how, misses) in _WITHIN.items()
}
OTHER_TIME = Reading(
    "other_time",
    "s",
    how="`latency` without all stages: setting up, drawing noise, moving parts between devices",
    misses="nothing: with the stages it is the latency",
)
STEP_TIME = Reading(
    "step_time",
    "s",
    window="one step of the scheduler, the mean of a call's",
    how="between the ends of `scheduler.step`; the series has every step, which add up to `denoising_time`",
    misses="pipelines that step without a scheduler",
)
DENOISING_STEPS = Reading(
    "denoising_steps",
    "1",
    better="neutral",
    how="calls of `scheduler.step`; those that no call of the denoiser lies between are one",
    misses="pipelines that step without a scheduler",
)
DENOISER_CALLS = Reading(
    "denoiser_calls",
    "1",
    better="neutral",
    how="calls of `transformer`, `transformer_2` and `unet`, eager or compiled: guidance in one call or in two shows",
    misses="how many clips one call denoises",
)
Moment = Any
"""A CUDA event, or seconds of `perf_counter`."""


class Stages:
    """A probe of one pipeline.

    Seconds of each stage and of what lies between them (`other_time`): together they are the latency. `step_time` is
    the mean of the steps, whose series has each; together they are `denoising_time`.

    Args:
        pipeline: of diffusers, or what is built like one.
        device: where it runs.
        entered: told of each stage as it begins, if it is another than the last.
    """

    readings: ClassVar[tuple[Reading, ...]] = (
        *TIMES.values(),
        OTHER_TIME,
        STEP_TIME,
        DENOISING_STEPS,
        DENOISER_CALLS,
    )

    def __init__(self, pipeline: Any, device: str, entered: Callable[[str], None] | None = None) -> None:
        self._pipeline = pipeline
        self._device = device
        self._entered = entered
        self._stage = ""
        self._inside = False
        self._spans: dict[str, list[tuple[Moment, Moment]]] = {}
        self._steps: list[Moment] = []
        self._origin: Moment = None
        self._failed: str | None = None
        self._hooks = Hooks()

    def start(self) -> None:
        """Put the hooks on."""
        self._spans, self._steps = {stage: [] for stage in STAGES}, []
        self._stage, self._inside, self._failed = "", False, None
        # chosen once: to ask at every step which clock it is would take longer than all the rest of a hook
        mark: Callable[[], Moment] = self._event if is_cuda(self._device) else time.perf_counter
        pipeline = self._pipeline
        vae = getattr(pipeline, "vae", None)
        processors = [getattr(pipeline, name, None) for name in PROCESSORS]
        methods = [(pipeline, "encode_prompt", TEXT), (vae, "encode", ENCODE), (vae, "decode", DECODE)]
        methods += [(one, name, POST) for one in processors for name in ("postprocess_video", "postprocess")]
        modules = [(name, TEXT) for name in TEXT_ENCODERS] + [(name, DENOISE) for name in DENOISERS]
        for owner, method, stage in methods:
            self._hooks.method(owner, method, functools.partial(self._timed, mark, stage))
        for name, stage in modules:
            self._hooks.module(getattr(pipeline, name, None), functools.partial(self._timed, mark, stage))
        self._hooks.method(getattr(pipeline, "scheduler", None), "step", functools.partial(self._stepped, mark))
        self._origin = mark()

    def note(self) -> None:
        """Moments are kept as they come."""

    def stop(self) -> None:
        """Take the hooks off."""
        self._hooks.off()

    def division(self, seconds: float | None, began: float) -> Division | None:
        """How the call's time divides; None where its marks or its end are not known.

        Args:
            seconds: how long it took.
            began: when it began, on the clock of `time.perf_counter`.
        """
        if seconds is None or self._failed or self._origin is None:
            return None
        clocks = set(map(type, self._moments()))
        if len(clocks) > 1:
            self._failed = "CUDA was first used within the call: its moments are not of one clock"
            return None
        since = _since(self._origin, began)
        try:
            spans = {stage: [(since(a), since(b)) for a, b in found] for stage, found in self._spans.items()}
            steps = [since(end) for end in self._steps]
        except (RuntimeError, ValueError) as error:  # an event of a device that failed meanwhile
            self._failed = f"the moments cannot be read: {error}"
            return None
        return divide(Marks(spans, steps, seconds))

    def read(self, window: Window) -> tuple[Measurement, ...]:
        """Seconds per stage; a stage that did not happen, or could not be hooked, is None and says so."""
        division = window.division
        if division is None:
            reason = self._failed or DEVICE_FAILED
            return tuple(one.of(None, reason=reason) for one in self.readings)
        calls, steps = len(self._spans[DENOISE]), division.steps
        no_step = None if steps else "no step of a scheduler was seen"
        mean = STEP_TIME.of(sum(steps) / len(steps) if steps else None, reason=no_step)
        return (
            *(
                one.of(division.stages.get(stage), reason=None if stage in division.stages else NOT_SEEN)
                for stage, one in TIMES.items()
            ),
            OTHER_TIME.of(division.other),
            replace(mean, series=tuple(round(step, 7) for step in steps) or None),
            DENOISING_STEPS.of(len(steps) or None, reason=no_step),
            DENOISER_CALLS.of(calls or None, reason=None if calls else "no call of a denoiser was seen"),
        )

    def _moments(self) -> Iterator[Moment]:
        """All that were kept."""
        yield self._origin
        yield from self._steps
        yield from itertools.chain.from_iterable(span for found in self._spans.values() for span in found)

    def _timed(
        self, mark: Callable[[], Moment], stage: str, call: Callable[..., Any], *arguments: Any, **named: Any
    ) -> Any:
        """Make a call and keep when; what is called within it belongs to it."""
        if self._inside:
            return call(*arguments, **named)
        if self._entered is not None:
            self._begin(stage)
        self._inside = True
        start = mark()
        try:
            return call(*arguments, **named)
        finally:
            self._inside = False
            self._spans[stage].append((start, mark()))

    def _stepped(self, mark: Callable[[], Moment], call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        try:
            return call(*arguments, **named)
        finally:
            self._steps.append(mark())

    def _begin(self, stage: str) -> None:
        if stage != self._stage and self._entered is not None:
            self._stage = stage
            try:
                self._entered(stage)
            except Exception as error:  # noqa: BLE001 - the generation goes on, whatever watches it
                self._entered = None
                self._failed = f"watching the stages failed: {type(error).__name__}: {error}"

    def _event(self) -> Moment:
        """On CUDA; None, and the reason is kept, if it cannot be marked."""
        try:
            cuda = cuda_in_use(self._device)
            if cuda is None:
                return time.perf_counter()
            event = cuda.Event(enable_timing=True)
            event.record(cuda.current_stream(self._device))
        except Exception as error:  # noqa: BLE001 - likewise
            self._failed = f"a moment could not be marked: {type(error).__name__}: {error}"
            return None
        return event


def _since(origin: Moment, began: float) -> Callable[[Moment], float]:
    """Tells seconds from where a call began: on the processor's clock, or from the event that was its first."""
    if isinstance(origin, float):
        return lambda moment: float(moment - began)
    return lambda event: float(origin.elapsed_time(event)) / 1000
