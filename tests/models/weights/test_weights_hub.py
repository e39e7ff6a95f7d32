"""Weights from a hub: a real huggingface_hub against a local server that speaks the Hub's protocol."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from local_hub import Repository, serve
from safetensors.numpy import load_file, save_file

from pytest_vdb.models.weights import tiny

pytestmark = pytest.mark.slow  # a process of its own that imports diffusers

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "89abcdef0123456789abcdef0123456789abcdef"
TRANSFORMER = "transformer/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def pipeline_folder(tmp_path_factory):
    return tiny.ensure("WanPipeline", tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def hub(pipeline_folder, tmp_path_factory):
    """A hub with a repository for each thing that can happen."""
    pickled = tmp_path_factory.mktemp("pickled") / "pipeline"
    shutil.copytree(pipeline_folder, pickled)
    for path in pickled.rglob("*.safetensors"):
        path.rename(path.with_suffix(".bin"))
    large = tmp_path_factory.mktemp("large") / "pipeline"
    shutil.copytree(pipeline_folder, large)
    tensors = load_file(large / TRANSFORMER)
    save_file({**tensors, "padding": np.zeros(24 * 2**20, np.uint8)}, large / TRANSFORMER)  # sent in several chunks
    base, adapter = tmp_path_factory.mktemp("base") / "pipeline", tmp_path_factory.mktemp("adapter") / "motion"
    shutil.copytree(tiny.ensure("AnimateDiffPipeline", pipeline_folder.parent), base)
    shutil.move(base / "motion_adapter", adapter)
    modular = tiny.ensure("MiniMaxH3ModularPipeline", pipeline_folder.parent)
    repositories = {
        "toys/modular": Repository(modular, COMMIT),
        "toys/base": Repository(base, COMMIT),
        "toys/adapter": Repository(adapter, OTHER),
        "toys/huge": Repository(pipeline_folder, COMMIT, claimed_size=10**15),
        **{f"toys/{name}": Repository(pipeline_folder, COMMIT) for name in ("good", "pinned", "kept")},
        "toys/moving": Repository(pipeline_folder, COMMIT),
        "toys/gated": Repository(pipeline_folder, COMMIT, refusal=(403, "GatedRepo")),
        "toys/absent-file": Repository(pipeline_folder, COMMIT, absent=TRANSFORMER),
        "toys/wrong-hash": Repository(pipeline_folder, COMMIT, corrupt=TRANSFORMER),
        "toys/interrupted": Repository(large, COMMIT, breaks=TRANSFORMER),
        "toys/pickled": Repository(pickled, COMMIT),
        "toys/down": Repository(pipeline_folder, COMMIT, refusal=(500, "InternalError")),
    }
    with serve(repositories) as address:
        yield repositories, address


@pytest.fixture(scope="module")
def ask(hub, tmp_path_factory):
    """Load from that hub, in one process for all tests."""
    _, address = hub
    home = tmp_path_factory.mktemp("home")
    environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(home), "OMP_NUM_THREADS": "1"}
    environment.pop("HF_HUB_OFFLINE", None)
    client = Path(__file__).parent / "hub_client.py"
    process = subprocess.Popen(
        [sys.executable, client, home / "verified"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, env=environment,
    )  # fmt: skip

    def ask_(**question):
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        for line in process.stdout:
            if line.startswith("ANSWER "):
                return json.loads(line.removeprefix("ANSWER "))
        raise AssertionError(f"the client ended with {process.wait()}")

    ask_.home = home
    yield ask_
    process.stdin.close()
    process.wait(timeout=60)


def test_weights_are_downloaded_by_commit_safetensors_only(hub, ask):
    repositories, _ = hub
    assert ask(repository="toys/good") == {"revision": COMMIT, "class": "WanPipeline"}
    assert f"GET {TRANSFORMER}" in repositories["toys/good"].served


def test_a_pinned_revision_that_is_here_asks_the_hub_nothing(hub, ask):
    repositories, _ = hub
    ask(repository="toys/pinned", revision=COMMIT)
    repositories["toys/pinned"].served.clear()
    assert ask(repository="toys/pinned", revision=COMMIT)["revision"] == COMMIT
    assert ask(repository="toys/pinned", revision=COMMIT, offline=True)["revision"] == COMMIT
    assert repositories["toys/pinned"].served == []


def test_an_unpinned_model_follows_the_repository_and_files_that_did_not_change_are_not_sent_again(hub, ask):
    repositories, _ = hub
    assert ask(repository="toys/moving")["revision"] == COMMIT
    repositories["toys/moving"].commit = OTHER
    repositories["toys/moving"].served.clear()
    assert ask(repository="toys/moving")["revision"] == OTHER
    assert f"GET {TRANSFORMER}" not in repositories["toys/moving"].served
    assert ask(repository="toys/moving", offline=True)["revision"] == OTHER


def test_a_broken_transfer_is_resumed_where_it_broke(hub, ask):
    repositories, _ = hub
    assert ask(repository="toys/interrupted")["revision"] == COMMIT
    sent = [line for line in repositories["toys/interrupted"].served if line.startswith(f"GET {TRANSFORMER}")]
    assert sent[0] == f"GET {TRANSFORMER}"
    assert re.fullmatch(rf"GET {TRANSFORMER} bytes=[1-9]\d+-", sent[1])
    assert len(sent) == 2


def test_of_a_modular_pipeline_only_what_the_task_needs_is_downloaded(hub, ask):
    repositories, _ = hub
    asked = {"repository": "toys/modular", "pipeline": "MiniMaxH3ModularPipeline", "revision": COMMIT}
    answer = ask(**asked, components=True)
    assert (answer["revision"], answer["class"]) == (COMMIT, "MiniMaxH3ModularPipeline")
    assert "transformer" in answer["components"]
    assert "transformer_ref" not in answer["components"]
    fetched = {line.split()[1].partition("/")[0] for line in repositories["toys/modular"].served}
    assert {"transformer", "text_encoder", "processor", "modular_model_index.json"} <= fetched
    assert "transformer_ref" not in fetched
    repositories["toys/modular"].served.clear()
    assert ask(**asked, offline=True)["revision"] == COMMIT
    assert repositories["toys/modular"].served == []


def test_a_part_comes_from_its_own_repository(hub, ask):
    repositories, _ = hub
    part = {"component": "motion_adapter", "type": "MotionAdapter", "repository": "toys/adapter", "revision": OTHER}
    answer = ask(repository="toys/base", pipeline="AnimateDiffPipeline", parts=[part])
    assert answer == {"revision": COMMIT, "class": "AnimateDiffPipeline"}
    assert "GET diffusion_pytorch_model.safetensors" in repositories["toys/adapter"].served
    missing = ask(repository="toys/base", pipeline="AnimateDiffPipeline", parts=[{**part, "repository": "toys/none"}])
    assert "toys/none" in missing["message"]


@pytest.mark.parametrize(
    ("question", "error", "said"),
    [
        ({"repository": "toys/huge"}, "WeightsMissing", "does not fit the disk"),
        ({"repository": "toys/gated"}, "WeightsMissing", "is gated: accept its terms at"),
        ({"repository": "toys/nowhere"}, "WeightsMissing", "does not exist on the hub, or is private"),
        ({"repository": "toys/good", "revision": "v9"}, "WeightsMissing", "has no revision 'v9'"),
        ({"repository": "toys/absent-file"}, "WeightsMissing", "lacks a file that it lists"),
        ({"repository": "toys/down"}, "WeightsMissing", "cannot be had"),
        ({"repository": "toys/wrong-hash"}, "WeightsBroken", "the hub published"),
        ({"repository": "toys/pickled"}, "WeightsBroken", "pickled"),
    ],
    ids=lambda value: value.get("repository", "").partition("/")[2] if isinstance(value, dict) else "",
)
def test_each_refusal_has_its_own_message(ask, question, error, said):
    answer = ask(**question)
    assert answer.get("error") == error, answer
    assert said in answer["message"]


def test_offline_the_message_names_repository_revision_size_and_command(ask):
    message = ask(repository="toys/never-seen", revision=COMMIT, offline=True)["message"]
    assert f"toys/never-seen (revision {COMMIT}; 1.5 GB) is not on this machine, and this run is offline" in message
    assert f"hf download toys/never-seen --revision {COMMIT}" in message


def test_without_a_network_what_is_here_is_used_and_what_is_not_is_missing(hub, ask):
    home = ask.home
    assert ask(repository="toys/kept")["revision"] == COMMIT
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(home), "OMP_NUM_THREADS": "1"}
    environment.pop("HF_HUB_OFFLINE", None)
    client = Path(__file__).parent / "hub_client.py"
    questions = '{"repository": "toys/kept"}\n{"repository": "toys/never-seen"}\n'
    done = subprocess.run(
        [sys.executable, client, home / "verified"],
        input=questions,
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    here, absent = (
        json.loads(line.removeprefix("ANSWER ")) for line in done.stdout.splitlines() if line.startswith("ANSWER")
    )
    assert here["revision"] == COMMIT
    assert "the hub cannot be reached" in absent["message"]
