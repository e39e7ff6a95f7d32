"""What records say of each metric, as arrays: of a thousand records at once, where `readings` asks one.

What counts is decided here as there: the test passed, and what it cost was measured of this very call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from pytest_vdb.analysis.readings import Statement
from pytest_vdb.records import Definition, Measured, Metrics, Record


@dataclass(frozen=True)
class Said:
    """What some records say of one metric."""

    metric: str
    columns: Columns
    numbers: NDArray[np.float64]
    """`(n,)`: the value of each record; nan where none counts."""
    tried: NDArray[np.bool_]
    """`(n,)`: whether the record has a measurement of it at all."""
    definitions: tuple[tuple[Definition, NDArray[np.intp]], ...]
    """What it is, and in which records: one of each definition that there is, by the place of the first record."""

    @cached_property
    def counts(self) -> NDArray[np.bool_]:
        """`(n,)`: whether a value counts."""
        return ~np.isnan(self.numbers)

    def first(self) -> tuple[Definition, Record] | None:
        """The first record whose value counts, and what that is a value of; None: no value does."""
        if not self.counts.any():
            return None
        first = int(self.counts.argmax())
        found = self.definitions
        if len(found) > 1:
            found = tuple(one for one in found if first in one[1])
        return found[0][0], self.columns.records[first]

    def statements(
        self, of: NDArray[np.bool_] | None = None, order: NDArray[np.intp] | None = None
    ) -> Iterator[Statement]:
        """One by one.

        Args:
            of: `(n,)`, of which records; None: of all.
            order: `(n,)`, their places; None: as they stand.
        """
        places = np.arange(len(self.numbers)) if order is None else order
        chosen = places if of is None else places[of[places]]
        records, tried = self.columns.records, self.tried
        return (
            Statement.of(records[at], self.metric) if tried[at] else Statement(records[at], None)
            for at in chosen.tolist()
        )

    @property
    def is_read_once(self) -> bool:
        """Whether it is about the model, as `readings.is_read_once` has it."""
        costs = [places for definition, places in self.definitions if definition.kind == "performance"]
        asked = self.columns.watched
        return any(bool(asked[places].any()) for places in costs) and bool((asked & ~self.tried).any())

    @property
    def special(self) -> NDArray[np.bool_]:
        """`(n,)`: whose measurement may have more to say than its value."""
        return self.columns.special

    @property
    def values(self) -> list[float]:
        """Those that count."""
        found: list[float] = self.numbers[self.counts].tolist()
        return found

    def kinds_that_count(self) -> list[tuple[Definition, Record]]:
        """Of every definition with every kind of weights and publisher the first record whose value counts."""
        counts, setups = self.counts, self.columns.setups
        are_alike = not setups.any()  # the first one is 0
        firsts: dict[int, Definition] = {}
        for definition, places in self.definitions:
            counting = places[counts[places]]
            some = counting[:1] if are_alike else counting[np.unique(setups[counting], return_index=True)[1]]
            firsts |= dict.fromkeys(some.tolist(), definition)
        return [(firsts[at], self.columns.records[at]) for at in sorted(firsts)]


@dataclass(frozen=True, slots=True)
class _Block:
    """Records that measured the same."""

    metrics: Metrics
    places: NDArray[np.intp]
    """Ascending."""
    where: NDArray[np.intp] | slice
    """The same; of all records a slice, which needs no looking up."""
    table: NDArray[np.float64]
    """`(records, metrics)`; nan where there is no value."""


class Columns:
    """Some records, metric by metric.

    Args:
        records: in the order of the arrays.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records
        measured = Measured.of_all(records)
        places: dict[Metrics, list[int]] = {}
        for at, one in enumerate(measured):
            places.setdefault(one.metrics, []).append(at)
        self._blocks = [_block_of(metrics, own, measured) for metrics, own in places.items()]
        self.special: NDArray[np.bool_] = np.array([bool(one.special) for one in measured], dtype=np.bool_)
        """`(n,)`: whether some measurement has more to say than its value."""

    @cached_property
    def passed(self) -> NDArray[np.bool_]:
        """`(n,)`: whose test passed."""
        return np.array([record.status == "passed" for record in self.records], dtype=np.bool_)

    @cached_property
    def fresh(self) -> NDArray[np.bool_]:
        """`(n,)`: whose clip was made while it was watched."""
        return np.array([record.reused_from is None for record in self.records], dtype=np.bool_)

    @cached_property
    def watched(self) -> NDArray[np.bool_]:
        """`(n,)`: whose costs count."""
        return self.passed & self.fresh

    @cached_property
    def setups(self) -> NDArray[np.intp]:
        """`(n,)`: the same number for the same kind of weights and the same publisher."""
        found = list(map(attrgetter("weights", "published"), self.records))
        numbers = {setup: at for at, setup in enumerate(dict.fromkeys(found))}
        return np.array([numbers[setup] for setup in found] if len(numbers) > 1 else [0] * len(found), np.intp)

    @property
    def definitions(self) -> list[Definition]:
        """Of everything that was measured, or tried; some more than once."""
        return [definition for block in self._blocks for definition in block.metrics.definitions]

    @property
    def names(self) -> set[str]:
        """Of everything that was measured, or tried."""
        return {definition.name for definition in self.definitions}

    @cached_property
    def _published(self) -> NDArray[np.bool_]:
        return np.array([record.published is not None for record in self.records], dtype=np.bool_)

    def of(self, metric: str, *, but: Callable[[Definition], bool] | None = None) -> Said:
        """What they say of one metric.

        Args:
            metric: its name.
            but: definitions of which values do not count, unless others published them: only that they are missing.
        """
        numbers = np.full(len(self.records), np.nan)
        tried = np.zeros(len(self.records), dtype=np.bool_)
        definitions = []
        for block in self._blocks:
            at = block.metrics.places.get(metric)
            if at is None:
                continue
            definition, values = block.metrics.definitions[at], block.table[:, at]
            places, where = block.places, block.where
            if but is not None and but(definition):
                kept = np.isnan(values) | self._published[places]
                places, values = places[kept], values[kept]
                where = places
            counting = self.passed if definition.kind == "quality" else self.watched
            numbers[where] = np.where(counting[where], values, np.nan)
            tried[where] = True
            definitions.append((definition, places))
        return Said(metric, self, numbers, tried, tuple(definitions))

    def seen(self) -> Iterator[tuple[Definition, tuple[int, int], bool]]:
        """Of each metric of each block: its first record's place and its own there, and whether a value was seen.

        Where one was, the place is that of the first value.
        """
        for block in self._blocks:
            valued = ~np.isnan(block.table)
            firsts: list[int] = block.places[valued.argmax(axis=0)].tolist()
            counted: list[int] = valued.sum(axis=0).tolist()
            for at, definition in enumerate(block.metrics.definitions):
                yield definition, (int(block.places[0]), at), False
                if counted[at]:
                    yield definition, (firsts[at], at), True


def _block_of(metrics: Metrics, places: Sequence[int], measured: Sequence[Measured]) -> _Block:
    width = len(metrics.definitions)
    joined = b"".join([measured[at].numbers for at in places])
    table = np.asfortranarray(np.frombuffer(joined, dtype=np.float64).reshape(len(places), width))
    every = np.array(places, dtype=np.intp)
    return _Block(metrics, every, slice(None) if len(places) == len(measured) else every, table)


def described(first: Columns, second: Columns) -> list[Definition]:
    """What each metric is that either side measured of its pairs: quality before costs, as the tests measure.

    A measurement that has a value knows it best. The records of both sides are pairs, one by one.
    """
    every = [
        (definition.kind != "quality", pair, side, at, valued, definition)
        for side, columns in enumerate((first, second))
        for definition, (pair, at), valued in columns.seen()
    ]
    every.sort(key=lambda one: one[:4])
    best: dict[str, tuple[bool, Definition]] = {}
    for *_, valued, definition in every:
        known = best.get(definition.name)
        if known is None or (valued and not known[0]):
            best[definition.name] = valued, definition
    return [definition for _, definition in best.values()]
