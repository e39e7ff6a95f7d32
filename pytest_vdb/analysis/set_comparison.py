"""The same question of set metrics: is A's whole set of clips nearer to the reference than B's, or is it noise?

A set has one value, so nothing can be averaged over prompts. Instead the clips of random prompts are swapped between A
and B, again and again: were both the same, the difference that was seen would be one of those that swapping gives.

The interval of the difference comes from both sides' jackknife bars, put together as if the sides had nothing in
common. They share prompts and reference, so it is rather too wide, and may hold zero where the swaps exclude it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_vdb.analysis.comparison import NULLS, Contrast, Pairs, of_another_definition, why_says_nothing
from pytest_vdb.errors import CannotMeasure
from pytest_vdb.metrics.contract import MetricSpec, ReferenceFeatures
from pytest_vdb.metrics.engine import Engine, Scores
from pytest_vdb.metrics.resampling import SwapTest, swap_test
from pytest_vdb.records import Measurement, Prompt, Record
from pytest_vdb.results import features
from pytest_vdb.statistics.families import SIGNIFICANCE

TINY = "tiny"
"""The identity of a tiny random network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swaps:
    """How set metrics are tested."""

    permutations: int
    """Random swaps; all there are where these are not more."""
    seed: int


def seen(record: Record, folder: Path) -> Scores:
    """What the networks saw in a record's clip; nothing where the record kept nothing.

    Raises:
        RecordError: the file that the record names is missing or torn.
    """
    if record.features is None:
        return Scores(())
    return Scores((), *features.load(folder / record.features))


def contrast_sets(
    spec: MetricSpec,
    pairs: Pairs,
    scores: Sequence[tuple[Scores, Scores]],
    *,
    references: Mapping[str, ReferenceFeatures],
    swaps: Swaps,
    cache_dir: Path,
    obstacle: str | None = None,
) -> tuple[Contrast, ...]:
    """What one set metric says, on the pairs that have what it looks at on both sides; not judged yet.

    Args:
        spec: a set metric.
        pairs: of one benchmark.
        scores: what the networks saw in each pair's clips.
        references: the reference set's features, by feature.
        swaps: how many, and their seed.
        cache_dir: where weights lie; none are opened.
        obstacle: why nothing of these pairs can be compared.
    """
    having = [at for at, both in enumerate(scores) if all(set(spec.features) <= set(one.features) for one in both)]
    chosen = [pairs.pairs[at] for at in having]
    sets = _Sets(
        spec=spec,
        prompts=[Prompt(id=record.prompt or "", text=record.prompt_text or "") for record, _ in chosen],
        samples=[scores[at][0] for at in having] + [scores[at][1] for at in having],
        references=references,
        engine=Engine((spec,), tiny=_any_tiny(spec, scores), cache_dir=cache_dir),
    )
    without = len(scores) - len(chosen)
    lacking = (f"{without} of {len(scores)} pairs have no feature {' or '.join(spec.features)}",) if without else ()
    if not chosen:
        kept = "what its network sees was not kept on both sides: measure it in the runs (a baseline file keeps none)"
        none = obstacle or kept
        return tuple(_blank(spec, pairs, name, none) for name in spec.part_names())
    n = len(chosen)
    measured = zip(sets.measured(range(n)), sets.measured(range(n, 2 * n)), strict=True)
    return tuple(
        _contrast_of_part(sets, pairs.benchmark, chosen[0], both, swaps=swaps, obstacle=obstacle, remarks=lacking)
        for both in measured
    )


