"""Which benchmark a record belongs to, and what a benchmark is called where people read of it.

A benchmark is its file, class and function. Runs of earlier versions kept the function alone, and so do clips that were
scored and figures that others published: these stand beside the one benchmark that they can mean. A path begins where
the command was typed, so one file may have a longer name in one run than in another.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from pytest_vdb.records import Record

_PARTS = re.compile(r"::|/")
"""What stands between the parts of a benchmark's name: folders, file, class, function."""


def placed(records: Iterable[Record]) -> list[Record]:
    """The records, those that know only their function's name in the benchmark that they can mean, if it is one."""
    records = _under_one_name(list(records))
    if all("::" in benchmark for benchmark in {record.benchmark for record in records}):
        return records
    whole: dict[str, set[str]] = defaultdict(set)
    told: dict[str, set[str]] = defaultdict(set)
    for record in records:
        if "::" in record.benchmark:
            whole[record.benchmark_name].add(record.benchmark)
        elif (place := _told_by_nodeid(record)) is not None:
            told[record.benchmark].add(place)
    return [
        record if "::" in record.benchmark else _at_home(record, whole[record.benchmark], told[record.benchmark])
        for record in records
    ]


def _under_one_name(records: list[Record]) -> list[Record]:
    """Of runs that were typed in different folders: a file's longest name, where it can be no other file's."""
    runs: dict[str, set[str]] = defaultdict(set)
    for benchmark, run in {(record.benchmark, record.run) for record in records}:
        if "::" in benchmark:
            runs[benchmark].add(run)
    longest = longest_names(runs)
    if not longest:
        return records
    return [
        replace(record, benchmark=longest[record.benchmark]) if record.benchmark in longest else record
        for record in records
    ]


def longest_names(runs: Mapping[str, set[str]]) -> dict[str, str]:
    """Benchmark -> its longer name in runs that were typed in another folder, where it can be no other file's.

    Args:
        runs: benchmark -> the runs that call it so.
    """
    longest = {}
    for name in runs:
        others = [o for o in runs if o != name and _same_place(name, o) and not runs[name] & runs[o]]
        if len(others) == 1 and others[0].endswith(f"/{name}"):
            longest[name] = others[0]
    return longest


def placed_together(first: Iterable[Record], second: Iterable[Record]) -> tuple[list[Record], list[Record]]:
    """The records of two sides that are compared: what one of them calls by its function alone, as the other does."""
    first = list(first)
    both = placed([*first, *second])
    return both[: len(first)], both[len(first) :]


def shown_names(benchmarks: Iterable[str]) -> dict[str, str]:
    """Benchmark -> the function alone, or as much of class, file and folders as tells it from the others given."""
    every = list(dict.fromkeys(benchmarks))
    endings: dict[str, int] = defaultdict(int)
    for benchmark in every:
        for ending in _endings(benchmark):
            endings[ending] += 1
    return {one: next((e for e in _endings(one) if endings[e] == 1), one) for one in every}


def _endings(benchmark: str) -> list[str]:
    """`f`, `A::f`, `t.py::A::f`, `b/t.py::A::f`."""
    starts = [match.end() for match in _PARTS.finditer(benchmark)]
    return [benchmark[start:] for start in reversed(starts)] + [benchmark]


def _told_by_nodeid(record: Record) -> str | None:
    """File, class and function of a test whose record kept the function alone."""
    nodeid = record.nodeid.partition("[")[0]
    file, _, rest = nodeid.partition("::")
    return nodeid if file.endswith(".py") and rest.rpartition("::")[2] == record.benchmark else None


def _at_home(record: Record, whole: set[str], told: set[str]) -> Record:
    own = _told_by_nodeid(record)
    homes = [home for home in whole if own is None or _same_place(own, home)]
    if len(homes) == 1:
        return replace(record, benchmark=homes[0])
    return replace(record, benchmark=own) if own is not None and len(told) > 1 else record


def _same_place(one: str, other: str) -> bool:
    """Whether they may be one: the folder that names begin in differs between runs."""
    return one == other or one.endswith(f"/{other}") or other.endswith(f"/{one}")
