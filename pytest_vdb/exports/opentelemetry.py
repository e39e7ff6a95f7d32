"""OpenTelemetry over OTLP/HTTP: a trace per row (row > test > stage), and the leaderboard's figures as metrics.

Numbers of traces and spans come from the run and the test alone, so what is sent twice is the same trace. Attributes
are those of the semantic conventions for generative AI where there are such, else they begin with `vdb.`. Of a stage
the duration was measured and not the beginning: stages stand one after the other, and say so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from pytest_vdb import __version__
from pytest_vdb.analysis.tables import Leaderboard
from pytest_vdb.components import STAGES
from pytest_vdb.errors import OptionError, OutputError
from pytest_vdb.exports.contract import Destination, Target, Written
from pytest_vdb.exports.summaries import PROJECT, Summarised, left_out, summarised
from pytest_vdb.records import Record, digest

_SPANS_AT_ONCE = 512
_TIMEOUT_S = 10
_GOOD = frozenset({"passed", "skipped", "xfailed"})
_HOW = "give e.g. opentelemetry:http://127.0.0.1:4318"


def _write_otlp(board: Leaderboard, to: Destination) -> Written:
    if not re.match(r"https?://[^/]", to.place):
        raise OptionError(f"{to.place!r} is no address of an OTLP receiver", where="--to", mend=_HOW)
    rows = summarised(board)
    address = to.place.rstrip("/")
    spans = [span for row in rows for span in _spans_of(row)]
    _send_spans(spans, f"{address}/v1/traces")
    _send_metrics(rows, f"{address}/v1/metrics")
    note = f"{len(spans)} spans; metrics bear the time at which they were sent"
    return Written(places=(address,), values=sum(r.values for r in rows), left_out=left_out(rows), notes=(note,))


def _spans_of(row: Summarised) -> list[Any]:
    """The row, its tests and their stages."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentelemetry.trace import set_span_in_context

    kept = InMemorySpanExporter()
    provider = TracerProvider(
        resource=Resource.create(_resource(row)), id_generator=_numbers_of_spans(row), shutdown_on_exit=False
    )
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer(PROJECT, __version__)
    timed = [record for record in row.row.records if _began_ns(record) is not None and record.duration_s is not None]
    if not timed:
        return []
    begin = min(_began_ns(record) or 0 for record in timed)
    whole = tracer.start_span(row.test, start_time=begin, attributes=_about_row(row))
    for record in timed:
        _add_test(tracer, record, set_span_in_context(whole))
    whole.end(max(map(_ended_ns, timed)))
    return list(kept.get_finished_spans())


def _add_test(tracer: Any, record: Record, within: Any) -> None:
    from opentelemetry.trace import Status, StatusCode, set_span_in_context

    began = _began_ns(record) or 0
    span = tracer.start_span(record.nodeid, context=within, start_time=began, attributes=_about_test(record))
    if record.status not in _GOOD:
        span.set_status(Status(StatusCode.ERROR, record.failure.message if record.failure else record.status))
    at = began
    for stage in (*STAGES, "other"):
        measured = record.measurement(f"{stage}_time")
        if measured is not None and measured.value is not None:
            until = at + round(measured.value * 1e9)
            placed = {"vdb.beginning": "not measured: stages stand one after the other"}
            tracer.start_span(stage, context=set_span_in_context(span), start_time=at, attributes=placed).end(until)
            at = until
    span.end(_ended_ns(record))


def _resource(row: Summarised) -> dict[str, Any]:
    environment = row.run.environment
    return {
        "service.name": PROJECT,
        "service.version": __version__,
        "vdb.run": row.run.id,
        **({"vcs.ref.head.revision": environment.git_commit} if environment.git_commit else {}),
    }


def _about_row(row: Summarised) -> dict[str, Any]:
    return {"gen_ai.request.model": row.row.model} | {f"vdb.{name}": value for name, value in row.about.items()}


