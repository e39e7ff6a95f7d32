"""Which prompts changed most between two sides: what to look at first, with both clips."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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
    found = [one for pairs in comparison.benchmarks for one in _outstanding(pairs, comparison.contrasts)]
    found.sort(key=lambda one: (-one.times_usual, one.prompt))
    return tuple(map(_as_change, found[:most]))


def _tells_of_clips(one: Contrast) -> bool:
    return one.kind == "quality" and not one.of_set and one.obstacle is None and one.difference is not None


class _Outstanding(NamedTuple):
    """What one metric says of one prompt."""

    prompt: str
    times_usual: float
    metric: Contrast
    pairs: Pairs
    places: NDArray[np.intp]
    """Of the prompt's pairs."""


def _outstanding(pairs: Pairs, contrasts: Sequence[Contrast]) -> list[_Outstanding]:
    """Each prompt of which some metric differs, in the metric in which it stands out most; of equal ones, the first."""
    telling = [one for one in contrasts if one.benchmark == pairs.benchmark and _tells_of_clips(one)]
    places: dict[str, list[int]] = {}
    for at, (first, _) in enumerate(pairs.pairs):
        places.setdefault(first.prompt or "", []).append(at)
    prompts = [np.array(own, dtype=np.intp) for own in places.values()]
    times, metric = np.full(len(prompts), -1.0), np.zeros(len(prompts), dtype=np.intp)
    for at, one in enumerate(telling):
        differences = _differences_of_prompts(one.metric, pairs, prompts)
        usual = _root_mean_square(differences[~np.isnan(differences)].tolist())
        stands_out = np.abs(np.where(differences == 0, np.nan, differences)) / (usual or 1.0)
        more = stands_out > times
        times[more], metric[more] = stands_out[more], at
    return [
        _Outstanding(prompt, times[number].item(), telling[metric[number]], pairs, prompts[number])
        for number, prompt in enumerate(places)
        if times[number] >= 0
    ]


def _differences_of_prompts(metric: str, pairs: Pairs, prompts: Sequence[NDArray[np.intp]]) -> NDArray[np.float64]:
    """`(p,)`: A minus B, the mean over the pairs of each prompt that have values on both sides; nan where none has."""
    first, second = (columns.of(metric).numbers for columns in pairs.sides)
    differences = first - second
    if len(prompts) == len(differences):
        return differences
    valued = [differences[own][~np.isnan(differences[own])].tolist() for own in prompts]
    return np.array([mean_of(own) if own else math.nan for own in valued])


def _as_change(found: _Outstanding) -> Change:
    one, pairs = found.metric, found.pairs
    numbers = (columns.of(one.metric).numbers[found.places].tolist() for columns in pairs.sides)
    samples = [(at, a, b) for at, a, b in zip(found.places.tolist(), *numbers, strict=True) if not math.isnan(a - b)]
    return Change(
        prompt=found.prompt,
        text=pairs.pairs[samples[0][0]][0].prompt_text or "",
        metric=one.metric,
        unit=one.unit,
        better=one.better,
        first=mean_of([a for _, a, _ in samples]),
        second=mean_of([b for _, _, b in samples]),
        times_usual=found.times_usual,
        pair=pairs.pairs[max(samples, key=lambda sample: abs(sample[1] - sample[2]))[0]],
    )


def _root_mean_square(values: Sequence[float]) -> float:
    """0 of none; also where squares are too large or too small for a number."""
    try:
        squares = math.fsum(value**2 for value in values)
    except OverflowError:
        squares = math.inf
    if 0 < squares < math.inf:
        return math.sqrt(squares / len(values))
    largest = max(map(abs, values), default=0.0)
    return largest * math.sqrt(math.fsum((value / largest) ** 2 for value in values) / len(values)) if largest else 0.0
