"""Records in full: a line of JSON per test that says everything itself, for `grep`, `jq` and readers of lines."""

from __future__ import annotations

from pytest_vdb import files
from pytest_vdb.analysis.tables import Leaderboard
from pytest_vdb.exports.contract import Destination, Target, Written
from pytest_vdb.records import to_json


def _write_records_in_full(board: Leaderboard, to: Destination) -> Written:
    records = [record for row in board.rows for record in row.records]
    path = files.write(files.expanded(to.place), "".join(f"{to_json(record)}\n" for record in records))
    values = sum(measured.value is not None for record in records for measured in record.measurements)
    return Written(places=(str(path),), values=values)


TARGET = Target(
    name="jsonl",
    about="a line per test, with all definitions in each",
    place="FILE",
    default="exports/{run}.jsonl",
    write=_write_records_in_full,
)
