"""The nouns: what they refuse, and that they survive a round trip as JSON."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from fractions import Fraction

import numpy as np
import pytest

from pytest_vdb.errors import BadClip, RecipeError, RecordError, UnknownName
from pytest_vdb.records import (
    SCHEMA_IN_FULL,
    Clip,
    Measurement,
    Recipe,
    Record,
    from_json,
    read_record,
    seed_of,
    to_json,
)


def measured(value: float | None, **more) -> Measurement:
    return Measurement(name="sharpness", value=value, unit="1", better="higher", **more)


def record(**more) -> Record:
    return Record(run="r1", nodeid="t.py::t[m-p]", benchmark="t", model="m", status="passed", **more)


def test_a_record_survives_a_round_trip():
    made = record(measurements=(measured(0.1, series=(0.1, 0.2)), measured(None, reason="no weights")), seed=7)
    assert from_json(to_json(made), Record) == made


def test_a_record_is_one_line():
    assert "\n" not in to_json(record(prompt_text="two\nlines"))


def test_a_newer_schema_is_refused_with_a_way_out():
    line = json.dumps({**json.loads(to_json(record())), "schema": SCHEMA_IN_FULL + 1})
    with pytest.raises(RecordError, match=r"schema 2 is newer.*\n.*upgrade"):
        from_json(line, Record)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"run": "r1", ', "not JSON"),
        ("[]", "not a Record"),
        ('{"run": 1}', "got `int` at `run`"),
        ("{}", "missing required field"),
        (to_json(record()).replace('"passed"', '"fine"'), "Invalid enum value 'fine'"),
    ],
)
def test_what_is_no_record_is_refused_with_the_place(line, said):
    with pytest.raises(RecordError, match=said) as caught:
        from_json(line, Record, where="records.jsonl:3")
    assert "records.jsonl:3" in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_not_finite_is_missing_and_says_so(value):
    made = measured(value)
    assert made.value is None
    assert str(value) in made.reason


def test_a_missing_value_needs_a_reason():
    with pytest.raises(RecordError, match="neither a value nor a reason"):
        measured(None)


def test_better_follows_the_metrics_direction():
    low, high = measured(0.1), measured(0.2)
    assert high.is_better_than(low)
    assert not low.is_better_than(high)
    assert dataclasses.replace(low, better="lower").is_better_than(high)
    assert not high.is_better_than(measured(None, reason="absent"))


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((4, 8, 8, 3), np.float32),
        np.zeros((4, 8, 8), np.uint8),
        np.zeros((4, 8, 8, 4), np.uint8),
        np.zeros((0, 8, 8, 3), np.uint8),
        None,
    ],
)
def test_what_is_no_clip_is_refused(frames):
    with pytest.raises(BadClip):
        Clip(frames, 8.0)


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf"), None, "8", True, 8j, [8], np.array([8.0])])
def test_a_clip_needs_a_frame_rate(fps):
    with pytest.raises(BadClip, match="frames per second"):
        Clip(np.zeros((1, 8, 8, 3), np.uint8), fps)


@pytest.mark.parametrize("fps", [8, 8.0, np.float32(8), np.int64(8), Fraction(8)])
def test_any_number_is_a_frame_rate_that_can_be_written(fps):
    clip = Clip(np.zeros((1, 8, 8, 3), np.uint8), fps)
    assert json.loads(json.dumps(clip.fps)) == 8


def test_a_clips_digest_is_of_its_pixels_however_they_lie_in_memory():
    frames = np.random.default_rng(0).integers(0, 256, (3, 8, 10, 3), np.uint8)
    turned = np.ascontiguousarray(frames[:, ::-1])[:, ::-1]
    assert not turned.flags.c_contiguous
    assert (
        Clip(turned, 8).digest()
        == Clip(frames, 8).digest()
        == hashlib.sha256(b"(3, 8, 10, 3)" + frames.tobytes()).hexdigest()
    )


def test_a_clips_digest_tells_shapes_apart():
    wide, tall = Clip(np.zeros((1, 2, 4, 3), np.uint8), 8.0), Clip(np.zeros((1, 4, 2, 3), np.uint8), 8.0)
    assert wide.digest() != tall.digest()
    assert wide.digest() == Clip(np.zeros((1, 2, 4, 3), np.uint8), 8.0).digest()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("offload=modl", r"unknown offload 'modl'\n  did you mean 'model'\? One of: none, model, sequential, group"),
        ("compile=repeated_blocks", "did you mean 'repeated-blocks'"),
        ("backend=onx", "did you mean 'onnx'"),
        ("weights=hubb", "did you mean 'hub'"),
        ("guidance=nan", "guidance must be a finite number"),
        ("guidance=1e999", "Number out of range"),
        ("lora_scale=-inf", "lora_scale must be a finite number"),
        ("strength=0", "from 0.001 to 1"),
        ("strength=1.5", "from 0.001 to 1"),
        ("fps=1e-320", "positive number"),
        ("frames=100001", "from 1 to 100000"),
        ("steps=999999999999999999999", "from 1 to 100000"),
        ("max_sequence_length=0", "from 1 to"),
    ],
)
def test_a_value_that_no_model_could_follow_is_refused(setting, said):
    with pytest.raises(RecipeError, match=said):
        Recipe.parse([setting])


def test_a_recipe_is_parsed_by_the_types_of_its_settings():
    recipe = Recipe.parse(["frames=17", "fps=8", "vae_tiling=true", "dtype=bfloat16"])
    assert recipe == Recipe(frames=17, fps=8.0, vae_tiling=True, dtype="bfloat16")


@pytest.mark.parametrize("setting", ["frames=many", "frames", "frames=0", "fps=-1", "offload=perhaps"])
def test_a_setting_of_another_type_is_refused(setting):
    with pytest.raises(RecipeError):
        Recipe.parse([setting])


def test_an_unknown_setting_lists_the_near_misses():
    with pytest.raises(UnknownName, match="did you mean 'guidance'"):
        Recipe.parse(["guidence=3"])


def test_a_recipes_digest_counts_only_what_is_set():
    assert Recipe(frames=9).digest() == Recipe(frames=9, lora=None).digest()
    assert Recipe(frames=9).digest() != Recipe(frames=17).digest()


def test_seeds_are_pinned_forever():
    assert seed_of(0, "p001", 0) == 812793082
    assert len({seed_of(base, prompt, index) for base in (0, 1) for prompt in ("a", "b") for index in (0, 1)}) == 8


def test_an_interval_or_series_that_json_cannot_hold_does_not_cost_the_record():
    infinite = Measurement(
        name="m", value=1.0, unit="1", better="higher", interval=(0.0, math.inf), series=(1.0, math.nan)
    )
    read = from_json(to_json(infinite), Measurement)
    assert (read.value, read.interval, read.series) == (1.0, None, None)


def test_an_outcome_of_a_later_version_is_kept_as_it_stands_and_is_no_pass():
    line = to_json(record()).replace('"status":"passed"', '"status":"paused"')
    assert read_record(line).status == "paused"
    with pytest.raises(RecordError, match="model"):
        read_record(line.replace('"model":"', '"madel":"'))


def test_a_file_name_that_is_not_utf8_can_be_written_and_read():
    named = dataclasses.replace(record(), nodeid="latin\udce9.mkv")
    assert read_record(to_json(named)).nodeid == "latin\\udce9.mkv"
