"""One clip over several processes: the rows of each, one failed test when one of them dies, and none that is left.

Processors and gloo alone: no GPU was ever tried.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from pytest_vdb.errors import ModelOutOfMemory, ModelProcessError, RecipeError, VdbError
from pytest_vdb.models.isolated import IsolatedModel
from pytest_vdb.models.isolation import serve
from pytest_vdb.models.isolation.settings import read_settings
from pytest_vdb.models.isolation.walls import why_no_bwrap
from pytest_vdb.models.pipelines.switches import check_environment
from pytest_vdb.models.recipes import needed_to_load, resolve
from pytest_vdb.models.registry import Registry
from pytest_vdb.models.source import WeightsSource
from pytest_vdb.records import Prompt, Recipe

HERE = Path(__file__).parent
TWO = Recipe(frames=2, height=4, width=4, fps=8.0, parallel="ulysses:2")
WAN = Registry.from_catalog().get("wan2.1-t2v-1.3b")


def test_ranks_meet_where_nothing_is_unpickled_and_by_a_secret(monkeypatch):
    began = []
    monkeypatch.setattr(serve.os, "execv", lambda program, words: began.append((program, words)))
    monkeypatch.setattr(serve.os, "environ", {"PATH": "/usr/bin"})
    serve._become_torchrun("model.py:name", "2")
    ((_, words),) = began
    assert words[words.index("--rdzv-backend") + 1] == "static", (
        "the others unpickle what whoever reaches the port put there"
    )
    assert words[words.index("--rdzv-endpoint") + 1].startswith("127.0.0.1:")
    secret = serve.os.environ[serve._SECRET]
    assert len(secret) == 32
    assert not any(secret in word for word in words), "every user of the machine sees a command line"


# What a recipe says ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "devices", "recorded"),
    [
        ("ulysses:2", 2, "ulysses:2"),
        ("ring:2,ulysses:4", 8, "ulysses:4,ring:2"),
        ("ulysses:2+ring:2", 4, "ulysses:2,ring:2"),
        ("ulysses:1", 1, None),
        ("ulysses:1,ring:3", 3, "ring:3"),
    ],
)
def test_degrees_are_devices_and_have_one_spelling(told, devices, recorded):
    asked = Recipe.parse([f"parallel={told}"])
    assert asked.devices == devices
    assert asked.spelt_as_recorded().parallel == recorded


@pytest.mark.parametrize("told", ["2", "ulysses", "ulysses:0", "ulysses:-2", "tensor:2", "ring:2,ring:2", "ring:65"])
def test_what_is_no_parallelism_is_refused_where_it_was_written(told):
    with pytest.raises(RecipeError, match=r"--vdb-recipe: parallel=") as refused:
        Recipe.parse([f"parallel={told}"])
    assert refused.value.mend


def test_what_a_card_says_is_checked_like_what_was_typed():
    card = dataclasses.replace(WAN, tiny=dataclasses.replace(WAN.tiny, parallel="two"))
    with pytest.raises(RecipeError, match=r"model wan2.1-t2v-1.3b: parallel=two"):
        resolve(card, Recipe(), "tiny")


def test_another_parallelism_is_another_recipe_and_another_load():
    alone, both = (resolve(WAN, Recipe(parallel=told), "tiny") for told in (None, "ulysses:2"))
    assert alone.digest() == resolve(WAN, Recipe(parallel="ulysses:1"), "tiny").digest()
    assert alone.digest() != both.digest()
    assert needed_to_load(alone) != needed_to_load(both)


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("cogvideox-2b", {"parallel": "ulysses:2"}, r"CogVideoXTransformer3DModel\) over devices"),
        ("svd-xt", {"parallel": "ulysses:2"}, "no plan"),
        ("ltx-video", {"parallel": "ulysses:2"}, "the mask of all of them"),
        ("wan2.1-t2v-1.3b", {"parallel": "ring:2"}, "attention=native cannot be split so.*_native_cudnn"),
        ("wan2.1-t2v-1.3b", {"parallel": "ulysses:2", "attention": "xformers"}, "attention=xformers cannot"),
        ("wan2.1-t2v-1.3b", {"parallel": "ulysses:2", "cache": "first-block"}, "wait for the others"),
        ("wan2.1-t2v-1.3b", {"parallel": "ulysses:2", "batch": 2}, "one clip in a call"),
        ("wan2.1-t2v-1.3b", {"parallel": "ulysses:2", "backend": "onnx"}, "one device"),
    ],
)
def test_what_cannot_be_split_is_refused_before_anything_is_loaded(name, settings, told):
    with pytest.raises(RecipeError, match=told):
        resolve(Registry.from_catalog().get(name), Recipe(**settings), "tiny")


def test_a_device_that_cannot_is_told(tmp_path):
    source = WeightsSource(mode="tiny", device="cpu", cache_dir=tmp_path)
    ring = resolve(WAN, Recipe(parallel="ring:2", attention="_native_cudnn"), "tiny")
    with pytest.raises(RecipeError, match="log-sum-exp"):
        check_environment(WAN, ring, source)
    both = resolve(WAN, Recipe(parallel="ulysses:2"), "tiny")
    with pytest.raises(RecipeError, match="not mps"):
        check_environment(WAN, both, dataclasses.replace(source, device="mps"))


# Processes ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def opened():
    models = []

    def open_(**settings):
        told = {"serve": "isolated_models.py:Rows", "wall": "venv", **settings}
        models.append(IsolatedModel("rows", read_settings(told, beside=HERE, where="test"), "cpu"))
        return models[-1]

    yield open_
    for model in models:
        model.close()


def made_by(model: IsolatedModel, text: str) -> list[int]:
    """The grey of every row."""
    return model.generate(Prompt(id="p001", text=text), TWO, 1).frames[0, :, 0, 0].tolist()


def error_and_seconds(model: IsolatedModel, text: str) -> tuple[VdbError, float]:
    began = time.monotonic()
    with pytest.raises(ModelProcessError) as failed:
        made_by(model, text)
    return failed.value, time.monotonic() - began


def ranks() -> list[str]:
    commands = [" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])]
    return [command for command in commands if "isolated_models.py:Rows" in command]


@pytest.mark.slow
def test_two_ranks_share_a_clip_and_the_death_of_one_is_one_error(opened):
    model = opened()
    assert made_by(model, "x") == [1, 1, 2, 2]
    assert "in 2 processes of its own" in model.notes[0]
    assert any("2 processes have together held" in note for note in model.notes)
    _, seconds = error_and_seconds(model, "kill 1")
    assert seconds < 5  # a fifth of one on a machine that is not shared
    assert model.has_ended
    assert not ranks()


@pytest.mark.heavy
@pytest.mark.parametrize(
    "wall",
    ["venv", pytest.param("bwrap", marks=pytest.mark.skipif(why_no_bwrap() is not None, reason=str(why_no_bwrap())))],
)
def test_whatever_befalls_a_rank_the_next_clip_has_new_ones(opened, wall):
    model = opened(wall=wall)
    assert made_by(model, "x") == [1, 1, 2, 2]
    for deed, told in (("kill 0", "ended with"), ("full 1", "no room"), ("full 0", "no room")):
        error, seconds = error_and_seconds(model, deed)
        assert told in str(error)
        assert isinstance(error, ModelOutOfMemory) == deed.startswith("full")
        assert seconds < 10
        assert made_by(model, "x") == [1, 1, 2, 2], "started again"


@pytest.mark.heavy
def test_a_rank_that_hangs_ends_with_all_others_at_the_limit(opened):
    model = opened(seconds=4)
    made_by(model, "x")
    error, seconds = error_and_seconds(model, "hang 1")
    assert "no answer to `generate` within 4 s" in str(error)
    assert seconds < 10
    assert not ranks()


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["wan2.1-t2v-1.3b", "wan2.2-t2v-a14b", "wan2.1-i2v-14b-480p", "chronoedit-14b"])
def test_a_pipeline_over_two_processes_makes_the_clip_that_it_makes_alone(opened_pipeline, name):
    prompt = Prompt(id="p001", text="a red ball")
    alone, recipe = opened_pipeline(name)
    expected = alone.generate(prompt, recipe, 11)
    shared, recipe = opened_pipeline(name, parallel="ulysses:2")
    clip = shared.generate(prompt, recipe, 11)
    assert np.array_equal(clip.frames, expected.frames)
    assert "over 2 processes of torchrun (ulysses:2)" in shared.notes[0]


@pytest.fixture
def opened_pipeline(tmp_path):
    registry, models = Registry.from_catalog(), []

    def open_(name, **settings):
        card = registry.get(name)
        recipe = resolve(card, Recipe(**settings), "tiny")
        models.append(registry.open(card, recipe, WeightsSource(mode="tiny", device="cpu", cache_dir=tmp_path)))
        return models[-1], recipe

    yield open_
    for model in models:
        model.close()
