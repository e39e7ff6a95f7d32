"""Two versions that ran in turns, block by block: is the later one worse, where the machine's mood cancels?

Each block is a session of its own. What was measured of clips and sets is compared as the gate does, on prompts that
have their values in every block of both sides. Costs are compared block by block: how many times as much the later
version took beside the earlier one, right before or after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pytest_vdb.analysis.gate import EVERY_MODEL, Verdict, judge_latest
from pytest_vdb.analysis.identity import latest
from pytest_vdb.analysis.rules import Rule
from pytest_vdb.records import Baseline, Record, Run


@dataclass(frozen=True, slots=True)
class Block:
    """One session of one of the two."""

    run: Run
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Turn:
    """A block of each, one right after the other."""

    base: Block
    head: Block


def judge_turns(turns: Sequence[Turn], rules: Sequence[Rule], *, lost: Sequence[str] = ()) -> tuple[Verdict, ...]:
    """One verdict per metric that a rule names and per benchmark and model.

    Args:
        turns: in which both blocks were whole.
        rules: from `parse_rules`.
        lost: what went wrong in other turns. A block that failed is never as good as one that did not, so everything
            that is not surely worse is `missing` then.
    """
    if not turns:
        why = "; ".join(lost) or "no turn was finished"
        return tuple(_nothing_measured(rule, why) for rule in rules)
    base, head = [turn.base for turn in turns], [turn.head for turn in turns]
    baseline = Baseline(run=base[-1].run, records=tuple(_records(base)))
    pairs = [(turn.base.run.id, turn.head.run.id) for turn in turns]
    verdicts = judge_latest(_records(head), head[-1].run, baseline, rules, pairs)
    return tuple(_beside_lost(verdict, lost) for verdict in verdicts) if lost else verdicts


def without_a_test_in_common(turn: Turn) -> str | None:
    """What both ran instead, or None where they share a benchmark, a model, a prompt and a seed."""
    base, head = ({_test_of(record) for record in block.records} for block in (turn.base, turn.head))
    if base & head:
        return None
    told = (", ".join(sorted({record.nodeid for record in block.records})[:2]) for block in (turn.base, turn.head))
    return "base ran {}; head ran {}".format(*told)


def other_software(turn: Turn) -> str | None:
    """The packages whose versions differ between both: `torch 2.9.0 (head 2.10.0)`; None where none does."""
    base, head = (block.run.environment.packages for block in (turn.base, turn.head))
    names = [name for name in {**base, **head} if base.get(name) != head.get(name)]
    told = (f"{name} {base.get(name, 'absent')} (head {head.get(name, 'absent')})" for name in sorted(names))
    return ", ".join(told) or None


def _records(blocks: Iterable[Block]) -> list[Record]:
    return [record for block in blocks for record in latest(block.records)]


def _test_of(record: Record) -> tuple[object, ...]:
    return record.benchmark_name, record.model, record.pair


def _nothing_measured(rule: Rule, why: str) -> Verdict:
    return Verdict(benchmark=None, model=EVERY_MODEL, metric=rule.metric, rule=str(rule), outcome="missing", reason=why)


def _beside_lost(verdict: Verdict, lost: Sequence[str]) -> Verdict:
    if verdict.outcome in {"regressed", "incomparable"}:
        return verdict
    return replace(verdict, outcome="missing", reason=f"{'; '.join(lost)}; the others: {verdict.reason}")
