"""Whatever a record holds, each target takes it: what it wrote can be opened, or it says why not."""

from __future__ import annotations

import dataclasses
import json
from xml.etree import ElementTree

import example_run as example
import pytest
import yaml
from huggingface_hub import ModelCard
from test_reporters_strange import STRANGE

from pytest_vdb.analysis import Leaderboard, build
from pytest_vdb.exports.contract import Destination
from pytest_vdb.exports.targets import targets

RUN = example.example_run()
RECORDS = {
    **STRANGE,
    "an order to a terminal": example.answer(RUN, "m\x1b[2J\x00", "p\n::error::", prompt_text="|a|\n---"),
}
OPENED = {
    "bencher": lambda folder: json.loads((folder / "out").read_text(encoding="utf-8")),
    "pytest-benchmark": lambda folder: targets()["pytest-benchmark"].reader.read(folder / "out"),
    "jsonl": lambda folder: list(map(json.loads, (folder / "out").read_text(encoding="utf-8").split("\n")[:-1])),
    "junit": lambda folder: ElementTree.parse(folder / "out"),
    "parquet": lambda folder: targets()["parquet"].reader.read(folder / "out"),
    "eval-results": lambda folder: [yaml.safe_load(path.read_bytes()) for path in folder.rglob("*.yaml")],
    "model-index": lambda folder: [ModelCard.load(path) for path in folder.rglob("README.md")],
    "run": lambda folder: [path.read_text(encoding="utf-8") for path in folder.rglob("*.jsonl")],
}


def strange(what: str) -> Leaderboard:
    record = RECORDS[what]
    weights = {} if what == "nothing is known" else {"weights": "hub"}
    return build(RUN, [dataclasses.replace(record, **weights)])


@pytest.mark.parametrize("what", RECORDS)
@pytest.mark.parametrize("name", OPENED)
def test_a_strange_record_gives_a_file_that_opens(name, what, tmp_path):
    for library in targets()[name].libraries:
        pytest.importorskip(library, reason=f"needs the extra {targets()[name].extra}")
    targets()[name].write(strange(what), Destination(place=str(tmp_path / "out"), dataset="a/b"))
    OPENED[name](tmp_path)


def test_every_target_that_writes_files_is_opened():
    assert {name for name, target in targets().items() if not target.libraries or target.reader} == set(OPENED)


@pytest.mark.slow  # libraries that take seconds to import
@pytest.mark.parametrize("name", ["mlflow", "wandb", "tensorboard"])
def test_a_tracker_takes_them_all_at_once(name, tmp_path):
    for library in targets()[name].libraries:
        pytest.importorskip(library, reason=f"needs the extra {targets()[name].extra}")
    board = build(RUN, [dataclasses.replace(one, nodeid=f"n{at}") for at, one in enumerate(RECORDS.values())])
    place = f"sqlite:///{tmp_path}/x.db" if name == "mlflow" else str(tmp_path)
    told = targets()[name].write(board, Destination(place=place))
    assert told.values > 500
