"""Where a mean lies: exact cases, invariances, what is refused, and coverage under laws where Student's t fails."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pytest_vdb.statistics.intervals import bounds_of_differences, mean_interval, mean_intervals, mean_p_values


def ends_of(values, **how) -> tuple[float, float]:
    interval = mean_interval(list(values), **how)
    assert interval.ends is not None, interval.reason
    return interval.ends


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (3, 5), (5, 5), (29, 30), (97, 100)])
@pytest.mark.parametrize("unseen", ["anywhere", "near"])
def test_scores_of_zero_and_one_have_the_interval_of_clopper_and_pearson(hits, n, unseen):
    exact = stats.binomtest(hits, n).proportion_ci(0.95, method="exact")
    assert ends_of([1.0] * hits + [0.0] * (n - hits), bounds=(0, 1), unseen=unseen) == pytest.approx(tuple(exact))


def test_equal_values_within_bounds_have_the_width_of_what_was_not_seen():
    """All values one half: only the chance of another value is in doubt, at most 1 - 0.025^(1/n)."""
    low, high = ends_of([0.5] * 10, bounds=(0, 1))
    rare = 1 - 0.025**0.1
    assert (low, high) == pytest.approx((0.5 * (1 - rare), 0.5 * (1 + rare)), abs=0.003)


def test_the_ends_are_the_quantiles_of_randomly_weighted_means():
    values = np.random.default_rng(1).gamma(2, 1, 12)
    weights = np.random.default_rng(2).dirichlet(np.ones(13), 200_000)
    low, high = (np.quantile(weights @ [*values, end], q) for end, q in ((0, 0.025), (20, 0.975)))
    assert ends_of(values, bounds=(0, 20)) == pytest.approx((low, high), rel=0.01)


def test_equal_values_without_bounds_have_no_interval_and_say_so():
    assert mean_interval([3.0] * 7).ends is None
    assert "all 7 values are equal" in mean_interval([3.0] * 7).reason
    assert mean_interval([3.0] * 7, bounds=(0, None)).ends is None


def test_too_few_values_and_values_beyond_the_bounds_are_refused():
    assert mean_interval([1.0, 2.0]).reason == "2 values: at least 3 are needed"
    assert mean_interval([]).reason == "0 values: at least 3 are needed"
    assert "1.5 lies above the highest that there can be, 1" in mean_interval([0, 1, 1.5], bounds=(0, 1)).reason
    assert "-0.5 lies below" in mean_interval([0, 1, -0.5], bounds=(0, 1)).reason
    assert np.isnan(mean_intervals(np.full((7, 2), 3.0))).all()
    assert np.isnan(mean_p_values(np.full((7, 2), 3.0))).all()


@pytest.mark.parametrize("unseen", ["anywhere", "near"])
def test_an_interval_holds_the_mean_and_stays_within_what_can_be(unseen):
    generator = np.random.default_rng(3)
    for n in (3, 5, 12, 100):
        for _ in range(10):
            values = generator.beta(4, 0.3, n)
            low, high = ends_of(values, bounds=(0, 1), unseen=unseen)
            assert 0 <= low < values.mean() < high <= 1


def test_order_changes_nothing_and_scale_and_sign_carry_over():
    generator = np.random.default_rng(4)
    for n in (3, 8, 60):
        values = generator.lognormal(0, 1, n)
        low, high = ends_of(values)
        assert ends_of(generator.permutation(values)) == (low, high)
        assert ends_of(3 * values - 2) == pytest.approx((3 * low - 2, 3 * high - 2))
        assert ends_of(-values) == pytest.approx((-high, -low))


def test_what_lies_near_is_narrower_than_what_may_lie_anywhere():
    values = np.random.default_rng(5).normal(0.8, 0.03, 30)
    wide, narrow = (np.ptp(ends_of(values, bounds=(0, 1), unseen=unseen)) for unseen in ("anywhere", "near"))
    student = np.ptp(stats.t.interval(0.95, 29, values.mean(), stats.sem(values)))
    assert student < narrow < 1.5 * student < wide


def test_more_confidence_is_wider():
    values = np.random.default_rng(6).lognormal(0, 1, 20)
    widths = [np.ptp(ends_of(values, confidence=confidence)) for confidence in (0.5, 0.9, 0.95, 0.9975, 0.999999)]
    assert widths == sorted(widths)
    assert len(set(widths)) == len(widths)


def test_the_p_value_is_that_of_the_interval_which_just_reaches_the_null():
    columns = np.random.default_rng(7).lognormal(0, 0.5, (15, 4)) - 0.6
    p_values = mean_p_values(columns)
    for p, values in zip(p_values, columns.T, strict=True):
        assert min(map(abs, ends_of(values, confidence=1 - p))) == pytest.approx(0, abs=1e-6)
    assert (mean_p_values(columns - columns.mean(axis=0)) > 0.5).all()
    assert mean_p_values(-columns) == pytest.approx(p_values)
    assert mean_p_values(columns, null=1e9) == pytest.approx(0)


def test_many_means_at_once_are_each_one_of_them():
    columns = np.random.default_rng(8).random((9, 450))
    together = mean_intervals(columns, bounds=(0, 1))
    assert together[[0, 250, 449]] == pytest.approx(
        np.array([ends_of(columns[:, at], bounds=(0, 1)) for at in (0, 250, 449)])
    )


def test_differences_lie_as_far_apart_as_bounds_allow():
    assert bounds_of_differences((0, 1)) == (-1, 1)
    assert bounds_of_differences((0, None)) == (None, None)


LAWS = {
    "lognormal": (lambda rng, shape: rng.lognormal(0, 1, shape), np.exp(0.5), (0, None)),
    "80% zeros": (lambda rng, shape: rng.exponential(1, shape) * (rng.random(shape) < 0.2), 0.2, (0, None)),
    "0/1, p = .97": (lambda rng, shape: (rng.random(shape) < 0.97).astype(float), 0.97, (0, 1)),
    "rare failures": (lambda rng, shape: rng.uniform(0.78, 0.82, shape) * (rng.random(shape) < 0.97), 0.776, (0, 1)),
}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("n", [5, 12])
def test_bars_cover_where_students_do_not(law, n):
    """2,000 draws from fixed seeds; the target is 93% of the intervals that are given."""
    draw, mean, bounds = LAWS[law]
    columns = draw(np.random.default_rng(9), (n, 2_000))
    low, high = mean_intervals(columns, bounds=bounds).T
    given = ~np.isnan(low)
    assert ((low <= mean) & (mean <= high))[given].mean() >= 0.93
    half = stats.t.ppf(0.975, n - 1) * columns.std(axis=0, ddof=1) / np.sqrt(n)
    assert (np.abs(columns.mean(axis=0) - mean) <= half).mean() < 0.9
