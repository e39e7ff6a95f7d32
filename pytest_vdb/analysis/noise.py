"""The noise floor: how much sessions differ in which nothing has changed.

A/A sessions run the same benchmark again. What then differs is noise: of a metric of clips, the two means of a prompt;
of a cost, the medians of sessions, for a machine's mood shifts all prompts of a night. `margins` says what a gate can
see beside it.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import NormalDist, median, stdev
from typing import TypeVar

from pytest_vdb.analysis.benchmarks import placed
from pytest_vdb.analysis.identity import latest
from pytest_vdb.analysis.readings import Statement, counting, definitions_in, is_of_set, is_read_once
from pytest_vdb.escaping import few
from pytest_vdb.records import Baseline, Measurement, PairKey, Record
from pytest_vdb.results.noise import Floor, Seeds
from pytest_vdb.statistics.families import SIGNIFICANCE, holm
from pytest_vdb.statistics.means import mean_of
from pytest_vdb.statistics.sessions import spread_of_sessions

Place = TypeVar("Place")

_SHIFTED = "the sessions differ in all prompts together, by more than chance: more prompts would not help"
_OF_95_PERCENT = NormalDist().inv_cdf(0.975)
_Table = dict[PairKey, float]
"""(prompt, seed, parameters) -> value."""


def floors_of(sessions: Sequence[Baseline], wanted: Callable[[str, str], bool] | None = None) -> tuple[Floor, ...]:
    """One per metric, model, recipe and benchmark; two where sessions had the same seeds and other ones.

    Args:
        sessions: at least one; of a single one nothing is known between sessions.
        wanted: by metric and model, whether it is asked for; None: all are.
    """
    seeds = [session.run.options.get("seed") for session in sessions]
    found: list[_Found] = []
    for group in _grouped_alike(sessions):
        every = definitions_in(record for records in group.records for record in records)
        names = dict.fromkeys(one.name for one in every)
        for metric in names:
            if wanted is None or wanted(metric, group.model):
                found += _floors_of_metric(group, metric, seeds)
    return tuple(sorted(_with_shifts(found), key=lambda f: (f.benchmark, f.model, f.kind != "quality", f.metric)))


@dataclass(frozen=True, slots=True)
class _Found:
    """A floor, and from where to where its prompts went."""

    floor: Floor
    moves: tuple[tuple[float, ...], ...] = ()
    """Of each two sessions in a row with the same seeds: how much each prompt's mean moved."""


def _with_shifts(found: Sequence[_Found]) -> Iterator[Floor]:
    """Where sessions differ in all prompts together, prompts are not the unit, and more of them do not help."""
    shifted = _shifted_places([(place, moved) for place, one in enumerate(found) for moved in one.moves])
    for place, one in enumerate(found):
        yield replace(one.floor, remarks=(*one.floor.remarks, _SHIFTED)) if place in shifted else one.floor


def _shifted_places(moves: Sequence[tuple[int, tuple[float, ...]]]) -> set[int]:
    """Where what moved went one way, more than by chance; corrected for all."""
    import numpy as np

    from pytest_vdb.statistics.exchangeable import sign_flip_p_values

    p_values: list[tuple[int, float]] = []
    for prompts in {len(moved) for _, moved in moves}:
        alike = [(place, moved) for place, moved in moves if len(moved) == prompts]
        found = sign_flip_p_values(np.array([moved for _, moved in alike]).T)
        p_values += [(place, float(p)) for (place, _), p in zip(alike, found, strict=True)]
    corrected = holm([p for _, p in p_values])
    return {place for (place, _), p in zip(p_values, corrected, strict=True) if p < SIGNIFICANCE}


# --- what was measured alike ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Alike:
    """What a model was asked in one way, session by session."""

    benchmark: str
    model: str
    weights: str | None
    recipe: str | None
    records: tuple[tuple[Record, ...], ...]


_MadeAlike = tuple[str, str, str | None, str | None]


