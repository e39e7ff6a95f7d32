"""How metrics answer to clips made worse step by step: the rank correlation of each metric with the severity."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pytest_vdb.analysis.correlation import spearman
from pytest_vdb.degradations import WORST, degraded
from pytest_vdb.metrics.reference import gather

if TYPE_CHECKING:
    from pytest_vdb.metrics.contract import MetricSpec
    from pytest_vdb.metrics.engine import Engine, Scores
    from pytest_vdb.records import Better, Clip, Measurement, Prompt

HOLDS_FROM = 0.8
"""A claim holds where the mean correlation, in the metric's direction, is at least this: one swap of neighbours in six
severities costs 0.06."""

LEAST_SEVERITIES = 4
"""Severities at which a metric must give a number to be correlated at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How one metric answers to one degradation."""

    metric: str
    degradation: str
    better: Better
    claimed: bool
    """Whether the metric says that it ranks this degradation as a person would."""
    rho: float | None
    """Spearman's correlation of value and severity, mean over scenes; in [-1, 1]."""
    lowest: float | None = None
    """Of the scenes, in the metric's direction: the scene that follows the severity least."""
    scenes: int = 0
    reason: str | None = None
    wiring: bool = False

    @property
    def agreement(self) -> float | None:
        """The correlation of worse values with worse clips: 1 where the metric ranks as a person would."""
        return None if self.rho is None or self.better == "neutral" else self.rho * _sign(self.better)

    @property
    def holds(self) -> bool | None:
        """Whether the claim holds; None: nothing is claimed, or it could not be measured."""
        if not self.claimed or self.agreement is None:
            return None
        return self.agreement >= HOLDS_FROM


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One good clip, and the prompt that it answers, if any."""

    clip: Clip
    prompt: Prompt | None = None


def calibrate(engine: Engine, scenes: Sequence[Scene], degradations: Sequence[str]) -> Iterator[Answer]:
    """Degrade every scene at every severity and correlate; a paired metric compares with the scene itself.

    Answers come degradation by degradation, as they are found.

    A set metric compares all degraded scenes with the scenes themselves: one correlation, not one per scene.
    """
    clean = [engine.measure(scene.clip, scene.prompt, scene.clip) for scene in scenes]
    for degradation in degradations:
        measured = [[clean[i], *_worse(engine, scene, degradation)] for i, scene in enumerate(scenes)]
        for spec in engine.metrics:
            if spec.scope != "set":
                yield from (_answer_of_metric(spec, name, degradation, measured) for name in spec.part_names())
        yield from _of_sets(engine, clean, measured, degradation)


def correlation(values: Sequence[float | None]) -> float | None:
    """Spearman's correlation with 0, 1, 2, ...; None for fewer than four numbers, 0 where they are all equal."""
    known = [(severity, value) for severity, value in enumerate(values) if value is not None]
    if len(known) < LEAST_SEVERITIES:
        return None
    severities, found = np.array(known, dtype=np.float64).T
    rho = spearman(severities, found)
    return rho if math.isfinite(rho) else 0.0


def _worse(engine: Engine, scene: Scene, degradation: str) -> Iterator[Scores]:
    for severity in range(1, WORST + 1):
        yield engine.measure(degraded(scene.clip, degradation, severity), scene.prompt, scene.clip)


def _answer_of_metric(spec: MetricSpec, name: str, degradation: str, measured: Sequence[Sequence[Scores]]) -> Answer:
    found = [[_measurement_called(name, scores.measurements) for scores in of_scene] for of_scene in measured]
    rhos = [rho for of_scene in found if (rho := correlation([m.value for m in of_scene])) is not None]
    return _answer_over_scenes(spec, name, degradation, rhos, [m for of_scene in found for m in of_scene])


def _of_sets(
    engine: Engine, clean: Sequence[Scores], measured: Sequence[Sequence[Scores]], degradation: str
) -> Iterator[Answer]:
    specs = [spec for spec in engine.metrics if spec.scope == "set"]
    if not specs:
        return
    references = gather(clean, source="the scenes themselves")
    by_severity = [
        engine.measure_set([of_scene[severity] for of_scene in measured], references=references)
        for severity in range(WORST + 1)
    ]
    for spec in specs:
        for name in spec.part_names():
            found = [_measurement_called(name, measurements) for measurements in by_severity]
            rho = correlation([m.value for m in found])
            yield _answer_over_scenes(spec, name, degradation, [] if rho is None else [rho], found)


def _answer_over_scenes(
    spec: MetricSpec, name: str, degradation: str, rhos: Sequence[float], found: Sequence[Measurement]
) -> Answer:
    reasons = [m.reason for m in found if m.value is None and m.reason]
    return Answer(
        metric=name,
        degradation=degradation,
        better=spec.better,
        claimed=degradation in spec.orders,
        rho=math.fsum(rhos) / len(rhos) if rhos else None,
        lowest=min(rho * _sign(spec.better) for rho in rhos) if rhos else None,
        scenes=len(rhos),
        reason=None if rhos else (reasons or ["not measured"])[0],
        wiring=any(m.wiring for m in found),
    )


def _measurement_called(name: str, measurements: Sequence[Measurement]) -> Measurement:
    """The engine answers every part of every metric, if only with a reason."""
    return {measured.name: measured for measured in measurements}[name]


def _sign(better: Better) -> int:
    return -1 if better == "higher" else 1
