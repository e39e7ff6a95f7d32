"""Correlations with people's ratings: against SciPy, against published figures, and where there is nothing to say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from pytest_vdb.analysis.correlation import Pair, agreement, kendall, spearman
from pytest_vdb.analysis.ratings import pair_up, read_ratings, read_scores
from pytest_vdb.errors import RecordError, UnknownName

RATINGS = Path(__file__).parents[2] / "fixtures" / "ratings"


def pairs(models: int = 3, prompts: int = 20, seed: int = 0) -> list[Pair]:
    generator = np.random.default_rng(seed)
    made = []
    for model in range(models):
        for prompt in range(prompts):
            rating = float(generator.integers(1, 6))
            made.append(Pair(model=f"m{model}", prompt=f"p{prompt}", score=rating + generator.normal(), rating=rating))
    return made


@pytest.mark.parametrize("levels", [3, 50])
def test_the_coefficients_are_scipys_with_and_without_ties(levels):
    generator = np.random.default_rng(levels)
    first = generator.integers(0, levels, 80).astype(float)
    second = first + generator.integers(0, levels, 80)
    assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-12)
    expected = [stats.kendalltau(first, second, variant=variant).statistic for variant in "bc"]
    assert kendall(first, second) == pytest.approx(expected, abs=1e-12)


@pytest.mark.slow
def test_the_interval_holds_the_value_and_repeats():
    rows = agreement(pairs(), resamples=200)
    clips = rows[0]
    assert [row.of for row in rows] == ["clips", "models", "m0", "m1", "m2"]
    assert (clips.n, clips.prompts) == (60, 20)
    for coefficient in (clips.spearman, clips.kendall_b, clips.kendall_c):
        low, high = coefficient.interval
        assert low < coefficient.value < high
    assert agreement(pairs(), resamples=200) == rows
    assert agreement(pairs(), resamples=200, seed=1)[0].spearman.interval != clips.spearman.interval


def test_equal_ratings_and_too_few_models_say_so():
    flat = [Pair(model="m", prompt=f"p{i}", score=float(i), rating=3.0) for i in range(9)]
    clips, models = agreement(flat, resamples=10)
    assert clips.spearman.value is None
    assert "equal" in clips.spearman.reason
    assert models.kendall_b.reason == "needs 3 models, got 1"


@pytest.mark.parametrize(
    ("column", "rho", "tau_b"),
    [
        ("CLIP Score", 0.343, 0.236),
        ("X-CLIP Score", 0.257, 0.175),
        ("BLIP-BLEU", 0.151, 0.104),
        ("T2VScore-A (GPT-4V)", 0.477, 0.353),
    ],
)
def test_t2vscores_published_correlations_come_out_to_three_digits(column, rho, tau_b):
    ratings = read_ratings(RATINGS / "t2vscore_alignment_score.json")
    found = pair_up(read_scores(RATINGS / "t2vscore_results.csv", column), ratings)
    clips = agreement(found, resamples=0)[0]
    assert len(found) == 2543
    assert (round(clips.spearman.value, 3), round(clips.kendall_b.value, 3)) == (rho, tau_b)


def test_one_csv_may_hold_both_scores_and_ratings(tmp_path):
    table = tmp_path / "all.csv"
    table.write_text("model,prompt,vmaf,rating\na,x,1,5\na,y,2,4\nb,x,3,\nb,y,4,1\n")
    found = pair_up(read_scores(table, "vmaf"), read_ratings(table))
    assert [(pair.model, pair.prompt, pair.score, pair.rating) for pair in found] == [
        ("a", "x", 1, 5),
        ("a", "y", 2, 4),
        ("b", "y", 4, 1),
    ]


def test_several_raters_of_one_clip_are_averaged(tmp_path):
    ratings = tmp_path / "ratings.json"
    ratings.write_text(json.dumps({"0": {"prompt": "a cat", "models": {"m": [1, 2, 6]}}}))
    assert read_ratings(ratings).by_text == {("m", "a cat"): 3}


def test_a_misspelt_column_lists_the_near_misses(tmp_path):
    table = tmp_path / "scores.csv"
    table.write_text("model,prompt,CLIP Score\na,x,1\n")
    with pytest.raises(UnknownName, match="did you mean 'CLIP Score'"):
        read_scores(table, "CLIPScore")


@pytest.mark.parametrize(
    "text", ["{}[", '{"0": {"prompt": "x"}}', '["a"]', '{"0": {"prompt": "x", "models": {"m": ["?"]}}}']
)
def test_what_is_no_file_of_ratings_says_what_one_is(tmp_path: Path, text: str):
    path = tmp_path / "ratings.json"
    path.write_text(text)
    with pytest.raises(RecordError, match="layout"):
        read_ratings(path)