def unknown(name: str, pairs: Pairs) -> Contrast:
    """A set metric of the run that nobody here can compute again."""
    blank = Contrast(benchmark=pairs.benchmark, metric=name, unit="1", better="neutral", kind="quality", of_set=True)
    return replace(blank, obstacle="no metric of this name is known here: give the file that tags it (--from FILE)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sets:
    """Both sides' samples in one row, A's before B's: a set is a choice of row numbers."""

    spec: MetricSpec
    prompts: Sequence[Prompt]
    """Of each pair."""
    samples: Sequence[Scores]
    references: Mapping[str, ReferenceFeatures]
    engine: Engine

    def measured(self, rows: Sequence[int]) -> tuple[Measurement, ...]:
        """The metric's parts of these rows, one of each pair in the pairs' order."""
        return self.engine.measure_set(
            [self.samples[row] for row in rows], prompts=self.prompts, references=self.references
        )

    def test(self, name: str, swaps: Swaps) -> SwapTest:
        """Whether the sides differ in one part of the metric, the samples of a prompt swapped together.

        Raises:
            CannotMeasure: a set that some swap gives cannot be measured.
        """
        groups = [prompt.id for prompt in self.prompts]
        how: dict[str, Any] = {"permutations": swaps.permutations, "seed": swaps.seed, "groups": groups}
        n = len(self.prompts)
        if self.spec.swaps is not None:
            seen = [sample.features[self.spec.features[0]] for sample in self.samples]
            shapes = sorted({row.shape for row in seen})
            if len(shapes) > 1:
                raise CannotMeasure(f"the clips' features have different shapes: {', '.join(map(str, shapes))}")
            rows = np.stack(seen).astype(np.float64)
            reference = self.references.get(self.spec.features[0])
            return self.spec.swaps(rows[:n], rows[n:], reference, **how)

        def value(rows: NDArray[np.intp]) -> float:
            part = {measured.name: measured for measured in self.measured(rows[:, 0].tolist())}[name]
            if part.value is None:
                raise CannotMeasure(part.reason or "no value of a swapped set")
            return part.value

        numbers = np.arange(2 * n)[:, None]
        return swap_test(numbers[:n], numbers[n:], value, **how)


def _contrast_of_part(
    sets: _Sets,
    benchmark: str,
    records: tuple[Record, Record],
    both: tuple[Measurement, Measurement],
    *,
    swaps: Swaps,
    obstacle: str | None,
    remarks: tuple[str, ...],
) -> Contrast:
    first, second = both
    one = Contrast(
        benchmark=benchmark,
        metric=first.name,
        unit=first.unit,
        better=first.better,
        kind=first.kind,
        of_set=True,
        n=len(sets.prompts),
        first=first.value,
        second=second.value,
        remarks=remarks,
    )
    if first.value is None or second.value is None:
        return replace(one, obstacle=obstacle or _without_value(first, second))
    if barrier := obstacle or of_another_definition(first, second):
        return replace(one, obstacle=barrier)
    meaningless = (why_says_nothing(m, record) for m, record in zip(both, records, strict=True))
    one = replace(one, obstacle=next(filter(None, meaningless), None), difference=first.value - second.value)
    said = tuple(dict.fromkeys(m.reason for m in both if m.reason))
    prompts = len({prompt.id for prompt in sets.prompts})
    if prompts < 2:
        return replace(one, remarks=(*remarks, *said, "1 prompt: there is nothing to swap"))
    try:
        found = sets.test(first.name, swaps)
    except CannotMeasure as error:
        return replace(one, remarks=(*remarks, *said, f"no test: {error.what}"))
    least = 1 / (1 + found.permutations)
    one = replace(one, interval=_interval_of_difference(first, second), test="swaps", null=NULLS["swaps"])
    few = (f"{prompts} prompts: p cannot fall below {least:.2g}, too few to tell anything apart",)
    said += few if least >= SIGNIFICANCE else ()
    return replace(one, p=found.p, permutations=found.permutations, remarks=(*remarks, *said))


def _interval_of_difference(first: Measurement, second: Measurement) -> tuple[float, float] | None:
    """From the bars of both, whose upper halves are whole: a distance's lower one ends at 0."""
    if first.interval is None or second.interval is None or first.value is None or second.value is None:
        return None
    reach = math.hypot(first.interval[1] - first.value, second.interval[1] - second.value)
    difference = first.value - second.value
    return difference - reach, difference + reach


def _without_value(first: Measurement, second: Measurement) -> str:
    reasons = dict.fromkeys(m.reason for m in (first, second) if m.value is None and m.reason)
    return "; ".join(reasons)


def _any_tiny(spec: MetricSpec, scores: Sequence[tuple[Scores, Scores]]) -> bool:
    """Whether a tiny random network was looked through."""
    return TINY in {one.identities.get(name) for both in scores for one in both for name in spec.features}


def _blank(spec: MetricSpec, pairs: Pairs, name: str, obstacle: str) -> Contrast:
    blank = Contrast(
        benchmark=pairs.benchmark, metric=name, unit=spec.unit, better=spec.better, kind="quality", of_set=True
    )
    return replace(blank, obstacle=obstacle)
