"""The columns of a table, and the cells of a row: each the mean of what a thousand records say, by way of arrays."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import compress
from operator import attrgetter, itemgetter

import numpy as np
from numpy.typing import NDArray

from pytest_vdb.analysis.columns import Columns, Said
from pytest_vdb.analysis.ranking import OF_THE_SET
from pytest_vdb.analysis.readings import NOT_MEASURED, why_meaningless
from pytest_vdb.analysis.tables import NEUTRAL, Cell, Column, PromptMeans, Prompts
from pytest_vdb.records import Better, Definition, Kind, Record
from pytest_vdb.statistics.means import mean_of_rates

Prompt = tuple[str | None, str | None]
"""A prompt's id and text."""
prompt_of: Callable[[Record], Prompt] = attrgetter("prompt", "prompt_text")
"""What a record answers: asked of hundreds of thousands."""


def columns_of_rows(rows: Sequence[Columns], places: Sequence[Sequence[int]]) -> tuple[Column, ...]:
    """Quality before performance, each in the order in which the tests measure.

    A missing value often does not know its version (absent weights have none), a published one never does: they make a
    column only where nothing was measured.

    Args:
        rows: the records of each row; others published all of a row's, or none.
        places: of each row's records among those of all rows.
    """
    seen = [
        ((own[at], metric), definition, valued, row.records[0].published is not None)
        for row, own in zip(rows, places, strict=True)
        for definition, (at, metric), valued in row.seen()
    ]
    ours = [(place, definition, valued) for place, definition, valued, published in seen if not published]
    with_value = {definition.name for _, definition, valued in ours if valued}
    found = [(place, one) for place, one, valued in ours if valued or one.name not in with_value]
    known = {definition.name for _, definition in found}
    theirs = [(place, one) for place, one, _, published in seen if published and one.name not in known]
    ordered = [definition for part in (found, theirs) for _, definition in sorted(part, key=itemgetter(0))]
    columns = [
        Column(name=n, unit=u, better=b, kind=k, version=v) for n, u, b, k, v in dict.fromkeys(map(_key_of, ordered))
    ]
    return tuple(sorted(columns, key=lambda column: column.kind != "quality"))


def _key_of(of: Column | Definition) -> tuple[str, str, Better, Kind, str]:
    """By what columns are told apart."""
    return of.name, of.unit, of.better, of.kind, of.version


class RowStatements:
    """What the records of one row say, by column; a missing or a published value stands in every column of its name."""

    def __init__(self, measured: Columns, columns: Sequence[Column]) -> None:
        self.records = measured.records
        self._measured = measured
        self._namesakes = Counter(column.name for column in columns)

    def of(self, column: Column) -> Said:
        """One of each record."""
        if self._namesakes[column.name] == 1:
            return self._measured.of(column.name)
        key = _key_of(column)
        return self._measured.of(column.name, but=lambda definition: _key_of(definition) != key)

    def are_read_once(self, column: Column) -> bool:
        """Whether the column is about the model, as this row has it."""
        return self.of(column).is_read_once


@dataclass(frozen=True, slots=True)
class PromptsOfRow:
    """The prompts of a row."""

    order: NDArray[np.intp]
    """The places of the records, in the order of what their prompts are called."""
    called: tuple[str, ...]
    """What each is called, in that order."""
    prompts: int
    failed: frozenset[str]
    """Those of which every test failed."""
    may_lack: NDArray[np.bool_]
    """`(n,)`: of each record, whether it lacks what it does not have: what was measured of the whole set lacks nothing
    that was measured of its clips."""

    @classmethod
    def of(cls, records: Sequence[Record], names: Mapping[Prompt, str]) -> PromptsOfRow:
        """Of the records of a row, with what each prompt is called."""
        called = [names.get(prompt, OF_THE_SET) for prompt in map(prompt_of, records)]
        prompts = set(called) - {OF_THE_SET}
        lost = {name for name, one in zip(called, records, strict=True) if one.status not in _NO_FAILURE}
        answered = {n for n, one in zip(called, records, strict=True) if lost and one.status in _NO_FAILURE}
        order = sorted(range(len(called)), key=called.__getitem__)
        may_lack = np.ones(len(records), dtype=np.bool_)
        if len(prompts) < len(set(called)):  # some are about no prompt
            may_lack[:] = [not (prompts and one.prompt is None and one.status == "passed") for one in records]
        return cls(
            np.array(order, dtype=np.intp),
            tuple(called[at] for at in order),
            len(prompts),
            frozenset(prompts & lost - answered),
            may_lack,
        )


