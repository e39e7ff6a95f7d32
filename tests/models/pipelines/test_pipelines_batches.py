"""Several clips in one call: of every class what it makes alone, or a refusal before it is loaded."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_vdb.errors import BadClip, RecipeError
from pytest_vdb.models.pipelines import quirks
from pytest_vdb.models.pipelines.outputs import clips_of
from pytest_vdb.models.recipes import needed_to_load, resolve
from pytest_vdb.models.registry import Registry
from pytest_vdb.records import Prompt, Recipe

CAT = Prompt(id="p001", text="a red cat walks on grass", negative="blurry")
DOG = Prompt(id="p002", text="two blue dogs swim in the sea")
SEEDS = (7, 8, 9)
LEVELS = 2
"""Of 255, by which a clip may differ from the one that was made alone: other shapes, other last bits."""

REGISTRY = Registry.from_catalog()
CARDS = {
    (card.pipeline, card.task): card
    for card in reversed(REGISTRY.select("all"))
    if card.pipeline is not None and not card.broken
}
REFUSED = [card for card in CARDS.values() if quirks.why_no_batch(card.pipeline, card.task) is not None]
TAKEN = [card for card in CARDS.values() if card not in REFUSED]
EXAMPLES = ["wan2.1-t2v-1.3b", "wan2.1-v2v-1.3b", "svd-xt", "i2vgen-xl", "wan2.1-i2v-14b-480p"]
"""Of each way in which a pipeline is asked."""


def largest_difference(one, other):
    assert one.frames.shape == other.frames.shape
    return int(np.abs(one.frames.astype(int) - other.frames.astype(int)).max())


def check_against_clips_made_alone(opened, card):
    model, recipe = opened(card.name, batch=len(SEEDS))
    clips = model.generate_batch([CAT] * len(SEEDS), recipe, SEEDS)
    notes = model.notes
    differences = [
        largest_difference(clip, model.generate(CAT, recipe, seed)) for clip, seed in zip(clips, SEEDS, strict=True)
    ]
    differs = quirks.batching_of(card.pipeline, card.task).differs
    assert (max(differences) > LEVELS) is (differs is not None), differences
    assert any("not those that it makes alone" in note for note in notes) is (differs is not None)
    assert len({clip.digest() for clip in clips}) == len(SEEDS)


@pytest.mark.slow  # real pipelines
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_clip_of_a_batch_is_the_one_that_is_made_alone(opened, name):
    check_against_clips_made_alone(opened, REGISTRY.get(name))


@pytest.mark.heavy  # every class: a minute
@pytest.mark.parametrize("card", TAKEN, ids=lambda card: card.name)
def test_so_it_is_in_every_class_that_is_not_refused(opened, card):
    check_against_clips_made_alone(opened, card)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wan2.1-t2v-1.3b", "cogvideox-2b"])
def test_each_clip_starts_from_the_noise_of_its_own_seed_bit_for_bit(opened, name):
    model, recipe = opened(name, batch=len(SEEDS))
    prepare, drawn = model.pipeline.prepare_latents, []

    def watched(*arguments, **named):
        drawn.append(prepare(*arguments, **named))
        return drawn[-1]

    model.pipeline.prepare_latents = watched
    model.generate_batch([CAT] * len(SEEDS), recipe, SEEDS)
    for seed in SEEDS:
        model.generate(CAT, recipe, seed)
    together, *alone = drawn
    for noise, own in zip(together, alone, strict=True):
        assert noise.equal(own[0])


@pytest.mark.slow
def test_several_prompts_are_answered_each_with_its_own_words(opened):
    model, recipe = opened("wan2.1-t2v-1.3b", batch=2)
    cat, dog = model.generate_batch([CAT, DOG], recipe, (7, 7))
    assert largest_difference(cat, model.generate(CAT, recipe, 7)) <= LEVELS
    assert largest_difference(dog, model.generate(DOG, recipe, 7)) <= LEVELS
    assert cat.digest() != dog.digest()


@pytest.mark.slow
def test_a_class_that_takes_one_image_for_all_refuses_prompts_with_two(opened):
    model, recipe = opened("wan2.1-i2v-14b-480p", batch=2)
    with pytest.raises(RecipeError, match="ask it several seeds of one prompt"):
        model.generate_batch([CAT, DOG], recipe, (7, 7))


@pytest.mark.parametrize("card", REFUSED, ids=lambda card: card.name)
def test_a_class_that_makes_one_clip_in_a_call_is_refused_before_it_is_loaded(card):
    with pytest.raises(RecipeError, match=r"cannot follow batch=2(.|\n)*" + str(card.pipeline)):
        resolve(card, Recipe(batch=2), "tiny")
    assert resolve(card, Recipe(batch=1), "tiny") == resolve(card, Recipe(), "tiny")


def test_a_batch_of_one_changes_no_digest():
    card = REGISTRY.get("wan2.1-t2v-1.3b")
    alone, one, two = (resolve(card, Recipe(batch=batch), "tiny").digest() for batch in (None, 1, 2))
    assert alone == one != two


def test_graphs_that_were_exported_for_one_clip_are_refused():
    with pytest.raises(RecipeError, match="exported for one clip"):
        resolve(REGISTRY.get("wan2.1-t2v-1.3b"), Recipe(batch=2, backend="onnx"), "tiny")


def test_what_a_call_is_asked_for_needs_no_other_load_and_everything_else_does():
    card = REGISTRY.get("wan2.1-t2v-1.3b")
    loaded = needed_to_load(resolve(card, Recipe(), "tiny"))
    for settings in ({"steps": 3}, {"frames": 5}, {"height": 64}, {"batch": 2}, {"guidance": 2.0}):
        assert needed_to_load(resolve(card, Recipe(**settings), "tiny")) == loaded
    for settings in ({"dtype": "bfloat16"}, {"vae_tiling": True}):
        assert needed_to_load(resolve(card, Recipe(**settings), "tiny")) != loaded
    cached = [needed_to_load(resolve(card, Recipe(cache="taylorseer", steps=steps), "tiny")) for steps in (4, 5)]
    assert cached[0] != cached[1], "what a cache is set up with counts the steps of a call"


class Output:
    def __init__(self, frames):
        self.frames = frames


@pytest.mark.parametrize("shape", [(1, 4, 8, 8, 3), (3, 4, 8, 8, 3), (4, 8, 8, 3)])
def test_another_number_of_clips_than_was_asked_for_is_no_batch(shape):
    with pytest.raises(BadClip, match="where 2 clips were asked for"):
        clips_of(Output(np.zeros(shape)), 8.0, 2, where="model m")
