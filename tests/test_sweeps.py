"""What `--vdb-sweep` asks for: values, their combinations, and the recipes that these make."""

from __future__ import annotations

import pytest

from pytest_vdb.errors import VdbError
from pytest_vdb.records import Recipe
from pytest_vdb.sweeps import parse, points, told


def names(*texts: str) -> list[str]:
    return [point.name for point in points(parse(texts, where="--vdb-sweep"))]


def test_every_combination_is_a_point():
    assert names("steps=10,20", "batch=1,4") == [
        "steps=10, batch=1",
        "steps=10, batch=4",
        "steps=20, batch=1",
        "steps=20, batch=4",
    ]
    assert names() == []


def test_what_needs_another_load_changes_last_whatever_was_written_first():
    assert names("steps=10,20", "dtype=float32,bfloat16") == [
        "steps=10, dtype=float32",
        "steps=20, dtype=float32",
        "steps=10, dtype=bfloat16",
        "steps=20, dtype=bfloat16",
    ]


def test_a_setting_that_is_given_twice_has_all_values_each_once():
    assert names("steps=10,20", "steps= 20 , 30") == ["steps=10", "steps=20", "steps=30"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("dtype=fp32,bf16,float32,bfloat16", ["dtype=fp32", "dtype=bf16"]),
        ("size=256,256x256,256x128", ["size=256", "size=256x128"]),
        ("guidance=7,7.0,native", ["guidance=7", "guidance=native"]),
    ],
)
def test_two_spellings_of_a_value_are_one_point(text, kept):
    assert names(text) == kept


def test_a_size_is_a_square_or_height_and_width_and_native_is_the_models_own():
    recipe = Recipe(height=8, width=8, frames=9, steps=4)
    made = [point.over(recipe) for point in points(parse(["size=256,480x832,native"], where="ini"))]
    assert [(one.height, one.width) for one in made] == [(256, 256), (480, 832), (None, None)]
    assert {(one.frames, one.steps) for one in made} == {(9, 4)}


def test_a_point_wins_over_the_recipe():
    (point,) = points(parse(["steps=native"], where="ini"))
    assert point.over(Recipe(steps=4, frames=9)) == Recipe(frames=9)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps", "has no values"),
        ("steps=,", "has no values"),
        ("stpes=4", "did you mean 'steps'"),
        ("steps=many", "steps"),
        ("steps=0", "steps must be a positive number"),
        ("size=big", "write 256 for a square"),
        ("size=0", "write 256 for a square"),
        ("weights=tiny", "give --vdb-weights"),
        ("compile=nonne", "did you mean 'none'?"),
    ],
)
def test_what_no_recipe_could_follow_is_said_with_the_option(text, said):
    with pytest.raises(VdbError) as refused:
        parse([text], where="--vdb-sweep")
    assert said in str(refused.value)
    assert "--vdb-sweep" in str(refused.value)


def test_size_and_its_sides_are_not_swept_together():
    with pytest.raises(VdbError, match="size and height or width"):
        parse(["size=64", "width=32"], where="--vdb-sweep")


def test_settings_are_told_as_they_are_asked_for():
    recipe = {"steps": 10, "height": 480, "width": 832}
    assert told(recipe, ("height", "width", "steps", "batch")) == "size=480x832, steps=10, batch=1"
    assert told(recipe, ("width", "dtype")) == "width=832, dtype=native"
