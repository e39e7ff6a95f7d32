"""A run of ours again: what was read from another tool's file, as a folder that every command takes."""

from __future__ import annotations

from pytest_vdb import files
from pytest_vdb.analysis.tables import Leaderboard
from pytest_vdb.exports.contract import Destination, Target, Written
from pytest_vdb.results.journal import Journal, is_small


def _write_run(board: Leaderboard, to: Destination) -> Written:
    records = [record for row in board.rows for record in row.records]
    journal = Journal.create(files.expanded(to.place), board.run, in_full=is_small(len(records)))
    for record in records:
        journal.append(record)
    journal.finish(board.run)
    values = sum(measured.value is not None for record in records for measured in record.measurements)
    return Written(places=(str(journal.folder),), values=values)


TARGET = Target(
    name="run",
    about="a run of pytest-vdb, from a file that another target wrote",
    place="FOLDER",
    default="reports",
    write=_write_run,
)
