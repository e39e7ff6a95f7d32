"""One line per model: what each benchmark's table says of it, joined; who is ahead of whom, and by which metric.

The tables stay as they are, and a line points into them: nothing is averaged over benchmarks. A metric that two of them
measured stays two columns. Of costs that were measured both while answering prompts and by the benchmark that times a
warm model, the latter are shown.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import get_args

from pytest_vdb.analysis.aggregates import Aggregate
from pytest_vdb.analysis.bounds import KnownMetrics
from pytest_vdb.analysis.identity import Maker, agree
from pytest_vdb.analysis.overall import overall_among
from pytest_vdb.analysis.ranking import only_task, places_in
from pytest_vdb.analysis.readings import NOT_MEASURED
from pytest_vdb.analysis.swept import place_of_recipe
from pytest_vdb.analysis.tables import Cell, Column, Place, Row, Source, Standing, Standings, Table
from pytest_vdb.records import OVERALL, Status, Task

TIMED = "steady_latency"
"""What only a benchmark measures that times a warm model, round by round."""
TIMES = (TIMED, "latency")
"""How long a clip takes: the costs that are shown first."""
NO_BENCHMARK = ""
"""What the table of standings calls its benchmark."""
_UNTRAINED = frozenset({"tiny", "random"})
_NOT_ASKED = Cell(mean=None, reasons=((NOT_MEASURED, 1),), unranked="there is no value")

Facets = dict[int, int]
"""Table -> row in it."""
Section = tuple[bool, Task | None]
"""Whether the weights were trained, and the task."""


def standings_of(
    tables: Sequence[Table], known: KnownMetrics, aggregate: Aggregate | None = None
) -> tuple[Standings, ...]:
    """Of trained models those of each task, then those whose weights were never trained.

    Args:
        tables: of the benchmarks.
        known: what metrics can be, and whether they look at the prompt.
        aggregate: an overall score of trained models, if one is asked for; they are ranked by it first.
    """
    joined = [_joined_row(tables, facets) for facets in _lines(tables)]
    tasks: tuple[Task, ...] = get_args(Task)
    alone = only_task(row for row, _ in joined if row.weights not in _UNTRAINED)
    sections: dict[Section, list[tuple[Row, Facets]]] = defaultdict(list)
    for row, facets in joined:
        untrained = row.weights in _UNTRAINED
        sections[not untrained, None if untrained else row.task or alone].append((row, facets))
    order: list[Section] = [*((True, task) for task in (*tasks, None)), (False, None)]
    return tuple(
        _standings_of_section(key, tables, sections[key], known, aggregate if key[0] else None)
        for key in order
        if key in sections
    )


def _lines(tables: Sequence[Table]) -> list[Facets]:
    """Which rows are of one model, recipe, kind of weights and revision; of several devices where one benchmark has
    them apart. What never learnt all of its setup joins the first that it agrees with."""
    every = [(at, index) for at, table in enumerate(tables) for index in range(len(table.rows))]
    groups: dict[tuple[Maker, tuple[str | None, ...]], list[tuple[int, int]]] = {}
    for at, index in sorted(every, key=lambda one: _learnt_of(tables[one[0]].rows[one[1]]).count(None)):
        row = tables[at].rows[index]
        # Tests that measure nothing count for their model, whatever their parameters are.
        parameters = tuple(row.parameters.items()) if tables[at].columns else ()
        key = (row.model, row.published, parameters), _learnt_of(row)
        if key not in groups and None in key[1]:
            key = next((k for k in groups if k[0] == key[0] and agree(k[1], key[1])), key)
        groups.setdefault(key, []).append((at, index))
    return [facets for group in groups.values() for facets in _by_device(tables, group)]


def _learnt_of(row: Row) -> tuple[str | None, ...]:
    return row.weights, row.recipe_digest, row.revision


def _by_device(tables: Sequence[Table], group: Sequence[tuple[int, int]]) -> Iterator[Facets]:
    if len(dict(group)) == len(group):
        yield dict(group)
        return
    devices: dict[str | None, list[Facets]] = {}
    for at, index in group:
        lines = devices.setdefault(tables[at].rows[index].hardware, [])
        line = next((line for line in lines if at not in line), None)
        if line is None:
            lines.append({at: index})
        else:
            line[at] = index
    for lines in devices.values():
        yield from lines


def _joined_row(tables: Sequence[Table], facets: Facets) -> tuple[Row, Facets]:
    """The line as a row that has no cells yet."""
    rows = [tables[at].rows[facets[at]] for at in sorted(facets)]
    first = min(rows, key=lambda row: (*_learnt_of(row), row.hardware).count(None))
    measuring = [tables[at].rows[facets[at]] for at in sorted(facets) if tables[at].columns]
    counts: Counter[Status] = Counter()
    for row in rows:
        counts.update(row.counts)
    ranked = (row.mean_rank for row in rows if row.mean_rank is not None)
    joined = replace(
        first,
        benchmark=NO_BENCHMARK,
        parameters=measuring[0].parameters if measuring else {},
        hardware=_device_of_costs(tables, facets) or first.hardware,
        task=next((row.task for row in rows if row.task is not None), None),
        runs=tuple(sorted({run for row in rows for run in row.runs})),
        cells=(),
        counts=dict(counts),
        reused=sum(row.reused for row in rows),
        records=tuple(record for row in rows for record in row.records),
        mean_rank=next(ranked, None),
    )
    return joined, facets


def _device_of_costs(tables: Sequence[Table], facets: Facets) -> str | None:
    """Where the costs that are shown were measured: by the benchmark that times, if there is one."""
    found = []
    for at in sorted(facets):
        row, columns = tables[at].rows[facets[at]], tables[at].columns
        costs = {c.name for c, cell in zip(columns, row.cells, strict=True) if c.kind == "performance" and cell.n}
        if costs and row.hardware is not None:
            found.append((TIMED not in costs, row.hardware))
    return min(found, key=lambda one: one[0])[1] if found else None


def _standings_of_section(
    key: Section,
    tables: Sequence[Table],
    joined: Sequence[tuple[Row, Facets]],
    known: KnownMetrics,
    aggregate: Aggregate | None,
) -> Standings:
    found, timed = _sources_of_columns(tables, [facets for _, facets in joined])
    sources: tuple[Source | None, ...] = tuple(found)
    columns = _named_columns(tables, found)
    rows = [
        (replace(row, cells=tuple(_cell_in(tables, facets, source) for source in found)), facets)
        for row, facets in joined
    ]
    metrics = [tables[source.table].columns[source.column].name for source in found]
    only_rows = [row for row, _ in rows]
    score = None if aggregate is None else overall_among(aggregate, columns, metrics, only_rows, known)
    if score is not None and score.column is not None:
        sources, columns, metrics = (None, *sources), (score.column, *columns), [OVERALL, *metrics]
        only_rows = [replace(row, cells=(cell, *row.cells)) for row, cell in zip(only_rows, score.cells, strict=True)]
        rows = [(row, facets) for row, (_, facets) in zip(only_rows, rows, strict=True)]
    places = [_places_of_column(at, columns[at], metrics[at], only_rows, known) for at in range(len(columns))]
    lead = 0 if sources and sources[0] is None and len(places[0]) > 1 else _lead(metrics, places, known)
    lines = [
        Standing(row=row, facets=facets, places=tuple(of_column.get(at) for of_column in places))
        for at, (row, facets) in enumerate(rows)
    ]
    lines.sort(key=lambda line: _order_of_line(line, lead))
    trained, task = key
    return Standings(
        task=task,
        trained=trained,
        table=Table(benchmark=NO_BENCHMARK, name=NO_BENCHMARK, columns=columns, rows=tuple(line.row for line in lines)),
        lines=tuple(lines),
        sources=sources,
        lead=lead,
        cost=_first_cost(columns),
        timed=timed,
        overall=None if score is None else score.about,
    )


def _sources_of_columns(tables: Sequence[Table], lines: Sequence[Facets]) -> tuple[list[Source], tuple[str, ...]]:
    """The columns in which one of the lines has a value, quality first; and which costs had a choice."""
    by_name: dict[Column, list[Source]] = defaultdict(list)
    for at, table in enumerate(tables):
        for index, column in enumerate(table.columns):
            source = Source(table=at, column=index)
            if any(_cell_in(tables, facets, source).mean is not None for facets in lines):
                by_name[column].append(source)
    timed = []
    for column, sources in by_name.items():
        best = [one for one in sources if any(other.name == TIMED for other in tables[one.table].columns)]
        if column.kind != "performance" or len(sources) < 2 or len(best) != 1:
            continue
        if _says_all(tables, lines, best[0], sources):
            by_name[column] = best
            timed.append(column.name)
    ordered = sorted((source for sources in by_name.values() for source in sources), key=lambda s: (s.table, s.column))
    kinds = [tables[source.table].columns[source.column].kind for source in ordered]
    quality = [source for source, kind in zip(ordered, kinds, strict=True) if kind == "quality"]
    return [*quality, *(source for source in ordered if source not in quality)], tuple(timed)


def _says_all(tables: Sequence[Table], lines: Sequence[Facets], best: Source, sources: Iterable[Source]) -> bool:
    """Whether each line that has a value in some of these columns has one in the best of them."""
    having = [line for line in lines if any(_cell_in(tables, line, one).mean is not None for one in sources)]
    return all(_cell_in(tables, line, best).mean is not None for line in having)


def _cell_in(tables: Sequence[Table], facets: Mapping[int, int], source: Source) -> Cell:
    at = facets.get(source.table)
    return _NOT_ASKED if at is None else tables[source.table].rows[at].cells[source.column]


def _named_columns(tables: Sequence[Table], sources: Sequence[Source]) -> tuple[Column, ...]:
    """The columns as the benchmarks have them; where two benchmarks have one of a name, each says whose it is."""
    found = [(tables[source.table].columns[source.column], source.table) for source in sources]
    benchmarks: dict[str, set[int]] = defaultdict(set)
    for column, at in found:
        benchmarks[column.name].add(at)
    return tuple(
        column if len(benchmarks[column.name]) == 1 else replace(column, name=f"{column.name} ({tables[at].name})")
        for column, at in found
    )


def _places_of_column(
    at: int, column: Column, metric: str, rows: Sequence[Row], known: KnownMetrics
) -> dict[int, Place]:
    """Row -> its place among the models. Yardsticks have none: their quality is known.

    Costs have none: how much sessions differ, one session cannot say.
    """
    if column.kind != "quality" or column.better == "neutral":
        return {}
    competing = {index: row.cells[at] for index, row in enumerate(rows) if not row.yardstick}
    return places_in(column, known.bounds(metric, column.kind), competing) if competing else {}


def _lead(metrics: Sequence[str], places: Sequence[Mapping[int, Place]], known: KnownMetrics) -> int | None:
    """The column that ranks most models; of several one that looks at the prompt, else the first."""
    ranked = [len(of_column) for of_column in places]
    most = max(ranked, default=0)
    widest = [at for at, n in enumerate(ranked) if n == most and n > 1]
    return min(widest, key=lambda at: (not known.looks_at_prompt(metrics[at]), at), default=None)


def _first_cost(columns: Sequence[Column]) -> int | None:
    """How long a clip takes, or what else is better low, or any cost at all."""
    costs = [at for at, column in enumerate(columns) if column.kind == "performance" and column.better != "neutral"]

    def telling(at: int) -> tuple[int, bool, int]:
        name = columns[at].name.partition(" (")[0]
        return TIMES.index(name) if name in TIMES else len(TIMES), columns[at].better != "lower", at

    return min(costs, key=telling, default=None)


def _order_of_line(line: Standing, lead: int | None) -> tuple[object, ...]:
    """Ranked models first, the better ones before; then others, published figures, yardsticks, and who has no value."""
    row, endless = line.row, float("inf")
    place = None if lead is None else line.places[lead]
    rank = None if lead is None else row.cells[lead].rank
    return (
        all(cell.mean is None for cell in row.cells),
        row.weights == "tiny",
        row.yardstick,
        row.published is not None,
        endless if place is None else place.lowest,
        endless if rank is None else rank,
        endless if row.mean_rank is None else row.mean_rank,
        row.model,
        tuple(row.parameters.items()),
        place_of_recipe(row.recipe),
        row.recipe_digest or "",
        row.hardware or "",
        row.revision or "",
    )
