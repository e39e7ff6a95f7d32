"""A preset is all of its settings, and what is given after it wins."""

from pathlib import Path

import pytest

from pytest_vdb.errors import UnknownName
from pytest_vdb.models.recipes import resolve
from pytest_vdb.models.registry import Registry
from pytest_vdb.options import Given, read
from pytest_vdb.presets import PRESETS, expanded
from pytest_vdb.records import Recipe


def asked(tmp_path: Path, *settings: str) -> Recipe:
    given = {"recipe": list(settings)}
    return read(lambda flag: Given(given.get(flag.name), tmp_path, flag.flag), root=tmp_path).recipe


def test_a_preset_sets_what_was_published_and_what_is_given_after_it_wins(tmp_path):
    recipe = asked(tmp_path, "mlperf-wan2.2", "steps=4")
    assert (recipe.frames, recipe.height, recipe.width, recipe.steps, recipe.guidance) == (81, 720, 1280, 4, 4.0)


@pytest.mark.parametrize(
    "name", ["wan2.1-t2v-1.3b", "wan2.1-t2v-14b", "hunyuanvideo", "cogvideox-2b", "cogvideox1.5-5b"]
)
def test_the_models_that_ml_energy_measured_can_follow_its_recipe(tmp_path, name):
    card = Registry.from_catalog().get(name)
    recipe = resolve(card, asked(tmp_path, "ml-energy"), "random")
    assert (recipe.steps, recipe.dtype, recipe.vae_tiling) == (50, "bfloat16", True)
    assert (recipe.frames, recipe.width) == (card.defaults.frames, card.defaults.width)


def test_the_model_that_mlperf_measured_can_follow_its_recipe(tmp_path):
    card = Registry.from_catalog().get("wan2.2-t2v-a14b")
    assert resolve(card, asked(tmp_path, "mlperf-wan2.2"), "random").steps == 20
    assert card.call["guidance_scale_2"] == 3.0


def test_a_misspelt_preset_lists_the_near_misses_and_other_words_are_left():
    with pytest.raises(UnknownName, match="ml-energy"):
        expanded(["ml-enrgy"], where="--vdb-recipe")
    assert expanded(["frames=4", "nonsense"], where="--vdb-recipe") == ["frames=4", "nonsense"]
    assert expanded(["ml-energy"], where="") == [*PRESETS["ml-energy"].settings]
