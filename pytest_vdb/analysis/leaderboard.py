"""A leaderboard is a view of records: which rows and columns there are, and each cell's mean.

Nothing is hidden: a failed or skipped test is counted in its row and is a missing value, with the reason, in each of
the row's cells. Nothing that means nothing is ranked: tiny and random weights have no quality, a cached clip has no
latency, and a cell that was not asked prompts which the others answered is shown but not compared.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_vdb.analysis.benchmarks import shown_names
from pytest_vdb.analysis.bounds import KnownMetrics, without_rounding
from pytest_vdb.analysis.identity import Maker, Setup, agree, latest, maker_of, place_of, setup_of
from pytest_vdb.analysis.ranking import OF_THE_SET, rank
from pytest_vdb.analysis.readings import NOT_MEASURED, Statement, is_read_once, why_meaningless
from pytest_vdb.analysis.tables import NEUTRAL, Cell, Column, Leaderboard, Row, Table
from pytest_vdb.records import Better, Kind, Measurement, Record, Run

if TYPE_CHECKING:
    from pytest_vdb.metrics.registry import MetricRegistry
    from pytest_vdb.statistics.intervals import Bounds


def build(run: Run, records: Iterable[Record], registry: MetricRegistry | None = None) -> Leaderboard:
    """Arrange `records` into tables.

    The result does not depend on the records' order (which differs from run to run under xdist), but for this: of two
    records of one test, the later one counts.

    Args:
        run: what the page is about.
        records: of this run, and of others beside it.
        registry: which knows what metrics can be; None: of those that come with us, and what the run kept of others.
    """
    known = KnownMetrics(registry, [run])
    by_benchmark: dict[str, list[Record]] = defaultdict(list)
    for record in sorted(latest(records), key=place_of):
        by_benchmark[record.benchmark].append(record)
    names = shown_names(by_benchmark)
    tables = [
        _table_of_benchmark(benchmark, names[benchmark], run, part, known) for benchmark, part in by_benchmark.items()
    ]
    return Leaderboard(run=run, tables=tuple(sorted(tables, key=_without_quality)))


def _without_quality(table: Table) -> bool:
    return all(column.kind != "quality" for column in table.columns)


def _table_of_benchmark(benchmark: str, name: str, run: Run, records: Sequence[Record], known: KnownMetrics) -> Table:
    columns = _columns_of_records(records)
    groups = [(setup, _Statements(group, columns)) for setup, group in _groups(records)]
    costs = [column for column in columns if column.kind == "performance"]
    once = {column for column in costs if any(is_read_once(statements.of(column)) for _, statements in groups)}
    of_sets = _measured_of_sets_only(records)
    once |= {column for column in columns if column.kind == "quality" and column.name in of_sets}
    names = _names_of_prompts(records)
    rows = [_row_of_setup(run, setup, statements, columns, once, names) for setup, statements in groups]
    ranking = rank(_with_intervals(rows, columns, known), columns, known)
    ordered = tuple(sorted(ranking.rows, key=_order))
    return Table(benchmark=benchmark, name=name, columns=columns, rows=ordered, order=ranking.order)


def _groups(records: Sequence[Record]) -> list[tuple[Setup, list[Record]]]:
    """The records of each row. One that never learnt all of its setup joins the first row that it agrees with.

    Tests that measure nothing only pass or fail: whatever their parameters, they count in one row of their model.
    """
    measuring = any(record.measurements for record in records)
    groups: dict[tuple[Maker, Setup], list[Record]] = {}
    for record in sorted(records, key=lambda record: setup_of(record).count(None)):
        key = maker_of(record if measuring else replace(record, parameters={})), setup_of(record)
        if key not in groups and None in key[1]:
            key = next((k for k in groups if k[0] == key[0] and agree(key[1], k[1])), key)
        groups.setdefault(key, []).append(record)
    return [(setup, sorted(group, key=place_of)) for (_, setup), group in groups.items()]


_Prompt = tuple[str | None, str | None]
"""A prompt's id and text."""


def _names_of_prompts(records: Sequence[Record]) -> dict[_Prompt, str]:
    """What each prompt is called in the table: its id, unless two suites gave it to different texts."""
    texts: dict[str | None, set[str | None]] = defaultdict(set)
    for record in records:
        texts[record.prompt].add(record.prompt_text)
    return {
        (prompt, text): prompt if len(known - {None}) < 2 or text is None else f"{prompt}: {text}"
        for prompt, known in texts.items()
        if prompt is not None
        for text in known
    }


