"""Parquet through the real pyarrow: what is written is what is read."""

from __future__ import annotations

import dataclasses

import pytest

from pytest_vdb.analysis import build
from pytest_vdb.errors import RecordError
from pytest_vdb.exports.contract import Destination
from pytest_vdb.exports.targets import targets, that_reads
from pytest_vdb.records import Failure, Measurement, Record

pyarrow = pytest.importorskip("pyarrow", reason="needs the extra parquet")
pq = pytest.importorskip("pyarrow.parquet", reason="needs the extra parquet")

KEPT_WITH_THE_RUN = ("clip", "features", "worker", "failure", "schema")


def comparable(record: Record) -> Record:
    """Without what stays with the run; a failure is one line."""
    bare = {name: None for name in KEPT_WITH_THE_RUN if name != "schema"}
    return dataclasses.replace(record, **bare)


def test_records_come_back_with_equal_values(board, written, tmp_path):
    written("parquet", "values.parquet")
    run, records = targets()["parquet"].reader.read(tmp_path / "values.parquet")
    sent = {record.nodeid: record for row in board.rows for record in row.records}
    assert run == board.run
    assert {record.nodeid: comparable(record) for record in records} == {k: comparable(v) for k, v in sent.items()}


def test_the_leaderboard_of_what_came_back_has_equal_cells(board, written, tmp_path):
    written("parquet", "values.parquet")
    run, records = targets()["parquet"].reader.read(tmp_path / "values.parquet")
    again = build(run, records)
    cells = {(row.model, at): cell.mean for row in board.rows for at, cell in enumerate(row.cells)}
    assert {(row.model, at): cell.mean for row in again.rows for at, cell in enumerate(row.cells)} == cells


def test_there_is_a_row_per_value_and_a_missing_one_is_null_with_its_reason(board, written, tmp_path):
    told = written("parquet", "values.parquet")
    table = pq.read_table(tmp_path / "values.parquet")
    measured = [m for row in board.rows for record in row.records for m in record.measurements]
    rows = table.to_pylist()
    assert [row["metric"] for row in rows if row["metric"] is not None] == [m.name for m in measured]
    missing = [row for row in rows if row["metric"] is not None and row["value"] is None]
    assert len(missing) == sum(m.value is None for m in measured) == sum(one.n for one in told.left_out)
    assert all(row["reason"] for row in missing)
    assert told.values == table.num_rows - table.column("value").null_count


def test_a_test_that_measured_nothing_has_a_row_with_what_became_of_it(written, tmp_path):
    written("parquet", "values.parquet")
    rows = pq.read_table(tmp_path / "values.parquet", columns=["model", "metric", "status", "reason"]).to_pylist()
    (failed,) = (row for row in rows if row["model"] == "cogvideox-2b" and row["metric"] is None)
    assert failed["status"] == "failed"
    assert "one constant colour" in failed["reason"]


def test_parameters_intervals_series_and_notes_come_back(board, tmp_path):
    measured = Measurement(
        name="fvd", value=1.5, unit="1", better="lower", n=16, interval=(1.0, 2.0), version="2", series=(1.0, 2.0)
    )
    record = Record(
        run=board.run.id,
        nodeid="t.py::t[m]",
        benchmark="t.py::t",
        model="m",
        status="paused",  # type: ignore[arg-type]  # of a later version
        parameters={"strength": "0.9"},
        notes=("FVD of 16 clips", "second note"),
        failure=Failure(type="paused", message="for lunch"),
        measurements=(measured,),
    )
    targets()["parquet"].write(build(board.run, [record]), Destination(place=str(tmp_path / "v.parquet")))
    _, (back,) = targets()["parquet"].reader.read(tmp_path / "v.parquet")
    assert comparable(back) == comparable(record)
    assert back.failure is not None
    assert "for lunch" in back.failure.message


def test_rows_may_stand_in_any_order(board, written, tmp_path):
    """As DuckDB or pandas leave them."""
    written("parquet", "values.parquet")
    table = pq.read_table(tmp_path / "values.parquet")
    pq.write_table(table.sort_by("metric"), tmp_path / "sorted.parquet")
    (tmp_path / "sorted.parquet").replace(tmp_path / "shuffled.parquet")
    _, records = targets()["parquet"].reader.read(tmp_path / "shuffled.parquet")
    values = {(record.nodeid, m.name): m.value for record in records for m in record.measurements}
    sent = [record for row in board.rows for record in row.records]
    assert values == {(record.nodeid, m.name): m.value for record in sent for m in record.measurements}


def test_a_file_is_known_by_its_content(written, tmp_path):
    written("parquet", "values.data")
    assert that_reads(tmp_path / "values.data") is targets()["parquet"]
    (tmp_path / "x.parquet").write_bytes(b"no")
    assert that_reads(tmp_path / "x.parquet") is None


@pytest.mark.parametrize(
    ("content", "said"), [(b"PAR1 and no more", "no Parquet that can be read"), (None, "without the columns")]
)
def test_a_file_that_is_damaged_or_anothers_is_refused(tmp_path, content, said):
    path = tmp_path / "x.parquet"
    if content is None:
        pq.write_table(pyarrow.table({"a": [1]}), path)
    else:
        path.write_bytes(content)
    with pytest.raises(RecordError, match=said):
        targets()["parquet"].reader.read(path)
