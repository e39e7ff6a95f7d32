"""What counts of a record, and why the rest does not: leaderboard, gate and comparison ask here and nowhere else.

A value counts if its test passed and if it was measured of this very call: a clip from the cache has no latency. What
counts may still say nothing about its model: the pixels of random weights mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pytest_vdb.escaping import shortened
from pytest_vdb.records import (
    REAL_WEIGHTS,
    YARDSTICKS,
    Definition,
    Kind,
    Measured,
    Measurement,
    Record,
    Status,
    WeightsMode,
)

NOT_MEASURED = "not measured by these tests"
EXACT_COSTS = frozenset({"peak_memory_allocated", "peak_memory_reserved"})
"""Costs that depend neither on how busy or warm the machine was nor on what the process did before."""
_LONGEST_LINE = 400
"""Characters of a failure in a table; the page has the traceback."""
_TOLD_BY_STATUS: frozenset[Status] = frozenset({"skipped", "xfailed", "interrupted"})
"""What pytest raises to end such a test says nothing besides."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What one record says of one metric."""

    record: Record
    measurement: Measurement | None
    """As it was recorded; None: the test did not even try."""

    @classmethod
    def of(cls, record: Record, metric: str) -> Statement:
        """By the metric's name."""
        return cls(record, record.measurement(metric))

    @property
    def value(self) -> float | None:
        """The value, if it counts."""
        if self.record.status != "passed" or self.measurement is None or self._is_of_another_call:
            return None
        return self.measurement.value

    @property
    def why_not(self) -> str:
        """Why no value counts; nothing where one does."""
        if self.record.status != "passed":
            return failure_line(self.record)
        if self.measurement is None:
            return NOT_MEASURED if self.record.published is None else "not published"
        if self.measurement.value is None:
            return self.measurement.reason or ""
        return "the clip came from the cache: nothing was timed" if self._is_of_another_call else ""

    @property
    def _is_of_another_call(self) -> bool:
        """Whether it is what a clip cost whose making was not watched."""
        measured = self.measurement
        return measured is not None and measured.kind == "performance" and self.record.reused_from is not None


def counting(statements: Iterable[Statement]) -> list[tuple[Record, Measurement]]:
    """Those whose value counts."""
    return [(r.record, r.measurement) for r in statements if r.measurement is not None and r.value is not None]


def definitions_in(records: Iterable[Record]) -> Iterator[Definition]:
    """What they measured, or tried to, each once for all records that measured the same, in the records' order."""
    measurements = (record.measurements for record in records)
    every = dict.fromkeys(m.metrics if isinstance(m, Measured) else Measured.of(m).metrics for m in measurements)
    return (definition for metrics in every for definition in metrics.definitions)


def is_read_once(statements: Iterable[Statement]) -> bool:
    """Whether it is about the model, like its load time: read in whichever test came first, not even tried in others.

    Such values have no prompts: the model's mean is shown, and compared.
    """
    fresh = [r.measurement for r in statements if r.record.status == "passed" and r.record.reused_from is None]
    return None in fresh and any(measured is not None and measured.kind == "performance" for measured in fresh)


def is_of_set(record: Record) -> bool:
    """Whether it is no test's record: what was measured of all clips after the last test."""
    return record.prompt is None and record.seed is None


def is_yardstick(model: str) -> bool:
    """Whether a model makes clips of known quality: it measures the metrics, not the other way round."""
    return model.startswith(YARDSTICKS)


def why_meaningless(
    kind: Kind, weights: WeightsMode | None, *, wiring: bool = False, published: str | None = None
) -> str | None:
    """Why a value of this kind under these weights says nothing about its model, or None if it does."""
    if published is not None:
        return f"published in {published}, not measured here"
    if weights == "tiny":
        return "tiny random weights prove the wiring only"
    if wiring:
        return "computed by random weights: proves the wiring only"
    if kind == "quality" and weights not in REAL_WEIGHTS:
        return "the pixels of random weights mean nothing" if weights == "random" else "the weights are unknown"
    return "the weights are unknown" if weights is None else None


def failure_line(record: Record) -> str:
    """One line on why a test that did not pass did not: `failed: BadClip: one constant colour`."""
    status = "failed as expected" if record.status == "xfailed" else record.status.replace("_", " ")
    if record.failure is None:
        return status
    kind, first = record.failure.type, next(iter(record.failure.message.strip().splitlines()), "")
    told = record.status in _TOLD_BY_STATUS or kind == record.status or first.startswith(kind)
    return shortened(": ".join(part for part in (status, "" if told else kind, first) if part), _LONGEST_LINE)
