"""Who is best of a column, who second, and who cannot be told apart from the best; and by what the rows are ordered.

Compared are rows that compete: models with models, yardsticks with yardsticks, of the same task, costs on the same
hardware only, and over the same prompts. Fewer than two that compete have nothing to be better than.

A failed prompt is never an advantage: it counts as the worst value that the metric can have, or, of a metric whose
values have no end there, as the worst that any of the compared models has. And who failed where others answered is
neither best nor called as good as the best.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_vdb.analysis.bounds import KnownMetrics
from pytest_vdb.analysis.tables import Cell, Column, Mark, Order, Place, Row
from pytest_vdb.figures import PRECISION, equal
from pytest_vdb.records import Task
from pytest_vdb.statistics.families import SIGNIFICANCE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_vdb.statistics.intervals import Bounds

OF_THE_SET = ""
"""What `Cell.by_prompt` calls a value that is about no prompt."""
_VALUES_DEALT = 60_000_000
"""In a whole table, about a second's worth; a large one takes the least number of deals in every column, and leaves out
who is plainly worse than the best."""
_LEAST_DEALS = 199


@dataclass(frozen=True, slots=True)
class Ranking:
    """Rows with their marks, and by what they are ordered."""

    rows: list[Row]
    order: Order | None


def rank(rows: Sequence[Row], columns: Sequence[Column], known: KnownMetrics) -> Ranking:
    """The rows in the same order, with their cells' marks and ranks, and each row's mean rank."""
    cells = [list(row.cells) for row in rows]
    deals = _VALUES_DEALT // max(1, sum(len(cell.by_prompt) for row in rows for cell in row.cells))
    for index, column in enumerate(columns):
        bounds = known.bounds(column.name, column.kind)
        for group in _comparable(rows, column):
            contest = _Contest(column, bounds, {at: cells[at][index] for at in group})
            for at, cell in contest.marked(deals).items():
                cells[at][index] = cell
    marked = [replace(row, cells=tuple(own)) for row, own in zip(rows, cells, strict=True)]
    mean_ranks: dict[int, float] = {}
    orders = {}
    for yardsticks in (False, True):
        group = [at for at, row in enumerate(marked) if row.yardstick == yardsticks]
        found, orders[yardsticks] = _ranks_over_metrics(rows, columns, group, known)
        mean_ranks |= found
    return Ranking([replace(row, mean_rank=mean_ranks.get(at)) for at, row in enumerate(marked)], orders[False])


def places_in(column: Column, bounds: Bounds, cells: Mapping[int, Cell]) -> dict[int, Place]:
    """Between which ranks each lies that is ranked; nothing where fewer than two are, or nothing is about prompts.

    Args:
        column: the metric.
        bounds: of its values.
        cells: of those that compete, after `rank` has seen them.
    """
    return _Contest(column, bounds, cells).places()


def _comparable(rows: Sequence[Row], column: Column) -> list[list[int]]:
    """Which rows compete: models with models and yardsticks with yardsticks, of one task; costs on one device only."""
    alone = only_task(rows)
    groups: dict[tuple[bool, Task | None, str | None], list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        groups[row.yardstick, row.task or alone, row.hardware if column.kind == "performance" else None].append(at)
    return list(groups.values())


def only_task(rows: Iterable[Row]) -> Task | None:
    """Which rows have that do not know theirs: the only one there is."""
    known = {row.task for row in rows if row.task is not None}
    return known.pop() if len(known) == 1 else None


class _Contest:
    """One column among rows that compete.

    Args:
        column: the metric.
        bounds: of its values.
        cells: by the rows' places.
    """

    def __init__(self, column: Column, bounds: Bounds, cells: Mapping[int, Cell]) -> None:
        self.column = column
        self.cells = dict(cells)
        self.candidates = {at: cell for at, cell in cells.items() if cell.unranked is None}
        self.prompts = sorted(answered_by_any(self.candidates.values()))
        self.sign = 1.0 if column.better == "higher" else -1.0
        self._by_time = column.is_rate and all(cell.mean for cell in self.candidates.values())
        """Whether rates are compared by the time that they stand for, whose mean turned over theirs is."""
        self._worst_of: dict[tuple[int, ...], float] = {}
        """What a failed prompt counts among some rows: many of them may have failed."""
        self._worst_end = None if self._by_time else bounds[0] if column.better == "higher" else bounds[1]

    def marked(self, deals: int) -> dict[int, Cell]:
        """The cells with their marks. Fewer than two that compete: no marks, there is nothing to be better than."""
        result = dict(self.cells)
        expected = set(self.prompts)
        failed = self._failed_where_others_answered()
        for at, cell in self.candidates.items():
            if lacking := len(expected - cell.answered - cell.failed):
                lacking += len(failed[at])
                result[at] = replace(cell, unranked=f"lacks {lacking} of {len(expected)} prompts that others answered")
            elif failed[at]:
                remark = f"{len(failed[at])} of {self._asked()} prompts failed"
                result[at] = replace(cell, remarks=(*cell.remarks, remark))
        competing = [at for at in self.candidates if result[at].unranked is None]
        if len(competing) < 2:
            return result
        whole = [at for at in competing if not failed[at]]
        merits = self._merits(competing, self.prompts, whole)
        ranks = dict(zip(competing, ranks_of([merits[at] for at in competing]), strict=True))
        p_values = self._p_values(whole, deals)
        best = min((ranks[at] for at in whole), default=None)
        lower = sorted({rank for rank in ranks.values() if best is not None and rank > best})
        tied = self._as_good_as_best([at for at in whole if ranks[at] == best], whole, p_values)
        for at, rank in ranks.items():
            mark: Mark | None = "tied" if at in tied else None
            if at in whole and rank == best:
                mark = "best"
            elif lower and rank == lower[0]:
                mark = "second"
            result[at] = replace(result[at], rank=rank, mark=mark, tied=at in tied, p=p_values.get(at))
        return result

    def places(self) -> dict[int, Place]:
        """Of every pair of candidates it is asked who is better. A failed prompt counts as the worst value, and whoever
        failed where others answered stands behind one that did not, at least."""
        import numpy as np

        from pytest_vdb.statistics.ranks import ranks_between

        places = list(self.candidates)
        if len(places) < 2 or self.prompts == [OF_THE_SET]:
            return {}
        failed = self._failed_where_others_answered()
        behind = {at for at in places if failed[at]} if not all(failed[at] for at in places) else set()
        asked = frozenset(self.prompts)
        values = np.array([self._values(at, places, asked) for at in places], dtype=np.float64)
        found = ranks_between(values, np.array([at in behind for at in places]))
        return {
            at: Place(lowest=lowest, highest=highest, of=len(places))
            for at, (lowest, highest) in zip(places, found.tolist(), strict=True)
        }

    def _values(self, at: int, places: Sequence[int], asked: frozenset[str]) -> Sequence[float] | NDArray[np.float64]:
        """Of each prompt, higher is better, failed ones counted as the worst."""
        import numpy as np

        cell = self.candidates[at]
        if cell.answered >= asked:
            values = np.array(cell.means_of(self.prompts), dtype=np.float64)
            return -self.sign / values if self._by_time else self.sign * values
        worst = self._worst(places)
        found = (cell.by_prompt.get(prompt) for prompt in self.prompts)
        return [worst if value is None else self._merit_of(value) for value in found]

    def ranks_on(self, prompts: Sequence[str], places: Sequence[int]) -> dict[int, float]:
        """The ranks of some rows over some prompts that each was asked."""
        failed = self._failed_where_others_answered()
        relevant = failed if prompts == [OF_THE_SET] else {at: failed[at] & set(prompts) for at in places}
        whole = [at for at in places if not relevant[at]]
        merits = self._merits(places, prompts, whole)
        return dict(zip(places, ranks_of([merits[at] for at in places]), strict=True))

    def _failed_where_others_answered(self) -> dict[int, frozenset[str]]:
        """Of each candidate: prompts that failed; of the whole set's metrics those that did not fail for everyone."""
        if self.prompts == [OF_THE_SET]:
            everyone = frozenset.intersection(*(cell.failed for cell in self.candidates.values()))
            return {at: cell.failed - everyone for at, cell in self.candidates.items()}
        asked = frozenset(self.prompts)
        return {at: cell.failed and cell.failed & asked for at, cell in self.candidates.items()}

    def _asked(self) -> int:
        if self.prompts != [OF_THE_SET]:
            return len(self.prompts)
        return max(cell.asked for cell in self.candidates.values())

    def _merits(self, places: Sequence[int], prompts: Sequence[str], whole: Sequence[int]) -> dict[int, float]:
        """Means over the prompts, higher is better, failed ones counted as the worst; none that failed leads."""
        asked = frozenset(prompts)
        merits = {at: self._merit(at, prompts, asked, places) for at in places}
        lacking = set(places).difference(whole)
        if lacking and whole:
            best, largest = max(merits[at] for at in whole), max(map(abs, merits.values()))
            behind = best - 4 * PRECISION * (largest or 1.0)
            merits |= {at: min(merits[at], behind) for at in lacking}
        return merits

    def _merit(self, at: int, prompts: Sequence[str], asked: frozenset[str], places: Sequence[int]) -> float:
        cell = self.candidates[at]
        if cell.answered == asked and cell.mean is not None:
            return self._merit_of(cell.mean)
        found = [cell.by_prompt.get(prompt) for prompt in prompts]
        failed = found.count(None)
        known = sum(self._merit_of(value) for value in found if value is not None)
        return (known + (failed * self._worst(places) if failed else 0.0)) / len(prompts)

    def _merit_of(self, value: float) -> float:
        return -self.sign / value if self._by_time else self.sign * value

    def _worst(self, places: Sequence[int]) -> float:
        """What a failed prompt counts."""
        import numpy as np

        among = tuple(places)
        if among not in self._worst_of:
            cells = (self.candidates[at] for at in among)
            seen = np.concatenate([np.array(cell.means_of(tuple(cell.by_prompt)), dtype=np.float64) for cell in cells])
            lowest = float((-self.sign / seen if self._by_time else self.sign * seen).min())
            self._worst_of[among] = lowest if self._worst_end is None else min(self.sign * self._worst_end, lowest)
        return self._worst_of[among]

    def _p_values(self, whole: Sequence[int], deals: int) -> dict[int, float]:
        """Of "as good as the best", of each that answered every prompt; nothing where no test can be made."""
        import numpy as np

        from pytest_vdb.statistics.best import LEAST_PROMPTS_TO_RANK, MOST_DEALS, p_values_against_best
        from pytest_vdb.statistics.contenders import PLAINLY_WORSE, p_values_of_plainly_worse

        if len(whole) < 2 or len(self.prompts) < LEAST_PROMPTS_TO_RANK:
            return {}
        table = [self.candidates[at].means_of(self.prompts) for at in whole]
        values = np.array(table, dtype=np.float64)
        merits = -self.sign / values if self._by_time else self.sign * values
        p_values = p_values_of_plainly_worse(merits) if deals < _LEAST_DEALS else np.ones(len(whole))
        near = p_values >= PLAINLY_WORSE
        p_values[near] = p_values_against_best(merits[near], deals=min(MOST_DEALS, max(_LEAST_DEALS, deals)))
        return dict(zip(whole, map(float, p_values), strict=True))

    def _as_good_as_best(
        self, leaders: Sequence[int], whole: Sequence[int], p_values: Mapping[int, float]
    ) -> frozenset[int]:
        """Who cannot be told apart from the best, and the best where there is someone.

        Values over one or two prompts have no test: they are not told apart if they bring intervals of their own and
        these overlap.
        """
        others = [at for at in whole if at not in leaders]
        if p_values:
            close = [at for at in others if p_values[at] >= SIGNIFICANCE]
        else:
            close = [at for at in others if _overlap(self.candidates[leaders[0]], self.candidates[at])]
        return frozenset((*close, *leaders)) if close else frozenset()


