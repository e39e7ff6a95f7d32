"""Selecting models, and bringing one's own."""

import re
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pytest_vdb.errors import BadClip, CardError, UnknownName
from pytest_vdb.models.contract import model
from pytest_vdb.models.recipes import resolve
from pytest_vdb.models.registry import Registry
from pytest_vdb.models.source import WeightsSource
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


def module(**attributes):
    made = types.ModuleType("conftest")
    vars(made).update(attributes)
    return made


@pytest.fixture
def registry():
    registry = Registry.from_catalog()
    registry.add_from(module(Noise=Noise, grey=grey, unrelated=7))
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
    recipe = resolve(card, Recipe(width=16), "tiny")
    assert recipe.weights == "none"
    opened = registry.open(card, recipe, source)
    clip = opened.generate(Prompt(id="p", text="a cat"), recipe, 3)
    assert clip.frames.shape == (4, 8, 16, 3)
    assert opened.revision is None
    assert opened.pipeline is None
    opened.close()
    assert Noise.closed


FRAMES = np.zeros((2, 8, 8, 3), np.uint8)


def frame_by_frame():
    yield FRAMES[0]


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (lambda: "clip.mp4", "returned str instead of a Clip"),
        (lambda: None, "returned NoneType instead of a Clip"),
        (lambda: FRAMES, r"returned ndarray \(uint8 of shape \(2, 8, 8, 3\)\) instead of a Clip"),
        (lambda: FRAMES / 255, r"returned ndarray \(float64 of shape \(2, 8, 8, 3\)\) instead of a Clip"),
        (lambda: [Image.fromarray(frame) for frame in FRAMES], r"returned list \(2 of Image\) instead of a Clip"),
        (lambda: [], r"returned list \(0 of nothing\) instead of a Clip"),
        (frame_by_frame, "returned generator instead of a Clip"),
        (lambda: Clip, "returned type instead of a Clip"),
        (lambda: (FRAMES, 8), r"returned tuple \(2 of ndarray, int\) instead of a Clip"),
        (lambda: Clip(FRAMES.astype(np.float32), 8), "frames of type float32"),
        (lambda: Clip(np.full((2, 8, 8, 3), np.nan), 8), "frames of type float64"),
        (lambda: Clip([FRAMES[0]], 8), "frames of type None"),
        (lambda: Clip(FRAMES[:0], 8), r"frames .*shape \(0, 8, 8, 3\)"),
        (lambda: Clip(FRAMES, 0), "0 frames per second"),
    ],
)
def test_what_is_no_clip_is_refused_with_the_models_name_and_what_it_is(registry, source, returned, said):
    @model("odd")
    def odd(prompt, recipe, seed):
        return returned()

    registry.add_from(odd)
    card = registry.get("odd")
    with pytest.raises(BadClip, match=f"^model odd: {said}"):
        registry.open(card, resolve(card, Recipe(), "tiny"), source).generate(Prompt(id="p", text=""), Recipe(), 0)


@pytest.mark.parametrize(
    ("notes", "kept"), [(None, ()), ("slow", ("slow",)), (["a", 3], ("a", "3")), (7, ("7",)), ((), ())]
)
def test_notes_of_any_form_are_texts(registry, source, notes, kept):
    @model("remarks")
    class Remarks:
        def generate(self, prompt, recipe, seed):
            self.notes = notes
            return Clip(FRAMES, 8)

    registry.add_from(Remarks)
    card = registry.get("remarks")
    opened = registry.open(card, resolve(card, Recipe(), "tiny"), source)
    opened.generate(Prompt(id="p", text=""), Recipe(), 0)
    assert opened.notes == kept


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"frames": "many"}, r"@model\('x'\): Expected `int.*frames"),
        ({"frame_rule": "4k-1"}, "is not a frame rule"),
        ({"frame_rule": "999999999999k"}, "is not a frame rule"),
        ({"task": "t2x"}, r"unknown task 't2x'\n  one of: t2v, i2v, v2v"),
        ({"tags": "toy"}, "tags are a tuple"),
    ],
)
def test_a_tag_that_makes_no_card_is_refused(settings, said):
    with pytest.raises(CardError, match=said):
        model("x", **settings)(grey)


def test_a_class_that_cannot_generate_is_refused_when_it_is_loaded(registry, source):
    @model("mute")
    class Mute:
        pass

    registry.add_from(Mute)
    with pytest.raises(CardError, match=r"model mute: .*Mute has no method `generate`"):
        registry.open(registry.get("mute"), Recipe(), source)


def test_the_same_object_twice_is_one_model_but_two_of_one_name_are_an_error(registry):
    registry.add_from(module(again=Noise))

    @model("noise")
    def other(prompt, recipe, seed):
        raise NotImplementedError

    here = r"\S*test_models_registry.py:\d+ \(\S+\)"
    with pytest.raises(CardError, match=rf"two models named 'noise': in {here} and in {here}") as caught:
        registry.add_from(other)
    lines = [int(line) for line in re.findall(r"\S+\.py:(\d+)", str(caught.value))]
    source = Path(__file__).read_text().splitlines()
    assert [source[line - 1].strip().partition(",")[0] for line in lines] == ['@model("noise"', '@model("noise")']


def test_a_file_that_was_imported_twice_brings_its_models_once(registry, tmp_path):
    conftest = tmp_path / "conftest.py"
    conftest.write_text("@model('twin')\ndef twin(prompt, recipe, seed): ...\n")
    code = compile(conftest.read_text(), str(conftest), "exec")
    for name in ("conftest", "benchmarks.conftest"):
        space = {"__name__": name, "model": model}
        exec(code, space)
        registry.add_from(module(twin=space["twin"]))
    assert registry.get("twin").where == f"{conftest}:1 (twin)"
    assert names(registry.select("twin")) == ["twin"]


def test_a_model_of_the_catalogue_says_the_line_of_its_table():
    where = Registry.from_catalog().get("wan2.2-ti2v-5b").where
    path, _, line = where.rpartition(":")
    assert Path(path).read_text().splitlines()[int(line) - 1] == '[model."wan2.2-ti2v-5b"]'


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
        "from pytest_vdb.models.contract import model\n@model('theirs')\ndef theirs(prompt, recipe, seed): ...\n"
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
