"""A leaderboard is a view of records: which rows and columns there are, and each cell's mean.

Nothing is hidden: a failed or skipped test is counted in its row and is a missing value, with the reason, in each of
the row's cells. Nothing that means nothing is ranked: tiny and random weights have no quality, a cached clip has no
latency, and a cell that lacks prompts which the others answered is shown but not compared.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pytest_vdb.analysis.benchmarks import shown_names
from pytest_vdb.analysis.identity import Maker, Setup, agree, latest, maker_of, place_of, setup_of
from pytest_vdb.analysis.ranking import rank
from pytest_vdb.analysis.readings import NOT_MEASURED, Statement, is_read_once, why_meaningless
from pytest_vdb.analysis.tables import NEUTRAL, Cell, Column, Leaderboard, Row, Table
from pytest_vdb.records import Better, Kind, Measurement, Record, Run
from pytest_vdb.statistics.means import t_interval


def build(run: Run, records: Iterable[Record]) -> Leaderboard:
    """Arrange `records` into tables.

    The result does not depend on the records' order (which differs from run to run under xdist), but for this: of two
    records of one test, the later one counts.
    """
    by_benchmark: dict[str, list[Record]] = defaultdict(list)
    for record in sorted(latest(records), key=place_of):
        by_benchmark[record.benchmark].append(record)
    names = shown_names(by_benchmark)
    tables = [_table_of_benchmark(benchmark, names[benchmark], run, part) for benchmark, part in by_benchmark.items()]
    return Leaderboard(run=run, tables=tuple(sorted(tables, key=_without_quality)))


def _without_quality(table: Table) -> bool:
    return all(column.kind != "quality" for column in table.columns)


def _table_of_benchmark(benchmark: str, name: str, run: Run, records: Sequence[Record]) -> Table:
    columns = _columns_of_records(records)
    groups = [(setup, _Statements(group, columns)) for setup, group in _groups(records)]
    once = {column for column in columns if any(is_read_once(statements.of(column)) for _, statements in groups)}
    once |= {column for column in columns if column.kind == "quality" and _is_of_sets(column, records)}
    names = _names_of_prompts(records)
    rows = [_row_of_setup(run, setup, statements, columns, once, names) for setup, statements in groups]
    ranked = sorted(rank(rows, columns), key=_order)
    return Table(benchmark=benchmark, name=name, columns=columns, rows=tuple(ranked))


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
        self._by_definition = [self._sorted(record, columns) for record in records]

    def of(self, column: Column) -> list[Statement]:
        """One of each record."""
        wanted = _definition_of(column)
        return [Statement(one, said.get(wanted)) for one, said in zip(self.records, self._by_definition, strict=True)]

    @staticmethod
    def _sorted(record: Record, columns: Sequence[Column]) -> dict[_Definition, Measurement]:
        found: dict[_Definition, Measurement] = {}
        for measured in record.measurements:
            if measured.value is None or record.published is not None:
                found |= {_definition_of(column): measured for column in columns if column.name == measured.name}
            else:
                found[_definition_of(measured)] = measured
        return found


def _is_of_sets(column: Column, records: Sequence[Record]) -> bool:
    """Whether only records of whole sets, which answer no prompt, tried to measure it: FVD and its like."""
    tried = {record.prompt is None for record in records if record.measurement(column.name) is not None}
    return tried == {True} and any(record.prompt is not None for record in records)


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
        cells=tuple(_cell_of(column, statements.of(column), first, names, once=column in once) for column in columns),
        counts=dict(Counter(record.status for record in records)),
        reused=sum(record.reused_from is not None for record in records),
        records=tuple(records),
        published=first.published,
    )


def _common_parameters(records: Sequence[Record]) -> set[tuple[str, str]]:
    return set.intersection(*(set(record.parameters.items()) for record in records))


def _cell_of(
    column: Column, statements: Sequence[Statement], of: Record, names: Mapping[_Prompt, str], *, once: bool
) -> Cell:
    """`once`: the values are not about prompts but about the model; tests without one lack nothing.

    `of`: a record of the row, which knows the weights; `names`: what each prompt is called.
    """
    asked = any(statement.record.prompt is not None for statement in statements)
    values: dict[str, list[float]] = defaultdict(list)
    reasons: Counter[str] = Counter()
    measured: list[Measurement] = []
    for statement in statements:
        record, measurement, value = statement.record, statement.measurement, statement.value
        if measurement is not None and value is not None:
            measured.append(measurement)
            values["" if once else names.get((record.prompt, record.prompt_text), "")].append(value)
        elif measurement is not None or not (once or (asked and record.prompt is None and record.status == "passed")):
            reasons[statement.why_not] += 1  # what was measured of the whole set lacks nothing measured of its clips
    missing = sum(reasons.values())
    counted = tuple(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))
    if not measured:
        none = counted or ((NOT_MEASURED, len(statements)),)
        return Cell(mean=None, missing=missing, reasons=none, unranked="there is no value")
    by_prompt = {prompt: sum(group) / len(group) for prompt, group in sorted(values.items())}
    wiring = any(measurement.wiring for measurement in measured)
    meaningless = why_meaningless(column.kind, of.weights, wiring=wiring, published=of.published)
    return Cell(
        mean=sum(by_prompt.values()) / len(by_prompt),
        interval=measured[0].interval
        if len(measured) == 1
        else t_interval(values[""] if once else list(by_prompt.values())),
        by_prompt=by_prompt,
        missing=missing,
        reasons=counted,
        wiring=wiring,
        unranked=meaningless or (NEUTRAL if column.better == "neutral" else None),
    )


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
