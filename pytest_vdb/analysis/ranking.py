"""Who is best of a column, who second, and who cannot be told apart from the best.

Compared are rows that compete: models with models, yardsticks with yardsticks, costs on the same hardware only, and
over the same prompts. Fewer than two that compete have nothing to be better than.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from pytest_vdb.analysis.tables import Cell, Column, Mark, Row
from pytest_vdb.figures import equal
from pytest_vdb.statistics.families import SIGNIFICANCE, benjamini_hochberg
from pytest_vdb.statistics.means import paired_t_p_values


def rank(rows: Sequence[Row], columns: Sequence[Column]) -> list[Row]:
    """The rows in the same order, with their cells' marks and ranks, and each row's mean rank."""
    cells = [list(row.cells) for row in rows]
    for index, column in enumerate(columns):
        for group in _comparable(rows, column):
            for at, cell in _ranked(column, {at: cells[at][index] for at in group}).items():
                cells[at][index] = cell
    return [
        replace(row, cells=tuple(own), mean_rank=_mean_rank(own, columns)) for row, own in zip(rows, cells, strict=True)
    ]


def _comparable(rows: Sequence[Row], column: Column) -> list[list[int]]:
    """Which rows compete: models with models, yardsticks with yardsticks; for performance on the same hardware only."""
    groups: dict[tuple[bool, str | None], list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        groups[row.yardstick, row.hardware if column.kind == "performance" else None].append(at)
    return list(groups.values())


def _ranked(column: Column, cells: dict[int, Cell]) -> dict[int, Cell]:
    """The cells with their marks. Fewer than two that compete: no marks, there is nothing to be better than."""
    candidates = {at: cell for at, cell in cells.items() if cell.unranked is None}
    expected = {prompt for cell in candidates.values() for prompt in cell.by_prompt}
    result = dict(cells)
    for at, cell in candidates.items():
        if lacking := len(expected - set(cell.by_prompt)):
            result[at] = replace(cell, unranked=f"lacks {lacking} of {len(expected)} prompts that others answered")
    competing = [at for at in candidates if result[at].unranked is None]
    if len(competing) < 2:
        return result
    ranks = _ranks([_merit(column, result[at]) for at in competing])
    ties = _tied_with_best([result[at] for at in competing], ranks)
    lower = sorted({rank for rank in ranks if rank > min(ranks)})
    for at, rank, tied in zip(competing, ranks, ties, strict=True):
        mark: Mark | None = "tied" if tied else None
        if rank == min(ranks):
            mark = "best"
        elif lower and rank == lower[0]:
            mark = "second"
        result[at] = replace(result[at], rank=rank, mark=mark, tied=tied)
    return result


def _merit(column: Column, cell: Cell) -> float:
    assert cell.mean is not None
    return cell.mean if column.better == "higher" else -cell.mean


def _ranks(merits: Sequence[float]) -> list[float]:
    """1 for the highest; those that differ by no more than rounding share the mean of their places."""
    largest = max(map(abs, merits))
    ordered = sorted(range(len(merits)), key=lambda at: -merits[at])
    ranks = [0.0] * len(merits)
    start = 0
    for end in range(1, len(ordered) + 1):
        if end < len(ordered) and equal(merits[ordered[end]], merits[ordered[start]], largest):
            continue
        for at in ordered[start:end]:
            ranks[at] = (start + 1 + end) / 2
        start = end
    return ranks


def _tied_with_best(cells: Sequence[Cell], ranks: Sequence[float]) -> list[bool]:
    """Per cell: whether a paired test over the same prompts cannot tell it from the best one.

    The t-test and not the sign-flip, which can never tell anything apart on the six prompts of a smoke run. Values over
    one or two prompts have no test: they are not told apart if they bring intervals of their own and these overlap.
    """
    import numpy as np

    best = ranks.index(min(ranks))
    if cells[best].n < 3:
        tied = [at != best and _overlap(cell, cells[best]) for at, cell in enumerate(cells)]
        return [*tied[:best], any(tied), *tied[best + 1 :]]
    prompts = sorted(cells[best].by_prompt)
    values = np.array([[cell.by_prompt[prompt] for prompt in prompts] for cell in cells])
    others = [at for at in range(len(cells)) if at != best]
    p_values = paired_t_p_values((values[others] - values[best]).T)
    adjusted = dict(zip(others, benjamini_hochberg([float(p) for p in p_values]), strict=True))
    tied = [at != best and adjusted[at] >= SIGNIFICANCE for at in range(len(cells))]
    tied[best] = any(tied)
    return tied


def _overlap(one: Cell, other: Cell) -> bool:
    if one.interval is None or other.interval is None:
        return False
    return one.interval[0] <= other.interval[1] and other.interval[0] <= one.interval[1]


def _mean_rank(cells: Sequence[Cell], columns: Sequence[Column]) -> float | None:
    ranks = [
        c.rank for c, column in zip(cells, columns, strict=True) if column.kind == "quality" and c.rank is not None
    ]
    return sum(ranks) / len(ranks) if ranks else None
