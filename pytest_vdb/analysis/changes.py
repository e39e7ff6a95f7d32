"""Which prompts changed most between two sides: what to look at first, with both clips."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pytest_vdb.analysis.comparison import Comparison, Contrast, Pairs
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
    by_prompt: dict[tuple[str, str], _Difference] = {}
    for pairs in comparison.benchmarks:
        for one in comparison.contrasts:
            if one.benchmark == pairs.benchmark and _tells_of_clips(one):
                for found in _differences_in_metric(one, pairs):
                    key = pairs.benchmark, found.prompt
                    if key not in by_prompt or found.times_usual > by_prompt[key].times_usual:
                        by_prompt[key] = found
    ordered = sorted(by_prompt.values(), key=lambda found: (-found.times_usual, found.prompt))
    return tuple(map(_as_change, ordered[:most]))


def _tells_of_clips(one: Contrast) -> bool:
    return one.kind == "quality" and not one.of_set and one.obstacle is None and one.difference is not None


class _Difference(NamedTuple):
    """What one metric says of one prompt."""

    prompt: str
    times_usual: float
    metric: Contrast
    pairs: Pairs
    samples: Sequence[tuple[int, float, float]]
    """The place of each pair, with A's and B's value."""


def _differences_in_metric(one: Contrast, pairs: Pairs) -> Iterator[_Difference]:
    first, second = (columns.of(one.metric) for columns in pairs.sides)
    places = (first.counts & second.counts).nonzero()[0]
    mine, theirs = (side.numbers[places].tolist() for side in (first, second))
    samples: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
    for at, a, b in zip(places.tolist(), mine, theirs, strict=True):
        samples[pairs.pairs[at][0].prompt or ""].append((at, a, b))
    differences = [mean_of([a - b for _, a, b in found]) for found in samples.values()]
    usual = _root_mean_square(differences)
    for (prompt, found), difference in zip(samples.items(), differences, strict=True):
        if difference:
            yield _Difference(prompt, abs(difference) / usual, one, pairs, found)


def _as_change(found: _Difference) -> Change:
    one, samples = found.metric, found.samples
    text = found.pairs.pairs[samples[0][0]][0].prompt_text or ""
    return Change(
        prompt=found.prompt,
        text=text,
        metric=one.metric,
        unit=one.unit,
        better=one.better,
        first=mean_of([a for _, a, _ in samples]),
        second=mean_of([b for _, _, b in samples]),
        times_usual=found.times_usual,
        pair=found.pairs.pairs[max(samples, key=lambda sample: abs(sample[1] - sample[2]))[0]],
    )


def _root_mean_square(values: Sequence[float]) -> float:
    return math.sqrt(math.fsum(value**2 for value in values) / len(values)) if values else 0.0
