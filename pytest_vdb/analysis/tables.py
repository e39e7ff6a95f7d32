"""What a leaderboard is made of: a table per benchmark, a row per model and setup, a column per metric, their cells.

And the standings, in which each model has one line that joins what all benchmarks measured of it.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from typing import Any, Literal, get_args

from pytest_vdb.analysis.readings import is_of_set, is_yardstick
from pytest_vdb.records import REAL_WEIGHTS, Better, Kind, Record, Run, Status, Task, WeightsMode

Mark = Literal["best", "second", "tied"]
"""`tied`: not told apart from the best. A cell that is also the second is `second`, with `tied` true."""

RATES = frozenset({"frames/s", "videos/min", "s/s"})
"""Units of what is made in a time."""
NEUTRAL = "neither high nor low is better"
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One metric in one version: two versions are two columns, because they are never compared."""

    name: str
    unit: str
    better: Better
    kind: Kind
    version: str

    @property
    def is_rate(self) -> bool:
        """Whether it is how much is made in a time: of several, all that was made over all the time is the mean."""
        return self.kind == "performance" and self.unit in RATES


class Prompts:
    """The prompts that a cell has values of; one object for all cells that have values of the same."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    @cached_property
    def places(self) -> dict[str, int]:
        """Name -> place."""
        return {name: at for at, name in enumerate(self.names)}

    @cached_property
    def as_set(self) -> frozenset[str]:
        """Without an order."""
        return frozenset(self.names)


class PromptMeans(Mapping[str, float]):
    """Prompt -> mean over its samples, as an array.

    Args:
        prompts: which.
        means: one of each.
    """

    __slots__ = ("means", "prompts")

    def __init__(self, prompts: Prompts, means: array[float]) -> None:
        self.prompts = prompts
        self.means = means

    def __getitem__(self, prompt: str) -> float:
        return self.means[self.prompts.places[prompt]]

    def __iter__(self) -> Iterator[str]:
        return iter(self.prompts.names)

    def __len__(self) -> int:
        return len(self.means)

    def __repr__(self) -> str:
        return repr(dict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One row's value of one column: the mean over prompts (of rates harmonic), a prompt's samples averaged first."""

    mean: float | None
    interval: tuple[float, float] | None = None
    """95% of the mean over prompts, or what the measurement itself came with."""
    no_interval: str | None = None
    """Why a value has none."""
    by_prompt: Mapping[str, float] = field(default_factory=dict)
    """Prompt id (with its text, where several prompts of the table have that id) -> mean over its samples; `""` for
    what is measured once per model or without a prompt."""
    missing: int = 0
    """Tests of the row that should have given a value and did not."""
    reasons: tuple[tuple[str, int], ...] = ()
    """Why values are missing, with how many each, the most frequent first."""
    failed: frozenset[str] = frozenset()
    """Prompts, as in `by_prompt`, that have no value because every test of them failed; of what is measured of the
    whole set: prompts whose clips it lacks."""
    asked: int = 0
    """Prompts of the row."""
    remarks: tuple[str, ...] = ()
    """What to know about the value: `FVD of 16 clips: most of it can be bias`, `1 of 6 prompts failed`."""
    own_n: int | None = None
    """What the only measurement was made from: the clips of a metric of the whole set. None: it is one of many."""
    wiring: bool = False
    """Computed by random weights: proves the wiring and nothing else."""
    unranked: str | None = None
    """Why the cell takes no part in the ranking; None: it does."""
    mark: Mark | None = None
    tied: bool = False
    """Not told apart from the best (also true of the best itself when nothing can be told apart)."""
    p: float | None = None
    """Of "as good as the best", corrected for the number of models; None: it was not tested."""
    rank: float | None = None
    """1 is best; means that differ by no more than rounding share the mean of their ranks. A failed prompt counts as
    the worst value there can be, so the order of ranks need not be that of the means."""

    @property
    def n(self) -> int:
        """Prompts with a value."""
        return len(self.by_prompt)

    @property
    def answered(self) -> frozenset[str]:
        """Prompts with a value, as in `by_prompt`."""
        means = self.by_prompt
        return means.prompts.as_set if isinstance(means, PromptMeans) else frozenset(means)

    def means_of(self, prompts: Sequence[str]) -> Sequence[float]:
        """Of prompts that have a value, in this order."""
        means = self.by_prompt
        if isinstance(means, PromptMeans) and means.prompts.names == tuple(prompts):
            return means.means
        return [means[prompt] for prompt in prompts]


