"""The papers of the metrics that a leaderboard shows: what the metrics declare, and nothing beside."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_vdb.analysis.bounds import KnownMetrics
from pytest_vdb.analysis.tables import Leaderboard
from pytest_vdb.escaping import visible
from pytest_vdb.metrics.papers import papers
from pytest_vdb.results.ledger import STRENGTHS

_OF_STRENGTHS = {STRENGTHS: ("bradley1952rank",)}
"""By the version of a measurement that no metric of clips makes."""


def cited(board: Leaderboard) -> Mapping[str, tuple[str, ...]]:
    """The metrics of quality that have a value, in their order, each with the keys of its papers."""
    known = KnownMetrics(runs=[board.run])
    return {
        column.name: _OF_STRENGTHS.get(column.version) or known.papers(column.name)
        for table in board.tables
        for at, column in enumerate(table.columns)
        if column.kind == "quality" and any(row.cells[at].mean is not None for row in table.rows)
    }


def render(board: Leaderboard) -> str:
    """The entries that `cited` names, and of which metrics no paper is known."""
    of_metrics = cited(board)
    keys = sorted({key for found in of_metrics.values() for key in found})
    without = [visible(metric) for metric, found in of_metrics.items() if not found]
    lines = [papers()[key].text for key in keys]
    if without:
        lines.append(
            f"No paper is declared for: {', '.join(without).replace('@', '(at)')}."
        )  # outside of entries: prose
    return "\n\n".join(lines or ["No metric has a value."]) + "\n"
