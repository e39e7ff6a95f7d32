"""What one side of a gate says of a metric, pair by pair: a pair is a prompt, a seed and parameters.

The records of a model are put together once, for all rules that ask them; a metric is then a column of numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress, islice

import numpy as np
from numpy.typing import NDArray

from pytest_vdb.analysis.columns import Columns, Said
from pytest_vdb.analysis.pinned import Ranks, in_order
from pytest_vdb.analysis.readings import Statement
from pytest_vdb.records import Definition, Measurement, PairKey, Record
from pytest_vdb.statistics.means import mean_of

_ALL_AS_ONE: PairKey = (None, None, ())


class Answers:
    """Records of one model in one benchmark, by one recipe.

    Args:
        records: whatever became of them.
        ranks: of their prompts, where a gate may stop early.
    """

    def __init__(self, records: Sequence[Record], ranks: Ranks) -> None:
        self.records = records
        self._columns = Columns(records)
        self._places: dict[PairKey, list[int]] = {}
        for at, record in enumerate(records):
            self._places.setdefault(record.pair, []).append(at)
        self._order = sorted(self._places, key=in_order(ranks))

    def of(self, metric: str) -> Answer:
        """What they say of one metric."""
        return Answer(self._columns.of(metric), self._places, self._order)


@dataclass(frozen=True)
class Answer:
    """What one side says of one metric."""

    said: Said
    places: Mapping[PairKey, Sequence[int]]
    """Of each pair, in the order of the records, where its records stand."""
    order: Sequence[PairKey]
    """The pairs in the order in which they are compared."""

    @property
    def is_read_once(self) -> bool:
        """Whether it is about the model: such values have no pairs."""
        return self.said.is_read_once

    def as_one(self) -> Answer:
        """Everything that was tried, as of one pair."""
        tried = np.flatnonzero(self.said.tried).tolist()
        return Answer(self.said, {_ALL_AS_ONE: tried} if tried else {}, [_ALL_AS_ONE])

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
        if len(self.places) == len(numbers):  # one record each, as nearly always
            return dict(compress(zip(self.places, numbers, strict=True), does_count))
        found = {}
        for pair, places in self.places.items():
            if values := [numbers[at] for at in places if does_count[at]]:
                found[pair] = mean_of(values)
        return found

    def statements(self, pairs: Iterable[PairKey]) -> Iterator[Statement]:
        """Of all records of these pairs, one by one."""
        places = [at for pair in pairs for at in self.places[pair]]
        return self.said.statements(order=np.array(places, dtype=np.intp))

    def near(self, pair: PairKey) -> list[PairKey]:
        """The pair; or what stands for it: a test that died before it had its seed, or a model before any prompt."""
        prompt, _, parameters = pair
        known = (one for one in (pair, (prompt, None, parameters), _ALL_AS_ONE) if one in self.places)
        return list(islice(known, 1))

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