@dataclass(frozen=True, kw_only=True)
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
    """Over the families of metrics that `Table.order` names; orders the rows."""
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

    @cached_property
    def retried(self) -> int:
        """Tests that were tried more than once."""
        return sum(record.attempts > 1 for record in self.records)

    @cached_property
    def asked(self) -> frozenset[tuple[str, str | None]]:
        """Different prompts that were asked, each with its text."""
        every = set(map(attrgetter("prompt", "prompt_text"), self.records))
        return frozenset(one for one in every if one[0] is not None)

    @property
    def prompts(self) -> int:
        """How many these are."""
        return len(self.asked)

    @cached_property
    def seeds(self) -> tuple[int, int] | None:
        """The fewest and the most seeds with which one prompt was asked; None: none is known."""
        asked = {(r.prompt, r.prompt_text, r.seed) for r in self.records if r.prompt is not None and r.seed is not None}
        counts = Counter((prompt, text) for prompt, text, _ in asked).values()
        return (min(counts), max(counts)) if counts else None

    @property
    def yardstick(self) -> bool:
        """Whether it is a calibration model."""
        return is_yardstick(self.model)

    @property
    def real(self) -> bool:
        """Whether the pixels mean something."""
        return self.weights in REAL_WEIGHTS or self.published is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """By what the models of a table are ordered."""

    families: tuple[str, ...]
    """Metrics in which every model is ranked; `psnr` and `psnr.256` are one."""
    left_out: tuple[str, ...]
    """Metrics of quality in which not every model is ranked."""
    prompts: int
    """That every model was asked in all of them; 0: these metrics are about no prompts."""
    of_prompts: int
    """That any of them was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One benchmark: records of different benchmarks are never averaged together."""

    benchmark: str
    """Its file, class and function."""
    name: str
    """What it is called among the tables: the function alone where that is enough."""
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    order: Order | None = None
    """None: fewer than two models compete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Between which ranks a model lies in one column: true of all its models at once in 95 of 100 tables."""

    lowest: int
    """1 and the number of models that are significantly better: its rank."""
    highest: int
    """What remains when those that are significantly worse are counted from the end."""
    of: int
    """Models that were compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a column of the standings stands among the benchmarks."""

    table: int
    """Of `Leaderboard.tables`."""
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One model under one recipe with one kind of weights, over all benchmarks."""

    row: Row
    """Joined: the cells of every column, all tests, all records. Its `hardware` is that of the costs."""
    places: tuple[Place | None, ...]
    """In the order of the columns; None: nobody asked for it, or it is no model that is ranked there."""
    facets: Mapping[int, int]
    """Table -> the row in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standings:
    """The models of one task, or all those whose weights were never trained: a line each."""

    task: Task | None
    trained: bool
    """False: tiny and random weights, of every task."""
    table: Table
    """The lines as rows of one table, which no test of its own has."""
    lines: tuple[Standing, ...]
    """In the order of the rows."""
    sources: tuple[Source | None, ...]
    """In the order of the columns; None: it is made of others, and stands in no table of a benchmark."""
    lead: int | None
    """The column by which models are ranked first; None: no two are ranked in any."""
    cost: int | None
    """The column that says how long a clip takes, or else another cost; None: none was measured."""
    timed: tuple[str, ...] = ()
    """Costs that several benchmarks measured, of which those of the benchmark that times a warm model are shown."""
    overall: str | None = None
    """How the first column is made of others, or why it is not there; None: nobody asked for such a score."""


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """Everything a reporter shows."""

    run: Run
    tables: tuple[Table, ...]
    standings: tuple[Standings, ...] = ()
    """What was measured of trained models, a task each; then tiny and random weights."""

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The rows of all tables."""
        return tuple(row for table in self.tables for row in table.rows)

    @cached_property
    def asked(self) -> frozenset[tuple[str, str | None]]:
        """Different prompts that were asked of any row."""
        return frozenset().union(*(row.asked for row in self.rows))

    @cached_property
    def recorded(self) -> int:
        """Tests of this run that left a record."""
        ours = self.run.id
        return len({r.nodeid for row in self.rows for r in row.records if r.run == ours and not is_of_set(r)})

    @cached_property
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


def dimmed(cell: Cell) -> bool:
    """Whether a value is shown as one that means nothing for the ranking (a neutral metric's value means something)."""
    return cell.mean is not None and cell.unranked not in {None, NEUTRAL}
