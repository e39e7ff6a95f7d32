"""A folder of clips as a model."""

import json

import numpy as np
import pytest
from PIL import Image

from pytest_vdb.errors import ClipFileError
from pytest_vdb.models.recipes import resolve
from pytest_vdb.models.registry import Registry
from pytest_vdb.models.source import WeightsSource
from pytest_vdb.records import Clip, Prompt, Recipe, seed_of
from pytest_vdb.shapes import moving_shapes
from pytest_vdb.video import write_lossless

CAT = Prompt(id="p001", text="A cat runs, fast!")
DOG = Prompt(id="p002", text="a dog sleeps")


def frames(name):
    return moving_shapes(name, frames=5, height=20, width=24)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "closed api"
    folder.mkdir()
    for name, shown in (("p001.mkv", "first"), ("p001-s1.mkv", "second")):
        write_lossless(Clip(frames(shown), 12.0), folder / name)
    np.save(folder / "a dog sleeps-0.npy", frames("dog"))
    return folder


@pytest.fixture
def opened(folder, tmp_path):
    registry = Registry.from_catalog()

    def open_():
        (card,) = registry.select(f"recordings:{folder}")
        recipe = resolve(card, Recipe(), "hub")
        return card, recipe, registry.open(card, recipe, WeightsSource(mode="hub", device="cpu", cache_dir=tmp_path))

    open_.registry = registry
    return open_


def test_each_prompt_gets_its_clip_by_id_and_by_vbenchs_names_as_it_is(opened):
    card, recipe, model = opened()
    assert (card.name, card.family, recipe.weights, recipe.frames) == ("closed api", "recordings", "none", None)
    clip = model.generate(CAT, recipe, seed_of(0, CAT.id, 0))
    assert np.array_equal(clip.frames, frames("first"))
    assert clip.fps == 12
    assert model.notes == ("recorded clip p001.mkv",)
    assert np.array_equal(model.generate(DOG, recipe, seed_of(0, DOG.id, 0)).frames, frames("dog"))


def test_the_seed_says_which_sample(opened):
    _, recipe, model = opened()
    assert np.array_equal(model.generate(CAT, recipe, seed_of(0, CAT.id, 1)).frames, frames("second"))
    with pytest.raises(ClipFileError, match=r"prompt 'p001', sample 2 \(samples there: 0, 1\)"):
        model.generate(CAT, recipe, seed_of(0, CAT.id, 2))


@pytest.mark.parametrize("base_seed", [1, 1234, -7])
def test_each_sample_is_found_whatever_the_base_seed(folder, tmp_path, base_seed):
    registry = Registry.from_catalog(base_seed=base_seed)
    (card,) = registry.select(f"recordings:{folder}")
    recipe = resolve(card, Recipe(), "hub")
    model = registry.open(card, recipe, WeightsSource(mode="hub", device="cpu", cache_dir=tmp_path))
    for sample, shown in enumerate(("first", "second")):
        clip = model.generate(CAT, recipe, seed_of(base_seed, CAT.id, sample))
        assert np.array_equal(clip.frames, frames(shown))
    with pytest.raises(ClipFileError, match="sample 2"):
        model.generate(CAT, recipe, seed_of(base_seed, CAT.id, 2))


def test_a_prompt_without_a_clip_is_an_error_that_says_what_to_add(opened):
    _, recipe, model = opened()
    with pytest.raises(ClipFileError, match=r"no recording of prompt 'p009'.*\n  add p009.mp4"):
        model.generate(Prompt(id="p009", text="a cow"), recipe, 1)


def test_a_manifest_joins_whatever_the_names(folder, opened):
    (folder / "p001.mkv").rename(folder / "0a1b.mkv")
    (folder / "p001-s1.mkv").rename(folder / "zz.mkv")
    lines = [{"file": "zz.mkv", "id": "p001"}, {"file": "0a1b.mkv", "prompt": DOG.text}]
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    _, recipe, model = opened()
    assert np.array_equal(model.generate(CAT, recipe, 1).frames, frames("second"))


def test_it_can_be_named_and_selected_among_others_and_again(folder, opened):
    term = f"recordings:their-model={folder}"
    registry = opened.registry
    assert [card.name for card in registry.select(f"{term}, cogvideox-2b,{term}")] == ["their-model", "cogvideox-2b"]
    assert registry.get("their-model").where == str(folder)


def test_a_change_of_the_files_is_a_change_of_the_model(folder, opened):
    card, _, _ = opened()
    before = opened.registry.fingerprint(card)
    assert opened.registry.fingerprint(card) == before
    np.save(folder / "p003.npy", frames("third"))
    assert opened.registry.fingerprint(card) != before


def test_a_folder_that_is_not_there_or_empty_is_refused_at_once(opened, tmp_path):
    with pytest.raises(ClipFileError, match="no such file or folder"):
        opened.registry.select(f"recordings:{tmp_path / 'nowhere'}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ClipFileError, match="holds no clip"):
        opened.registry.select(f"recordings:{tmp_path / 'empty'}")


def test_what_the_reader_had_to_decide_is_noted_and_so_are_further_clips_of_a_sample(folder, opened):
    (folder / "p001.mkv").unlink()
    images = [Image.fromarray(frame) for frame in frames("first")]
    images[0].save(folder / "p001.gif", save_all=True, append_images=images[1:], duration=[20, 500, 20, 20, 20])
    np.save(folder / "p001.npy", frames("second"))
    _, recipe, model = opened()
    clip = model.generate(CAT, recipe, seed_of(0, CAT.id, 0))
    assert len(clip.frames) == 5
    assert model.notes == (
        "recorded clip p001.gif",
        "its frames are shown for 20 to 500 ms: read as 5 frames at their mean rate, 8.621 a second",
        "other clips of this prompt and sample: p001.npy",
    )