def _about_test(record: Record) -> dict[str, Any]:
    """What was asked, and every figure that was measured; a metric of random networks is named so."""
    said: dict[str, Any] = {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.request.model": record.model,
        "gen_ai.request.seed": record.seed,
        "test.case.name": record.nodeid,
        "test.case.result.status": "pass" if record.status in _GOOD else "fail",
        "vdb.status": record.status,
        "vdb.prompt": record.prompt,
        "vdb.weights": record.weights,
        "vdb.hardware": record.hardware,
        "vdb.reused_from": record.reused_from,
        "error.type": record.failure.type if record.failure and record.status not in _GOOD else None,
    }
    for measured in record.measurements:
        if measured.value is not None and math.isfinite(measured.value):
            said[f"vdb.{'wiring' if measured.wiring else measured.kind}.{measured.name}"] = measured.value
    return {name: value for name, value in said.items() if value is not None}


def _numbers_of_spans(row: Summarised) -> Any:
    """Numbers of traces and spans that come from the row, and not from chance."""
    from opentelemetry.sdk.trace.id_generator import IdGenerator

    class Numbers(IdGenerator):  # type: ignore[misc]
        def __init__(self) -> None:
            self._spans = 0

        def generate_trace_id(self) -> int:
            return int(digest(["trace", row.id], length=32), 16) or 1

        def generate_span_id(self) -> int:
            self._spans += 1
            return int(digest(["span", row.id, self._spans]), 16) or 1

    return Numbers()


def _began_ns(record: Record) -> int | None:
    try:
        return round(datetime.fromisoformat(record.started_at or "").timestamp() * 1e9)
    except ValueError:
        return None


def _ended_ns(record: Record) -> int:
    return (_began_ns(record) or 0) + round((record.duration_s or 0.0) * 1e9)


def _send_spans(spans: Sequence[Any], address: str) -> None:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import SpanExportResult

    exporter = OTLPSpanExporter(endpoint=address, timeout=_TIMEOUT_S)
    for at in range(0, len(spans), _SPANS_AT_ONCE):
        _check(exporter.export(spans[at : at + _SPANS_AT_ONCE]) is SpanExportResult.SUCCESS, address)


def _send_metrics(rows: Sequence[Summarised], address: str) -> None:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult
    from opentelemetry.sdk.resources import Resource

    for row in rows:
        reader = InMemoryMetricReader()
        provider = MeterProvider([reader], Resource.create(_resource(row)), shutdown_on_exit=False)
        meter = provider.get_meter(PROJECT, __version__)
        for name, unit, value, attributes in _gauges(row):
            meter.create_gauge(name, unit=unit).set(value, attributes)
        told = reader.get_metrics_data()
        if told is not None:
            sent = OTLPMetricExporter(endpoint=address, timeout=_TIMEOUT_S).export(told)
            _check(sent is MetricExportResult.SUCCESS, address)


def _gauges(row: Summarised) -> Iterator[tuple[str, str, float, Mapping[str, Any]]]:
    """Name, unit, value and attributes of each mean and of the ends of its interval."""
    about = {
        f"vdb.{name}": row.about[name] for name in ("benchmark", "weights", "hardware", "recipe") if name in row.about
    }
    for summary in row.summaries:
        cell = summary.cell
        if cell.mean is not None:
            low, high = cell.interval or (None, None)
            for statistic, value in (("mean", cell.mean), ("low", low), ("high", high)):
                if value is not None:
                    said = {
                        "gen_ai.request.model": row.row.model,
                        "vdb.statistic": statistic,
                        "vdb.wiring": cell.wiring,
                    }
                    yield f"vdb.{summary.name}", summary.column.unit, value, said | about


def _check(taken: bool, address: str) -> None:
    if not taken:
        shown = re.sub(r"(?<=://)[^/@]*@", "", address)
        raise OutputError("the OTLP receiver does not take it, or does not answer", where=shown, mend=_HOW)


TARGET = Target(
    name="opentelemetry",
    about="OpenTelemetry over OTLP/HTTP: a trace per row (row > test > stage), and figures as metrics",
    place="ADDRESS",
    default="http://127.0.0.1:4318",
    write=_write_otlp,
    libraries=("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"),
    extra="opentelemetry",
)
