"""Prometheus: a file for the node exporter's textfile collector, or a push to a Pushgateway (`http://HOST:PORT`).

Base units, as Prometheus asks for them: seconds, bytes, joules, watts. A push replaces what the same job pushed before,
so a gateway shows the latest run; each machine or suite that shall stand beside others gets a job of its own:
`http://HOST:PORT/JOB`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from pytest_vdb import files
from pytest_vdb.analysis.tables import Leaderboard
from pytest_vdb.errors import OptionError, OutputError
from pytest_vdb.exports.contract import Destination, Target, Written
from pytest_vdb.exports.summaries import PROJECT, Summarised, Summary, left_out, summarised

_BASE_UNITS = {
    "1": ("", 1.0),
    "": ("", 1.0),
    "s": ("seconds", 1.0),
    "MiB": ("bytes", 2.0**20),
    "J": ("joules", 1.0),
    "W": ("watts", 1.0),
    "°C": ("celsius", 1.0),
    "MHz": ("hertz", 1e6),
    "frames/s": ("frames_per_second", 1.0),
}
"""A unit of ours: what Prometheus calls its base unit, and how many of those it is."""
_TELLING = ("benchmark", "model", "weights", "recipe", "hardware")
"""Labels that tell rows apart."""
_ENDS = ("mean", "low", "high")
_TIMEOUT_S = 10
_HOW = "give e.g. prometheus:http://127.0.0.1:9091, or a file: prometheus:vdb.prom"


def _write_prometheus(board: Leaderboard, to: Destination) -> Written:
    from prometheus_client import CollectorRegistry, generate_latest

    rows = summarised(board)
    registry = CollectorRegistry()
    registry.register(_Collected(rows))
    if re.match(r"https?://", to.place):
        place = _push(registry, to.place)
    else:
        place = str(files.write(files.expanded(to.place), generate_latest(registry).decode()))
    return Written(places=(place,), values=sum(row.values for row in rows), left_out=left_out(rows))


def _push(registry: Any, address: str) -> str:
    """Replace what this job pushed before.

    Raises:
        OptionError: no address of a gateway.
        OutputError: it does not answer, or does not take it.
    """
    from prometheus_client import push_to_gateway

    parts = urlsplit(address)
    job = unquote(parts.path.strip("/")) or PROJECT
    if not parts.hostname or "/" in job or parts.query:
        raise OptionError(f"{address!r} is no address of a Pushgateway", where="--to", mend=_HOW)
    gateway = f"{parts.scheme}://{parts.netloc}"
    try:
        push_to_gateway(gateway, job=job, registry=registry, timeout=_TIMEOUT_S)
    except (OSError, ValueError) as problem:
        raise OutputError(
            f"the Pushgateway does not take it: {problem}", where=_without_login(gateway), mend=_HOW
        ) from problem
    return f"{_without_login(gateway)}, job {job}"


def _without_login(address: str) -> str:
    """Without user and password."""
    return re.sub(r"(?<=://)[^/@]*@", "", address)


class _Collected:
    """What prometheus_client asks for families of samples."""

    def __init__(self, rows: Sequence[Summarised]) -> None:
        self._rows = rows

    def collect(self) -> Iterator[Any]:
        """A family per metric, one of the tests' outcomes, one of what the run is."""
        from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

        for name, told in sorted(_by_metric(self._rows).items()):
            family = GaugeMetricFamily(name, _help(told[0][1]), labels=[*_TELLING, "wiring", "statistic"])
            for row, summary in told:
                for end, value in zip(_ENDS, _in_base_unit(summary), strict=True):
                    if value is not None:
                        family.add_metric([*_labels(row), "yes" if summary.cell.wiring else "no", end], value)
            yield family
        tests = GaugeMetricFamily("vdb_tests", "Tests of a row by what became of them", labels=[*_TELLING, "status"])
        began = GaugeMetricFamily("vdb_run_started_seconds", "When the run began, since 1970", labels=_TELLING)
        about = InfoMetricFamily("vdb_row", "Where a row comes from", labels=_TELLING)
        for row in self._rows:
            for status, count in row.row.counts.items():
                tests.add_metric([*_labels(row), status], count)
            began.add_metric(_labels(row), row.started_s)
            about.add_metric(_labels(row), {name: row.about.get(name, "") for name in ("run", "commit", "suite")})
        yield from (tests, began, about)


def _by_metric(rows: Sequence[Summarised]) -> dict[str, list[tuple[Summarised, Summary]]]:
    """What has a value, by Prometheus' name for it."""
    found: dict[str, list[tuple[Summarised, Summary]]] = defaultdict(list)
    for row in rows:
        for summary in row.summaries:
            if summary.cell.mean is not None:
                found[_name_in_prometheus(summary)].append((row, summary))
    return found


def _name_in_prometheus(summary: Summary) -> str:
    """`vdb_peak_rss_bytes`: letters, digits and underscores, the base unit last."""
    unit, _ = _BASE_UNITS.get(summary.column.unit, (summary.column.unit, 1.0))
    return "_".join(re.sub(r"[^a-z0-9]+", "_", part.lower()).strip("_") for part in ("vdb", summary.name, unit) if part)


def _help(summary: Summary) -> str:
    column = summary.column
    worth = "neither way is better" if column.better == "neutral" else f"{column.better} is better"
    return (
        f"{column.name} in {column.unit or '1'}, {worth}, version {column.version}: mean over prompts, its 95% interval"
    )


def _in_base_unit(summary: Summary) -> tuple[float | None, float | None, float | None]:
    """Mean and ends of the interval, in the base unit."""
    _, factor = _BASE_UNITS.get(summary.column.unit, ("", 1.0))
    low, high = summary.cell.interval or (None, None)
    mean, low, high = (None if value is None else value * factor for value in (summary.cell.mean, low, high))
    return mean, low, high


def _labels(row: Summarised) -> list[str]:
    return [row.about.get(name, "") for name in _TELLING]


TARGET = Target(
    name="prometheus",
    about="Prometheus: a textfile of gauges, or a push to a Pushgateway",
    place="FILE or ADDRESS",
    default="exports/{run}.prom",
    write=_write_prometheus,
    libraries=("prometheus_client",),
    extra="prometheus",
)
