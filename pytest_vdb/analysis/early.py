"""Which tests can no longer change a verdict: asked after every record of a session that may stop early.

Looked at is what `gate.judge` will look at in the end: a model's prompts up to the first one that is not finished, in
the pinned order. Once every rule on a model's benchmark is decided, its other tests cannot change what was said, for
e-values are the most that they have been. A rule that is not decided, for whatever reason, holds all of the benchmark's
tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from pytest_vdb.analysis.benchmarks import placed_together
from pytest_vdb.analysis.decisions import Bets, Judgement, bets_on, judge_bets
from pytest_vdb.analysis.gate import Asked, Open, judge_model, worth
from pytest_vdb.analysis.identity import latest
from pytest_vdb.analysis.pinned import ranks_of
from pytest_vdb.analysis.rules import Rule, known_metrics, rule_for
from pytest_vdb.analysis.sides import Key, Sides, family_size, grouped, measuring, metrics_in, way_of
from pytest_vdb.records import Baseline, Record, Run

LEAST_PROMPTS_OF_COSTS = 10
"""Of a model with a rule on a cost. The session is a cost's unit: more prompts than these hardly move its median, and
fewer would let single prompts decide."""


_LOOKS = 25
"""A look takes the longer the more prompts there are, so there is one after each prompt up to twice as many, and then
whenever there are 4% more: whoever looks more rarely only stops later."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A benchmark of a model whose other tests can be skipped."""

    benchmark: str
    model: str
    reason: str
    """`decided: sharpness of dim regressed after 23 of 100 prompts (e-value 812)`."""


@dataclass(slots=True)
class _Slot:
    """A rule on a model, as far as its prompts show."""

    open: Open
    bets: Bets


@dataclass(slots=True)
class _Group:
    """The tests of one model in one benchmark."""

    key: Key
    name: str
    """The benchmark's in this session; the key's may be the baseline's."""
    order: list[str]
    """Its prompts, in the pinned order."""
    waiting: dict[str | None, set[str]]
    """Prompt -> its tests that are not finished."""
    asked: list[Asked]
    """What rules ask of its prompts."""
    least: int
    """Prompts before it may stop."""
    held: bool
    """Whether it may not stop at all."""
    finished: list[Record] = field(default_factory=list)
    seen: int = 0
    """Prompts from the first one on that are finished, one and all."""
    next_look: int = 1
    """How many of them there must be before it is looked at again."""
    slots: list[_Slot | None] = field(default_factory=list)
    """None: there is nothing that could be decided, a missing value for example."""
    settled: bool = False


