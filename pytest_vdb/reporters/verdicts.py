"""What the gate says, for a terminal and for the page of a pull request: failures first, every one with its figures."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import get_args

from pytest_vdb.analysis.comparison import Outcome, Verdict
from pytest_vdb.escaping import visible
from pytest_vdb.reporters.markdown import code, plain
from pytest_vdb.reporters.text import MISSING

_WORST_FIRST: tuple[Outcome, ...] = ("regressed", "missing", "incomparable", "inconclusive", "improved", "equivalent")
assert set(_WORST_FIRST) == set(get_args(Outcome))


def render_terminal(verdicts: Sequence[Verdict], *, width: int = 100) -> str:
    """One line per verdict, wrapped; nothing for no verdict."""
    lines = []
    for verdict in _ordered(verdicts):
        mark = "FAILED" if verdict.failed else "ok"
        text = f"{mark:6} {verdict.outcome:12} {visible(verdict.reason)}"
        lines.append(textwrap.fill(text, width, subsequent_indent=" " * 20, break_on_hyphens=False))
    return "\n".join([*lines, _summary(verdicts)]) if verdicts else ""


def render_markdown(verdicts: Sequence[Verdict]) -> str:
    """A heading, a summary and a table; nothing for no verdict."""
    if not verdicts:
        return ""
    failed = any(verdict.failed for verdict in verdicts)
    lines = [f"# Gate: {'failed' if failed else 'passed'}", "", f"{_summary(verdicts)}.", ""]
    lines += ["| verdict | model | rule | baseline | now | why |", "| :-- | :-- | :-- | --: | --: | :-- |"]
    for verdict in _ordered(verdicts):
        outcome = f"**{verdict.outcome}**" if verdict.failed else verdict.outcome
        figures = (MISSING if mean is None else f"{mean:.4g}" for mean in (verdict.baseline_mean, verdict.mean))
        model = verdict.model if verdict.benchmark is None else f"{verdict.benchmark} {verdict.model}"
        cells = [outcome, code(model), code(verdict.rule), *figures, plain(verdict.reason)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _ordered(verdicts: Sequence[Verdict]) -> list[Verdict]:
    return sorted(verdicts, key=lambda v: (_WORST_FIRST.index(v.outcome), v.metric, v.model, v.benchmark or ""))


def _summary(verdicts: Sequence[Verdict]) -> str:
    counts = Counter(verdict.outcome for verdict in verdicts)
    return ", ".join(f"{counts[outcome]} {outcome}" for outcome in _WORST_FIRST if counts[outcome])
