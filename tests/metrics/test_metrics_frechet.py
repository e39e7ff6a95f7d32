"""The Fréchet distance against closed forms, whatever the shape of the sets."""

import numpy as np
import pytest

from pytest_vdb.errors import CannotMeasure
from pytest_vdb.metrics.frechet import frechet_distance
from pytest_vdb.metrics.moments import Moments


def orthonormal(rng, rows, columns):
    return np.linalg.qr(rng.standard_normal((rows, columns)))[0]


def sample_with(rng, n, mean, deviations, axes):
    """`n` vectors whose covariance over N-1 is exactly `axes' diag(deviations^2) axes`."""
    rank = len(deviations)
    noise = rng.standard_normal((n, rank))
    unit = np.linalg.qr(noise - noise.mean(axis=0))[0]
    return mean + np.sqrt(n - 1) * (unit * deviations) @ axes


def pair_with_known_distance(n, m, d, *, rank=None, seed=0):
    """Two samples that share their axes, and their distance."""
    rng = np.random.default_rng(seed)
    rank = rank or min(n - 1, m - 1, d)
    axes = orthonormal(rng, d, rank).T
    first, second = rng.uniform(0.5, 2, rank), rng.uniform(0.5, 2, rank)
    means = rng.standard_normal((2, d)) * 3
    expected = np.sum((means[0] - means[1]) ** 2) + np.sum((first - second) ** 2)
    return sample_with(rng, n, means[0], first, axes), sample_with(rng, m, means[1], second, axes), expected


SHAPES = [
    pytest.param(64, 64, 400, id="fewer-than-dimensions"),
    pytest.param(64, 96, 400, id="fewer-and-unequal"),
    pytest.param(600, 700, 400, id="more-than-dimensions"),
    pytest.param(64, 700, 400, id="one-of-each"),
    pytest.param(400, 401, 400, id="as-many-as-dimensions"),
    pytest.param(256, 200, 768, id="768"),
    pytest.param(1000, 900, 768, id="768-more"),
    pytest.param(256, 256, 2048, id="2048"),
    pytest.param(2600, 2500, 2048, id="2048-more", marks=pytest.mark.slow),
]


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m", "d"), SHAPES)
def test_it_is_the_closed_form(n, m, d):
    first, second, expected = pair_with_known_distance(n, m, d)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-8)
    assert frechet_distance(second, first) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("n", "m"), [(100, 100), (600, 700), (100, 700)])
def test_covariances_that_do_not_commute_have_a_closed_form_too(n, m):
    """One covariance is the identity on the subspace of the other, so the root is that of the other."""
    rng = np.random.default_rng(3)
    rank, d = 80, 400
    axes = orthonormal(rng, d, rank).T
    turned = orthonormal(rng, rank, rank)
    deviations = rng.uniform(0.1, 3, rank)
    first = sample_with(rng, n, 0, np.ones(rank), axes)
    second = sample_with(rng, m, 0, deviations, turned @ axes)
    assert frechet_distance(first, second) == pytest.approx(np.sum((deviations - 1) ** 2), rel=1e-8)


@pytest.mark.parametrize("n", [64, 900])
@pytest.mark.parametrize("d", [400, 768])
def test_moments_give_what_features_give(n, d):
    first, second, expected = pair_with_known_distance(n, n + 10, d, seed=1)
    moments = Moments.of(first), Moments.of(second)
    assert frechet_distance(moments[0], second) == pytest.approx(expected, rel=1e-8)
    assert frechet_distance(*moments) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("n", [64, 500])
@pytest.mark.parametrize("as_moments", [False, True])
def test_identical_sets_are_at_no_distance(n, as_moments):
    features = np.random.default_rng(0).standard_normal((n, 400)) * np.geomspace(1, 1e-3, 400) + 7
    given = Moments.of(features) if as_moments else features
    assert 0 <= frechet_distance(given, given) <= 1e-10 * features.var(axis=0).sum()


@pytest.mark.parametrize("n", [64, 500])
def test_a_constant_feature_is_no_obstacle(n):
    first, second, _ = pair_with_known_distance(n, n, 400, rank=50)
    first[:, 7] = second[:, 7] = 3.25
    without = frechet_distance(np.delete(first, 7, axis=1), np.delete(second, 7, axis=1))
    assert frechet_distance(first, second) == pytest.approx(without, rel=1e-8)
    assert frechet_distance(Moments.of(first), Moments.of(second)) == pytest.approx(without, rel=1e-8)


@pytest.mark.parametrize("n", [300, 3000])
def test_features_of_decaying_variance_stay_exact(n):
    """What real networks give: the variance spans ten orders of magnitude."""
    rng = np.random.default_rng(5)
    rank = 200
    axes = orthonormal(rng, 400, rank).T
    first, second = np.geomspace(10, 1e-4, rank), np.geomspace(9, 2e-4, rank)
    expected = np.sum((first - second) ** 2)
    got = frechet_distance(sample_with(rng, n, 0, first, axes), sample_with(rng, n, 0, second, axes))
    assert got == pytest.approx(expected, rel=1e-8)


def test_sets_that_never_vary_differ_by_their_means():
    assert frechet_distance(np.zeros((8, 400)), np.full((9, 400), 0.5)) == pytest.approx(100)
    assert frechet_distance(np.zeros((800, 400)), np.full((900, 400), 0.5)) == pytest.approx(100)


def test_float32_features_are_computed_in_float64():
    first, second, expected = pair_with_known_distance(100, 100, 400, seed=2)
    got = frechet_distance((first + 300).astype(np.float32), (second + 300).astype(np.float32))
    assert got == pytest.approx(expected, rel=1e-4)


def test_both_covariance_conventions():
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((20, 30)), rng.standard_normal((20, 30)) * 2 + 1
    mean_term = np.sum((first.mean(0) - second.mean(0)) ** 2)
    over_n, over_n_minus_1 = frechet_distance(first, second, ddof=0), frechet_distance(first, second, ddof=1)
    assert (over_n - mean_term) / (over_n_minus_1 - mean_term) == pytest.approx(19 / 20)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite_are_an_error(bad):
    features = np.ones((6, 4))
    features[3, 1] = bad
    with pytest.raises(CannotMeasure, match="1 of 6 feature vectors are not finite, the first is number 3"):
        frechet_distance(features, np.ones((6, 4)))


def test_sets_that_cannot_be_compared_are_an_error():
    with pytest.raises(CannotMeasure, match="of 4 and of 5 numbers"):
        frechet_distance(np.ones((6, 4)), np.ones((6, 5)))
    with pytest.raises(CannotMeasure, match="needs 2 clips, got 1"):
        frechet_distance(np.ones((1, 4)), np.ones((6, 4)))
    with pytest.raises(CannotMeasure, match="shape"):
        frechet_distance(np.ones((0, 4)), np.ones((6, 4)))


def test_moments_survive_their_arrays():
    moments = Moments.of(np.random.default_rng(0).standard_normal((20, 5)))
    again = Moments.from_arrays(moments.arrays())
    assert again.n == 20
    np.testing.assert_array_equal(again.covariance(), moments.covariance())
    with pytest.raises(CannotMeasure, match="no array total"):
        Moments.from_arrays({k: v for k, v in moments.arrays().items() if k != "total"})