def _grouped_alike(sessions: Sequence[Baseline]) -> list[_Alike]:
    """By benchmark, model, weights and recipe. A test that died before it knew them counts wherever it may belong."""
    by_session = [latest(session.records) for session in sessions]
    every = iter(placed(record for records in by_session for record in records))
    groups: dict[_MadeAlike, list[list[Record]]] = {}
    early: list[tuple[int, Record]] = []
    for place, records in enumerate(by_session):
        for record in (next(every, one) for one in records):
            if record.weights is None or record.recipe_digest is None:
                early.append((place, record))
                continue
            key: _MadeAlike = (record.benchmark, record.model, record.weights, record.recipe_digest)
            groups.setdefault(key, [[] for _ in sessions])[place].append(record)
    for place, record in early:
        for known, group in groups.items():
            if known[:2] == (record.benchmark, record.model):
                group[place].append(record)
    return [_Alike(*key, records=tuple(map(tuple, group))) for key, group in groups.items()]


@dataclass(frozen=True, slots=True)
class _MetricAlike:
    """One metric of what was measured alike."""

    floor: Floor
    """Without figures."""
    stated: tuple[tuple[Statement, ...], ...]
    """By session."""
    tables: tuple[_Table, ...]
    """By session: what counts."""
    seeds: tuple[object, ...]

    def cannot(self, reason: str) -> Floor:
        """Nothing is known between sessions."""
        return replace(self.floor, reason=reason)


def _floors_of_metric(group: _Alike, metric: str, seeds: Sequence[object]) -> list[_Found]:
    stated = tuple(tuple(Statement.of(record, metric) for record in records) for records in group.records)
    found = [one for of_session in stated for one in counting(of_session)]
    tried = [one.measurement for of_session in stated for one in of_session if one.measurement is not None]
    if not tried or any(measured.wiring for measured in tried):
        return []
    measured = [one for _, one in found] or tried
    once = any(map(is_read_once, stated))
    of_sets = bool(found) and all(is_of_set(record) for record, _ in found)
    first = measured[0]
    floor = Floor(
        benchmark=group.benchmark,
        model=group.model,
        metric=metric,
        version=first.version,
        unit=first.unit,
        better=first.better,
        kind=first.kind,
        weights=group.weights,
        recipe=group.recipe,
        hardware=_one_of(record.hardware for record, _ in found),
        way="costs" if first.kind == "performance" else "sets" if of_sets else "prompts",
    )
    tables = tuple(_table_of(of_session, once=once or of_sets) for of_session in stated)
    asked = _MetricAlike(floor, stated, tables, tuple(seeds))
    if not found:
        return [_Found(asked.cannot(f"no value: {_usual_reason(stated)}"))]
    if (barrier := _why_not_alike([record for record, _ in found], measured)) is not None:
        return [_Found(asked.cannot(barrier))]
    if floor.way == "costs":
        return [_Found(_floor_of_cost(asked))]
    return _floors_of_quality(asked, _floor_of_sets if of_sets else _floor_of_prompts)


def _why_not_alike(records: Sequence[Record], measured: Sequence[Measurement]) -> str | None:
    """Why the sessions are not the same thing twice."""
    for what in ("version", "unit", "better"):
        if len(told := {str(getattr(one, what)) for one in measured}) > 1:
            return f"the metric's {what} is {' and '.join(sorted(told))}: not the same thing twice"
    hardware = {str(record.hardware) for record in records}
    if measured[0].kind == "performance" and len(hardware) > 1:
        return f"measured on {' and '.join(sorted(hardware))}: not the same thing twice"
    texts: dict[str | None, str] = {}
    for record in records:
        if record.prompt_text is not None and texts.setdefault(record.prompt, record.prompt_text) != record.prompt_text:
            return f"prompt {record.prompt!r} has another text in another session: not the same thing twice"
    return None


def _table_of(stated: Iterable[Statement], *, once: bool) -> _Table:
    """`once`: what is read once per model, or of all clips, is one value."""
    by_pair = defaultdict(list)
    for one in stated:
        if one.value is not None:
            by_pair[(None, None, ()) if once else one.record.pair].append(one.value)
    return {pair: mean_of(values) for pair, values in by_pair.items()}


