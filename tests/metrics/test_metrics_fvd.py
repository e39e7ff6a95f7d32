"""Fréchet video distance and its variants, from features."""

import json
from pathlib import Path

import numpy as np
import pytest

from pytest_vdb.errors import CannotMeasure
from pytest_vdb.metrics.contract import ReferenceFeatures
from pytest_vdb.metrics.frechet import frechet_distance
from pytest_vdb.metrics.fvd import fvd, fvd_cd, fvd_infinity
from pytest_vdb.metrics.moments import Moments
from pytest_vdb.metrics.resampling import swap_test

ORACLES = Path(__file__).parents[2] / "fixtures" / "oracles"


def draw(n, d, seed, shift=0.0, scale=1.0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n, d)) * 2 * (1 + np.arange(d)) ** -0.5 * scale + shift).astype(np.float32)


def reference_of(features, *, moments_only=False):
    if moments_only:
        return ReferenceFeatures(source="test", moments=Moments.of(features).arrays())
    return ReferenceFeatures(source="test", features=features)


@pytest.mark.parametrize("moments_only", [False, True])
def test_both_variants_are_exact_on_the_reference_features(moments_only):
    features = np.load(ORACLES / "fvd_features.npz")
    expected = json.loads((ORACLES / "fvd.json").read_text())
    fake, real = list(features["fake"]), reference_of(features["real"], moments_only=moments_only)
    exact = fvd(fake, real).value
    assert exact == pytest.approx(expected["exact_float64_covariance_over_n_minus_1"], rel=1e-9)
    assert exact == pytest.approx(expected["styleganv"], rel=1e-4)
    over_n = fvd_cd(fake, real).value
    assert over_n == pytest.approx(expected["exact_float64_covariance_over_n"], rel=1e-9)
    assert over_n == pytest.approx(expected["cd_fvd"], rel=1e-4)


def test_identical_sets_are_at_no_distance():
    features = draw(64, 400, 0)
    assert fvd(list(features), reference_of(features)).value == pytest.approx(0, abs=1e-9)


def test_the_interval_holds_the_value_and_n_is_shown():
    score = fvd(list(draw(64, 100, 0)), reference_of(draw(80, 100, 1, 0.2)))
    assert score.n == 64
    low, high = score.interval
    assert low <= score.value <= high


def test_few_clips_are_said_to_be_few():
    assert "N = 64" in fvd(list(draw(64, 20, 0)), reference_of(draw(64, 20, 1))).reason
    assert fvd(list(draw(1200, 20, 0)), reference_of(draw(1200, 20, 1))).reason is None


def test_two_clips_have_a_distance_and_no_interval():
    score = fvd(list(draw(2, 20, 0)), reference_of(draw(5, 20, 1)))
    assert score.value > 0
    assert score.interval is None


@pytest.mark.slow
def test_infinity_removes_the_bias():
    """Two samples of one distribution: the plain distance is far from 0, the extrapolated one is not."""
    first, second = draw(800, 100, 0), draw(800, 100, 1)
    plain = fvd(list(first), reference_of(second))
    score = fvd_infinity(list(first), reference_of(second))
    assert plain.value > 0.5
    assert abs(score.value) < plain.value / 10
    assert score.interval[0] < 0 < score.interval[1]


def test_infinity_says_when_the_references_bias_remains():
    score = fvd_infinity(list(draw(300, 20, 0)), reference_of(draw(300, 20, 1), moments_only=True))
    assert "its own bias remains" in score.reason


def test_infinity_needs_two_blocks_of_more_clips_than_features():
    with pytest.raises(CannotMeasure, match="needs 202 clips, got 201"):
        fvd_infinity(list(draw(201, 100, 0)), reference_of(draw(300, 100, 1)))


def test_features_that_are_not_finite_are_no_number():
    spoilt = draw(10, 20, 0)
    spoilt[4, 3] = np.nan
    with pytest.raises(CannotMeasure, match="number 4"):
        fvd(list(spoilt), reference_of(draw(10, 20, 1)))
    with pytest.raises(CannotMeasure, match="test: 1 of 10"):
        fvd(list(draw(10, 20, 1)), reference_of(spoilt))
    with pytest.raises(CannotMeasure, match="no clips"):
        fvd([], reference_of(spoilt))


def test_a_swap_test_finds_a_difference_and_only_a_difference():
    reference = draw(60, 10, 0)
    same, other, shifted = draw(40, 10, 1), draw(40, 10, 2), draw(40, 10, 2, 0.8)

    def distance(features):
        return frechet_distance(features, reference)

    assert swap_test(same, other, distance, permutations=199).p > 0.05
    found = swap_test(same, shifted, distance, permutations=199)
    assert found.p <= 0.01
    assert found.difference < 0


def test_few_pairs_are_enumerated():
    first, second = draw(5, 3, 0), draw(5, 3, 1, 5.0)
    found = swap_test(first, second, lambda features: float(features.mean()))
    assert found.permutations == 15
    assert found.p == pytest.approx(1 / 16)
