"""Scores made of dimensions, held to those that others published beside their dimensions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_vdb.analysis.aggregates import (
    AGGREGATES,
    MLPERF,
    QUALITY,
    SEMANTIC,
    TOTAL,
    Aggregate,
    Part,
    linear_form,
    score_of,
    usual,
)
from pytest_vdb.results import vbench

FOLDER = Path(__file__).parent.parent.parent / "fixtures" / "published"
SCORES = json.loads((FOLDER / "scores.json").read_text())


def means_of(published: dict) -> dict[str, float]:
    return {f"vbench.{name}": percent / 100 for name, percent in published["dimensions"].items()}


COG = means_of(next(one for one in SCORES["vbench"] if one["model"] == "CogVideoX-5B"))


@pytest.mark.parametrize("published", SCORES["vbench"], ids=lambda published: published["model"])
def test_vbenchs_scores_are_those_that_were_published(published):
    """The dimensions are printed with two decimals of a percent, so a score of them is known to about one of these."""
    for aggregate, name in ((TOTAL, "total"), (QUALITY, "quality"), (SEMANTIC, "semantic")):
        found = score_of(aggregate, means_of(published))
        assert 100 * found.value == pytest.approx(published[name], abs=0.01)
        assert (found.reason, found.missing, found.remark) == (None, (), None)


@pytest.mark.parametrize("published", SCORES["mlperf"], ids=lambda published: published["file"])
def test_mlperfs_score_is_the_one_that_was_published(published):
    dimensions = vbench.read(FOLDER / published["file"])
    found = score_of(MLPERF, {f"{vbench.FAMILY}{name}": one.mean for name, one in dimensions.items()})
    assert round(found.value, 2) == published["score"]


@pytest.mark.parametrize("mean", [None, float("nan"), "absent"])
def test_a_missing_dimension_is_named_and_never_scored_0(mean):
    means = {name: value for name, value in COG.items() if name != "vbench.scene"}
    if mean != "absent":
        means["vbench.scene"] = mean
    found = score_of(TOTAL, means)
    assert (found.value, found.missing) == (None, ("vbench.scene",))
    assert found.reason == "1 of 16 dimensions is missing: scene"
    assert score_of(QUALITY, means).value == score_of(QUALITY, COG).value


def test_a_partial_score_keeps_the_weights_of_what_is_there_and_says_what_is_not():
    few = {name: COG[name] for name in ("vbench.subject_consistency", "vbench.dynamic_degree")}
    found = score_of(TOTAL, few, partial=True)
    subject = (COG["vbench.subject_consistency"] - 0.1462) / (1 - 0.1462)
    assert found.value == pytest.approx((subject + 0.5 * COG["vbench.dynamic_degree"]) / 1.5)
    assert found.remark.startswith("partial: 14 of 16 dimensions are missing: background_consistency, ")
    assert score_of(TOTAL, {}, partial=True).value is None
    assert score_of(TOTAL, COG, partial=True) == score_of(TOTAL, COG)


def test_a_part_that_is_there_keeps_its_weight_against_the_others():
    means = {name: COG[name] for name in (*QUALITY.dimensions, "vbench.color")}
    quality = score_of(QUALITY, COG).value
    assert score_of(TOTAL, means, partial=True).value == pytest.approx((4 * quality + COG["vbench.color"]) / 5)


def test_ones_own_weights():
    half = Aggregate(name="mine", about="", source="", parts=(Part(of="a", weight=3), Part(of="b", low=1, high=3)))
    assert score_of(half, {"a": 1.0, "b": 2.0}).value == pytest.approx((3 * 1 + 0.5) / 4)
    even = replace(TOTAL, parts=(Part(of=QUALITY), Part(of=SEMANTIC)))
    both = [score_of(part, COG).value for part in (QUALITY, SEMANTIC)]
    assert score_of(even, COG).value == pytest.approx(sum(both) / 2)


@pytest.mark.parametrize("aggregate", AGGREGATES, ids=lambda aggregate: aggregate.name)
def test_the_best_is_1_and_the_worst_0_of_each_scale(aggregate):
    form = linear_form(aggregate, aggregate.dimensions)
    bounds = {part.of: (part.low, part.high) for one in (QUALITY, SEMANTIC) for part in one.parts}
    if aggregate is MLPERF:
        bounds = dict.fromkeys(aggregate.dimensions, (0, 1))
    for end in (0, 1):
        reached = form.offset + sum(slope * bounds[name][end] for name, slope in form.slopes.items())
        assert reached == pytest.approx(end * aggregate.scale, abs=1e-12)


def test_what_is_said_without_being_asked():
    assert usual(QUALITY.dimensions) == [QUALITY]
    assert usual(MLPERF.dimensions) == [MLPERF]
    assert usual([*MLPERF.dimensions, "sharpness"]) == [MLPERF]
    assert usual(TOTAL.dimensions) == [QUALITY, SEMANTIC, TOTAL]  # MLPerf asks prompts of its own
    assert usual(["vbench.scene"]) == []
