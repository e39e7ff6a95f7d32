"""A leaderboard is a view of records: which rows and columns there are, each cell's mean, and what may be ranked.

Nothing is hidden: a failed or skipped test is counted in its row and is a missing value, with the reason, in each of
the row's cells. Nothing that means nothing is ranked: tiny and random weights have no quality, a cached clip has no
latency, and a cell that lacks prompts which the others answered is shown but not compared.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from pytest_vdb.analysis.benchmarks import placed, shown_names
from pytest_vdb.analysis.intervals import benjamini_hochberg, paired_t_p_values, t_interval
from pytest_vdb.escaping import shortened
from pytest_vdb.figures import equal
from pytest_vdb.records import REAL_WEIGHTS, Better, Kind, Measurement, Record, Run, Status, Task, WeightsMode

Mark = Literal["best", "second", "tied"]
"""`tied`: not significantly different from the best. A cell that is also the second is `second`, with `tied` true."""

SIGNIFICANCE = 0.05
NEUTRAL = "neither high nor low is better"
YARDSTICKS = "calibration-"
"""Models with this prefix make clips of known quality: they are ranked among themselves and never beat a model."""
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One metric in one version: two versions are two columns, because they are never compared."""

    name: str
    unit: str
    better: Better
    kind: Kind
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One row's value of one column: the mean over prompts, the samples of a prompt averaged first."""

    mean: float | None
    interval: tuple[float, float] | None = None
    """95% t-interval of the mean over prompts, or what the measurement itself came with; None below two prompts."""
    by_prompt: Mapping[str, float] = field(default_factory=dict)
    """Prompt id (with its text, where several prompts of the table have that id) -> mean over its samples; `""` for
    what is measured once per model or without a prompt."""
    missing: int = 0
    """Tests of the row that should have given a value and did not."""
    reasons: tuple[tuple[str, int], ...] = ()
    """Why values are missing, with how many each, the most frequent first."""
    wiring: bool = False
    """Computed by random weights: proves the wiring and nothing else."""
    unranked: str | None = None
    """Why the cell takes no part in the ranking; None: it does."""
    mark: Mark | None = None
    tied: bool = False
    """Not significantly different from the best (also true of the best itself when nothing can be told apart)."""
    rank: float | None = None
    """1 is best; means that differ by no more than rounding share their ranks' mean."""

    @property
    def n(self) -> int:
        """Prompts with a value."""
        return len(self.by_prompt)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One model under one recipe with one kind of weights on one device, in one benchmark with the same parameters."""

    benchmark: str
    model: str
    parameters: Mapping[str, str]
    """The benchmark's own, by name."""
    weights: WeightsMode | None
    recipe_digest: str | None
    hardware: str | None
    task: Task | None
    revision: str | None
    recipe: Mapping[str, Any]
    runs: tuple[str, ...]
    cells: tuple[Cell, ...]
    """In the order of the table's columns."""
    counts: Mapping[Status, int]
    """Tests by status; every status that occurred."""
    reused: int
    """Clips that came from the cache."""
    records: tuple[Record, ...]
    mean_rank: float | None = None
    """Over the quality columns it is ranked in; orders the rows."""
    published: str | None = None
    """Where others published the values; None: they were measured here."""

    @property
    def tests(self) -> int:
        """Every test of the row, whatever became of it."""
        return sum(self.counts.values())

    @property
    def passed(self) -> int:
        """Tests that passed."""
        return self.counts.get("passed", 0)

    @property
    def retried(self) -> int:
        """Tests that were tried more than once."""
        return sum(record.attempts > 1 for record in self.records)

    @property
    def prompts(self) -> int:
        """Different prompts that were asked."""
        return len({(record.prompt, record.prompt_text) for record in self.records if record.prompt is not None})

    @property
    def yardstick(self) -> bool:
        """Whether it is a calibration model."""
        return is_yardstick(self.model)

    @property
    def real(self) -> bool:
        """Whether the pixels mean something."""
        return self.weights in REAL_WEIGHTS or self.published is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One benchmark: records of different benchmarks are never averaged together."""

    benchmark: str
    """Its file, class and function."""
    name: str
    """What it is called among the tables: the function alone where that is enough."""
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaderboard:
    """Everything a reporter shows."""

    run: Run
    tables: tuple[Table, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows of all tables."""
        return tuple(row for table in self.tables for row in table.rows)

    @property
    def counts(self) -> dict[Status, int]:
        """Tests by status over all rows."""
        total = Counter(dict.fromkeys(STATUSES, 0))
        for row in self.rows:
            total.update(row.counts)
        known = {status: total.pop(status) for status in STATUSES}
        return {status: n for status, n in (*known.items(), *sorted(total.items())) if n}

    @property
    def reused(self) -> int:
        """Clips that came from the cache, over all rows."""
        return sum(row.reused for row in self.rows)