def _one_of(values: Iterable[str | None]) -> str | None:
    """The value, where all have the same."""
    every = set(values)
    return every.pop() if len(every) == 1 else None


def _usual_reason(stated: Iterable[Iterable[Statement]]) -> str:
    """The commonest reason for a missing value."""
    reasons = Counter(one.why_not for of_session in stated for one in of_session if one.value is None)
    return reasons.most_common(1)[0][0] if reasons else "not run with the same prompts"


# --- how much they differ ---------------------------------------------------------------------------------------------


def _floor_of_cost(asked: _MetricAlike) -> Floor:
    """The session is the unit, its median over the prompts that every session has; whatever the seeds."""
    tables = [_by_prompt_alone(table) for table in asked.tables if table]
    shared = _shared(tables)
    if not shared:
        return asked.cannot("the sessions share no prompt")
    rows = [[table[prompt] for prompt in shared] for table in tables]
    medians = [float(median(row)) for row in rows]
    between = 0.0 if len(set(medians)) == 1 < len(medians) else spread_of_sessions(medians)
    reason = None
    if between is None:
        reason = _too_few_sessions(asked) if len(medians) < 2 else f"a cost of {min(medians):g} has no ratio to others"
    return replace(
        asked.floor,
        prompts=len(shared),
        sessions=len(medians),
        value=float(median(medians)),
        within=_within(rows),
        between=between,
        reason=reason,
        remarks=_what_is_missing(asked, tables, shared),
    )


_Judged = Callable[[_MetricAlike, Sequence[Sequence[_Table]], Seeds], _Found]


def _floors_of_quality(asked: _MetricAlike, judged: _Judged) -> list[_Found]:
    """Of sessions with the same seeds, and of those with other ones where there are any."""
    by_seed: dict[object, list[_Table]] = defaultdict(list)
    for seed, table in zip(asked.seeds, asked.tables, strict=True):
        if table:
            by_seed[seed].append(table)
    repeated = [tables for tables in by_seed.values() if len(tables) > 1]
    found = [judged(asked, repeated, "same")] if repeated else []
    if len(by_seed) > 1:
        pooled = [[_mean_table(tables)] for tables in by_seed.values()]
        found.append(judged(asked, [[table for (table,) in pooled]], "other"))
    if found:
        return found
    alone = judged(asked, list(by_seed.values()), "same").floor
    return [_Found(replace(alone, between=None, reason=_too_few_sessions(asked)))]


def _floor_of_prompts(asked: _MetricAlike, groups: Sequence[Sequence[_Table]], seeds: Seeds) -> _Found:
    """The prompt is the unit: how much do the two means of one differ?

    Args:
        asked: what is asked.
        groups: tables of sessions, grouped by their seeds.
        seeds: `other`: what is shared are prompts, with whatever seeds.
    """
    parts = [(_matrix(tables, seeds)) for tables in groups]
    parts = [rows for rows in parts if rows and rows[0]]
    if not parts:
        return _Found(replace(asked.cannot("the sessions share no prompt"), seeds=seeds))
    squares = math.fsum(_squares_about_mean(values) for rows in parts for values in zip(*rows, strict=True))
    degrees = sum((len(rows) - 1) * len(rows[0]) for rows in parts)
    sessions = sum(map(len, parts))
    tables = [table for group in groups for table in group]
    shared = _shared([_by_prompt_alone(table) for table in tables])
    floor = replace(
        asked.floor,
        seeds=seeds,
        prompts=min(len(rows[0]) for rows in parts),
        sessions=sessions,
        value=mean_of([mean_of(row) for rows in parts for row in rows]),
        within=_within([row for rows in parts for row in rows]),
        between=math.sqrt(2 * squares / degrees) if degrees else None,
        remarks=(*_what_is_missing(asked, [_by_prompt_alone(t) for t in tables], shared), *_other_hardware(asked)),
    )
    moved = [
        tuple(after - before for before, after in zip(*two, strict=True)) for rows in parts for two in pairwise(rows)
    ]
    return _Found(floor, tuple(moved) if squares and seeds == "same" else ())


