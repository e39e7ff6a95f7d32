"""OTLP, as a receiver reads it from the wire with OpenTelemetry's own messages."""

from __future__ import annotations

import dataclasses
import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pytest_vdb.analysis import build
from pytest_vdb.errors import OptionError, OutputError
from pytest_vdb.exports.contract import Destination
from pytest_vdb.exports.targets import targets
from pytest_vdb.records import Measurement

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

STAGES = ("text_encoding_time", "denoising_time", "decoding_time")


class Receiver:
    """Takes what is sent to /v1/traces and /v1/metrics."""

    def __init__(self) -> None:
        self.traces: list[ExportTraceServiceRequest] = []
        self.metrics: list[ExportMetricsServiceRequest] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/v1/traces":
                    receiver.traces.append(ExportTraceServiceRequest.FromString(body))
                elif self.path == "/v1/metrics":
                    receiver.metrics.append(ExportMetricsServiceRequest.FromString(body))
                self.send_response(200 if self.path.startswith("/v1/") else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def spans(self) -> list:
        return [
            span
            for request in self.traces
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def receiver():
    found = Receiver()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def board(board):
    """The same, of tests that say when they ran; of one model the stages are known."""
    records = [record for table in board.tables for row in table.rows for record in row.records]
    stages = [Measurement(name=name, value=0.5, unit="s", better="lower", kind="performance") for name in STAGES]
    return build(
        board.run,
        [
            dataclasses.replace(
                record,
                started_at=f"2026-01-14T09:30:{at % 60:02}.250+00:00",
                duration_s=2.5,
                measurements=(*record.measurements, *(stages if record.model == "veo" else ())),
            )
            for at, record in enumerate(records)
        ],
    )


def send(board, place: str):
    return targets()["opentelemetry"].write(board, Destination(place=place))


def said(span) -> dict:
    return {
        one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes if one.value.ListFields()
    }


def test_tests_stand_within_their_row_and_stages_within_their_test(board, receiver):
    send(board, receiver.address)
    spans = {span.span_id: span for span in receiver.spans}
    whole = [span for span in spans.values() if not span.parent_span_id]
    timed = [r for table in board.tables for row in table.rows for r in row.records if r.started_at and r.duration_s]
    tests = [span for span in spans.values() if "test.case.name" in said(span)]
    assert len(tests) == len(timed) > 0
    for test in tests:
        row = spans[test.parent_span_id]
        assert row in whole
        assert row.start_time_unix_nano <= test.start_time_unix_nano <= test.end_time_unix_nano
        assert test.end_time_unix_nano <= row.end_time_unix_nano
    stages = [span for span in spans.values() if span not in tests and span not in whole]
    assert {span.name for span in stages} == {name.removesuffix("_time") for name in STAGES}
    for stage in stages:
        assert stage.end_time_unix_nano - stage.start_time_unix_nano == 500_000_000
        assert spans[stage.parent_span_id] in tests
        assert said(stage)["vdb.beginning"].startswith("not measured")


def test_a_test_says_what_it_measured_and_what_failed_is_an_error(board, receiver):
    send(board, receiver.address)
    tests = [span for span in receiver.spans if "test.case.name" in said(span)]
    records = {r.nodeid: r for table in board.tables for row in table.rows for r in row.records}
    for test in tests:
        record, told = records[test.name], said(test)
        assert told["gen_ai.request.model"] == record.model
        assert (test.status.code == test.status.STATUS_CODE_ERROR) == (told["test.case.result.status"] == "fail")
        measured = {m.name: m.value for m in record.measurements if m.value is not None}
        named = {key.split(".", 2)[2]: v for key, v in told.items() if key.startswith(("vdb.quality.", "vdb.wiring."))}
        assert named.items() <= measured.items()
        costs = {key.split(".", 2)[2]: v for key, v in told.items() if key.startswith("vdb.performance.")}
        assert {**named, **costs} == measured


def test_what_is_sent_twice_is_the_same_trace(board, receiver):
    send(board, receiver.address)
    once = {(span.trace_id, span.span_id) for span in receiver.spans}
    assert len(once) == len(receiver.spans)
    send(board, receiver.address)
    assert {(span.trace_id, span.span_id) for span in receiver.spans} == once


def test_figures_are_the_leaderboards(board, receiver):
    written = send(board, receiver.address)
    points = {
        (metric.name, attributes["gen_ai.request.model"], attributes["vdb.statistic"]): point.as_double
        for request in receiver.metrics
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.gauge.data_points
        for attributes in [said(point)]
    }
    (table,) = board.tables
    means = {
        (f"vdb.{column.name}", row.model, "mean"): cell.mean
        for row in table.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
        if cell.mean is not None
    }
    assert {key: value for key, value in points.items() if key[2] == "mean"} == means
    assert written.values == len(means)


def test_what_is_no_address_and_who_does_not_answer(board, receiver, monkeypatch):
    with pytest.raises(OptionError, match="no address of an OTLP receiver"):
        send(board, "otel.json")
    monkeypatch.setattr("pytest_vdb.exports.opentelemetry._TIMEOUT_S", 0.5)
    receiver.server.shutdown()
    receiver.server.server_close()
    with pytest.raises(OutputError, match="does not take it, or does not answer"):
        send(board, receiver.address)
