"""Cards: the TOML is checked field by field, and a recipe is refused before anything is loaded."""

import re
import subprocess
import sys

import pytest

from pytest_vdb.errors import CardError, DoesNotFit, RecipeError
from pytest_vdb.models.catalog import read_cards
from pytest_vdb.models.frame_rule import FrameRule
from pytest_vdb.models.recipes import require_memory, resolve
from pytest_vdb.models.registry import Registry
from pytest_vdb.records import Recipe

GOOD = """
family = "toy"
[shared]
pipeline = "WanPipeline"
task = "t2v"
frame_rule = "4k+1"
size_multiple = 16
defaults = { steps = 50, guidance = 5.0, dtype = "bfloat16" }
[model.toy-1]
repository = "toys/toy-1"
defaults = { frames = 81, height = 480, width = 832, fps = 16 }
"""


@pytest.fixture
def card(tmp_path):
    path = tmp_path / "toy.toml"
    path.write_text(GOOD)
    return read_cards(path)[0]


def refused(tmp_path, old, new):
    path = tmp_path / "toy.toml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(CardError) as caught:
        read_cards(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_shared_fields_and_settings_are_merged_into_each_model(card):
    assert card.defaults.settings() == {
        "frames": 81, "height": 480, "width": 832, "fps": 16, "steps": 50, "guidance": 5.0, "dtype": "bfloat16"
    }  # fmt: skip
    assert card.labels == {"toy", "t2v"}
    assert card.pinned == "latest, unpinned"


def test_a_misspelt_field_names_file_table_and_the_near_miss(tmp_path):
    said = refused(tmp_path, "repository =", "repositori =")
    assert "toy-1" in said
    assert "'repositori'" in said
    assert "did you mean 'repository'" in said


def test_a_misspelt_default_setting_names_its_near_miss(tmp_path):
    said = refused(tmp_path, "frames = 81", "frame = 81")
    assert "setting of `defaults` 'frame'" in said
    assert "did you mean 'frames'" in said


def test_a_field_of_the_wrong_type_is_named_with_its_path(tmp_path):
    assert "defaults.frames" in refused(tmp_path, "frames = 81", 'frames = "many"')
    assert "task" in refused(tmp_path, 'task = "t2v"', 'task = "text"')


def test_a_missing_field_is_named(tmp_path):
    assert "pipeline" in refused(tmp_path, 'pipeline = "WanPipeline"', "")


def test_a_frame_rule_that_is_none_is_refused(tmp_path):
    assert "'4k-1'" in refused(tmp_path, '"4k+1"', '"4k-1"')


def test_what_is_not_toml_says_so(tmp_path):
    assert "not TOML" in refused(tmp_path, "[shared]", "[shared")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("defaults = { steps", "defaults = 3\n#", "`defaults` is not a table"),
        ("defaults = { frames", "defaults = 3\n#", "`defaults` is not a table"),
        ("size_multiple = 16", "size_multiple = 0", "`size_multiple` is 0"),
        ("size_multiple = 16", "size_multiple = -16", "`size_multiple` is -16"),
        ("frames = 81", "frames = 80", r"cannot follow frames=80, in its own `defaults`"),
        ('"bfloat16"', '"pickle"', "cannot follow dtype=pickle, in its own `defaults`"),
        ('"4k+1"', '"1000000000000k+1"', "is not a frame rule"),
        ("steps = 50", f"steps = {'9' * 5000}", "not TOML"),
        ("steps = 50", "steps = 1979-05-27", "defaults.steps"),
        ('"t2v"', "[[]]", "task"),
        ("[model.toy-1]", "[model]\ntoy-1 = 3\n[x]", "unknown field 'x'"),
        ("[shared]", "x = " + "[" * 5000 + "]" * 5000 + "\n[shared]", "not TOML"),
    ],
)
def test_a_card_of_the_wrong_types_names_the_field(tmp_path, old, new, said):
    assert re.search(said, refused(tmp_path, old, new))


def test_what_is_not_utf8_names_the_line(tmp_path):
    path = tmp_path / "toy.toml"
    path.write_bytes(GOOD.encode().replace(b"toys/toy-1", b"toys/\xff"))
    with pytest.raises(CardError, match=r"toy.toml:10: not UTF-8"):
        read_cards(path)


def test_unset_settings_come_from_the_card(card):
    recipe = resolve(card, Recipe(frames=17), "hub")
    assert (recipe.frames, recipe.height, recipe.steps, recipe.weights) == (17, 480, 50, "hub")


