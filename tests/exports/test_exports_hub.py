"""The Hub's two formats through huggingface_hub's own classes, and from a hub that serves them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries
from huggingface_hub.repocard_data import model_index_to_eval_results
from local_hub import Repository, serve

from pytest_vdb.errors import OptionError, RecordError
from pytest_vdb.exports.contract import Destination
from pytest_vdb.exports.targets import targets

DATASET = "bench/smoke"


def cells_of(board, model: str) -> dict:
    (table,) = board.tables
    (row,) = (row for row in table.rows if row.model == model)
    return {column.name: cell for column, cell in zip(table.columns, row.cells, strict=True)}


def entries(folder: Path) -> dict:
    """What huggingface_hub reads, by task."""
    (file,) = (folder / ".eval_results").iterdir()
    return {one.task_id: one for one in parse_eval_result_entries(yaml.safe_load(file.read_text()))}


def results(readme: Path) -> dict:
    """What huggingface_hub reads, by metric."""
    _, found = model_index_to_eval_results(ModelCard(readme.read_text()).data.to_dict()["model-index"])
    return {one.metric_type: one for one in found}


def test_a_result_belongs_to_the_data_set_and_says_how_it_was_measured(board, written, tmp_path):
    told = written("eval-results", "hub", dataset=DATASET)
    assert [Path(place).parts[-3:] for place in told.places] == [
        ("sora", ".eval_results", "smoke.yaml"),
        ("veo", ".eval_results", "smoke.yaml"),
    ]
    sharpness, cell = entries(tmp_path / "hub" / "veo")["sharpness"], cells_of(board, "veo")["sharpness"]
    assert (sharpness.dataset_id, sharpness.value, sharpness.date) == (DATASET, cell.mean, board.run.started_at)
    for said in ("mean of 6 prompts", "95% interval [", "higher is better", "suite smoke@1", board.run.id):
        assert said in sharpness.notes
    assert "mean of 5 prompts; " in entries(tmp_path / "hub" / "sora")["latency"].notes
    assert "1 missing" in entries(tmp_path / "hub" / "sora")["latency"].notes


@pytest.mark.parametrize("name", ["eval-results", "model-index"])
def test_only_values_that_mean_something_go_to_a_models_page(written, tmp_path, name):
    told = written(name, "hub", dataset=DATASET)
    assert {path.name for path in (tmp_path / "hub").iterdir()} == {"veo", "sora"}
    reasons = {one.reason for one in told.left_out}
    assert reasons >= {"tiny weights, whose pixels mean nothing", "a calibration model, which measures the metrics"}
    shown = (
        entries(tmp_path / "hub" / "veo") if name == "eval-results" else results(tmp_path / "hub" / "veo" / "README.md")
    )
    assert "clip_similarity" not in shown, "it was not measured"


@pytest.mark.parametrize("dataset", [None, "no-owner"])
def test_results_without_a_data_set_are_refused(board, tmp_path, dataset):
    with pytest.raises(OptionError, match="--dataset ORG/NAME"):
        targets()["eval-results"].write(board, Destination(place=str(tmp_path), dataset=dataset))


def test_a_model_index_has_the_values(board, written, tmp_path):
    written("model-index", "hub")
    latency, cell = results(tmp_path / "hub" / "veo" / "README.md")["latency"], cells_of(board, "veo")["latency"]
    assert (latency.metric_value, latency.task_type) == (cell.mean, "text-to-video")
    assert (latency.dataset_type, latency.dataset_name) == ("smoke", "smoke@1")
    assert "unit s; lower is better" in latency.metric_name


CARD = """---
license: apache-2.0
model-index:
- name: Veo
  results:
  - task:
      type: text-to-video
    dataset:
      name: smoke@1
      type: smoke
    metrics:
    - type: latency
      value: 9.5
  - task:
      type: text-to-video
    dataset:
      name: UCF-101
      type: ucf101
    metrics:
    - type: fvd
      value: 300.5
---

# Veo

What its owner wrote.
"""


def test_a_card_that_is_there_keeps_its_text_and_the_results_of_others(board, written, tmp_path):
    readme = tmp_path / "hub" / "veo" / "README.md"
    readme.parent.mkdir(parents=True)
    readme.write_text(CARD)
    for _ in range(2):  # and a second time nothing is doubled
        written("model-index", "hub")
        card = ModelCard(readme.read_text())
        assert card.text.strip() == "# Veo\n\nWhat its owner wrote."
        assert (card.data.license, card.data.model_name) == ("apache-2.0", "Veo")
        found = [(one.dataset_type, one.metric_type, one.metric_value) for one in card.data.eval_results]
        assert ("ucf101", "fvd", 300.5) in found
        latency = [value for kind, metric, value in found if (kind, metric) == ("smoke", "latency")]
        assert latency == [cells_of(board, "veo")["latency"].mean]


def test_a_card_that_is_damaged_is_left_alone_and_said(written, tmp_path):
    readme = tmp_path / "hub" / "veo" / "README.md"
    readme.parent.mkdir(parents=True)
    readme.write_text("---\n- no mapping\n---\n")
    with pytest.raises(RecordError, match="no model card's"):
        written("model-index", "hub")
    assert readme.read_text() == "---\n- no mapping\n---\n"


CLIENT = """
import json, yaml
from huggingface_hub import ModelCard, hf_hub_download, parse_eval_result_entries
card = ModelCard.load("toys/veo")
path = hf_hub_download("toys/veo", ".eval_results/smoke.yaml")
entries = parse_eval_result_entries(yaml.safe_load(open(path)))
values = {one.metric_type: one.metric_value for one in card.data.eval_results}
print("ANSWER", json.dumps([values, {one.task_id: one.value for one in entries}]))
"""


@pytest.mark.slow  # a server, and a process of its own
def test_a_repository_on_a_hub_gives_the_values_back(board, written, tmp_path):
    for name in ("model-index", "eval-results"):
        written(name, "hub", dataset=DATASET)
    repository = Repository(tmp_path / "hub" / "veo", commit="0123456789abcdef0123456789abcdef01234567")
    with serve({"toys/veo": repository}) as address:
        environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home")}
        environment.pop("HF_HUB_OFFLINE", None)
        command = [sys.executable, "-c", CLIENT]
        answer = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    index, filed = json.loads(answer.partition("ANSWER ")[2])
    known = {name: cell.mean for name, cell in cells_of(board, "veo").items() if cell.mean is not None}
    assert index == filed == known