def _columns_of_records(records: Sequence[Record]) -> tuple[Column, ...]:
    """Quality before performance, each in the order in which the tests measure.

    A missing value often does not know its version (absent weights have none), a published one never does: they make a
    column only where nothing was measured.
    """
    ours = [m for record in records if record.published is None for m in record.measurements]
    valued = {measurement.name for measurement in ours if measurement.value is not None}
    found = dict.fromkeys(_definition_of(m) for m in ours if m.value is not None or m.name not in valued)
    known = {name for name, *_ in found}
    theirs = (m for record in records if record.published is not None for m in record.measurements)
    found |= dict.fromkeys(_definition_of(m) for m in theirs if m.name not in known)
    columns = [Column(name=n, unit=u, better=b, kind=k, version=v) for n, u, b, k, v in found]
    return tuple(sorted(columns, key=lambda column: column.kind != "quality"))


_Definition = tuple[str, str, Better, Kind, str]


def _definition_of(of: Column | Measurement) -> _Definition:
    return of.name, of.unit, of.better, of.kind, of.version


class _Statements:
    """What the records of one row say, by column; a missing or a published value stands in every column of its name."""

    def __init__(self, records: Sequence[Record], columns: Sequence[Column]) -> None:
        self.records = records
        places = {_definition_of(column): at for at, column in enumerate(columns)}
        namesakes: dict[str, list[int]] = defaultdict(list)
        for at, column in enumerate(columns):
            namesakes[column.name].append(at)
        self._columns = {column: at for at, column in enumerate(columns)}
        self._said: list[list[Measurement | None]] = [[None] * len(records) for _ in columns]
        for number, record in enumerate(records):
            for measured in record.measurements:
                alike = namesakes[measured.name]
                if measured.value is None or record.published is not None or len(alike) == 1:
                    for at in alike:
                        self._said[at][number] = measured
                else:
                    self._said[places[_definition_of(measured)]][number] = measured

    def of(self, column: Column) -> list[Statement]:
        """One of each record."""
        return list(map(Statement, self.records, self._said[self._columns[column]]))


def _measured_of_sets_only(records: Sequence[Record]) -> set[str]:
    """What only records of whole sets, which answer no prompt, tried to measure: FVD and its like."""
    if all(record.prompt is None for record in records):
        return set()
    of_sets = {measured.name for record in records if record.prompt is None for measured in record.measurements}
    return of_sets - {m.name for record in records if record.prompt is not None for m in record.measurements}


def _row_of_setup(
    run: Run,
    setup: Setup,
    statements: _Statements,
    columns: Sequence[Column],
    once: set[Column],
    names: Mapping[_Prompt, str],
) -> Row:
    _, recipe_digest, hardware, _ = setup
    records = statements.records
    first = next((record for record in records if setup_of(record) == setup), records[0])
    asked = _PromptsOfRow.of(records, names)
    return Row(
        benchmark=first.benchmark,
        model=first.model,
        parameters=dict(sorted(_common_parameters(records))),
        weights=first.weights,
        recipe_digest=recipe_digest,
        hardware=hardware,
        task=first.task,
        revision=first.revision,
        recipe=first.recipe or (run.recipes.get(recipe_digest, {}) if recipe_digest else {}),
        runs=tuple(sorted({record.run for record in records})),
        cells=tuple(_cell_of(column, statements.of(column), first, asked, once=column in once) for column in columns),
        counts=dict(Counter(record.status for record in records)),
        reused=sum(record.reused_from is not None for record in records),
        records=tuple(records),
        published=first.published,
    )


def _common_parameters(records: Sequence[Record]) -> set[tuple[str, str]]:
    return set.intersection(*(set(record.parameters.items()) for record in records))


@dataclass(frozen=True, slots=True)
class _PromptsOfRow:
    """The prompts of a row."""

    by_record: tuple[tuple[int, str], ...]
    """The place of each record and what its prompt is called, in the order of these names."""
    prompts: int
    failed: frozenset[str]
    """Those of which every test failed."""

    @classmethod
    def of(cls, records: Sequence[Record], names: Mapping[_Prompt, str]) -> _PromptsOfRow:
        called = [names.get((record.prompt, record.prompt_text), OF_THE_SET) for record in records]
        prompts = set(called) - {OF_THE_SET}
        answered = {name for name, one in zip(called, records, strict=True) if one.status in _NO_FAILURE}
        ordered = sorted(enumerate(called), key=lambda one: one[1])
        return cls(tuple(ordered), len(prompts), frozenset(prompts - answered))