def is_yardstick(model: str) -> bool:
    """Whether a model makes clips of known quality: it measures the metrics, not the other way round."""
    return model.startswith(YARDSTICKS)


def build(run: Run, records: Iterable[Record]) -> Leaderboard:
    """Arrange `records` into tables.

    The result does not depend on the records' order (which differs from run to run under xdist), but for this: of two
    records of one test, the later one counts.
    """
    by_benchmark: dict[str, list[Record]] = defaultdict(list)
    for record in sorted(latest(records), key=_place):
        by_benchmark[record.benchmark].append(record)
    names = shown_names(by_benchmark)
    tables = [_table(benchmark, names[benchmark], run, part) for benchmark, part in by_benchmark.items()]
    return Leaderboard(run=run, tables=tuple(sorted(tables, key=_without_quality)))


def latest(records: Iterable[Record]) -> list[Record]:
    """Each in its benchmark, without those that a later record of the same test supersedes.

    The same test is the same sample (prompt, index, seed) of the same model under the same settings, in a benchmark
    with the same parameters: a node id alone is a name.
    """
    by_test: dict[tuple[object, ...], list[Record]] = defaultdict(list)
    for record in placed(records):
        kept = by_test[record.nodeid, record.benchmark, record.prompt, record.sample_index, _maker(record)]
        kept[:] = [earlier for earlier in kept if not _agree(_learnt(earlier), _learnt(record))]
        kept.append(record)
    return [record for kept in by_test.values() for record in kept]


def unranked_reason(
    column: Column, weights: WeightsMode | None, *, wiring: bool = False, published: str | None = None
) -> str | None:
    """Why a value of this column under these weights must not be ranked, or None if it may be."""
    if published is not None:
        return f"published in {published}, not measured here"
    if weights == "tiny":
        return "tiny random weights prove the wiring only"
    if wiring:
        return "computed by random weights: proves the wiring only"
    if column.kind == "quality" and weights not in REAL_WEIGHTS:
        return "the pixels of random weights mean nothing" if weights == "random" else "the weights are unknown"
    if weights is None:
        return "the weights are unknown"
    return NEUTRAL if column.better == "neutral" else None


_Maker = tuple[str, str | None, tuple[tuple[str, str], ...]]
_Setup = tuple[str | None, ...]


def _maker(record: Record) -> _Maker:
    """Who made it, who published it, and the benchmark's parameters: every record knows these."""
    return record.model, record.published, tuple(sorted(record.parameters.items()))


def _setup(record: Record) -> _Setup:
    """By what it was made. A test that died early never learnt it."""
    return record.weights, record.recipe_digest, record.hardware, record.revision


def _learnt(record: Record) -> tuple[object, ...]:
    """All that a test learns while it runs: by what it was made, and of what."""
    return (*_setup(record), record.seed, record.prompt_text)


def _agree(one: Sequence[object], other: Sequence[object]) -> bool:
    """Whether they may be the same: None is what was never learnt, and agrees with anything."""
    return all(a == b or a is None or b is None for a, b in zip(one, other, strict=True))


def _place(record: Record) -> tuple[object, ...]:
    """Where it stands among all records, whatever order they came in."""
    seed = -1 if record.seed is None else record.seed
    return record.benchmark, record.nodeid, _maker(record)[2], record.model, record.run, record.prompt or "", seed


def _without_quality(table: Table) -> bool:
    return all(column.kind != "quality" for column in table.columns)


