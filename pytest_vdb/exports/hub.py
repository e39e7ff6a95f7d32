"""What both of the Hub's formats tell of a model: values that mean something, measured here, with n and interval."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_vdb.analysis.tables import Leaderboard
from pytest_vdb.exports.contract import LeftOut, counted
from pytest_vdb.exports.summaries import Summarised, Summary, left_out, summarised

Told = tuple[Summarised, tuple[Summary, ...]]


def told(board: Leaderboard) -> tuple[list[Told], tuple[LeftOut, ...]]:
    """Each row with what a model's page may show of it; and what it may not show, with why."""
    rows = summarised(board)
    shown = [(row, tuple(one for one in row.summaries if _why_not_shown(row, one) is None)) for row in rows]
    meaningless = counted(_lost_on_a_page(rows))
    return [(row, summaries) for row, summaries in shown if summaries], (*left_out(rows), *meaningless)


def _lost_on_a_page(rows: list[Summarised]) -> Iterator[tuple[str, str, int]]:
    for row in rows:
        for summary in row.summaries:
            why = _why_not_shown(row, summary)
            if why is not None and summary.cell.mean is not None:
                yield summary.name, why, summary.cell.n


def _why_not_shown(row: Summarised, summary: Summary) -> str | None:
    """Why a value does not belong on a model's page; None: it does."""
    if summary.cell.mean is None:
        return "there is no value"
    if row.row.yardstick or not row.row.real or row.row.published is not None:
        return row.why_unranked.removeprefix("no: ")
    return "computed by random weights: proves the wiring only" if summary.cell.wiring else None


def remark(row: Summarised, summary: Summary) -> str:
    """How it was measured, in one line: what the format has no field for."""
    cell, column = summary.cell, summary.column
    n = f"mean of {cell.n} prompt{'' if cell.n == 1 else 's'}"
    interval = f"95% interval [{cell.interval[0]:.6g}, {cell.interval[1]:.6g}]" if cell.interval else "no interval"
    lacking = f"{cell.missing} missing" if cell.missing else None
    better = None if column.better == "neutral" else f"{column.better} is better"
    parts = [n, interval, lacking, f"unit {column.unit}", better]
    parts += [f"{name} {row.about[name]}" for name in ("suite", "recipe", "hardware", "run") if name in row.about]
    return "; ".join(part for part in (*parts, f"pytest-vdb {row.about['pytest_vdb']}") if part)