def _cell_of(column: Column, statements: Sequence[Statement], of: Record, asked: _PromptsOfRow, *, once: bool) -> Cell:
    """`once`: the values are not about prompts but about the model; tests without one lack nothing.

    `of`: a record of the row, which knows the weights.
    """
    sums: dict[str, float] = {}
    samples: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    measured: list[Measurement] = []
    for at, name in asked.by_record:
        statement = statements[at]
        record, measurement, value = statement.record, statement.measurement, statement.value
        if measurement is not None and value is not None:
            measured.append(measurement)
            prompt = OF_THE_SET if once else name
            if prompt in sums:
                sums[prompt] += value
                samples[prompt] += 1
            else:
                sums[prompt] = value
        elif measurement is not None or not (
            once or (asked.prompts and record.prompt is None and record.status == "passed")
        ):
            reasons[statement.why_not] += 1  # what was measured of the whole set lacks nothing measured of its clips
    missing = sum(reasons.values())
    counted = tuple(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))
    if not measured:
        none = counted or ((NOT_MEASURED, len(statements)),)
        return Cell(mean=None, missing=missing, reasons=none, unranked="there is no value")
    by_prompt = {prompt: total / (1 + samples[prompt]) for prompt, total in sums.items()} if samples else sums
    wiring = any(measurement.wiring for measurement in measured)
    meaningless = why_meaningless(column.kind, of.weights, wiring=wiring, published=of.published)
    alone = measured[0] if len(measured) == 1 else None
    return Cell(
        mean=sum(by_prompt.values()) / len(by_prompt),
        interval=None if alone is None else alone.interval,
        by_prompt=by_prompt,
        failed=asked.failed if not once or column.kind == "quality" else frozenset(),
        asked=asked.prompts,
        missing=missing,
        reasons=counted,
        remarks=_remarks_on_values(measured),
        own_n=alone.n if once and alone is not None and column.kind == "quality" else None,
        wiring=wiring,
        unranked=meaningless or (NEUTRAL if column.better == "neutral" else None),
    )


_NO_FAILURE = frozenset({"passed", "skipped", "interrupted"})
"""A test that was skipped, or that someone stopped, says nothing about its model."""
_MOST_REMARKS = 3


def _remarks_on_values(measured: Sequence[Measurement]) -> tuple[str, ...]:
    """What measurements that have a value say about it, the most frequent first."""
    counts = Counter(measurement.reason for measurement in measured if measurement.reason)
    said = [f"{why} ({n} values)" if n > 1 else why for why, n in counts.most_common(_MOST_REMARKS)]
    more = len(counts) - len(said)
    return (*said, f"and {more} more remarks") if more > 0 else tuple(said)


@dataclass(frozen=True, slots=True)
class _Bar:
    """What an interval is made of: a cell's place, and its values."""

    row: int
    values: tuple[float, ...]


def _with_intervals(rows: Sequence[Row], columns: Sequence[Column], known: KnownMetrics) -> list[Row]:
    """The rows with 95% intervals of the means over prompts; a value that brought its own keeps that."""
    cells = [list(row.cells) for row in rows]
    for at, column in enumerate(columns):
        bars: dict[int, list[_Bar]] = defaultdict(list)
        for place, row in enumerate(rows):
            cell = row.cells[at]
            if cell.mean is not None and cell.interval is None:
                bars[cell.n].append(_Bar(place, tuple(cell.by_prompt.values())))
        for same_length in bars.values():
            for bar, ends, reason in _intervals_of(same_length, known.bounds(column.name, column.kind)):
                cells[bar.row][at] = replace(cells[bar.row][at], interval=ends, no_interval=reason)
    return [replace(row, cells=tuple(own)) for row, own in zip(rows, cells, strict=True)]


def _intervals_of(
    bars: Sequence[_Bar], bounds: Bounds
) -> Iterator[tuple[_Bar, tuple[float, float] | None, str | None]]:
    """Each with its interval, or with why it has none; all of as many values.

    Failures too rare to be seen are not allowed for (`near`): bars that allow for them reach far into values that no
    model has, and would show of no two models that they differ.
    """
    import numpy as np

    from pytest_vdb.statistics.intervals import mean_intervals, why_no_interval

    table = without_rounding(np.array([bar.values for bar in bars], dtype=np.float64).T, bounds)
    for bar, values, (low, high) in zip(
        bars, table.T, mean_intervals(table, bounds=bounds, unseen="near").tolist(), strict=True
    ):
        reason = why_no_interval(values, bounds=bounds)
        yield bar, ((low, high) if reason is None else None), reason


def _order(row: Row) -> tuple[object, ...]:
    """Trained models first, the better ones first; then what others published, yardsticks, random weights, tiny ones,
    and rows without any value."""
    valueless = all(cell.mean is None for cell in row.cells)
    mean_rank = float("inf") if row.mean_rank is None else row.mean_rank
    return (
        valueless,
        not row.real,
        row.weights == "tiny",
        row.yardstick,
        row.published is not None,
        mean_rank,
        row.model,
        tuple(row.parameters.items()),
        row.recipe_digest or "",
        row.hardware or "",
        row.revision or "",
    )
