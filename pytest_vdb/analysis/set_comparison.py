"""The same question of set metrics: is A's whole set of clips nearer to the reference than B's, or is it noise?

A set has one value, so nothing can be averaged over prompts. Instead the clips of random prompts are swapped between A
and B, again and again: were both the same, the difference that was seen would be one of those that swapping gives.

The interval of the difference comes from both sides' jackknife bars, put together as if the sides had nothing in
common. They share prompts and reference, so it is rather too wide, and may hold zero where the swaps exclude it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pytest_vdb.analysis.comparison import NULLS, Contrast, Pairs, of_another_definition, why_says_nothing
from pytest_vdb.analysis.paired_sets import PairedSets, Swaps
from pytest_vdb.errors import CannotMeasure
from pytest_vdb.metrics.contract import MetricSpec, ReferenceFeatures
from pytest_vdb.metrics.engine import Scores
from pytest_vdb.records import Measurement
from pytest_vdb.statistics.families import SIGNIFICANCE


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
    sets = PairedSets.of(spec, pairs.pairs, scores, references=references, cache_dir=cache_dir)
    without = len(scores) - len(sets.pairs)
    lacking = (f"{without} of {len(scores)} pairs have no feature {' or '.join(spec.features)}",) if without else ()
    if not sets.pairs:
        kept = "what its network sees was not kept on both sides: measure it in the runs (a baseline file keeps none)"
        none = obstacle or kept
        return tuple(_blank(spec, pairs, name, none) for name in spec.part_names())
    return tuple(
        _contrast_of_part(sets, pairs.benchmark, both, swaps=swaps, obstacle=obstacle, remarks=lacking)
        for both in sets.values()
    )


def unknown(name: str, pairs: Pairs) -> Contrast:
    """A set metric of the run that nobody here can compute again."""
    blank = Contrast(benchmark=pairs.benchmark, metric=name, unit="1", better="neutral", kind="quality", of_set=True)
    return replace(blank, obstacle="no metric of this name is known here: give the file that tags it (--from FILE)")


def _contrast_of_part(
    sets: PairedSets,
    benchmark: str,
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
    meaningless = (why_says_nothing(m, record) for m, record in zip(both, sets.pairs[0], strict=True))
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


def _blank(spec: MetricSpec, pairs: Pairs, name: str, obstacle: str) -> Contrast:
    blank = Contrast(
        benchmark=pairs.benchmark, metric=name, unit=spec.unit, better=spec.better, kind="quality", of_set=True
    )
    return replace(blank, obstacle=obstacle)
