"""A whole benchmark without pytest: a model, a prompt and a seed become a record."""

from __future__ import annotations

import types
from pathlib import Path

import numpy as np
import pytest

from pytest_vdb.bench.answering import answered
from pytest_vdb.bench.session import Session
from pytest_vdb.errors import CannotRunHere, UnknownName
from pytest_vdb.models.contract import model
from pytest_vdb.options import Given, read
from pytest_vdb.records import Clip, Prompt

SMALL = {"frames": 6, "height": 32, "width": 32, "fps": 8.0}
PROMPT = Prompt(id="p1", text="a red kite")


@model("noise", **SMALL)
def noise(prompt, recipe, seed):
    rng = np.random.default_rng(seed)
    return Clip(rng.integers(0, 256, (recipe.frames, recipe.height, recipe.width, 3), np.uint8), recipe.fps)


@model("grey", **SMALL)
def grey(prompt, recipe, seed):
    return Clip(np.full((recipe.frames, recipe.height, recipe.width, 3), 128, np.uint8), recipe.fps)


@model("hungry", **SMALL)
def hungry(prompt, recipe, seed):
    raise MemoryError("80 GiB")


@model("broken", **SMALL)
class Broken:
    def __init__(self):
        raise OSError("the checkpoint is torn")

    def generate(self, prompt, recipe, seed):
        raise AssertionError("never reached")


def session(folder: Path, **asked: object) -> Session:
    given = {"models": "noise", "metrics": "sharpness", "cache-dir": str(folder / "cache"), "device": "cpu"} | asked
    options = read(lambda flag: Given(given.get(flag.name), folder, flag.flag), root=folder)
    tagged = types.SimpleNamespace(noise=noise, grey=grey, hungry=hungry, broken=Broken)
    return Session(options, run_id="run", tagged=lambda: [tagged])


def test_a_model_a_prompt_and_a_seed_become_a_record(tmp_path):
    here = session(tmp_path)
    record = answered(here, "noise", PROMPT)
    assert (record.status, record.model, record.prompt, record.failure) == ("passed", "noise", "p1", None)
    assert record.seed == here.seed(PROMPT)
    assert record.measurement("sharpness").value > 0
    assert record.measurement("latency").value > 0
    assert (here.run_folder / record.clip.preview).exists()


def test_the_same_sample_is_the_same_clip_and_comes_from_the_cache_in_another_run(tmp_path):
    first = answered(session(tmp_path), "noise", PROMPT)
    later = session(tmp_path)
    later.run_id = "later"
    again = answered(later, "noise", PROMPT)
    assert again.clip.digest == first.clip.digest
    assert again.reused_from == "run"
    costs = [m.name for m in first.measurements if m.kind == "performance"]
    assert {"load_time", "first_call", "latency", "throughput", "peak_rss"} <= set(costs)
    for cost in costs:
        assert again.measurement(cost).value is None
        assert "reused from run run" in again.measurement(cost).reason
    assert answered(later, "noise", PROMPT, sample_index=1).clip.digest != first.clip.digest


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [("grey", "failed", "one constant colour"), ("hungry", "oom", "80 GiB"), ("broken", "failed", "torn")],
)
def test_a_failure_is_data(tmp_path, name, status, said):
    record = answered(session(tmp_path), name, PROMPT)
    assert record.status == status
    assert said in record.failure.message
    assert record.seed is not None


def test_a_model_that_did_not_load_is_not_tried_again(tmp_path):
    here = session(tmp_path)
    assert [answered(here, "broken", PROMPT, index).status for index in (0, 1)] == ["failed", "not_run"]


@pytest.mark.slow
def test_what_cannot_run_here_is_skipped_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    record = answered(session(tmp_path, models="wan2.1-t2v-1.3b", weights="hub"), "wan2.1-t2v-1.3b", PROMPT)
    assert record.status == "skipped"
    assert record.failure.type == "WeightsMissing"
    record = answered(session(tmp_path, cache="only-cache"), "noise", PROMPT)
    assert (record.status, record.failure.type) == ("skipped", "NotCached")


def test_who_asks_decides_what_becomes_of_a_model_that_cannot_run(tmp_path):
    class Stop(Exception):
        pass

    def stop(error: CannotRunHere):
        raise Stop(str(error))

    here = session(tmp_path, cache="only-cache")
    here.cannot_run = stop
    assert answered(here, "noise", PROMPT).failure.type == "Stop"


def test_an_unknown_model_is_said_with_the_near_misses(tmp_path):
    with pytest.raises(UnknownName, match="did you mean 'noise'"):
        answered(session(tmp_path), "nois", PROMPT)


def test_what_cards_say_of_models_is_kept_and_of_a_function_they_say_nothing(tmp_path):
    here = session(tmp_path)
    found = here.card_facts(["cogvideox-2b", "noise", "whoever it was", "cogvideox-2b"])
    card = here.registry.get("cogvideox-2b")
    assert list(found) == ["cogvideox-2b"]
    kept = found["cogvideox-2b"]
    assert (kept.family, kept.licence) == (card.family, card.licence)
    assert (kept.repository, kept.pipeline) == (card.repository, card.pipeline)
    assert (kept.parameters, kept.download_gb) == (card.parameters, card.download_gb)