def _table(benchmark: str, name: str, run: Run, records: Sequence[Record]) -> Table:
    columns = _columns(records)
    groups = [(setup, [(record, _by_key(record, columns)) for record in group]) for setup, group in _groups(records)]
    once = {c for c in columns if c.kind == "performance" and any(_has_gaps(c, readings) for _, readings in groups)}
    once |= {column for column in columns if column.kind == "quality" and _is_of_sets(column, records)}
    prompts = _prompts(records)
    rows = [_row(run, setup, readings, columns, once, prompts) for setup, readings in groups]
    ranked = _rank(rows, columns)
    return Table(benchmark=benchmark, name=name, columns=columns, rows=tuple(sorted(ranked, key=_order)))


def _groups(records: Sequence[Record]) -> list[tuple[_Setup, list[Record]]]:
    """The records of each row. One that never learnt all of its setup joins the first row that it agrees with.

    Tests that measure nothing only pass or fail: whatever their parameters, they count in one row of their model.
    """
    measuring = any(record.measurements for record in records)
    groups: dict[tuple[_Maker, _Setup], list[Record]] = {}
    for record in sorted(records, key=lambda record: _setup(record).count(None)):
        key = _maker(record if measuring else replace(record, parameters={})), _setup(record)
        if key not in groups and None in key[1]:
            key = next((k for k in groups if k[0] == key[0] and _agree(key[1], k[1])), key)
        groups.setdefault(key, []).append(record)
    return [(setup, sorted(group, key=_place)) for (_, setup), group in groups.items()]


_Asked = tuple[str | None, str | None]
"""A prompt's id and text."""


def _prompts(records: Sequence[Record]) -> dict[_Asked, str]:
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


def _columns(records: Sequence[Record]) -> tuple[Column, ...]:
    """Quality before performance, each in the order in which the tests measure.

    A missing value often does not know its version (absent weights have none), a published one never does: they make a
    column only where nothing was measured.
    """
    ours = [m for record in records if record.published is None for m in record.measurements]
    valued = {measurement.name for measurement in ours if measurement.value is not None}
    found = dict.fromkeys(_key(m) for m in ours if m.value is not None or m.name not in valued)
    known = {name for name, *_ in found}
    theirs = (m for record in records if record.published is not None for m in record.measurements)
    found |= dict.fromkeys(_key(m) for m in theirs if m.name not in known)
    columns = [Column(name=n, unit=u, better=b, kind=k, version=v) for n, u, b, k, v in found]
    return tuple(sorted(columns, key=lambda column: column.kind != "quality"))


def _key(of: Column | Measurement) -> _Key:
    return of.name, of.unit, of.better, of.kind, of.version


_Key = tuple[str, str, Better, Kind, str]
_Readings = Sequence[tuple[Record, Mapping[_Key, Measurement]]]


def _by_key(record: Record, columns: Sequence[Column]) -> dict[_Key, Measurement]:
    """The record's measurements by column; a missing or a published value stands in every column of its name."""
    by_key: dict[_Key, Measurement] = {}
    for measurement in record.measurements:
        if measurement.value is None or record.published is not None:
            by_key |= {_key(column): measurement for column in columns if column.name == measurement.name}
        else:
            by_key[_key(measurement)] = measurement
    return by_key


def _has_gaps(column: Column, readings: _Readings) -> bool:
    """Whether some tests of a row measured it and others did not even try: what is read once per model, like a load."""
    key = _key(column)
    tried = {key in by_key for record, by_key in readings if record.status == "passed" and record.reused_from is None}
    return tried == {True, False}


def _is_of_sets(column: Column, records: Sequence[Record]) -> bool:
    """Whether only records of whole sets, which answer no prompt, tried to measure it: FVD and its like."""
    tried = {record.prompt is None for record in records if record.measurement(column.name) is not None}
    return tried == {True} and any(record.prompt is not None for record in records)


