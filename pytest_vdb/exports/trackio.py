"""trackio: a local SQLite database per project, as `trackio show --project NAME` opens it.

Written through trackio's storage, as its own import of CSV files is: `trackio.init` asks the Hub who is logged in and
keeps that name in every run. The database lies where trackio keeps them (`TRACKIO_DIR`, or Hugging Face's home).
"""

from __future__ import annotations

from pytest_vdb.analysis.tables import Leaderboard
from pytest_vdb.exports.contract import Destination, Target, Written
from pytest_vdb.exports.summaries import PROJECT, left_out, summarised
from pytest_vdb.exports.trackers import configuration, logged


def _write_trackio(board: Leaderboard, to: Destination) -> Written:
    from trackio.sqlite_storage import SQLiteStorage

    rows, notes, values = summarised(board), [], 0
    known = {record["id"] for record in SQLiteStorage.get_run_records(to.place)}
    for row in rows:
        name = f"{row.test} {row.run.id}"
        if row.id in known:
            notes.append(f"{name} is in {to.place} already: left as it is")
            continue
        steps = [*logged(row), row.figures]
        SQLiteStorage.bulk_log(
            project=to.place,
            run=name,
            run_id=row.id,
            metrics_list=steps,
            steps=list(range(len(steps))),
            timestamps=[row.run.started_at] * len(steps),
            config=configuration(row),
        )
        values += row.values
    path = SQLiteStorage.get_project_db_path(to.place)
    return Written(places=(str(path),), values=values, left_out=left_out(rows), notes=tuple(notes))


TARGET = Target(
    name="trackio",
    about="trackio: a run per model in a local project",
    place="PROJECT",
    default=PROJECT,
    write=_write_trackio,
    libraries=("trackio",),
    extra="trackio",
)
