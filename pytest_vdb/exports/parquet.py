"""Parquet: a row per value, with all that identifies it; pandas, DuckDB, polars and Spark read it as it is.

A value that is missing is null and has its reason; a test that measured nothing has one row, without a metric and with
what became of it. Read back, records have equal values: clips, tracebacks and features stay with the run.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast, get_args

from pytest_vdb import files
from pytest_vdb.analysis.readings import failure_line
from pytest_vdb.analysis.tables import Leaderboard
from pytest_vdb.errors import RecordError
from pytest_vdb.exports.contract import Destination, Reader, Target, Written, counted
from pytest_vdb.records import Failure, Measurement, Record, Run, Status, from_json, from_plain, to_json, to_plain
from pytest_vdb.results.vbench import unknown_run

_MAGIC = b"PAR1"
_RUN = b"pytest-vdb run"
"""What the file's own metadata call `run.json`."""

_TESTS = 5_000
"""Tests in a group of rows."""

_TEXTS = (
    *("run", "nodeid", "benchmark", "model", "status", "prompt", "prompt_text", "category"),
    *("task", "weights", "revision", "recipe_digest", "suite", "suite_digest", "hardware", "environment"),
    *("started_at", "published", "reused_from"),
)
"""Fields of a record that are columns of text."""
_NUMBERS = ("attempts", "sample_index", "seed")
_JSON = ("parameters", "recipe")
"""Columns of JSON: each recipe has settings of its own."""
_OF_VALUES = ("reason", "unit", "better", "kind", "version")


def rows_of(record: Record) -> Iterator[dict[str, Any]]:
    """A row per measurement; one without a metric, where there is none."""
    said: dict[str, Any] = {name: getattr(record, name) for name in (*_TEXTS, *_NUMBERS)}
    said |= {name: json.dumps(getattr(record, name), sort_keys=True, ensure_ascii=False) for name in _JSON}
    said |= {"duration_s": record.duration_s, "clip": record.clip and record.clip.digest}
    said |= {"notes": list(record.notes), "failure": None if record.failure is None else failure_line(record)}
    for measured in record.measurements:
        low, high = measured.interval or (None, None)
        own = {name: getattr(measured, name) for name in _OF_VALUES}
        own |= {"metric": measured.name, "value": measured.value, "n": measured.n, "wiring": measured.wiring}
        yield {**said, **own, "low": low, "high": high, "series": measured.series and list(measured.series)}
    if not record.measurements:
        yield {**said, "reason": failure_line(record) if record.status != "passed" else "nothing was measured"}


def _arrow_schema() -> Any:
    import pyarrow as pa

    columns = [(name, pa.string()) for name in (*_TEXTS, *_JSON, "clip", "failure", "metric", *_OF_VALUES)]
    columns += [(name, pa.int64()) for name in (*_NUMBERS, "n")]
    columns += [(name, pa.float64()) for name in ("duration_s", "value", "low", "high")]
    columns += [("wiring", pa.bool_()), ("series", pa.list_(pa.float64())), ("notes", pa.list_(pa.string()))]
    return pa.schema(columns)


def _write_parquet(board: Leaderboard, to: Destination) -> Written:
    records = [record for row in board.rows for record in row.records]
    path = files.write_by(files.expanded(to.place), partial(_fill_rows, board.run, records))
    measured = [m for record in records for m in record.measurements]
    return Written(
        places=(str(path),),
        values=sum(m.value is not None for m in measured),
        left_out=counted((m.name, m.reason or "", 1) for m in measured if m.value is None),
        notes=("what is missing is there too: null, with its reason",),
    )


def _fill_rows(run: Run, records: Sequence[Record], part: Path) -> None:
    """A few tests at a time: a row as Python's objects is a hundred times what it is in the file."""
    import pyarrow as pa
    from pyarrow import parquet

    schema = _arrow_schema().with_metadata({_RUN: to_json(run).encode()})
    with parquet.ParquetWriter(part, schema) as writer:
        for group in (records[at : at + _TESTS] for at in range(0, len(records), _TESTS)):
            rows = [row for record in group for row in rows_of(record)]
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))


def _read_parquet(path: Path) -> tuple[Run, list[Record]]:
    """Raises RecordError: damaged, or without our columns."""
    import pyarrow as pa
    from pyarrow import parquet

    files.regular(path, error=RecordError)
    try:
        table = parquet.read_table(path)
    except (pa.ArrowException, OSError) as problem:
        raise RecordError(f"no Parquet that can be read: {problem}", where=path, mend="write it again") from None
    lacking = sorted({"run", "nodeid", "benchmark", "model", "status", "metric", "value"} - set(table.column_names))
    if lacking:
        what = f"Parquet without the columns {', '.join(lacking)}"
        raise RecordError(what, where=path, mend="give what vdb convert --to parquet wrote")
    kept = (table.schema.metadata or {}).get(_RUN)
    records = list(_records_of(table.to_pylist(), path))
    if not records:
        raise RecordError("Parquet without rows", where=path, mend="give a file that has values")
    return from_json(kept, Run, where=path) if kept else unknown_run(records[0].run), records


def _records_of(rows: Sequence[dict[str, Any]], path: Path) -> Iterator[Record]:
    """The rows of one test are one record, wherever in the file they stand."""
    tests: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        own = [row.get(name) for name in (*_TEXTS, *_NUMBERS, *_JSON, "clip", "duration_s")]
        tests.setdefault(json.dumps(own), []).append(row)
    for group in tests.values():
        try:
            yield _record_of(group)
        except (ValueError, TypeError, RecordError) as problem:
            raise RecordError(f"a row that is no value of ours: {problem}", where=path) from None


def _record_of(rows: Iterable[dict[str, Any]]) -> Record:
    rows = list(rows)
    first = rows[0]
    plain: dict[str, Any] = {name: first.get(name) for name in (*_TEXTS, *_NUMBERS, "duration_s")}
    plain |= {name: json.loads(first.get(name) or "{}") for name in _JSON}
    plain = {name: value for name, value in plain.items() if value is not None}
    status = plain["status"]
    known = status in get_args(Status)
    plain["notes"] = first.get("notes") or []
    plain["measurements"] = [_measurement_of(row) for row in rows if row.get("metric") is not None]
    if (told := first.get("failure")) is not None:
        plain["failure"] = to_plain(Failure(type=status, message=told))
    record = from_plain(plain if known else {**plain, "status": "failed"}, Record)
    return record if known else dataclasses.replace(record, status=cast(Status, status))


def _measurement_of(row: dict[str, Any]) -> dict[str, Any]:
    interval = [row["low"], row["high"]] if row.get("low") is not None and row.get("high") is not None else None
    plain = {name: row.get(name) for name in (*_OF_VALUES, "n", "wiring", "series")}
    given = {name: value for name, value in plain.items() if value is not None}
    measured = from_plain({**given, "name": row["metric"], "value": row["value"], "interval": interval}, Measurement)
    return cast(dict[str, Any], to_plain(measured))


def _is_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:  # whoever reads it says why
        return False


TARGET = Target(
    name="parquet",
    about="Parquet: a row per value, with all that identifies it",
    place="FILE",
    default="exports/{run}.parquet",
    write=_write_parquet,
    libraries=("pyarrow",),
    extra="parquet",
    reader=Reader(recognises=_is_parquet, read=_read_parquet),
)