def _floor_of_sets(asked: _MetricAlike, groups: Sequence[Sequence[_Table]], seeds: Seeds) -> _Found:
    """A set of clips is one value; the jackknife's interval says how sure it is."""
    parts = [[value for table in tables for value in table.values()] for tables in groups]
    squares = math.fsum(map(_squares_about_mean, parts))
    degrees = sum(len(values) - 1 for values in parts)
    measured = [m for of_session in asked.stated for _, m in counting(of_session)]
    errors = [(m.interval[1] - m.interval[0]) / 2 / _OF_95_PERCENT for m in measured if m.interval is not None]
    floor = replace(
        asked.floor,
        seeds=seeds,
        prompts=min(m.n for m in measured),
        sessions=sum(map(len, parts)),
        value=mean_of([value for values in parts for value in values]),
        within=float(median(errors)) if errors else None,
        between=math.sqrt(2 * squares / degrees) if degrees else None,
        remarks=_other_hardware(asked),
    )
    return _Found(floor)


def _matrix(tables: Sequence[_Table], seeds: Seeds) -> list[list[float]]:
    """`[session][prompt]`: means of prompts over what all these sessions have."""
    if seeds == "same":
        pairs = _shared(tables)
        tables = [{pair: table[pair] for pair in pairs} for table in tables]
    by_prompt = [_by_prompt_alone(table) for table in tables]
    shared = _shared(by_prompt)
    return [[table[prompt] for prompt in shared] for table in by_prompt]


def _by_prompt_alone(table: _Table) -> dict[object, float]:
    """The samples of one prompt are one."""
    values = defaultdict(list)
    for (prompt, _, parameters), value in table.items():
        values[prompt, parameters].append(value)
    return {prompt: mean_of(of_prompt) for prompt, of_prompt in values.items()}


def _mean_table(tables: Sequence[_Table]) -> _Table:
    """Of sessions with the same seeds: what they share, averaged."""
    return {pair: mean_of([table[pair] for table in tables]) for pair in _shared(tables)}


def _shared(tables: Sequence[Mapping[Place, float]]) -> list[Place]:
    """What all of them have."""
    if not tables:
        return []
    return [key for key in tables[0] if all(key in table for table in tables[1:])]


def _within(rows: Sequence[Sequence[float]]) -> float | None:
    spreads = [stdev(row) for row in rows if len(row) > 1]
    return float(median(spreads)) if spreads else None


def _squares_about_mean(values: Sequence[float]) -> float:
    """0 exactly where all are equal: no rounding of their mean comes between."""
    moved = [value - values[0] for value in values]
    centre = mean_of(moved)
    return math.fsum((value - centre) ** 2 for value in moved)


def _too_few_sessions(asked: _MetricAlike) -> str:
    without = f"; the others have no value: {_why_sessions_are_empty(asked)}" if not all(asked.tables) else ""
    return f"one session measured it, and two can differ{without}"


def _why_sessions_are_empty(asked: _MetricAlike) -> str:
    """Why sessions have no value at all."""
    empty = [stated for stated, table in zip(asked.stated, asked.tables, strict=True) if not table]
    return _usual_reason(empty) if any(empty) else "it was not run there"


def _what_is_missing(
    asked: _MetricAlike, tables: Sequence[Mapping[object, float]], shared: Sequence[object]
) -> tuple[str, ...]:
    """Which sessions and prompts do not count, and why."""
    told = []
    if lost := sum(not table for table in asked.tables):
        told.append(f"{lost} of {len(asked.tables)} sessions without a value ({_why_sessions_are_empty(asked)})")
    every = {prompt for table in tables for prompt in table}
    if gone := len(every) - len(shared):
        told.append(f"{gone} of {len(every)} prompts not in every session ({_usual_reason(asked.stated)})")
    return tuple(told)


def _other_hardware(asked: _MetricAlike) -> tuple[str, ...]:
    devices = sorted({str(r.hardware) for of_session in asked.stated for r, _ in counting(of_session)})
    return (f"on {few(devices)}",) if len(devices) > 1 else ()
