"""The shipped catalogue, card by card, against the installed diffusers; then every class driven end to end, tiny."""

import ast
import inspect
import re
from collections import Counter
from pathlib import Path

import diffusers
import pytest

from pytest_vdb.errors import LibraryMissing
from pytest_vdb.models import architectures, calls, switches, tiny, unfit
from pytest_vdb.models.registry import CATALOG, Registry
from pytest_vdb.models.weights import WeightsSource, part_class, pipeline_class
from pytest_vdb.records import Prompt, Recipe

REGISTRY = Registry.from_catalog()
CARDS = [card for card in REGISTRY.select("all") if card.pipeline is not None]
RUNNABLE = [card for card in CARDS if card.broken is None]
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


def test_there_are_at_least_80_models_of_at_least_73_classes():
    assert len(CARDS) >= 80
    assert len({card.pipeline for card in CARDS}) >= 73


def test_every_pipeline_of_diffusers_that_deals_with_frames_has_a_card_or_a_reason():
    pipelines = Path(diffusers.__file__).parent / "pipelines"
    found = set()
    for path in pipelines.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        for node in ast.parse(source).body:
            if not isinstance(node, ast.ClassDef) or not any(
                getattr(part, "name", "") == "__call__" for part in node.body
            ):
                continue
            text = ast.get_source_segment(source, node) or ""
            if "Processor" not in node.name and re.search(
                r"postprocess_video|\bframes\b|num_frames|video_length|video=", text
            ):
                found.add(node.name)
    assert found - {card.pipeline for card in CARDS} == set(unfit.WITHOUT_CARD)


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
    known = calls.parameters_of(kind)
    constructor = inspect.signature(kind).parameters
    assert set(card.call) <= set(known)
    assert {part.component for part in card.parts} <= set(constructor)
    assert all(hasattr(part_class(part), "from_pretrained") for part in card.parts)
    assert set(card.float32) <= set(constructor)
    asked = set(card.defaults.settings()) - {"frames", "height", "width", "fps", "dtype", "weights"}
    switches.check(card, card.resolve(Recipe(), "random"), asked)


@of_each_card
def test_the_default_recipe_is_complete_and_legal_in_every_mode(card):
    for weights in ("hub", "random", "tiny"):
        recipe = card.resolve(Recipe(), weights)
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
    constructor = inspect.signature(class_of(card)).parameters
    needed = {name for name, parameter in constructor.items() if parameter.default is inspect.Parameter.empty}
    assert needed <= given


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return WeightsSource(mode="tiny", device="cpu", cache_dir=tmp_path_factory.mktemp("weights"), offline=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BY_CLASS))
def test_every_class_is_driven_end_to_end(name, source):
    card = BY_CLASS[name]
    class_of(card)
    recipe = card.resolve(Recipe(), "tiny")

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