class Watch:
    """What is decided of each model, as far as records have come.

    Args:
        planned: of every test of the session, before it has run.
        run: the session, with its order.
        baseline: what it is compared with.
        rules: from `parse_rules`.
    """

    def __init__(self, planned: Sequence[Record], run: Run, baseline: Baseline, rules: Sequence[Rule]) -> None:
        tests, before = placed_together(planned, latest(baseline.records))
        self._sides = Sides(grouped(tests), grouped(before), run, baseline, ranks_of(run))
        self._family = family_size(rules, self._sides)
        self._home = {own.nodeid: (placed.benchmark, placed.model) for own, placed in zip(planned, tests, strict=True)}
        names = {self._home[own.nodeid]: own.benchmark for own in planned}
        before_all = self._sides.before
        self._metrics = {
            metric: (way_of(metric, before_all), measuring(metric, before_all)) for metric in metrics_in(before_all)
        }
        self._groups = {key: self._group(key, names[key], rules) for key in self._sides.now}

    def _group(self, key: Key, name: str, rules: Sequence[Rule]) -> _Group:
        waiting: dict[str | None, set[str]] = {}
        for test in self._sides.now[key]:
            waiting.setdefault(test.prompt, set()).add(test.nodeid)
        asked = [
            Asked(rule, metric, key)
            for rule in rules
            for metric in known_metrics(rule, self._metrics)
            if rule_for(rules, metric, key[1]) is rule and key[0] in self._metrics[metric][1]
        ]
        ways = {one.metric: self._metrics[one.metric][0] for one in asked}
        of_prompts = [one for one in asked if ways[one.metric] == "prompts"]
        ranks = self._sides.ranks
        return _Group(
            key=key,
            name=name,
            order=[prompt for prompt in ranks if prompt in waiting],
            waiting=waiting,
            asked=of_prompts,
            least=LEAST_PROMPTS_OF_COSTS if "costs" in ways.values() else 1,
            held="sets" in ways.values() or not of_prompts,
        )

    def hear(self, record: Record) -> list[Settled]:
        """A test is finished: which benchmarks of which models it settles."""
        group = self._groups.get(self._home.get(record.nodeid, ("", "")))
        if group is None:
            return []
        group.finished.append(replace(record, benchmark=group.key[0]))
        group.waiting[record.prompt].discard(record.nodeid)
        while group.seen < len(group.order) and not group.waiting[group.order[group.seen]]:
            group.seen += 1
        if group.seen < group.next_look or group.held or group.settled:
            return []
        group.next_look = group.seen + max(1, group.seen // _LOOKS)
        group.slots = list(self._slots(group))
        return self._newly_settled()

    def _slots(self, group: _Group) -> Iterable[_Slot | None]:
        left_out = frozenset(group.order[group.seen :])
        now = [record for record in group.finished if record.prompt not in left_out]
        sides = replace(self._sides, now={group.key: now}, left_out={group.key: left_out})
        for found in judge_model(group.asked, sides):
            for one in found:
                yield _Slot(one, bets_on(one.evidence)) if isinstance(one, Open) else None

    def _newly_settled(self) -> list[Settled]:
        slots = [slot for group in self._groups.values() for slot in group.slots if slot is not None]
        judgements = dict(zip(map(id, slots), judge_bets([slot.bets for slot in slots], self._family), strict=True))
        found = []
        for group in self._groups.values():
            own = [(slot, judgements[id(slot)]) for slot in group.slots if slot is not None]
            decided = len(own) == len(group.slots) > 0 and all(_is_decided(*one) for one in own)
            if decided and not group.settled and not group.held and group.least <= group.seen < len(group.order):
                group.settled = True
                found.append(Settled(group.name, group.key[1], _why_settled(own)))
        return found


def obstacles(rules: Sequence[Rule], baseline: Baseline) -> tuple[str, ...]:
    """Because of which rules no test, or none of the models that they name, can be skipped."""
    before = grouped(baseline.records)
    ways = [
        (rule, metric, way_of(metric, before)) for rule in rules for metric in known_metrics(rule, metrics_in(before))
    ]
    found = dict.fromkeys(
        f"cannot stop early because of {rule}: {metric} is measured of all clips of a model at once"
        for rule, metric, way in ways
        if way == "sets"
    )
    if ways and all(way == "costs" for _, _, way in ways):
        found[f"cannot stop early because of {rules[0]}: a cost is judged by sessions, and no rule asks prompts"] = None
    return tuple(found)


def _is_decided(slot: _Slot, judgement: Judgement) -> bool:
    """A prompt that lacks its value fails the gate, unless the others show that it regressed, which is worse."""
    if judgement.decision == "regressed":
        return True
    return judgement.decision != "inconclusive" and slot.open.lacking is None


def _why_settled(decided: Sequence[tuple[_Slot, Judgement]]) -> str:
    """The regression that is surest, else what is surest; and how many rules said something besides."""
    slot, judgement = max(decided, key=lambda one: (one[1].decision == "regressed", one[1].e_value or 0.0))
    verdict, is_ = slot.open.verdict, "is " if judgement.decision == "equivalent" else ""
    told = f"decided: {verdict.metric} of {verdict.model} {is_}{judgement.decision} after {verdict.n} of "
    told += f"{verdict.planned} prompts (e-value {worth(judgement.e_value or 0.0)})"
    others = len(decided) - 1
    return told + (f", and {others} other rule{'' if others == 1 else 's'}" if others else "")
