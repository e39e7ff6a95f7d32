"""What became of a metric over all runs: a series for everything that was measured in the same way, and its changes.

Compared is like with like, as the gate does: a series has one benchmark, model, weights, recipe, revision, device, list
of prompts with their seeds, metric and version. A run in which some prompts failed has another mean for that reason
alone: it is shown, and no change is sought in it.
"""

from __future__ import annotations

import fnmatch
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

from pytest_vdb.analysis.benchmarks import longest_names, shown_names
from pytest_vdb.analysis.identity import Maker, Setup, agree, latest, maker_of, setup_of
from pytest_vdb.analysis.readings import (
    NOT_MEASURED,
    Statement,
    counting,
    definitions_in,
    failure_line,
    is_of_set,
    is_read_once,
)
from pytest_vdb.analysis.rules import EVERY, FLOORS
from pytest_vdb.errors import RecordError, UnknownName
from pytest_vdb.escaping import few
from pytest_vdb.records import Measurement, Record, Run, digest
from pytest_vdb.results.history import Asked, Figure, RunInShort
from pytest_vdb.statistics.means import mean_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_vdb.statistics.changes import Change

EDITION = 1
"""Of what `in_short` makes: raise it with every change, and no older index counts."""
_LARGEST_FIGURE = 1e150
"""Sums and squares of larger ones are no numbers any more."""


# --- one run ----------------------------------------------------------------------------------------------------------


def in_short(run: Run, records: Sequence[Record]) -> tuple[Asked, ...]:
    """What a history keeps of a run: one figure for each metric of each model that was asked in one way."""
    seed = run.options.get("seed")
    groups = _alike([record for record in latest(records) if record.published is None])
    return tuple(_asked_in_one_way(setup, of_one, seed) for setup, of_one in groups)


def _alike(records: Iterable[Record]) -> list[tuple[Setup, list[Record]]]:
    """Records of one benchmark, model and setup; a test that died before it learnt its setup is with those it fits."""
    by_maker: dict[tuple[str, Maker], list[Record]] = defaultdict(list)
    for record in records:
        by_maker[record.benchmark, maker_of(record)].append(record)
    groups = []
    for of_maker in by_maker.values():
        by_setup: dict[Setup, list[Record]] = defaultdict(list)
        for record in sorted(of_maker, key=lambda one: sum(part is None for part in setup_of(one))):
            fits = [setup for setup in by_setup if agree(setup, setup_of(record))]
            by_setup[fits[0] if len(fits) == 1 else setup_of(record)].append(record)
        groups += list(by_setup.items())
    return groups


def _asked_in_one_way(setup: Setup, records: Sequence[Record], seed: object) -> Asked:
    first = records[0]
    tests = [record for record in records if not is_of_set(record)]
    suites = sorted({record.suite_digest for record in records if record.suite_digest is not None})
    samples = sorted({(record.prompt or "", record.sample_index) for record in tests})
    metrics = dict.fromkeys((one.name, one.version) for one in definitions_in(records) if not one.wiring)
    failed = [failure_line(record) for record in records if record.status != "passed"]
    weights, recipe, hardware, revision = setup
    return Asked(
        benchmark=first.benchmark,
        model=first.model,
        parameters=first.parameters,
        weights=first.weights if weights is not None else None,
        recipe=recipe,
        hardware=hardware,
        revision=revision,
        prompts=digest([samples, suites, seed]),
        why=failed[0] if failed else NOT_MEASURED,
        figures=tuple(_figure_of_metric(records, *metric) for metric in metrics),
    )


def _figure_of_metric(records: Sequence[Record], metric: str, version: str) -> Figure:
    stated = [Statement.of(record, metric) for record in records]
    own = [one for one in stated if one.measurement is not None and one.measurement.version == version]
    of_sets = any(is_of_set(one.record) for one in own)
    asked = [one for one in stated if is_of_set(one.record) == of_sets]
    found = counting(own)
    large = [measured for _, measured in found if abs(_value_of(measured)) > _LARGEST_FIGURE]
    found = [] if large else found
    definition = _definition(own)
    is_cost = definition.kind == "performance"
    by_prompt: dict[str | None, list[float]] = defaultdict(list)
    for record, measured in found:
        by_prompt[record.prompt].append(_value_of(measured))
    means = [mean_of(values) for values in by_prompt.values()]
    value = None
    if found:
        value = float(median(_value_of(measured) for _, measured in found)) if is_cost else mean_of(means)
    lacking = [f"a value of {measured.value:g} is too large to compare" for measured in large]
    lacking += [one.why_not for one in asked if one.value is None]
    n = sum(measured.n for _, measured in found) if of_sets else len(means)
    over: object = n if of_sets else sorted((r.prompt or "", r.sample_index) for r, _ in found)
    return Figure(
        metric=metric,
        version=version,
        unit=definition.unit,
        better=definition.better,
        kind=definition.kind,
        value=value,
        n=n,
        over=digest(over),
        why=lacking[0] if lacking and not (value is not None and is_read_once(asked)) else "",
    )


