"""What one side of a gate says of a metric, pair by pair: a pair is a prompt, a seed and parameters.

The records of a model are put together once, for all rules that ask them; a metric is then a column of numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pytest_vdb.analysis.columns import Columns, Said
from pytest_vdb.analysis.readings import Statement
from pytest_vdb.records import Definition, Measurement, PairKey, Record
from pytest_vdb.statistics.means import mean_of

_ALL_AS_ONE: PairKey = (None, None, ())


class Answers:
    """Records of one model in one benchmark, by one recipe.

    Args:
        records: whatever became of them.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records
        self.columns = Columns(records)
        self.places: dict[PairKey, list[int]] = {}
        """Of each pair, where its records stand."""
        for at, record in enumerate(records):
            self.places.setdefault(record.pair, []).append(at)

    def of(self, metric: str) -> Answer:
        """What they say of one metric."""
        return Answer(self.columns.of(metric), self.places)


@dataclass(frozen=True)
class Answer:
    """What one side says of one metric."""

    said: Said
    places: Mapping[PairKey, Sequence[int]]
    """Of each pair, where its records stand."""

    @property
    def is_read_once(self) -> bool:
        """Whether it is about the model: such values have no pairs."""
        return self.said.is_read_once

    def as_one(self) -> Answer:
        """Everything that was tried, as of one pair."""
        tried = np.flatnonzero(self.said.tried).tolist()
        return Answer(self.said, {_ALL_AS_ONE: tried} if tried else {})

    @cached_property
    def means(self) -> dict[PairKey, float]:
        """The mean of each pair whose values count."""
        return self._means_where(self.said.counts)

    def means_in(self, run: str) -> dict[PairKey, float]:
        """Likewise, of the records of one run where those of several stand together."""
        of_run = np.array([record.run == run for record in self.said.columns.records], dtype=np.bool_)
        return self._means_where(self.said.counts & of_run)

    def answered(self, runs: Sequence[str] = ()) -> list[PairKey]:
        """Pairs that have a value; where several runs are asked, one of each."""
        asked = [self.means_in(run) for run in runs]
        return [pair for pair in self.means if all(pair in means for means in asked)] if asked else list(self.means)

    def _means_where(self, counts: NDArray[np.bool_]) -> dict[PairKey, float]:
        numbers, does_count = self.said.numbers.tolist(), counts.tolist()
        found = {}
        for pair, places in self.places.items():
            if len(places) > 1:
                if values := [numbers[at] for at in places if does_count[at]]:
                    found[pair] = mean_of(values)
            elif does_count[places[0]]:
                found[pair] = numbers[places[0]]
        return found

    def statements(self, pairs: Iterable[PairKey]) -> Iterator[Statement]:
        """Of all records of these pairs, one by one."""
        places = [at for pair in pairs for at in self.places[pair]]
        return self.said.statements(order=np.array(places, dtype=np.intp))

    def near(self, pair: PairKey) -> list[PairKey]:
        """The pair; or what stands for it: a test that died before it had its seed, or a model before any prompt."""
        prompt, _, parameters = pair
        known = (one for one in (pair, (prompt, None, parameters), _ALL_AS_ONE) if one in self.places)
        return [one for _, one in zip(range(1), known, strict=False)]

    def over(self, pairs: Iterable[PairKey]) -> Compared:
        """What stands behind a comparison of these pairs, each of which has a value."""
        return Compared(self.said, [at for pair in pairs for at in self.places[pair]])


@dataclass(frozen=True)
class Compared:
    """Records of one side whose values are compared with the other's."""

    said: Said
    places: Sequence[int]
    """Of all records, pair by pair; at least one counts."""

    @property
    def records(self) -> list[Record]:
        """Those, too, whose values do not count."""
        every = self.said.columns.records
        return [every[at] for at in self.places]

    @cached_property
    def counting(self) -> list[Record]:
        """Those whose values count."""
        counts, every = self.said.counts, self.said.columns.records
        return [every[at] for at in self.places if counts[at]]

    @cached_property
    def first(self) -> Measurement:
        """The first that counts."""
        measured = self.counting[0].measurement(self.said.metric)
        assert measured is not None  # it has a value
        return measured

    @cached_property
    def definitions(self) -> list[Definition]:
        """What the values that count are values of."""
        compared = np.zeros(len(self.said.numbers), dtype=np.bool_)
        compared[self.places] = True
        counting = compared & self.said.counts
        return [definition for definition, places in self.said.definitions if counting[places].any()]