def _row(
    run: Run,
    setup: _Setup,
    readings: _Readings,
    columns: Sequence[Column],
    once: set[Column],
    prompts: Mapping[_Asked, str],
) -> Row:
    _, recipe_digest, hardware, _ = setup
    records = [record for record, _ in readings]
    first = next((record for record in records if _setup(record) == setup), records[0])
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
        cells=tuple(_cell(column, readings, first, prompts, once=column in once) for column in columns),
        counts=dict(Counter(record.status for record in records)),
        reused=sum(record.reused_from is not None for record in records),
        records=tuple(records),
        published=first.published,
    )


def _common_parameters(records: Sequence[Record]) -> set[tuple[str, str]]:
    return set.intersection(*(set(record.parameters.items()) for record in records))


def _cell(column: Column, readings: _Readings, of: Record, prompts: Mapping[_Asked, str], *, once: bool) -> Cell:
    """`once`: the values are not about prompts but about the model; tests without one lack nothing.

    `of`: a record of the row, which knows the weights; `prompts`: what each is called.
    """
    asked = any(record.prompt is not None for record, _ in readings)
    values: dict[str, list[float]] = defaultdict(list)
    reasons: Counter[str] = Counter()
    measured: list[Measurement] = []
    key = _key(column)
    for record, by_key in readings:
        measurement = by_key.get(key)
        counts, reason = reading(record, measurement)
        if counts is not None and counts.value is not None:
            measured.append(counts)
            asked_for = "" if once else prompts.get((record.prompt, record.prompt_text), "")
            values[asked_for].append(counts.value)
        elif measurement is not None or not (once or (asked and record.prompt is None and record.status == "passed")):
            reasons[reason] += 1  # what was measured of the whole set lacks nothing that is measured of its clips
    missing = sum(reasons.values())
    counted = tuple(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))
    if not measured:
        none = counted or (("not measured by these tests", len(readings)),)
        return Cell(mean=None, missing=missing, reasons=none, unranked="there is no value")
    by_prompt = {prompt: sum(group) / len(group) for prompt, group in sorted(values.items())}
    wiring = any(measurement.wiring for measurement in measured)
    return Cell(
        mean=sum(by_prompt.values()) / len(by_prompt),
        interval=measured[0].interval
        if len(measured) == 1
        else t_interval(values[""] if once else list(by_prompt.values())),
        by_prompt=by_prompt,
        missing=missing,
        reasons=counted,
        wiring=wiring,
        unranked=unranked_reason(column, of.weights, wiring=wiring, published=of.published),
    )


def reading(record: Record, measurement: Measurement | None) -> tuple[Measurement | None, str]:
    """What counts of a record's measurement, or why nothing does."""
    if record.status != "passed":
        return None, failure_line(record)
    if measurement is None:
        return None, "not measured by these tests" if record.published is None else "not published"
    if measurement.kind == "performance" and record.reused_from is not None and measurement.value is not None:
        return None, "the clip came from the cache: nothing was timed"
    return measurement, measurement.reason or ""


def dimmed(cell: Cell) -> bool:
    """Whether a value is shown as one that means nothing for the ranking (a neutral metric's value means something)."""
    return cell.mean is not None and cell.unranked not in {None, NEUTRAL}


def failure_line(record: Record) -> str:
    """One line on why a test that did not pass did not: `failed: BadClip: one constant colour`."""
    status = "failed as expected" if record.status == "xfailed" else record.status.replace("_", " ")
    if record.failure is None:
        return status
    kind, first = record.failure.type, next(iter(record.failure.message.strip().splitlines()), "")
    told = record.status in _TOLD_BY_STATUS or kind == record.status or first.startswith(kind)
    return shortened(": ".join(part for part in (status, "" if told else kind, first) if part), _LONGEST_LINE)


_TOLD_BY_STATUS: frozenset[Status] = frozenset({"skipped", "xfailed", "interrupted"})
"""What pytest raises to end such a test says nothing besides."""
_LONGEST_LINE = 400
"""Characters of a failure in a table; the page has the traceback."""


def _rank(rows: Sequence[Row], columns: Sequence[Column]) -> list[Row]:
    cells = [list(row.cells) for row in rows]
    for index, column in enumerate(columns):
        for group in _comparable(rows, column):
            for at, cell in _ranked(column, {at: cells[at][index] for at in group}).items():
                cells[at][index] = cell
    return [
        replace(row, cells=tuple(own), mean_rank=_mean_rank(own, columns)) for row, own in zip(rows, cells, strict=True)
    ]