def _definition(stated: Sequence[Statement]) -> Measurement:
    """Of a metric that at least one of them measured."""
    (first, *_) = (one.measurement for one in stated if one.measurement is not None)
    return first


def _value_of(measured: Measurement) -> float:
    assert measured.value is not None, "only what counts comes here"
    return measured.value


# --- all runs ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What one run says."""

    run: RunInShort
    figure: Figure
    alike: bool = True
    """Whether it is over the prompts that have a value in most runs of the series; a cost always is."""

    @property
    def comparable(self) -> float | None:
        """The value, if it may be held against others."""
        return self.figure.value if self.alike else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A change that was found."""

    first: RunInShort
    """The first run of the new level."""
    last: RunInShort
    """The last one of the level before."""
    before: float
    after: float
    worse: bool | None
    """None: of this metric neither high nor low is better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One metric of one model, measured in one way, run by run."""

    asked: Asked
    """By what it was made, as the newest run has it; without figures."""
    points: tuple[Point, ...]
    """The oldest first, at least one."""
    steps: tuple[Step, ...] = ()
    tested: bool = False
    """Whether there were runs enough to look for a change."""
    lacking: str = ""
    """Why the newest run that asked for it has no value; nothing where it has one."""

    @property
    def figure(self) -> Figure:
        """The newest."""
        return self.points[-1].figure

    @property
    def values(self) -> list[float]:
        """What may be compared, the oldest first."""
        return [value for point in self.points if (value := point.comparable) is not None]

    @property
    def change(self) -> float | None:
        """The newest value less the median of those before it; None where either is missing."""
        newest, before = self.points[-1].comparable, self.values[:-1]
        return None if newest is None or not before else newest - float(median(before))


def trends(
    runs: Sequence[RunInShort],
    *,
    model: str = EVERY,
    metrics: Sequence[str] = (EVERY,),
    branch: str | None = None,
    last: int | None = None,
) -> tuple[Series, ...]:
    """The series of what is asked for, with their changes, by benchmark, model and metric.

    Args:
        runs: the oldest first.
        model, metrics: names or globs.
        branch: only runs of this git branch.
        last: only so many runs, the newest.

    Raises:
        RecordError: no run is left.
        UnknownName: no run has such a model or metric.
    """
    chosen = [run for run in runs if branch is None or run.branch == branch]
    chosen = chosen if last is None else chosen[-last:]
    if not chosen:
        of = "" if branch is None else f" of the branch {branch}"
        raise RecordError(f"there is no finished run{of}", mend="run the benchmarks once before")
    chosen = _under_longest_names(chosen)
    _check_known("model", [model], (one.model for run in chosen for one in run.asked))
    _check_known("metric", metrics, (f.metric for run in chosen for one in run.asked for f in one.figures))
    found = _series_in_runs(chosen, model, metrics)
    return _with_steps(chosen, [_judged_whole(series, chosen) for series in found])


def _under_longest_names(runs: Sequence[RunInShort]) -> list[RunInShort]:
    """A benchmark's file is called from where pytest was typed: one name for what is one."""
    seen: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        for one in run.asked:
            seen[one.benchmark].add(run.run)
    longest = longest_names(seen)
    if not longest:
        return list(runs)
    return [
        replace(
            run, asked=tuple(replace(one, benchmark=longest.get(one.benchmark, one.benchmark)) for one in run.asked)
        )
        for run in runs
    ]


def _check_known(what: str, patterns: Iterable[str], names: Iterable[str]) -> None:
    known = sorted(set(names))
    for pattern in patterns:
        if pattern != EVERY and not fnmatch.filter(known, pattern):
            raise UnknownName(what, pattern, known, mend=f"These runs have: {few(known) or 'none'}.")


