"""Two runs side by side, as the gate looks at them: what each measured of which model in which benchmark."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_vdb.analysis.decisions import Way
from pytest_vdb.analysis.identity import latest
from pytest_vdb.analysis.pinned import Ranks
from pytest_vdb.analysis.readings import definitions_in, is_of_set
from pytest_vdb.analysis.rules import Rule, known_metrics, rule_for
from pytest_vdb.records import Baseline, Record, Run

if TYPE_CHECKING:
    from pytest_vdb.analysis.paired_sets import SetsOfRuns

Key = tuple[str, str]
Groups = dict[Key, list[Record]]
Turns = Sequence[tuple[str, str]]
"""The runs of two versions that ran in turns: of the earlier and of the later one, block by block."""


@dataclass(frozen=True)
class Sides:
    """Both runs, by benchmark and model."""

    now: Groups
    before: Groups
    run: Run
    baseline: Baseline
    ranks: Ranks = field(default_factory=dict)
    """The prompts' places in the order of a gate that may stop early; nothing where it may not."""
    left_out: Mapping[Key, frozenset[str]] = field(default_factory=dict)
    """Prompts that were not needed, or not asked yet."""
    turns: Turns = ()
    """Where both sides are the runs of blocks."""
    sets: Callable[[], SetsOfRuns] | None = None
    """What the networks saw on both sides; None: nobody looked."""

    @property
    def names(self) -> tuple[str, str]:
        """Of this run and of the baseline."""
        return ("head", "base") if self.turns else (f"this run ({self.run.id})", f"the baseline {self.baseline.run.id}")

    @property
    def mend(self) -> str:
        """What makes a baseline of what is new."""
        return "" if self.turns else "; save a new one to include it"

    def left_out_of(self, key: tuple[str | None, str]) -> frozenset[str]:
        """Of one model in one benchmark."""
        return self.left_out.get(key, frozenset())  # type: ignore[arg-type]

    @cached_property
    def sessions(self) -> tuple[Groups, ...]:
        """The runs before the baseline, the newest first; by the function's name and model: files are moved."""
        return tuple(
            _grouped_by(lambda record: (record.benchmark_name, record.model), latest(session.records))
            for session in self.baseline.history
        )

    @property
    def metrics(self) -> set[str]:
        """Every name that either measured."""
        return metrics_in(self.now) | metrics_in(self.before)


def metrics_in(groups: Groups) -> set[str]:
    """The names of everything that was measured."""
    return {one.name for one in definitions_in(record for records in groups.values() for record in records)}


def grouped(records: Iterable[Record]) -> Groups:
    """By benchmark and model."""
    return _grouped_by(lambda record: (record.benchmark, record.model), records)


def _grouped_by(key: Callable[[Record], Key], records: Iterable[Record]) -> Groups:
    groups: Groups = defaultdict(list)
    for record in records:
        groups[key(record)].append(record)
    return dict(groups)


def measuring(metric: str, *sides: Groups) -> set[str]:
    """The benchmarks whose tests measure it."""
    return {
        key[0]
        for side in sides
        for key, records in side.items()
        if any(record.measurement(metric) is not None for record in records)
    }


def family_size(rules: Sequence[Rule], sides: Sides) -> int:
    """How many rules ask prompts, of the models of either side: known before anything is measured."""
    asking = 0
    for rule in rules:
        for metric in known_metrics(rule, metrics_in(sides.before)):
            if way_of(metric, sides.before) == "prompts":
                benchmarks = measuring(metric, sides.before)
                keys = (key for key in {*sides.now, *sides.before} if key[0] in benchmarks)
                asking += sum(rule_for(rules, metric, key[1]) is rule for key in keys)
    return asking


def way_of(metric: str, groups: Groups) -> Way:
    """In which way the gate asks it, by what was measured."""
    records = (record for group in groups.values() for record in group)
    found = next(((r, m) for r in records if (m := r.measurement(metric)) is not None), None)
    if found is None or found[1].kind == "quality":
        return "sets" if found is not None and is_of_set(found[0]) else "prompts"
    return "costs"
