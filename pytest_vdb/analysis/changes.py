"""Which prompts changed most between two sides: what to look at first, with both clips."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_vdb.analysis.comparison import Comparison, Contrast, Pairs
from pytest_vdb.analysis.readings import Statement
from pytest_vdb.records import Better, Record
from pytest_vdb.statistics.means import mean_of

MOST_CHANGES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One prompt, in the metric in which it changed most."""

    prompt: str
    text: str
    metric: str
    unit: str
    better: Better
    first: float
    second: float
    """A's and B's mean over the prompt's samples."""
    times_usual: float
    """Its difference beside the usual one of this metric (the root of the mean square over prompts)."""
    pair: tuple[Record, Record]
    """The samples that differ most in it."""

    @property
    def difference(self) -> float:
        """A minus B."""
        return self.first - self.second


def most_changed(comparison: Comparison, *, most: int = MOST_CHANGES) -> tuple[Change, ...]:
    """The prompts that changed most, each once, in the metric of quality in which it stands out most.

    Args:
        comparison: of two sides; metrics that cannot be compared, of whole sets and of costs say nothing here.
        most: how many at most.
    """
    by_prompt: dict[tuple[str, str], Change] = {}
    for pairs in comparison.benchmarks:
        for one in comparison.contrasts:
            if one.benchmark == pairs.benchmark and _tells_of_clips(one):
                for change in _changes_in_metric(one, pairs):
                    key = pairs.benchmark, change.prompt
                    if key not in by_prompt or change.times_usual > by_prompt[key].times_usual:
                        by_prompt[key] = change
    ordered = sorted(by_prompt.values(), key=lambda change: (-change.times_usual, change.prompt))
    return tuple(ordered[:most])


def _tells_of_clips(one: Contrast) -> bool:
    return one.kind == "quality" and not one.of_set and one.obstacle is None and one.difference is not None


_Sample = tuple[float, float, tuple[Record, Record]]
"""A's and B's value of one pair, and the pair."""


def _changes_in_metric(one: Contrast, pairs: Pairs) -> Iterator[Change]:
    samples: dict[str, list[_Sample]] = defaultdict(list)
    for pair in pairs.pairs:
        first, second = (Statement.of(record, one.metric).value for record in pair)
        if first is not None and second is not None:
            samples[pair[0].prompt or ""].append((first, second, pair))
    differences = {prompt: mean_of([a - b for a, b, _ in found]) for prompt, found in samples.items()}
    usual = _root_mean_square(list(differences.values()))
    for prompt, found in samples.items():
        if differences[prompt]:
            yield Change(
                prompt=prompt,
                text=found[0][2][0].prompt_text or "",
                metric=one.metric,
                unit=one.unit,
                better=one.better,
                first=mean_of([a for a, _, _ in found]),
                second=mean_of([b for _, b, _ in found]),
                times_usual=abs(differences[prompt]) / usual,
                pair=max(found, key=lambda sample: abs(sample[0] - sample[1]))[2],
            )


def _root_mean_square(values: Sequence[float]) -> float:
    return math.sqrt(math.fsum(value**2 for value in values) / len(values)) if values else 0.0
