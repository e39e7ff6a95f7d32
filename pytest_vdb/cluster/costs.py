"""What a test of a model takes: as earlier records measured it, else as the estimate has it; nothing is made up.

Records of another recipe, other weights or other hardware say nothing: hardware is never mixed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from pytest_vdb.estimates.prediction import OWN_HALF_WIDTH, Range
from pytest_vdb.profiling.latency import FIRST_CALL, LOAD_TIME
from pytest_vdb.records import Record

START_S = 10.0
"""Of a session until its first test begins: imports and collection; processor seconds measured on 50 shards of tiny
models (docs/cluster.md)."""
READ_GB_PER_S = 0.5
"""At which weights are read from a disk, where nobody measured a load: assumed, and said to be."""
ASSUMED_HALF_WIDTH = math.log(3)
"""Of what is assumed: a third, or three times as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What decides what a test takes."""

    model: str
    recipe: str | None
    """Its digest."""
    weights: str | None
    hardware: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a model takes on one device; ends of 90% intervals beside it."""

    load_s: float
    """Until its first clip can be made: the load and the warm-up."""
    test_s: Range
    """Of one test: generating and measuring, without the load."""
    rests_on: str

    @property
    def half_width(self) -> float:
        """Of the interval, in natural logarithms."""
        return math.log(self.test_s.high / self.test_s.low) / 2 if self.test_s.low > 0 else 0.0


def measured_costs(records: Iterable[Record]) -> Mapping[Setup, Cost]:
    """What records measured, by what it depends on; a reused clip and a test that did not pass say nothing."""
    loads: dict[Setup, list[float]] = defaultdict(list)
    tests: dict[Setup, list[float]] = defaultdict(list)
    runs: dict[Setup, str] = {}
    for record in records:
        if record.status != "passed" or record.reused_from is not None or not record.duration_s:
            continue
        setup = setup_of(record)
        load_s = sum(_seconds(record, name) for name in (LOAD_TIME.name, FIRST_CALL.name))
        if load_s:
            loads[setup].append(load_s)
        tests[setup].append(max(record.duration_s - load_s, 1e-3))
        runs[setup] = max(record.run, runs.get(setup, ""))
    return {setup: _cost_measured(loads[setup], seconds, runs[setup]) for setup, seconds in tests.items()}


def setup_of(record: Record) -> Setup:
    """What decides what a record's test takes."""
    return Setup(model=record.model, recipe=record.recipe_digest, weights=record.weights, hardware=record.hardware)


def _cost_measured(loads: list[float], tests: list[float], run: str) -> Cost:
    mean = sum(tests) / len(tests)
    half = math.exp(OWN_HALF_WIDTH)
    said = f"{len(tests)} tests, last run {run}"
    return Cost(
        load_s=max(loads, default=0.0), test_s=Range(value=mean, low=mean / half, high=mean * half), rests_on=said
    )


def _seconds(record: Record, name: str) -> float:
    found = record.measurement(name)
    return 0.0 if found is None or found.value is None else found.value


def estimated_cost(seconds: Range, download_gb: float | None, rests_on: str) -> Cost:
    """What nobody measured: the estimate of a clip, and a load at an assumed speed.

    Args:
        seconds: of a clip.
        download_gb: size of the weights; None: not known, and no load is in it.
        rests_on: what the estimate rests on.
    """
    if download_gb is None:
        return Cost(load_s=0.0, test_s=seconds, rests_on=f"{rests_on}; its load is not known")
    said = f"{rests_on}; its load assumed at {READ_GB_PER_S:g} GB/s"
    return Cost(load_s=download_gb / READ_GB_PER_S, test_s=seconds, rests_on=said)


def joined(costs: Iterable[Cost]) -> Cost:
    """Of a model that is run under several recipes: the longest load, the mean of their tests.

    Raises:
        ValueError: there are none.
    """
    costs = list(costs)
    longest = max(costs, key=lambda cost: cost.load_s)
    if len(costs) == 1:
        return longest
    ends = {end: sum(getattr(cost.test_s, end) for cost in costs) / len(costs) for end in ("value", "low", "high")}
    return replace(longest, test_s=Range(**ends), rests_on=f"{longest.rests_on}; and {len(costs) - 1} more recipes")
