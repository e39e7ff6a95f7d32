"""Trackers of experiments, each opened with its own library: the leaderboard's figures, nothing for what is missing."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_vdb.analysis import Leaderboard
from pytest_vdb.analysis.tables import Cell
from pytest_vdb.errors import OptionError, OutputError
from pytest_vdb.exports.contract import Destination
from pytest_vdb.exports.targets import targets

pytestmark = pytest.mark.slow  # libraries that take seconds to import, processes of their own


def cell_of(board: Leaderboard, model: str, metric: str) -> Cell:
    """The leaderboard's own."""
    (table,) = board.tables
    (row,) = (row for row in table.rows if row.model == model)
    return {column.name: cell for column, cell in zip(table.columns, row.cells, strict=True)}[metric]


# MLflow -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def database(board, tmp_path_factory) -> str:
    pytest.importorskip("mlflow", reason="needs the extra mlflow")
    address = f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/x.db"
    targets()["mlflow"].write(board, Destination(place=address))
    return address


def runs_of_mlflow(address: str) -> dict:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(address)
    experiment = client.get_experiment_by_name("pytest-vdb")
    return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


def test_mlflow_has_the_means_with_their_interval_and_n(board, database):
    run = runs_of_mlflow(database)["test_generation[veo]"]
    cell = cell_of(board, "veo", "latency")
    assert run.data.metrics["latency"] == cell.mean
    assert (run.data.metrics["latency/low"], run.data.metrics["latency/high"]) == cell.interval
    assert run.data.metrics["latency/n"] == 6
    assert run.data.params["frames"] == "9"
    said = json.loads(run.data.tags["vdb.metric.latency"])
    assert (said["unit"], said["better"], said["missing"]) == ("s", "lower", 0)


def test_mlflow_has_each_prompt_as_a_step(board, database):
    from mlflow.tracking import MlflowClient

    run = runs_of_mlflow(database)["test_generation[sora]"]
    history = MlflowClient(database).get_metric_history(run.info.run_id, "prompts/latency")
    prompts = json.loads(run.data.tags["vdb.prompts"])
    assert {prompts[one.step]: one.value for one in history} == cell_of(board, "sora", "latency").by_prompt
    assert len(history) == 5, "the clip from the cache has no latency"


def test_mlflow_is_told_what_is_missing_and_why_and_gets_no_number_for_it(database):
    run = runs_of_mlflow(database)["test_generation[veo]"]
    assert not [name for name in run.data.metrics if name.startswith("clip_similarity")]
    said = json.loads(run.data.tags["vdb.metric.clip_similarity"])
    assert said["missing"] == 6
    assert "are not here" in next(iter(said["reasons"]))


def test_mlflow_is_told_which_weights_mean_nothing(database):
    runs = runs_of_mlflow(database)
    tags = {name: run.data.tags["vdb.ranked"] for name, run in runs.items()}
    assert tags["test_generation[wan2.1-t2v-1.3b] (tiny weights)"] == "no: tiny weights, whose pixels mean nothing"
    assert tags["test_generation[veo]"] == "yes"
    assert tags["test_generation[calibration-shapes]"].startswith("no: a calibration model")


def test_mlflow_gets_a_run_once(board, database):
    before = set(runs_of_mlflow(database))
    told = targets()["mlflow"].write(board, Destination(place=database))
    assert told.values == 0
    assert "is there already" in told.notes[0]
    assert len(runs_of_mlflow(database)) == len(before) == len(board.rows)


@pytest.mark.parametrize(
    ("place", "error", "said"),
    [
        ("x.db", OptionError, "no database and no server"),
        ("sqlite:///{file}/x.db", OutputError, "MLflow does not take it"),
    ],
)
def test_mlflow_in_no_place_is_said(board, tmp_path, place, error, said):
    pytest.importorskip("mlflow", reason="needs the extra mlflow")
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(error, match=said):
        targets()["mlflow"].write(board, Destination(place=place.format(file=tmp_path / "file")))


# wandb --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def offline_runs(board, tmp_path_factory) -> dict[str, dict]:
    """What the transaction logs of wandb hold, by the run's name: as `wandb sync` reads them."""
    pytest.importorskip("wandb", reason="needs the extra wandb")
    folder = tmp_path_factory.mktemp("wandb")
    told = targets()["wandb"].write(board, Destination(place=str(folder)))
    assert len(told.places) == len(board.rows)
    found = [_logged_in(next(Path(place).glob("*.wandb"))) for place in told.places]
    return {one["name"]: one for one in found}


def _records_in(data: bytes) -> Iterator[bytes]:
    """Of a transaction log: as LevelDB's, in blocks of 32 KiB, behind a header of seven bytes."""
    at, parts = 7, []
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        parts.append(data[at + 7 : at + 7 + length])
        at += 7 + length
        if kind in {1, 4}:  # whole, or the last part
            yield b"".join(parts)
            parts = []


