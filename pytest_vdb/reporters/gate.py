"""What the gate says, for a terminal and for the page of a pull request: failures first, every one with its figures."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pytest_vdb.analysis.benchmarks import shown_names
from pytest_vdb.escaping import lines, shortened, visible
from pytest_vdb.figures import notation
from pytest_vdb.reporters.formats.markdown import code, plain
from pytest_vdb.reporters.text import LONGEST_NAME

if TYPE_CHECKING:
    from pytest_vdb.analysis.gate import Outcome, Verdict

_WORST_FIRST: tuple[Outcome, ...] = ("regressed", "missing", "incomparable", "inconclusive", "improved", "equivalent")


def render_terminal(
    verdicts: Sequence[Verdict], *, strict: bool = False, width: int = 100, saved: str | None = None
) -> str:
    """One line per verdict, wrapped; nothing for no verdict.

    Args:
        verdicts: of the gate.
        strict: whether what is inconclusive fails.
        width: of the terminal.
        saved: what stopping early saved, in words.
    """
    told = []
    names = _names_of_verdicts_benchmarks(verdicts)
    for verdict in _ordered(verdicts):
        mark = "FAILED" if verdict.fails(strict=strict) else "ok"
        where = f" ({names[verdict.benchmark]})" if verdict.benchmark is not None and len(names) > 1 else ""
        text = f"{mark:6} {verdict.outcome:12} {visible(verdict.reason)}{visible(where)}"
        told.append(textwrap.fill(text, width, subsequent_indent=" " * 20, break_on_hyphens=False))
    below = [_counts_in_words(verdicts), *_how_it_may_stop(verdicts, saved)]
    return lines("\n".join([*told, *(textwrap.fill(text, width) for text in below)])) if verdicts else ""


def render_markdown(verdicts: Sequence[Verdict], *, strict: bool = False, saved: str | None = None) -> str:
    """A heading, a summary and a table; nothing for no verdict.

    Args:
        verdicts: of the gate.
        strict: whether what is inconclusive fails.
        saved: what stopping early saved, in words.
    """
    if not verdicts:
        return ""
    failed = any(verdict.fails(strict=strict) for verdict in verdicts)
    names = _names_of_verdicts_benchmarks(verdicts)
    page = [f"# Gate: {'failed' if failed else 'passed'}", "", f"{_counts_in_words(verdicts)}.", ""]
    page += [line for told in _how_it_may_stop(verdicts, saved) for line in (f"{told}.", "")]
    page += ["| verdict | model | rule | baseline | now | why |", "| :-- | :-- | :-- | --: | --: | :-- |"]
    for verdict in _ordered(verdicts):
        outcome = f"**{verdict.outcome}**" if verdict.fails(strict=strict) else verdict.outcome
        means = (verdict.baseline_mean, verdict.mean)
        figures = map(notation(means, apart=[means], significant=4).write, means)
        model = verdict.model if verdict.benchmark is None else f"{names[verdict.benchmark]} {verdict.model}"
        cells = [outcome, code(shortened(model, 2 * LONGEST_NAME)), code(shortened(verdict.rule, LONGEST_NAME))]
        page.append(f"| {' | '.join([*cells, *figures, plain(verdict.reason)])} |")
    return "\n".join(page) + "\n"


def _how_it_may_stop(verdicts: Sequence[Verdict], saved: str | None) -> list[str]:
    """By which test, at which level, and what that saved; nothing of a gate that was not allowed to stop early."""
    levels = {verdict.level for verdict in verdicts if verdict.level is not None}
    told = [
        "prompts were judged by bets on signs, in a pinned random order, that may stop at any time: "
        f"a wrong 'regressed' in at most {level:.1%} of runs"
        for level in levels
    ]
    return told + ([saved] if saved is not None else [])


def worst(verdicts: Sequence[Verdict], *, strict: bool = False) -> list[Verdict]:
    """What to look at: what fails, then what cannot be told; of those alike, what moved by most margins."""
    bad = [verdict for verdict in _ordered(verdicts) if verdict.fails(strict=True)]
    return sorted(bad, key=lambda v: (not v.fails(strict=strict), _WORST_FIRST.index(v.outcome), -_margins_moved(v)))


def _margins_moved(verdict: Verdict) -> float:
    """How far the mean went, in margins; 0 where either was not measured."""
    if verdict.mean is None or verdict.baseline_mean is None or verdict.margin is None:
        return 0.0
    moved = abs(verdict.mean - verdict.baseline_mean)
    return moved / verdict.margin if verdict.margin else math.inf


def _names_of_verdicts_benchmarks(verdicts: Sequence[Verdict]) -> Mapping[str, str]:
    """What the benchmarks are called."""
    return shown_names(verdict.benchmark for verdict in verdicts if verdict.benchmark is not None)


def _ordered(verdicts: Sequence[Verdict]) -> list[Verdict]:
    return sorted(verdicts, key=lambda v: (_WORST_FIRST.index(v.outcome), v.metric, v.model, v.benchmark or ""))


def _counts_in_words(verdicts: Sequence[Verdict]) -> str:
    counts = Counter(verdict.outcome for verdict in verdicts)
    return ", ".join(f"{counts[outcome]} {outcome}" for outcome in _WORST_FIRST if counts[outcome])
