"""MLflow: a run per model in a database (`sqlite:///mlflow.db`) or on a server (`http://...`).

Through the client alone: the fluent interface notes the user's name, the command and the repository. A new SQLite
database gets no folder of the machine as its place for artefacts, but the one that MLflow's server fills in.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

from pytest_vdb.analysis.tables import Leaderboard
from pytest_vdb.errors import OptionError, OutputError
from pytest_vdb.escaping import shortened
from pytest_vdb.exports.contract import Destination, Target, Written
from pytest_vdb.exports.summaries import PROJECT, Summarised, as_text, left_out, summarised

_ARTEFACTS = "mlflow-artifacts:/"
"""Of whatever server opens the database."""
_ID = "vdb.id"
_TRIES = "2"
"""MLflow itself asks a server that does not answer for more than three minutes."""
_TAGS, _FIGURES = 100, 1_000
"""Tags or parameters, and figures, that MLflow takes at once."""
_LONGEST_NAME = 200
_LONGEST_TAG, _LONGEST_PARAMETER = 8_000, 6_000
_HOW = "give e.g. mlflow:sqlite:///mlflow.db, or mlflow:http://HOST:PORT"


def _write_mlflow(board: Leaderboard, to: Destination) -> Written:
    if not re.match(r"(sqlite|postgresql|mysql|mssql)[+\w]*://|https?://", to.place):
        raise OptionError(f"{to.place!r} is no database and no server of MLflow", where="--to", mend=_HOW)
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    rows, notes = summarised(board), []
    try:
        with _quiet():
            client = _client(to.place)
            experiment = _experiment(client, to.place)
            values = 0
            for row in rows:
                if client.search_runs([experiment], f"tags.`{_ID}` = '{row.id}'", max_results=1):
                    notes.append(f"{row.test} of run {row.run.id} is there already: left as it is")
                    continue
                _log_row(client, experiment, row)
                values += row.values
    except (MlflowException, SQLAlchemyError, OSError) as problem:
        first = next(iter(str(problem).strip().splitlines()), type(problem).__name__)
        what = f"MLflow does not take it: {_without_password(first)}"
        raise OutputError(what, where=_without_password(to.place), mend=_HOW) from problem
    return Written(places=(_without_password(to.place),), values=values, left_out=left_out(rows), notes=tuple(notes))


def _without_password(address: str) -> str:
    """An address without its user and password."""
    return re.sub(r"(?<=://)[^/@]*@", "", address)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """MLflow tells how it makes the tables of a new database: nobody asked."""
    logger = logging.getLogger("mlflow")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


def _client(address: str) -> Any:
    from mlflow.tracking import MlflowClient

    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", _TRIES)
    if not address.startswith("http"):
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        SqlAlchemyStore(address, _ARTEFACTS)  # makes the tables, where there are none
    return MlflowClient(address)


def _experiment(client: Any, address: str) -> str:
    known = client.get_experiment_by_name(PROJECT)
    if known is not None:
        return str(known.experiment_id)
    place = None if address.startswith("http") else f"{_ARTEFACTS}{PROJECT}"
    return str(client.create_experiment(PROJECT, artifact_location=place))


def _log_row(client: Any, experiment: str, row: Summarised) -> None:
    """Settings as parameters, what it is as tags, figures as metrics; prompts' values are steps of further ones."""
    from mlflow.entities import Metric, Param, RunTag

    at = round(row.started_s * 1000)
    run = client.create_run(experiment, run_name=shortened(row.test, _LONGEST_NAME), start_time=at)
    tags = {f"vdb.{name}": value for name, value in row.about.items()}
    tags |= {f"vdb.metric.{_named(name)}": as_text(said) for name, said in row.definitions.items()}
    tags["vdb.prompts"] = as_text(list(row.prompts))
    metrics = [Metric(_named(name), value, at, 0) for name, value in row.figures.items()]
    metrics += [
        Metric(f"prompts/{_named(name)}", value, at, step)
        for step, _, found in row.steps()
        for name, value in found.items()
    ]
    for batch in _batches([RunTag(name, value[:_LONGEST_TAG]) for name, value in tags.items()], _TAGS):
        client.log_batch(run.info.run_id, tags=batch)
    settings = [Param(name, as_text(value)[:_LONGEST_PARAMETER]) for name, value in row.row.recipe.items()]
    for batch in _batches(settings, _TAGS):
        client.log_batch(run.info.run_id, params=batch)
    for batch in _batches(metrics, _FIGURES):
        client.log_batch(run.info.run_id, metrics=batch)
    client.set_tag(run.info.run_id, _ID, row.id)  # the last of all: what was torn is not there already
    client.set_terminated(run.info.run_id, end_time=round(row.finished_s * 1000))


def _named(name: str) -> str:
    """A metric's name in the letters that MLflow takes."""
    return re.sub(r"[^\w./: -]", "_", name, flags=re.ASCII)[:_LONGEST_NAME]


def _batches(things: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
    return (things[at : at + most] for at in range(0, len(things), most))


TARGET = Target(
    name="mlflow",
    about="MLflow: a run per model in a database or on a server",
    place="ADDRESS",
    default="sqlite:///mlflow.db",
    write=_write_mlflow,
    libraries=("mlflow", "sqlalchemy", "alembic"),
    extra="mlflow",
)