def ranks_of(merits: Sequence[float]) -> list[float]:
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


def _overlap(one: Cell, other: Cell) -> bool:
    if one.interval is None or other.interval is None:
        return False
    return one.interval[0] <= other.interval[1] and other.interval[0] <= one.interval[1]


def _ranks_over_metrics(
    rows: Sequence[Row], columns: Sequence[Column], group: Sequence[int], known: KnownMetrics
) -> tuple[dict[int, float], Order | None]:
    """Each row's mean rank over families of metrics in which all that compete are ranked, on prompts all were asked."""
    quality = [at for at, column in enumerate(columns) if column.kind == "quality" and column.better != "neutral"]
    competing = [at for at in group if any(_counts(rows[at].cells[index]) for index in quality)]
    if len(competing) < 2:
        return {}, None
    by_family: dict[str, list[dict[int, float]]] = defaultdict(list)
    left_out, shared_by_all, asked = [], [], set[str]()
    for index in quality:
        cells = {at: rows[at].cells[index] for at in competing}
        asked |= answered_by_any(cells.values())
        shared = _shared_prompts(list(cells.values()))
        if not shared:
            left_out.append(columns[index].name)
            continue
        shared_by_all.append(set(shared) - {OF_THE_SET})
        column = columns[index]
        contest = _Contest(column, known.bounds(column.name, column.kind), cells)
        by_family[known.family(column.name)].append(contest.ranks_on(shared, competing))
    of_prompts = [prompts for prompts in shared_by_all if prompts]
    order = Order(
        families=tuple(by_family),
        left_out=tuple(name for name in dict.fromkeys(left_out) if known.family(name) not in by_family),
        prompts=len(set.intersection(*of_prompts)) if of_prompts else 0,
        of_prompts=len(asked - {OF_THE_SET}),
    )
    if not by_family:
        return {}, order
    of_families = [_mean_of_ranks(ranks) for ranks in by_family.values()]
    return _mean_of_ranks(of_families), order


def _counts(cell: Cell) -> bool:
    """Whether it has a value that means something; before anyone asks which prompts it lacks."""
    return cell.mean is not None and cell.unranked is None


def _shared_prompts(cells: Sequence[Cell]) -> list[str]:
    """Prompts that each of them answered or failed, and someone answered; none where one has no value that counts."""
    if not all(map(_counts, cells)):
        return []
    asked = {cell.answered | cell.failed if cell.failed else cell.answered for cell in cells}
    return sorted(answered_by_any(cells).intersection(*asked))


def answered_by_any(cells: Iterable[Cell]) -> frozenset[str]:
    """Prompts that one of them has a value of."""
    return frozenset().union(*{cell.answered for cell in cells})


def _mean_of_ranks(ranks: Sequence[Mapping[int, float]]) -> dict[int, float]:
    return {at: sum(one[at] for one in ranks) / len(ranks) for at in ranks[0]}