def _series_in_runs(runs: Sequence[RunInShort], model: str, metrics: Sequence[str]) -> list[Series]:
    by_key: dict[tuple[object, ...], list[tuple[Asked, Point]]] = defaultdict(list)
    for run in runs:
        for asked in run.asked:
            if not fnmatch.fnmatchcase(asked.model, model):
                continue
            for figure in asked.figures:
                if any(fnmatch.fnmatchcase(figure.metric, pattern) for pattern in metrics):
                    key = (*_identity(asked), figure.metric, figure.version)
                    by_key[key].append((replace(asked, figures=()), Point(run=run, figure=figure)))
    found = [Series(asked=pairs[-1][0], points=tuple(point for _, point in pairs)) for pairs in by_key.values()]
    return sorted(
        found, key=lambda one: (one.asked.benchmark, one.asked.model, one.figure.metric, one.points[0].run.began)
    )


def telling_apart(every: Sequence[Series]) -> list[dict[str, str]]:
    """Of each series what tells it from the others of its model and metric; nothing where it is the only one."""
    benchmarks = shown_names(one.asked.benchmark for one in every)
    about = [
        {
            "benchmark": benchmarks[one.asked.benchmark],
            "parameters": ", ".join(f"{name}={value}" for name, value in sorted(one.asked.parameters.items())),
            "weights": one.asked.weights or "",
            "recipe": one.asked.recipe or "",
            "hardware": one.asked.hardware or "",
            "revision": one.asked.revision or "",
            "prompts": one.asked.prompts[:8],
            "version": one.figure.version,
        }
        for one in every
    ]
    alike: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, one in enumerate(every):
        alike[one.asked.model, one.figure.metric].append(place)
    found: list[dict[str, str]] = [{} for _ in every]
    for places in alike.values():
        for key in about[0]:
            if len({about[place][key] for place in places}) > 1:
                for place in places:
                    found[place][key] = about[place][key]
    return found


def _place_of_series(series: Series) -> tuple[str, ...]:
    return series.asked.benchmark, series.asked.model, series.figure.metric, series.points[0].run.began


def _identity(asked: Asked) -> tuple[object, ...]:
    return asked.benchmark, asked.model, tuple(sorted(asked.parameters.items())), *_setup(asked), asked.prompts


def _setup(asked: Asked) -> Setup:
    return asked.weights, asked.recipe, asked.hardware, asked.revision


def _judged_whole(series: Series, runs: Sequence[RunInShort]) -> Series:
    """With what may be compared, and why the newest run that asked has no value."""
    points = series.points
    if series.figure.kind != "performance":
        counts = Counter(point.figure.over for point in points if point.figure.value is not None)
        usual = counts.most_common(1)[0][0] if counts else None
        points = tuple(replace(point, alike=point.figure.over == usual) for point in points)
    lacking = series.figure.why or "not measured" if series.figure.value is None else ""
    for run in runs:  # a newer one in which the model died before anything was measured
        if (run.began, run.run) > (points[-1].run.began, points[-1].run.run):
            for asked in run.asked:
                if not asked.figures and _may_be(asked, series.asked):
                    lacking = f"{asked.why} (run {run.run})"
    return replace(series, points=points, lacking=lacking)


def _may_be(one: Asked, other: Asked) -> bool:
    made = [(asked.benchmark, asked.model, asked.parameters) for asked in (one, other)]
    return made[0] == made[1] and agree(_setup(one), _setup(other))


def _with_steps(runs: Sequence[RunInShort], every: Sequence[Series]) -> tuple[Series, ...]:
    """All series are tested together: see `statistics.changes`."""
    if not every:
        return ()
    import numpy as np

    from pytest_vdb.statistics.changes import LEAST_RUNS, changes

    rows = {run.run: row for row, run in enumerate(runs)}
    table = np.full((len(runs), len(every)), np.nan)
    for column, series in enumerate(every):
        for point in series.points:
            table[rows[point.run.run], column] = math.nan if (v := point.comparable) is None else v
    found = changes(table)
    return tuple(
        replace(
            series,
            steps=tuple(_steps_of(series, own, table[:, column], runs)),
            tested=len(series.values) >= LEAST_RUNS,
        )
        for column, (series, own) in enumerate(zip(every, found, strict=True))
    )


def _steps_of(
    series: Series, found: Iterable[Change], values: NDArray[np.float64], runs: Sequence[RunInShort]
) -> Iterator[Step]:
    """Without those of costs that are too small to alarm anybody."""
    figure = series.figure
    floor = FLOORS.get(figure.unit, 0.0) if figure.kind == "performance" else 0.0
    for one in found:
        rise = one.after - one.before
        if abs(rise) <= floor:
            continue
        before = max(row for row in range(one.at) if not math.isnan(values[row]))
        worse = None if figure.better == "neutral" else (rise > 0) == (figure.better == "lower")
        yield Step(first=runs[one.at], last=runs[before], before=one.before, after=one.after, worse=worse)
