import subprocess
import sys

import numpy as np
import pytest

from pytest_vdb.errors import RecipeError
from pytest_vdb.models import calibration
from pytest_vdb.models.recipes import resolve
from pytest_vdb.models.registry import Registry
from pytest_vdb.records import Prompt, Recipe

KITE = Prompt(id="p001", text="A red kite.")
ALL = ("shapes", "blurred", "noisy", "frozen")
EXPECTED = ["04ec508fd33641fa", "942789728a419fb7", "33f916f45ba611d4", "174347828d4cd4d9"]


@pytest.fixture(scope="module")
def registry():
    found = Registry()
    found.add_from(calibration)
    return found


def resolved(registry, name, **settings):
    return resolve(registry.get(f"calibration-{name}"), Recipe(**settings), "hub")


def made(registry, name, prompt=KITE, seed=3, **settings):
    return getattr(calibration, name)(prompt, resolved(registry, name, **settings), seed)


def change(frames):
    return np.abs(np.diff(frames.astype(float), axis=0)).mean()


def detail(frames):
    return np.abs(np.diff(frames.astype(float), axis=2)).mean()


def test_the_four_are_found_by_tag_and_have_no_weights(registry):
    assert [card.name for card in registry.select("tag:calibration")] == [f"calibration-{name}" for name in ALL]
    assert resolved(registry, "shapes").weights == "none"


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("size", [(1, 1, 1), (5, 33, 47), (16, 64, 64)])
def test_each_follows_the_recipe_at_any_size(registry, name, size):
    frames, height, width = size
    clip = made(registry, name, frames=frames, height=height, width=width, fps=12)
    assert clip.frames.shape == (*size, 3)
    assert clip.fps == 12


@pytest.mark.parametrize("name", ALL)
def test_the_clip_follows_from_prompt_and_seed_alone(registry, name):
    clip = made(registry, name)
    assert clip.digest() == made(registry, name).digest()
    assert clip.digest() != made(registry, name, seed=4).digest()
    assert clip.digest() != made(registry, name, prompt=Prompt(id="p001", text="A blue kite.")).digest()


def test_the_pixels_are_the_same_on_every_machine(registry):
    digests = [made(registry, name, frames=5, height=33, width=47).digest()[:16] for name in ALL]
    assert digests == EXPECTED


def test_all_four_show_the_same_scene(registry):
    clean = made(registry, "shapes").frames.astype(float)
    for name in ("blurred", "noisy"):
        assert np.corrcoef(clean.ravel(), made(registry, name).frames.ravel())[0, 1] > 0.85
    np.testing.assert_array_equal(made(registry, "frozen").frames[0], clean[0])


@pytest.mark.parametrize("number", range(1, 7))
def test_each_fault_is_plain_to_see_in_every_scene(registry, number):
    prompt = Prompt(id=f"p{number}", text="any")
    clips = {name: made(registry, name, prompt=prompt).frames for name in ALL}
    assert detail(clips["blurred"]) < 0.6 * detail(clips["shapes"])
    assert change(clips["noisy"]) > 2 * change(clips["shapes"])
    assert change(clips["frozen"]) == 0
    assert change(clips["shapes"]) > 1


def test_a_recipe_without_a_size_is_refused():
    with pytest.raises(RecipeError, match="no full size"):
        calibration.shapes(KITE, Recipe(frames=3), 0)


@pytest.mark.slow
def test_listing_them_imports_no_torch():
    script = "import sys, pytest_vdb.models.calibration; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
