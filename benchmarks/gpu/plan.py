"""How much of everything is done: in full on a card, or as a rehearsal that only shows that this script runs."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

from pytest_vdb.records import WeightsMode

MINUTES = 8.0
SECONDS_OF_PARTS = {"names": 15, "probes": 35, "sensors": 40, "overhead": 30, "clips": 55, "workers": 60, "models": 235}
"""The parts in their order, and how eight minutes are shared: what one leaves is there for those that follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is done."""

    is_rehearsal: bool
    """On a processor with tiny models and few frames: its figures are of nothing."""
    weights: WeightsMode
    models: tuple[str, ...] = ("wan2.1-t2v-1.3b", "cogvideox-2b", "ltx-video", "svd-xt")
    preset: str = "ml-energy"
    beside: tuple[str, ...] = ()
    """Settings of the recipe that win over the preset's."""
    warm_up_steps: int = 2
    """Of the full-shape call that comes before the timed one."""
    block_mib: int
    """Memory that is taken and given back."""
    burst_s: float
    """How long the device is kept busy to be timed."""
    window_s: float
    """How long it is kept busy for its sensors, which need 5 s."""
    slack_s: float
    """By how much two clocks may differ, whatever they time."""
    rounds: int
    """Pairs of calls that tell what profiling costs."""
    clips: int
    clip_shape: tuple[int, int, int]
    """Frames, height, width."""
    worker_tests: int
    """For each worker."""


ON_A_CARD = Plan(
    is_rehearsal=False,
    weights="random",
    block_mib=1024,
    burst_s=0.5,
    window_s=8.0,
    slack_s=0.002,
    rounds=8,
    clips=100,
    clip_shape=(49, 480, 720),
    worker_tests=4,
)
REHEARSAL = Plan(
    is_rehearsal=True,
    weights="tiny",
    beside=("steps=3",),
    block_mib=8,
    burst_s=0.05,
    window_s=0.5,
    slack_s=0.25,
    rounds=2,
    clips=3,
    clip_shape=(9, 64, 96),
    worker_tests=2,
)


class Time:
    """The minutes that there are, shared by the parts.

    Args:
        minutes: in all.
        clock: seconds that only go forward.
    """

    def __init__(self, minutes: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        factor = 60 * minutes / sum(SECONDS_OF_PARTS.values())
        ends = itertools.accumulate(SECONDS_OF_PARTS.values())
        self._ends = {part: factor * end for part, end in zip(SECONDS_OF_PARTS, ends, strict=True)}
        self.in_all_s = 60 * minutes

    def spent_s(self) -> float:
        """Since the beginning."""
        return self._clock() - self._began

    def left_s(self, part: str) -> float:
        """Until a part must have ended."""
        return self._ends[part] - self.spent_s()