def _comparable(rows: Sequence[Row], column: Column) -> list[list[int]]:
    """Which rows compete: models with models, yardsticks with yardsticks; for performance on the same hardware only."""
    groups: dict[tuple[bool, str | None], list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        groups[row.yardstick, row.hardware if column.kind == "performance" else None].append(at)
    return list(groups.values())


def _ranked(column: Column, cells: dict[int, Cell]) -> dict[int, Cell]:
    """The cells with their marks. Fewer than two that compete: no marks, there is nothing to be better than."""
    candidates = {at: cell for at, cell in cells.items() if cell.unranked is None}
    expected = {prompt for cell in candidates.values() for prompt in cell.by_prompt}
    result = dict(cells)
    for at, cell in candidates.items():
        if lacking := len(expected - set(cell.by_prompt)):
            result[at] = replace(cell, unranked=f"lacks {lacking} of {len(expected)} prompts that others answered")
    competing = [at for at in candidates if result[at].unranked is None]
    if len(competing) < 2:
        return result
    ranks = _ranks([_merit(column, result[at]) for at in competing])
    ties = _tied_with_best([result[at] for at in competing], ranks)
    lower = sorted({rank for rank in ranks if rank > min(ranks)})
    for at, rank, tied in zip(competing, ranks, ties, strict=True):
        mark: Mark | None = "tied" if tied else None
        if rank == min(ranks):
            mark = "best"
        elif lower and rank == lower[0]:
            mark = "second"
        result[at] = replace(result[at], rank=rank, mark=mark, tied=tied)
    return result


def _merit(column: Column, cell: Cell) -> float:
    assert cell.mean is not None
    return cell.mean if column.better == "higher" else -cell.mean


def _ranks(merits: Sequence[float]) -> list[float]:
    """1 for the highest; those that differ by no more than rounding share the mean of their places."""
    largest = max(map(abs, merits))
    ordered = sorted(range(len(merits)), key=lambda at: -merits[at])
    ranks = [0.0] * len(merits)
    start = 0
    for end in range(1, len(ordered) + 1):
        if end < len(ordered) and equal(merits[ordered[end]], merits[ordered[start]], largest):
            continue
        for at in ordered[start:end]:
            ranks[at] = (start + 1 + end) / 2
        start = end
    return ranks


def _tied_with_best(cells: Sequence[Cell], ranks: Sequence[float]) -> list[bool]:
    """Per cell: whether a paired test over the same prompts cannot tell it from the best one.

    The t-test and not the sign-flip, which can never tell anything apart on the six prompts of a smoke run. Values over
    one or two prompts have no test: they are not told apart if they bring intervals of their own and these overlap.
    """
    import numpy as np

    best = ranks.index(min(ranks))
    if cells[best].n < 3:
        tied = [at != best and _overlap(cell, cells[best]) for at, cell in enumerate(cells)]
        return [*tied[:best], any(tied), *tied[best + 1 :]]
    prompts = sorted(cells[best].by_prompt)
    values = np.array([[cell.by_prompt[prompt] for prompt in prompts] for cell in cells])
    others = [at for at in range(len(cells)) if at != best]
    p_values = paired_t_p_values((values[others] - values[best]).T)
    adjusted = dict(zip(others, benjamini_hochberg([float(p) for p in p_values]), strict=True))
    tied = [at != best and adjusted[at] >= SIGNIFICANCE for at in range(len(cells))]
    tied[best] = any(tied)
    return tied


def _overlap(one: Cell, other: Cell) -> bool:
    if one.interval is None or other.interval is None:
        return False
    return one.interval[0] <= other.interval[1] and other.interval[0] <= one.interval[1]


def _mean_rank(cells: Sequence[Cell], columns: Sequence[Column]) -> float | None:
    ranks = [
        c.rank for c, column in zip(cells, columns, strict=True) if column.kind == "quality" and c.rank is not None
    ]
    return sum(ranks) / len(ranks) if ranks else None


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
