"""VBench's own result files, one per row that has values of its dimensions: what its tools and leaderboard read."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from math import isnan

from pytest_vdb.analysis.tables import Leaderboard, Row
from pytest_vdb.escaping import file_names
from pytest_vdb.records import SCORED, Measured, Metrics, Record
from pytest_vdb.reporters.formats import Format
from pytest_vdb.reporters.text import distinct_names
from pytest_vdb.results import vbench
from pytest_vdb.results.dimensions import Dimension

FOLDER = "vbench"


class Results(Mapping[str, str]):
    """File name -> text, made when it is asked for; of models whose pixels mean something and that were measured here.

    Yardsticks are left out.
    """

    def __init__(self, board: Leaderboard) -> None:
        found: list[tuple[str, str, Row]] = []
        for table in board.tables:
            names = distinct_names(table)
            measured = ((names[at], row) for at, row in enumerate(table.rows) if row.real and row.published is None)
            found += ((name, table.name, row) for name, row in measured if not row.yardstick and _has_any(row.records))
        tables_of = Counter(name for name, *_ in found)
        files = file_names([name if tables_of[name] == 1 else f"{name}-{table}" for name, table, _ in found])
        self._rows = {f"{FOLDER}/{file}{vbench.SUFFIX}": row for file, (*_, row) in zip(files, found, strict=True)}

    def __getitem__(self, path: str) -> str:
        return vbench.render(of_records(self._rows[path].records))

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


FORMAT = Format(name="vbench", files=lambda board, _: Results(board), is_shared_out=True)


def _has_any(records: Iterable[Record]) -> bool:
    """Whether there is a value of any dimension."""
    measured = (Measured.of(record.measurements) for record in records)
    return any(not isnan(one.numbers[at]) for one in measured for at, _ in _dimensions_in(one.metrics))


def of_records(records: Sequence[Record]) -> dict[str, Dimension]:
    """What was measured, by VBench's names of the dimensions; one of the whole set has its mean alone."""
    videos: dict[str, list[tuple[str, float]]] = defaultdict(list)
    means: dict[str, Dimension] = {}
    end = 0
    every = list(zip(records, Measured.of_all(records), strict=True))
    for metrics, alike in groupby(one.metrics for _, one in every):  # mostly all of them
        start, end = end, end + len(list(alike))
        dimensions = _dimensions_in(metrics)
        if not dimensions:
            continue
        of_clips = [one for one in every[start:end] if one[0].clip is not None]
        names = [_video(record) for record, _ in of_clips]
        numbers = array("d", b"".join([one.numbers for _, one in of_clips]))
        for at, name in dimensions:
            values = numbers[at :: len(metrics.definitions)]
            found = zip(names, values, strict=True)
            videos[name] += found if not isnan(sum(values)) else (one for one in found if not isnan(one[1]))
        for record, one in every[start:end]:
            if record.clip is None:
                of_set = one.numbers
                means.update((name, Dimension(of_set[at])) for at, name in dimensions if not isnan(of_set[at]))
    return {dimension: Dimension.of(found) for dimension, found in videos.items() if found} | means


@lru_cache(maxsize=256)
def _dimensions_in(metrics: Metrics) -> tuple[tuple[int, str], ...]:
    """The places of VBench's dimensions and their names there; what random networks computed is none."""
    return tuple(
        (at, one.name.removeprefix(vbench.FAMILY))
        for at, one in enumerate(metrics.definitions)
        if one.name.startswith(vbench.FAMILY) and not one.wiring
    )


def _video(record: Record) -> str:
    """The file of a clip that was scored; of a generated one the name that VBench gives it, `PROMPT-0.mp4`."""
    if record.run.startswith(SCORED) or record.prompt_text is None:
        return record.nodeid.rpartition("::")[2]
    return f"{record.prompt_text}-{record.sample_index}.mp4"
