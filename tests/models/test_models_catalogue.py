"""The shipped catalogue, card by card, against the installed diffusers; then every class driven end to end, tiny."""

import inspect
from collections import Counter

import diffusers
import pytest

from pytest_vdb.errors import LibraryMissing
from pytest_vdb.models import classes
from pytest_vdb.models.catalog import FOLDER as CATALOG
from pytest_vdb.models.classes import part_class, pipeline_class
from pytest_vdb.models.pipelines import inventory, quirks, switches
from pytest_vdb.models.recipes import resolve
from pytest_vdb.models.registry import Registry
from pytest_vdb.models.weights import architectures, tiny
from pytest_vdb.records import Prompt, Recipe

REGISTRY = Registry.from_catalog()
CARDS = [card for card in REGISTRY.select("all") if card.pipeline is not None]
RUNNABLE = [card for card in CARDS if card.broken is None]
CLASSES = {card.pipeline for card in CARDS}
WITHOUT_CARD = set(quirks.without_card())
BLOCKS_OF = [(name, each.blocks_of) for name, each in quirks.QUIRKS.items() if each.blocks_of]
BY_CLASS = {card.pipeline: card for card in reversed(RUNNABLE)}
READ_NO_PROMPT = {
    "Kandinsky6SRPipeline",
    "LTX2LatentUpsamplePipeline",
    "LTX2VideoDiffusionDecodePipeline",
    "LTXLatentUpsamplePipeline",
    "StableVideoDiffusionPipeline",
}
CAT = Prompt(id="p001", text="a red cat walks on grass", negative="blurry")
DOG = Prompt(id="p001", text="two blue dogs swim in the sea", negative="blurry")

of_each_card = pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)


def class_of(card):
    try:
        return pipeline_class(card)
    except LibraryMissing as error:
        pytest.skip(str(error))


@pytest.mark.slow
def test_every_video_pipeline_of_diffusers_has_a_card_or_a_reason():
    found = inventory.video_pipelines()
    assert {name: why for name, why in found.items() if name not in CLASSES | WITHOUT_CARD} == {}


@pytest.mark.slow
def test_every_card_and_every_reason_is_of_a_video_pipeline_that_diffusers_has():
    assert (CLASSES | WITHOUT_CARD) - set(inventory.video_pipelines()) == set()
    assert set() == CLASSES & WITHOUT_CARD


@pytest.mark.slow
def test_every_preset_of_blocks_that_makes_video_belongs_to_a_pipeline():
    assert inventory.presets_without_pipeline() == {}


@pytest.mark.parametrize(("modular", "other"), BLOCKS_OF)
def test_what_has_no_card_because_another_pipeline_drives_the_same_model_has_the_same_denoiser(modular, other):
    assert other in CLASSES
    theirs, ours = (
        set(classes.component_classes(getattr(diffusers, name), "transformer")) for name in (modular, other)
    )
    assert theirs & ours


def test_no_two_models_share_a_name():
    assert [name for name, count in Counter(card.name for card in CARDS).items() if count > 1] == []


def test_every_class_that_can_be_built_tiny_has_a_card_and_every_card_a_tiny_build():
    assert set(tiny.pipeline_classes()) == set(BY_CLASS)


def test_every_file_of_the_catalogue_says_what_it_holds():
    for path in CATALOG.glob("*.toml"):
        assert path.read_text(encoding="utf-8").startswith("# "), path


@of_each_card
def test_the_class_exists_and_takes_the_settings_of_the_card(card):
    kind = class_of(card)
    known = classes.inputs(kind)
    constructor = classes.components(kind)
    assert set(card.call) <= set(known)
    assert {part.component for part in card.parts} <= set(constructor)
    assert all(hasattr(part_class(part), "from_pretrained") for part in card.parts)
    assert set(card.float32) <= set(constructor)
    asked = set(card.defaults.settings()) - {"frames", "height", "width", "fps", "dtype", "weights"}
    switches.check(card, resolve(card, Recipe(), "random"), asked)


@of_each_card
def test_the_default_recipe_is_complete_and_legal_in_every_mode(card):
    for weights in ("hub", "random", "tiny"):
        recipe = resolve(card, Recipe(), weights)
        assert None not in (recipe.frames, recipe.height, recipe.width, recipe.fps, recipe.dtype)


@of_each_card
def test_the_card_says_where_the_weights_are_and_under_what_licence(card):
    assert card.repository is not None
    assert card.repository.count("/") == 1
    assert (card.licence == "unverified") is (card.licence_source is None)
    assert card.pinned
    if card.minimum_memory_gib is not None:
        assert card.minimum_memory_source


@pytest.mark.parametrize("card", [card for card in CARDS if card.architecture], ids=lambda card: card.name)
def test_the_full_size_architecture_has_what_the_class_needs(card):
    given = set(architectures.preset(card.architecture).components)
    constructor = classes.components(class_of(card))
    needed = {name for name, parameter in constructor.items() if parameter.default is inspect.Parameter.empty}
    assert needed <= given


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BY_CLASS))
def test_every_class_is_driven_end_to_end(name, source):
    card = BY_CLASS[name]
    class_of(card)
    recipe = resolve(card, Recipe(), "tiny")

    def generate(prompt, seed):
        model = REGISTRY.open(card, recipe, source)
        try:
            return model.generate(prompt, recipe, seed)
        finally:
            model.close()

    clip = generate(CAT, 1)
    assert clip.frames.shape == (recipe.frames, recipe.height, recipe.width, 3)
    assert clip.frames.std() > 1
    assert generate(CAT, 1).digest() == clip.digest()
    assert generate(CAT, 2).digest() != clip.digest()
    assert (generate(DOG, 1).digest() == clip.digest()) is (name in READ_NO_PROMPT)