def cell_of(column: Column, said: Said, of: Record, asked: PromptsOfRow, *, once: bool) -> Cell:
    """`once`: the values are not about prompts but about the model; tests without one lack nothing.

    `of`: a record of the row, which knows the weights.
    """
    counts = said.counts[asked.order]
    lacks = ~said.counts & (said.tried if once else said.tried | asked.may_lack)
    reasons = Counter(statement.why_not for statement in said.statements(lacks, asked.order))
    missing = sum(reasons.values())
    counted = tuple(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))
    found = said.numbers[asked.order][counts]
    values = found.tolist()
    if not values:
        none = counted or ((NOT_MEASURED, len(said.counts)),)
        return Cell(mean=None, missing=missing, reasons=none, unranked="there is no value")
    called = asked.called if len(values) == len(counts) else tuple(compress(asked.called, counts.tolist()))
    mean = mean_of_rates if column.is_rate else _mean_in_order
    by_prompt = _means_by_prompt((OF_THE_SET,) * len(values) if once else called, found, mean)
    kinds = said.kinds_that_count()
    wiring = any(definition.wiring for definition, _ in kinds)
    meaningless = why_meaningless(column.kind, of.weights, wiring=wiring, published=of.published)
    alone = next(said.statements(said.counts)).measurement if len(values) == 1 else None
    return Cell(
        mean=mean(values if len(by_prompt) == len(values) else by_prompt.means),
        interval=None if alone is None else alone.interval,
        by_prompt=by_prompt,
        failed=asked.failed if not once or column.kind == "quality" else frozenset(),
        asked=asked.prompts,
        missing=missing,
        reasons=counted,
        remarks=_remarks_on_values(said, asked.order),
        own_n=alone.n if once and alone is not None and column.kind == "quality" else None,
        wiring=wiring,
        unranked=meaningless or (NEUTRAL if column.better == "neutral" else None),
    )


def _mean_in_order(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _means_by_prompt(
    called: tuple[str, ...], values: NDArray[np.float64], mean: Callable[[Sequence[float]], float]
) -> PromptMeans:
    """Of values in the order of their prompts' names."""
    prompts = _prompts_called(called)
    if len(prompts.names) == len(values):
        return PromptMeans(prompts, array("d", values.tobytes()))
    samples: dict[str, list[float]] = {}
    for prompt, value in zip(called, values.tolist(), strict=True):
        samples.setdefault(prompt, []).append(value)
    return PromptMeans(prompts, array("d", map(mean, samples.values())))


@lru_cache(maxsize=256)
def _prompts_called(called: tuple[str, ...]) -> Prompts:
    """The same object for the same names, of which each may stand there more than once."""
    return Prompts(tuple(dict.fromkeys(called)))


_NO_FAILURE = frozenset({"passed", "skipped", "interrupted"})
"""A test that was skipped, or that someone stopped, says nothing about its model."""
_MOST_REMARKS = 3


def _remarks_on_values(said: Said, order: NDArray[np.intp]) -> tuple[str, ...]:
    """What measurements that have a value say about it, the most frequent first."""
    told = (one.measurement for one in said.statements(said.counts & said.special, order))
    counts = Counter(measurement.reason for measurement in told if measurement is not None and measurement.reason)
    said_most = [f"{why} ({n} values)" if n > 1 else why for why, n in counts.most_common(_MOST_REMARKS)]
    more = len(counts) - len(said_most)
    return (*said_most, f"and {more} more remarks") if more > 0 else tuple(said_most)
