"""A leaderboard is a view of records: which rows and columns there are, and each cell's mean.

Nothing is hidden: a failed or skipped test is counted in its row and is a missing value, with the reason, in each of
the row's cells. Nothing that means nothing is ranked: tiny and random weights have no quality, a cached clip has no
latency, and a cell that was not asked prompts which the others answered is shown but not compared.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_vdb.analysis.benchmarks import shown_names
from pytest_vdb.analysis.bounds import KnownMetrics, without_rounding
from pytest_vdb.analysis.identity import Maker, Setup, agree, in_order, latest, maker_of, setup_of
from pytest_vdb.analysis.overall import OPTION, overall_of
from pytest_vdb.analysis.ranking import rank
from pytest_vdb.analysis.readings import definitions_in
from pytest_vdb.analysis.standings import standings_of
from pytest_vdb.analysis.swept import place_of_recipe
from pytest_vdb.analysis.tables import Column, Leaderboard, Row, Table
from pytest_vdb.garbage import without_collections
from pytest_vdb.processes import beside
from pytest_vdb.records import Record, Run

if TYPE_CHECKING:
    from pytest_vdb.analysis.cells import Prompt, RowStatements
    from pytest_vdb.metrics.registry import MetricRegistry
    from pytest_vdb.statistics.intervals import Bounds


MANY_RECORDS = 20_000
"""Of so many it takes a second to make a leaderboard and its reports: several processes share in it."""


def build(run: Run, records: Iterable[Record], registry: MetricRegistry | None = None) -> Leaderboard:
    """Arrange `records` into tables, and the models of these into standings.

    The result does not depend on the records' order (which differs from run to run under xdist), but for this: of two
    records of one test, the later one counts.

    Args:
        run: what the page is about; its options say whether there is an overall score.
        records: of this run, and of others beside it.
        registry: which knows what metrics can be; None: of those that come with us, and what the run kept of others.

    Raises:
        UnknownName, OptionError: the overall score is none that can be made.
    """
    with without_collections():  # nothing of it is garbage before it is whole
        return _board_of(run, records, KnownMetrics(registry, [run]))


def _board_of(run: Run, records: Iterable[Record], known: KnownMetrics) -> Leaderboard:
    by_benchmark: dict[str, list[Record]] = defaultdict(list)
    for record in in_order(latest(records)):
        by_benchmark[record.benchmark].append(record)
    names = shown_names(by_benchmark)
    tables = [
        _table_of_benchmark(benchmark, names[benchmark], run, part, known) for benchmark, part in by_benchmark.items()
    ]
    ordered = tuple(sorted(tables, key=_without_quality))
    asked = run.options.get(OPTION)
    aggregate = overall_of(asked, where=f"{OPTION} of run {run.id}") if isinstance(asked, str) else None
    return Leaderboard(run=run, tables=ordered, standings=standings_of(ordered, known, aggregate))


def _without_quality(table: Table) -> bool:
    return all(column.kind != "quality" for column in table.columns)


def _table_of_benchmark(benchmark: str, name: str, run: Run, records: Sequence[Record], known: KnownMetrics) -> Table:
    from pytest_vdb.analysis.cells import RowStatements, columns_of_rows
    from pytest_vdb.analysis.columns import Columns

    setups, groups = zip(*_groups(records), strict=True)
    measured = [Columns([records[at] for at in places]) for places in groups]
    columns = columns_of_rows(measured, groups)
    statements = [RowStatements(of_row, columns) for of_row in measured]
    costs = [column for column in columns if column.kind == "performance"]
    once = {column for column in costs if any(of_row.are_read_once(column) for of_row in statements)}
    of_sets = _measured_of_sets_only(records)
    once |= {column for column in columns if column.kind == "quality" and column.name in of_sets}
    names = _names_of_prompts(records)
    rows = [
        _row_of_setup(run, setup, of_row, columns, once, names)
        for setup, of_row in zip(setups, statements, strict=True)
    ]
    # No rank asks for these intervals: it asks for those that values brought, which none of them takes the place of.
    with beside(lambda: _bars_of(rows, columns, known), worth_it=len(records) >= MANY_RECORDS) as bars:
        ranking = rank(rows, columns, known)
        ordered = tuple(sorted(map(_with_intervals, ranking.rows, bars()), key=_order))
    return Table(benchmark=benchmark, name=name, columns=columns, rows=ordered, order=ranking.order)


def _groups(records: Sequence[Record]) -> list[tuple[Setup, list[int]]]:
    """The places of each row's records. One that never learnt all of its setup joins the first that it agrees with.

    Tests that measure nothing only pass or fail: whatever their parameters, they count in one row of their model.

    Args:
        records: in the order of their places, in which they stand in their rows as well.
    """
    measuring = any(record.measurements for record in records)
    alike: dict[tuple[Maker, Setup], list[int]] = {}
    for at, record in enumerate(records):
        maker = maker_of(record if measuring else replace(record, parameters={}))
        alike.setdefault((maker, setup_of(record)), []).append(at)
    groups: dict[tuple[Maker, Setup], list[int]] = {}
    for key in sorted(alike, key=lambda key: key[1].count(None)):
        maker, setup = key
        known = next((k for k in groups if k[0] == maker and agree(setup, k[1])), key) if None in setup else key
        groups.setdefault(known, []).extend(alike[key])
    return [(setup, sorted(places)) for (_, setup), places in groups.items()]


def _names_of_prompts(records: Sequence[Record]) -> dict[Prompt, str]:
    """What each prompt is called in the table: its id, unless two suites gave it to different texts."""
    from pytest_vdb.analysis.cells import prompt_of

    texts: dict[str | None, set[str | None]] = defaultdict(set)
    for prompt, text in set(map(prompt_of, records)):
        texts[prompt].add(text)
    return {
        (prompt, text): prompt if len(known - {None}) < 2 or text is None else f"{prompt}: {text}"
        for prompt, known in texts.items()
        if prompt is not None
        for text in known
    }


def _measured_of_sets_only(records: Sequence[Record]) -> set[str]:
    """What only records of whole sets, which answer no prompt, tried to measure: FVD and its like."""
    about_sets = [record for record in records if record.prompt is None]
    if len(about_sets) in {0, len(records)}:
        return set()
    of_sets = {one.name for one in definitions_in(about_sets)}
    return of_sets - {one.name for one in definitions_in(record for record in records if record.prompt is not None)}


def _row_of_setup(
    run: Run,
    setup: Setup,
    statements: RowStatements,
    columns: Sequence[Column],
    once: set[Column],
    names: Mapping[Prompt, str],
) -> Row:
    from pytest_vdb.analysis.cells import PromptsOfRow, cell_of

    _, recipe_digest, hardware, _ = setup
    records = statements.records
    first = next((record for record in records if setup_of(record) == setup), records[0])
    asked = PromptsOfRow.of(records, names)
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
        cells=tuple(cell_of(column, statements.of(column), first, asked, once=column in once) for column in columns),
        counts=dict(Counter(record.status for record in records)),
        reused=sum(record.reused_from is not None for record in records),
        records=tuple(records),
        published=first.published,
    )


def _common_parameters(records: Sequence[Record]) -> set[tuple[str, str]]:
    common = set(records[0].parameters.items())
    for record in records:
        if not common:
            break
        common &= record.parameters.items()
    return common


ABOVE_NOTHING: Bounds = (0.0, None)
"""Of times and of rates."""


_Bar = tuple[tuple[float, float] | None, str | None]
"""An interval, or why there is none."""


def _bars_of(rows: Sequence[Row], columns: Sequence[Column], known: KnownMetrics) -> list[dict[int, _Bar]]:
    """Of each row by the places of its cells the 95% intervals of the means over prompts.

    A value that brought its own keeps that.
    """
    found: list[dict[int, _Bar]] = [{} for _ in rows]
    for at, column in enumerate(columns):
        bounds = ABOVE_NOTHING if column.is_rate else known.bounds(column.name, column.kind)
        of_length: dict[int, dict[int, Sequence[float]]] = defaultdict(dict)
        for place, row in enumerate(rows):
            cell = row.cells[at]
            if cell.mean is not None and cell.interval is None and not (column.is_rate and cell.mean == 0):
                values = cell.means_of(tuple(cell.by_prompt))
                # The mean time of what is made is the mean rate turned over.
                of_length[cell.n][place] = [1 / value for value in values] if column.is_rate else values
        for values_of in of_length.values():
            for place, bar in zip(values_of, _intervals_of(list(values_of.values()), bounds), strict=True):
                found[place][at] = _turned_over(bar) if column.is_rate else bar
    return found


def _with_intervals(row: Row, bars: Mapping[int, _Bar]) -> Row:
    cells = (
        cell if (bar := bars.get(at)) is None else replace(cell, interval=bar[0], no_interval=bar[1])
        for at, cell in enumerate(row.cells)
    )
    return replace(row, cells=tuple(cells))


def _turned_over(bar: _Bar) -> _Bar:
    """The interval of a rate, from that of its reciprocal."""
    ends, reason = bar
    if ends is None:
        return None, reason
    low, high = ends
    return ((1 / high, 1 / low), None) if low > 0 else (None, "it is open above: too few prompts for so much spread")


def _intervals_of(samples: Sequence[Sequence[float]], bounds: Bounds) -> Iterator[_Bar]:
    """Of each; all of as many values.

    Failures too rare to be seen are not allowed for (`near`): bars that allow for them reach far into values that no
    model has, and would show of no two models that they differ.
    """
    import numpy as np

    from pytest_vdb.statistics.intervals import mean_intervals, why_no_interval

    table = without_rounding(np.array(samples, dtype=np.float64).T, bounds)
    ends = mean_intervals(table, bounds=bounds, unseen="near").tolist()
    for values, (low, high) in zip(table.T, ends, strict=True):
        reason = why_no_interval(values, bounds=bounds)
        yield ((low, high) if reason is None else None), reason


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
        place_of_recipe(row.recipe),
        row.recipe_digest or "",
        row.hardware or "",
        row.revision or "",
    )
