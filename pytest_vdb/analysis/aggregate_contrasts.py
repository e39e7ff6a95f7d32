"""A benchmark's score of A against that of B, tested as a metric is: by what each prompt adds to it.

An aggregate is linear in the means of its dimensions, so every prompt has a share in it, and the mean of the shares is
the aggregate. The shares of A and B are paired and go through the same test as any metric of clips. A prompt that only
some dimensions ask about has a share of these alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pytest_vdb.analysis import aggregates, comparison
from pytest_vdb.analysis.aggregates import AGGREGATES, DIMENSIONS, Aggregate, score_of
from pytest_vdb.analysis.bounds import KnownMetrics
from pytest_vdb.analysis.columns import Said
from pytest_vdb.analysis.comparison import Contrast, Pairs, Side
from pytest_vdb.analysis.readings import is_of_set
from pytest_vdb.records import Measurement, Record
from pytest_vdb.results.dimensions import ALIKE
from pytest_vdb.statistics.means import mean_of


@dataclass(slots=True)
class _Answers:
    """What both sides measured of one dimension."""

    by_prompt: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    versions: tuple[set[str], set[str]] = field(default_factory=lambda: (set(), set()))
    wiring: bool = False


def contrast_aggregates(
    pairs: Pairs,
    known: KnownMetrics,
    *,
    named: Callable[[str], bool],
    same_run: bool,
    twice: bool,
    obstacle: str | None = None,
) -> list[Contrast]:
    """The aggregates whose dimensions both sides have, not judged yet.

    Args:
        pairs: of one benchmark.
        known: what metrics can be.
        named: whether an aggregate is asked for by its own name; then it stands there even if it has no value.
        same_run: whether both sides ran in one session.
        twice: whether both sides are the same thing.
        obstacle: why nothing of these pairs can be compared.
    """
    first, second = pairs.sides
    told = {name: (first.of(name), second.of(name)) for name in sorted(DIMENSIONS & first.names & second.names)}
    told = {name: (a, b) for name, (a, b) in told.items() if (a.counts & b.counts).any()}
    usual = aggregates.usual(told)
    contrasts: list[Contrast] = []
    for aggregate in AGGREGATES:
        missing = [name for name in aggregate.dimensions if name not in told]
        if missing and named(aggregate.name):
            contrasts.append(
                _aggregate_without_value(aggregate, pairs, f"in A or B {aggregates.lacking(aggregate, missing)}")
            )
        elif not missing and (aggregate in usual or named(aggregate.name)):
            answers = {name: _answers_of(pairs, *told[name]) for name in aggregate.dimensions}
            shares = _pairs_of_shares(aggregate, pairs, answers)
            contrasts += comparison.contrast(shares, known, same_run=same_run, twice=twice, obstacle=obstacle)
    return contrasts


def as_published(contrasts: Sequence[Contrast], first: Side, second: Side) -> list[Contrast]:
    """With a remark where a published side's own means give another aggregate than its videos that are compared."""
    found = []
    for one in contrasts:
        said = [
            f"{score:.4f} in {name}"
            for name, side, ours in (("A", first, one.first), ("B", second, one.second))
            if (score := _score_of_published(one.metric, side)) is not None
            and (ours is None or abs(score - ours) > ALIKE)
        ]
        remark = (f"of the published means it is {', '.join(said)}",) if said else ()
        found.append(replace(one, remarks=(*one.remarks, *remark)))
    return found


def why_no_score(
    contrasts: Sequence[Contrast], first: Side, second: Side, *, wants: Callable[[str], bool]
) -> list[str]:
    """Of published results, which of the scores that are asked for are not there, and what they lack."""
    if first.published is None and second.published is None:
        return []
    there = {one.metric for one in contrasts}
    known = _measured(first) & _measured(second)
    absent = [one for one in AGGREGATES if not one.alone and one.name not in there and wants(one.name)]
    why = aggregates.why_absent(absent, known)
    return [] if why is None else [why]


def _measured(side: Side) -> set[str]:
    return {measured.name for record in side.records for measured in record.measurements if measured.value is not None}


def _score_of_published(name: str, side: Side) -> float | None:
    """Of the means as a file has them."""
    means = {
        measured.name: measured.value
        for record in side.records
        if record.published is not None and is_of_set(record)
        for measured in record.measurements
    }
    return next((score_of(one, means).value for one in AGGREGATES if one.name == name), None)


def _answers_of(pairs: Pairs, first: Said, second: Said) -> _Answers:
    """Of the prompts that have values of it on both sides."""
    one = _Answers()
    both = np.flatnonzero(first.counts & second.counts)
    mine, theirs = (side.numbers[both].tolist() for side in (first, second))
    for at, a, b in zip(both.tolist(), mine, theirs, strict=True):
        one.by_prompt[pairs.pairs[at][0].prompt or ""].append((a, b))
    for side, versions in zip((first, second), one.versions, strict=True):
        for definition, places in side.definitions:
            if np.isin(places, both).any():
                versions.add(definition.version)
                one.wiring |= definition.wiring
    return one


def _aggregate_without_value(aggregate: Aggregate, pairs: Pairs, why: str) -> Contrast:
    return Contrast(
        benchmark=pairs.benchmark, metric=aggregate.name, unit="1", better="higher", kind="quality", obstacle=why
    )


# Shares -------------------------------------------------------------------------------------------------------------


def _pairs_of_shares(aggregate: Aggregate, pairs: Pairs, answers: Mapping[str, _Answers]) -> Pairs:
    """One pair per prompt that a dimension asks about, with its share in A's and in B's aggregate."""
    shares = _shares(aggregate, answers, side=0), _shares(aggregate, answers, side=1)
    versions = ["+".join(sorted(set().union(*(one.versions[side] for one in answers.values())))) for side in (0, 1)]
    wiring = any(one.wiring for one in answers.values())
    asked: dict[str, tuple[Record, Record]] = {}
    for a, b in pairs.pairs:
        if (prompt := a.prompt or "") in shares[0]:
            asked.setdefault(prompt, (a, b))

    def with_share(record: Record, prompt: str, side: int) -> Record:
        value = shares[side][prompt]
        share = Measurement(
            name=aggregate.name, value=value, unit="1", better="higher", version=versions[side], wiring=wiring
        )
        return replace(record, measurements=(share,))

    found = tuple((with_share(a, prompt, 0), with_share(b, prompt, 1)) for prompt, (a, b) in asked.items())
    return replace(pairs, pairs=found, tried=((), ()))


def _shares(aggregate: Aggregate, answers: Mapping[str, _Answers], *, side: int) -> dict[str, float]:
    """What each prompt adds to an aggregate, times the number of prompts: the mean of the shares is the aggregate.

    No values in [0, 1], whatever the aggregate is: a prompt that one dimension of six asks about has a small share.
    """
    form = aggregates.linear_form(aggregate, answers)
    asked = dict.fromkeys(prompt for one in answers.values() for prompt in one.by_prompt)
    if form is None:
        return {}
    found = dict.fromkeys(asked, form.offset)
    for name, slope in form.slopes.items():
        by_prompt = answers[name].by_prompt
        for prompt, values in by_prompt.items():
            found[prompt] += slope * mean_of([pair[side] for pair in values]) * len(asked) / len(by_prompt)
    return found