def test_tiny_weights_have_a_tiny_recipe_and_keep_the_guidance(card):
    recipe = resolve(card, Recipe(), "tiny")
    assert (recipe.frames, recipe.height, recipe.width, recipe.steps, recipe.fps) == (9, 32, 32, 2, 8)
    assert (recipe.guidance, recipe.dtype) == (5.0, "float32")


def test_an_illegal_frame_count_names_the_nearest_legal_ones(card):
    with pytest.raises(RecipeError, match=r"frames=80.*\n.*4k\+1; nearest: 77 or 81"):
        resolve(card, Recipe(frames=80), "hub")


def test_an_illegal_size_names_the_nearest_legal_ones(card):
    with pytest.raises(RecipeError, match=r"width=100.*\n.*multiple of 16; nearest: 96 or 112"):
        resolve(card, Recipe(width=100), "tiny")
    with pytest.raises(RecipeError, match=r"nearest: 16$"):
        resolve(card, Recipe(height=7), "tiny")


def test_a_clip_beyond_the_budget_is_refused_before_it_is_generated(card, monkeypatch):
    monkeypatch.setenv("VDB_BUDGET", "1MiB")
    with pytest.raises(RecipeError, match=r"width=832\n.*take 93 MiB, more than 1.0 MiB.*--vdb-budget"):
        resolve(card, Recipe(), "hub")


@pytest.mark.parametrize("setting", [{"steps": 0}, {"frames": -3}, {"fps": 0.0}, {"height": 0}])
def test_what_must_be_positive_is_refused_otherwise(card, setting):
    with pytest.raises(RecipeError, match="must be positive"):
        resolve(card, Recipe(**setting), "hub")


def test_a_dtype_is_recorded_by_one_name_and_a_typo_gets_a_hint(card):
    assert resolve(card, Recipe(dtype="bf16"), "hub") == resolve(card, Recipe(), "hub")
    with pytest.raises(RecipeError, match="did you mean 'float16'"):
        resolve(card, Recipe(dtype="flaot16"), "hub")


def test_a_device_below_the_published_memory_is_refused(card):
    import dataclasses

    large = dataclasses.replace(card, minimum_memory_gib=60.0, minimum_memory_source="the paper")
    require_memory(large, 79.0)
    require_memory(card, 1.0)
    with pytest.raises(DoesNotFit, match=r"needs 60 GiB, the device has 23\.5 GiB \(the paper\)"):
        require_memory(large, 23.5)


@pytest.mark.parametrize(
    ("rule", "legal", "illegal"),
    [("any", [1, 8, 9], []), ("4k+1", [1, 5, 81], [4, 80]), ("8k+1 from 17", [17, 25], [1, 9, 18]),
     ("33k", [33, 66], [1, 32]), ("6k+1", [1, 7, 19], [8]), ("4k from 4 to 8", [4, 8], [0, 12]),
     ("any from 5 to 5", [5], [4, 6])],
)  # fmt: skip
def test_frame_rules_allow_what_they_say(rule, legal, illegal):
    parsed = FrameRule.parse(rule)
    assert all(map(parsed.allows, legal))
    assert not any(map(parsed.allows, illegal))


@pytest.mark.parametrize(
    "rule", ["any", "4k+1", "8k+1 from 17", "33k", "4k from 4 to 8", "any from 5 to 5", "3k+2", "10k+7 from 9"]
)
def test_the_nearest_counts_are_the_legal_ones_around(rule):
    parsed = FrameRule.parse(rule)
    legal = [n for n in range(1, 300) if parsed.allows(n)]
    for frames in range(1, 100):
        below = [n for n in legal if n <= frames][-1:]
        above = [n for n in legal if n >= frames][:1]
        assert parsed.nearest(frames) == tuple(sorted({*below, *above}))


@pytest.mark.slow
def test_listing_the_catalogue_imports_no_torch():
    code = "import sys; from pytest_vdb.models.registry import Registry; Registry.from_catalog(); print([*sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "'numpy'" in shown or "'tomllib'" in shown
    assert "'torch'" not in shown


def test_every_default_recipe_of_the_catalogue_follows_its_own_rules():
    registry = Registry.from_catalog()
    for name in registry.names():
        card = registry.get(name)
        for weights in ("random", "tiny"):
            recipe = resolve(card, Recipe(), weights)
            assert None not in (recipe.frames, recipe.height, recipe.width, recipe.fps), name