def _logged_in(path: Path) -> dict:
    from wandb.proto import wandb_internal_pb2

    found = {"history": [], "summary": {}, "config": {}}
    for data in _records_in(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        match record.WhichOneof("record_type"):
            case "run" if "name" not in found:
                found |= {"name": record.run.display_name, "tags": list(record.run.tags), "host": record.run.host}
                found["config"] = {one.key: json.loads(one.value_json) for one in record.run.config.update}
            case "history":
                items = record.history.item
                found["history"].append({"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in items})
            case "summary":
                updated = record.summary.update
                found["summary"] |= {"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in updated}
    return found


def test_wandb_has_the_means_in_its_summary_and_the_prompts_as_steps(board, offline_runs):
    run = offline_runs["veo"]
    cell = cell_of(board, "veo", "latency")
    assert run["summary"]["latency"] == cell.mean
    assert run["summary"]["latency/n"] == 6
    assert [step["prompts/latency"] for step in run["history"]] == [cell.by_prompt[p] for p in run["config"]["prompts"]]
    assert run["config"]["metrics"]["latency"]["unit"] == "s"


def test_wandb_is_told_what_means_nothing_and_what_is_missing(offline_runs):
    assert offline_runs["wan2.1-t2v-1.3b"]["tags"] == ["weights: tiny", "not ranked"]
    veo = offline_runs["veo"]
    assert "clip_similarity" not in veo["summary"]
    assert veo["config"]["metrics"]["clip_similarity"]["missing"] == 6
    assert veo["host"] == ""


# trackio ------------------------------------------------------------------------------------------------------------

TRACKIO = """
import json, sys
import trackio
runs = trackio.Api().runs("pytest-vdb")
from trackio.sqlite_storage import SQLiteStorage
logs = {run.name: SQLiteStorage.get_logs("pytest-vdb", run.name, run_id=run.id) for run in runs}
print("ANSWER", json.dumps({run.name: [run.config, logs[run.name]] for run in runs}))
"""


def test_trackio_has_the_means_and_the_prompts_of_each_model_once(board, tmp_path):
    """In a process of its own: trackio reads its folder's name when it is imported."""
    pytest.importorskip("trackio", reason="needs the extra trackio")
    from pytest_vdb.records import to_json

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(to_json(board.run))
    records = [record for row in board.rows for record in row.records]
    (tmp_path / "run" / "records.jsonl").write_text("".join(f"{to_json(record)}\n" for record in records))
    environment = {**os.environ, "TRACKIO_DIR": str(tmp_path / "trackio"), "HF_HUB_OFFLINE": "1"}
    code = "from pytest_vdb.cli import main; raise SystemExit(main(['convert', 'run', '--to', 'trackio', '--json']))"
    told = [
        json.loads(subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True,
                                  capture_output=True, text=True).stdout)
        for _ in range(2)
    ]  # fmt: skip
    assert (told[0]["values"] > 0, told[1]["values"]) == (True, 0)
    answer = subprocess.run(
        [sys.executable, "-c", TRACKIO], env=environment, check=True, capture_output=True, text=True
    ).stdout
    runs = json.loads(answer.partition("ANSWER ")[2])
    config, logs = runs[f"test_generation[veo] {board.run.id}"]
    cell = cell_of(board, "veo", "latency")
    assert len(runs) == len(board.rows)
    assert next(log["latency"] for log in logs if "latency" in log) == cell.mean
    assert [log["prompts/latency"] for log in logs if "prompts/latency" in log] == list(cell.by_prompt.values())
    assert not any(name.startswith("clip_similarity") for log in logs for name in log)
    assert config["metrics"]["clip_similarity"]["missing"] == 6
    assert "_Username" not in config


# TensorBoard --------------------------------------------------------------------------------------------------------


def test_tensorboard_shows_the_figures_and_says_what_they_are(board, tmp_path):
    pytest.importorskip("tensorboardX", reason="needs the extra tensorboard")
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard itself, to read it"
    )
    targets()["tensorboard"].write(board, Destination(place=str(tmp_path)))
    (folder,) = (tmp_path / board.run.id).glob("*wan*")
    (file,) = folder.iterdir()
    assert file.name.endswith(".pytest-vdb"), "not the host's name"
    events = accumulator.EventAccumulator(str(folder)).Reload()
    cell = cell_of(board, "wan2.1-t2v-1.3b", "latency")
    assert [one.value for one in events.Scalars("latency")] == pytest.approx([cell.mean])
    assert [one.value for one in events.Scalars("prompts/latency")] == pytest.approx(list(cell.by_prompt.values()))
    about = events.Tensors("about/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "| ranked | no: tiny weights, whose pixels mean nothing |" in about
    metrics = events.Tensors("metrics/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "| latency | s | lower | performance |" in metrics


def test_tensorboard_gets_no_figure_for_what_is_missing(board, tmp_path):
    pytest.importorskip("tensorboardX", reason="needs the extra tensorboard")
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard itself, to read it"
    )
    targets()["tensorboard"].write(board, Destination(place=str(tmp_path)))
    (folder,) = (tmp_path / board.run.id).glob("*veo*")
    events = accumulator.EventAccumulator(str(folder)).Reload()
    assert not [tag for tag in events.Tags()["scalars"] if "clip_similarity" in tag]
    metrics = events.Tensors("metrics/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "are not here" in next(line for line in metrics.splitlines() if line.startswith("| clip_similarity"))
