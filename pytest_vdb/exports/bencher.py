"""Bencher Metric Format: JSON that `bencher run --adapter json --file FILE` takes.

Source: https://bencher.dev/docs/reference/bencher-metric-format (schema v0): benchmark -> measure -> `value`,
`lower_value`, `upper_value`. It has no place for units, and Bencher's own `latency` is in nanoseconds and its
`throughput` in operations per second: so each measure's name ends in its unit, `latency-s`. It has none for remarks
either: values that only prove the wiring are left out.
"""

from __future__ import annotations

import json
import re

from pytest_vdb import files
from pytest_vdb.analysis.tables import Column, Leaderboard
from pytest_vdb.exports.contract import Destination, Target, Written, counted
from pytest_vdb.exports.summaries import Summarised, left_out, summarised

_LONGEST_MEASURE, _LONGEST_BENCHMARK = 64, 1024
"""Characters, as Bencher's reference says."""

_WIRING = "computed by random weights, and the format has no place to say so"


def measure_of(name: str, column: Column) -> str:
    """A measure's slug: the metric and its unit, lower case, with dashes."""
    text = name if column.unit in {"", "1"} else f"{name}-{column.unit}"
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_LONGEST_MEASURE]


def render(rows: list[Summarised]) -> dict[str, dict[str, dict[str, float]]]:
    """Benchmark -> measure -> value and the ends of its 95% interval."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows:
        measures: dict[str, dict[str, float]] = {}
        for summary in row.summaries:
            if summary.cell.mean is None or summary.cell.wiring:
                continue
            metric = {"value": summary.cell.mean}
            if summary.cell.interval is not None:
                metric["lower_value"], metric["upper_value"] = summary.cell.interval
            measures[measure_of(summary.name, summary.column)] = metric
        if measures:
            found[row.test[:_LONGEST_BENCHMARK]] = measures
    return found


def _write_bmf(board: Leaderboard, to: Destination) -> Written:
    rows = summarised(board)
    content = render(rows)
    path = files.write(files.expanded(to.place), json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    wired = [
        (summary.name, _WIRING, summary.cell.n)
        for row in rows
        for summary in row.summaries
        if summary.cell.wiring and summary.cell.mean is not None
    ]
    return Written(
        places=(str(path),),
        values=sum(map(len, content.values())),
        left_out=(*left_out(rows), *counted(wired)),
        notes=("say each measure's direction in Bencher itself: the format has no place for it",),
    )


TARGET = Target(
    name="bencher",
    about="Bencher Metric Format: a benchmark per model, a measure per metric",
    place="FILE",
    default="exports/{run}.bmf.json",
    write=_write_bmf,
)
