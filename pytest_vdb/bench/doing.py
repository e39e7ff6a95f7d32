"""What a process is busy with, for whoever looks on while a long generation runs: another thread, at any time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

from pytest_vdb.profiling.hooks import Hooks

Work = Literal["loads", "generates", "measures"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing:
    """What a process is doing at a moment."""

    work: Work
    model: str
    prompt: str | None = None
    began: float = 0.0
    """On the clock of `time.perf_counter`."""
    step: int = 0
    """Steps of the scheduler that are done; 0: none, or the model has none that can be seen."""
    steps: int | None = None
    """That there are in all, as far as the scheduler tells."""
    step_s: float | None = None
    """Mean seconds of a step after the first."""


class Activity:
    """Of one process. Nothing is hooked and nothing noted before somebody asks to look on."""

    def __init__(self) -> None:
        self.is_watched = False
        self.now: Doing | None = None
        """None: nothing that takes its time."""

    @contextmanager
    def of(self, work: Work, model: str, prompt: str | None = None, pipeline: Any = None) -> Iterator[None]:
        """A block of work.

        Args:
            work: what is done.
            model: its name.
            prompt: its id.
            pipeline: of diffusers, whose steps are counted; its output does not change by a bit.
        """
        if not self.is_watched:
            yield
            return
        before, self.now = self.now, Doing(work=work, model=model, prompt=prompt, began=time.perf_counter())
        scheduler = getattr(pipeline, "scheduler", None)
        try:
            with Hooks() as hooks:
                hooks.method(scheduler, "step", _Steps(self, scheduler).around)
                yield
        finally:
            self.now = before


class _Steps:
    """Counts the steps of one call."""

    def __init__(self, activity: Activity, scheduler: Any) -> None:
        self._activity = activity
        self._scheduler = scheduler
        self._first_ended = 0.0
        self._done = 0

    def around(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Make a step."""
        result = call(*arguments, **named)
        self._done += 1
        ended = time.perf_counter()
        if self._done == 1:
            self._first_ended = ended
        if (doing := self._activity.now) is not None:
            self._activity.now = replace(doing, step=self._done, steps=self._planned(), step_s=self._mean(ended))
        return result

    def _planned(self) -> int | None:
        """None where more were made than are planned: the pipeline denoises in several passes."""
        try:
            planned = len(self._scheduler.timesteps)
        except (AttributeError, TypeError):
            return None
        return planned if planned >= self._done else None

    def _mean(self, ended: float) -> float | None:
        return (ended - self._first_ended) / (self._done - 1) if self._done > 1 else None
