"""Selecting models, and bringing one's own."""

import types

import numpy as np
import pytest

from pytest_vdb.errors import BadClip, CardError, UnknownName
from pytest_vdb.models.registry import Registry, model
from pytest_vdb.models.weights import WeightsSource
from pytest_vdb.records import Clip, Prompt, Recipe


@model("noise", tags=("toy",), frames=4, height=8, width=8)
class Noise:
    """Uniform noise: the floor every metric must recognise."""

    closed = False

    def generate(self, prompt, recipe, seed):
        rng = np.random.default_rng(seed)
        return Clip(rng.integers(0, 256, (recipe.frames, recipe.height, recipe.width, 3), np.uint8), recipe.fps)

    def close(self):
        Noise.closed = True


@model("grey", task="i2v")
def grey(prompt, recipe, seed):
    return Clip(np.full((recipe.frames, 8, 8, 3), 128, np.uint8), recipe.fps)


@model("careless")
def careless(prompt, recipe, seed):
    return "clip.mp4"


def module(**attributes):
    made = types.ModuleType("conftest")
    vars(made).update(attributes)
    return made


@pytest.fixture
def registry():
    registry = Registry.from_catalog()
    registry.add_from(module(Noise=Noise, grey=grey, careless=careless, unrelated=7))
    return registry


@pytest.fixture
def source(tmp_path):
    return WeightsSource(mode="tiny", device="cpu", cache_dir=tmp_path)


def names(cards):
    return [card.name for card in cards]


def test_names_globs_and_tags_select_each_model_once(registry):
    assert names(registry.select("noise, grey,noise")) == ["noise", "grey"]
    assert names(registry.select("tag:toy")) == ["noise"]
    assert {"cogvideox-2b", "cogvideox-5b"} <= set(names(registry.select("cogvideox-*b")))
    assert "grey" in names(registry.select("tag:i2v"))
    assert "wan2.1-t2v-1.3b" in names(registry.select("tag:wan"))
    assert names(registry.select("all")) == list(registry.names())


def test_a_typo_lists_the_near_misses(registry):
    with pytest.raises(UnknownName, match=r"unknown model 'cogvideo-2b'\n.*did you mean 'cogvideox-2b'"):
        registry.select("noise,cogvideo-2b")
    with pytest.raises(UnknownName, match="unknown model tag 'tv2'"):
        registry.select("tag:tv2")
    with pytest.raises(UnknownName):
        registry.select("nothing-like-*-this")
    with pytest.raises(UnknownName):
        registry.select(" , ")


def test_a_tagged_class_or_function_stays_what_it_was():
    assert isinstance(Noise(), Noise)
    assert grey(None, Recipe(frames=3, fps=8.0), 0).frames.shape == (3, 8, 8, 3)


def test_a_users_model_generates_by_its_own_defaults_and_is_closed(registry, source):
    card = registry.get("noise")
    recipe = card.resolve(Recipe(width=16), "tiny")
    assert recipe.weights == "none"
    opened = registry.open(card, recipe, source)
    clip = opened.generate(Prompt(id="p", text="a cat"), recipe, 3)
    assert clip.frames.shape == (4, 8, 16, 3)
    assert opened.revision is None
    assert opened.pipeline is None
    opened.close()
    assert Noise.closed


def test_what_is_no_clip_is_refused(registry, source):
    card = registry.get("careless")
    with pytest.raises(BadClip, match="model careless: returned str instead of a Clip"):
        registry.open(card, card.resolve(Recipe(), "tiny"), source).generate(Prompt(id="p", text=""), Recipe(), 0)


def test_the_same_object_twice_is_one_model_but_two_of_one_name_are_an_error(registry):
    registry.add_from(module(again=Noise))

    @model("noise")
    def other(prompt, recipe, seed):
        raise NotImplementedError

    with pytest.raises(CardError, match=r"two models named 'noise'.*Noise.*other"):
        registry.add_from(other)


def test_names_may_be_anything_printable(registry):
    @model("../../x<script>$&")
    def odd(prompt, recipe, seed):
        raise NotImplementedError

    registry.add_from(odd)
    assert names(registry.select("../../x<script>$&")) == ["../../x<script>$&"]
    with pytest.raises(CardError, match="model name"):
        model("a\nb")(grey)


def test_a_default_that_is_no_setting_is_refused():
    with pytest.raises(UnknownName, match=r"'framse'.*\n.*did you mean 'frames'"):
        model("typo", framse=3)


def test_entry_points_bring_models(registry, tmp_path, monkeypatch):
    (tmp_path / "other_package.py").write_text(
        "from pytest_vdb.models.registry import model\n@model('theirs')\ndef theirs(prompt, recipe, seed): ...\n"
    )
    info = tmp_path / "other_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pytest_vdb.models]\nother = other_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry.add_entry_points()
    assert registry.get("theirs").family == "other_package"


def test_an_entry_point_that_cannot_be_imported_names_its_package(registry, tmp_path, monkeypatch):
    info = tmp_path / "torn-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torn\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pytest_vdb.models]\ntorn = torn_module_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CardError, match="torn"):
        registry.add_entry_points()
