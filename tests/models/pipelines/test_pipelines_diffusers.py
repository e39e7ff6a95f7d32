"""The adapter: real pipelines of real (tiny) networks, driven by their signatures."""

import dataclasses
import gc
import types
import weakref

import numpy as np
import pytest
from PIL import Image

from pytest_vdb.errors import BadClip, PromptError
from pytest_vdb.models.pipelines.outputs import clip_of
from pytest_vdb.records import Prompt
from pytest_vdb.shapes import moving_shapes

pytestmark = pytest.mark.slow  # real pipelines

CAT = Prompt(id="p001", text="a red cat walks on grass")
DOG = Prompt(id="p001", text="two blue dogs swim in the sea")


@pytest.mark.parametrize("name", ["wan2.1-t2v-1.3b", "wan2.1-v2v-1.3b", "svd-xt"])
def test_the_same_seed_gives_the_same_clip_after_reloading_and_another_seed_another(opened, name):
    first, recipe = opened(name)
    clip = first.generate(CAT, recipe, 7)
    assert clip.frames.shape == (recipe.frames, recipe.height, recipe.width, 3)
    assert clip.fps == recipe.fps
    assert clip.digest() != first.generate(CAT, recipe, 8).digest()
    first.close()
    again, _ = opened(name)
    assert again.generate(CAT, recipe, 7).digest() == clip.digest()


def test_the_prompt_changes_the_clip(opened):
    model, recipe = opened("wan2.1-t2v-1.3b")
    assert model.generate(CAT, recipe, 7).digest() != model.generate(DOG, recipe, 7).digest()


def test_the_negative_prompt_and_the_guidance_change_the_clip(opened):
    model, recipe = opened("wan2.1-t2v-1.3b")
    clips = {
        model.generate(CAT, recipe, 7).digest(),
        model.generate(dataclasses.replace(CAT, negative="blurry"), recipe, 7).digest(),
        model.generate(CAT, dataclasses.replace(recipe, guidance=2.0), 7).digest(),
    }
    assert len(clips) == 3


def test_what_the_pipeline_cannot_take_is_noted(opened):
    model, recipe = opened("svd-xt")
    model.generate(dataclasses.replace(CAT, negative="blurry"), recipe, 7)
    assert model.notes == ("the negative prompt is ignored: the pipeline takes none",)
    model.generate(CAT, recipe, 7)
    assert model.notes == ()


def test_the_conditioning_image_and_clip_change_the_clip(opened, tmp_path):
    Image.fromarray(np.full((50, 70, 3), 200, np.uint8)).save(tmp_path / "grey.png")
    model, recipe = opened("svd-xt")
    rendered = model.generate(CAT, recipe, 7)
    given = model.generate(dataclasses.replace(CAT, image=str(tmp_path / "grey.png")), recipe, 7)
    assert rendered.digest() != given.digest()
    assert rendered.digest() != model.generate(dataclasses.replace(CAT, id="p002"), recipe, 7).digest()

    np.save(tmp_path / "clip.npy", moving_shapes("other", frames=12, height=40, width=40))
    model, recipe = opened("wan2.1-v2v-1.3b")
    given = model.generate(dataclasses.replace(CAT, video=str(tmp_path / "clip.npy")), recipe, 7)
    assert given.frames.shape == (9, 32, 32, 3)


def test_a_conditioning_clip_that_is_too_short_is_refused(opened, tmp_path):
    np.save(tmp_path / "short.npy", moving_shapes("other", frames=5, height=32, width=32))
    model, recipe = opened("wan2.1-v2v-1.3b")
    with pytest.raises(PromptError, match=r"p001: the conditioning clip .* has 5 frames, the recipe needs 9"):
        model.generate(dataclasses.replace(CAT, video=str(tmp_path / "short.npy")), recipe, 7)


def test_closing_frees_the_pipeline(opened):
    model, recipe = opened("wan2.1-t2v-1.3b")
    model.generate(CAT, recipe, 7)
    network = weakref.ref(model.pipeline.transformer)
    model.close()
    gc.collect()
    assert network() is None


def test_the_global_generator_is_left_as_it_was(opened):
    import torch

    model, recipe = opened("modelscope-t2v")
    torch.manual_seed(123)
    before = torch.random.get_rng_state()
    model.generate(CAT, recipe, 7)
    assert torch.equal(torch.random.get_rng_state(), before)


def output(**places):
    return types.SimpleNamespace(**places)


def test_every_form_of_output_becomes_the_same_clip():
    import torch

    frames = np.linspace(0, 1, 2 * 4 * 5 * 3, dtype=np.float32).reshape(2, 4, 5, 3)
    expected = np.rint(frames * 255).astype(np.uint8)
    images = [Image.fromarray(frame) for frame in expected]
    forms = [
        output(frames=frames[None]),
        output(frames=frames),
        output(frames=torch.tensor(frames).permute(0, 3, 1, 2)[None]),
        output(frames=None, images=frames),
        output(video=[images]),
        output(frames=[images]),
        output(frames=torch.tensor(expected)),
    ]
    for form in forms:
        assert np.array_equal(clip_of(form, 8.0, where="toy").frames, expected)


def test_nan_is_counted_and_refused():
    frames = np.zeros((1, 2, 4, 4, 3), np.float32)
    frames[0, 1, :2] = np.nan
    frames[0, 0, 0, 0, 0] = np.inf
    with pytest.raises(BadClip, match="model x: 25 of 96 values are NaN or infinite"):
        clip_of(output(frames=frames), 8.0, where="model x")


@pytest.mark.parametrize(
    "frames", [np.zeros((2, 2, 4, 4, 3)), np.zeros((2, 4, 4, 1)), np.zeros((4, 4, 3)), np.zeros((0, 4, 4, 3))]
)
def test_what_is_no_single_clip_is_refused(frames):
    with pytest.raises(BadClip, match="shape"):
        clip_of(output(frames=frames), 8.0, where="model x")


def test_an_output_without_frames_is_refused():
    with pytest.raises(BadClip, match="returned SimpleNamespace, which has none of frames, videos, images, video"):
        clip_of(output(latents=1), 8.0, where="model x")


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        ([Image.new("RGB", (4, 4)), Image.new("RGB", (8, 4))], r"returned list \(2 of Image\) for frames"),
        ([], r"returned list \(0 of nothing\) for frames"),
        ("frames", "frames of shape"),
        (np.full((2, 4, 4, 3), 300), "frames of type int64 with values from 300 to 300"),
        (np.zeros((2, 4, 4, 3), bool), "frames of type bool"),
        (np.zeros((2, 4, 4, 3), np.complex64), "frames of type complex64"),
        (np.array([None, {}], dtype=object), "frames of shape"),
    ],
)
def test_frames_that_are_none_say_what_they_are(frames, said):
    with pytest.raises(BadClip, match=f"model x: {said}"):
        clip_of(output(frames=frames), 8.0, where="model x")


def test_levels_of_any_whole_number_type_are_taken_as_they_are():
    levels = np.arange(2 * 4 * 4 * 3).reshape(2, 4, 4, 3)
    for dtype in (np.uint8, np.int64, np.uint16):
        assert np.array_equal(clip_of(output(frames=levels.astype(dtype)), 8.0, where="x").frames, levels)
