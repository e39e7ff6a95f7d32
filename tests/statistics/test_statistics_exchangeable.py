"""The same thing twice: exact where it can be counted, scipy's elsewhere, and as rarely wrong as it says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pytest_vdb.statistics.exchangeable import least_pairs, sign_flip_intervals, sign_flip_p_values, sign_flips


def p_of(differences, **how) -> float:
    return float(sign_flip_p_values(np.asarray(differences, dtype=float).reshape(-1, 1), **how)[0])


def interval_of(differences, **how) -> tuple[float, float]:
    low, high = sign_flip_intervals(np.asarray(differences, dtype=float).reshape(-1, 1), **how)[0]
    return float(low), float(high)


def test_six_pairs_of_one_sign_have_p_two_in_sixty_four():
    assert p_of([1, 2, 3, 4, 5, 6]) == pytest.approx(2 / 64)
    assert p_of([1, 2, 3, 4, 5, 6], alternative="greater") == pytest.approx(1 / 64)
    assert p_of([1, 2, 3, 4, 5, 6], alternative="less") == 1


def test_five_pairs_can_never_be_significant():
    assert p_of([9, 8, 9, 7, 9]) == pytest.approx(2 / 32)
    assert interval_of([9, 8, 9, 7, 9]) == (-np.inf, np.inf)


@pytest.mark.parametrize(
    ("alternative", "family"), [("two-sided", 1), ("greater", 1), ("greater", 3), ("two-sided", 20)]
)
def test_below_the_least_number_of_pairs_no_change_is_large_enough(alternative, family):
    least = least_pairs(0.05 / family, alternative=alternative)
    assert p_of(range(1, least + 1), alternative=alternative) * family <= 0.05
    assert p_of(range(1, least), alternative=alternative) * family > 0.05


def test_equal_values_and_none_at_all_have_p_one():
    assert p_of([0.0] * 8) == 1
    assert p_of([0.0] * 80) == 1
    assert p_of([]) == 1


def test_differences_of_zero_count_for_nothing():
    moved = [0.3, -0.1, 0.4, 0.2, 0.35, 0.05]
    assert p_of([*moved, *[0.0] * 200]) == pytest.approx(p_of(moved))


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_the_exact_p_value_is_scipys_permutation_test(alternative):
    differences = np.random.default_rng(1).normal(0.4, 1, 9)
    expected = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative=alternative
    ).pvalue
    assert p_of(differences, alternative=alternative) == pytest.approx(expected)


def test_scores_of_zero_and_one_have_the_exact_sign_test_at_any_number():
    differences = [1] * 30 + [-1] * 14 + [0] * 60
    assert p_of(differences) == pytest.approx(stats.binomtest(30, 44).pvalue)
    assert p_of(differences, alternative="greater") == pytest.approx(
        stats.binomtest(30, 44, alternative="greater").pvalue
    )


def test_drawn_patterns_agree_with_the_t_test_and_repeat():
    differences = np.random.default_rng(2).normal(0.2, 1, 120)
    p = p_of(differences)
    assert p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=0.01)
    assert p == p_of(differences)


def test_drawn_and_counted_patterns_agree():
    differences = np.random.default_rng(3).normal(0.6, 1, 14)
    doubled = [*differences, 1e-9, 2e-9]  # two more than can be counted, which move nothing
    assert p_of(doubled) == pytest.approx(p_of(differences), abs=0.005)


def test_a_family_of_thousands_gets_p_below_what_patterns_were_drawn():
    """60 prompts that all got worse: 2^-59 were every pattern counted, and never less than that is claimed."""
    p = p_of(1 + np.random.default_rng(4).random(60))
    assert 2.0**-59 <= p < 1e-9


@pytest.mark.parametrize("n", [8, 40])
def test_order_scale_and_sign_change_nothing(n):
    generator = np.random.default_rng(5)
    for _ in range(20):
        differences = generator.normal(0.2, 1, n)
        p, (low, high) = p_of(differences), interval_of(differences)
        assert p_of(-differences) == pytest.approx(p, abs=1e-12)
        assert p_of(differences * 2**7) == p
        assert interval_of(-differences) == pytest.approx((-high, -low))
        assert interval_of(differences * 4 + 1) == pytest.approx((low * 4 + 1, high * 4 + 1))
        assert p_of(generator.permutation(differences)) == pytest.approx(p, abs=1e-12 if n == 8 else 0.06)


def test_one_comparison_does_not_see_the_others():
    differences = np.random.default_rng(6).normal(0.2, 1, (30, 5))
    together = sign_flip_p_values(differences)
    assert together == pytest.approx([p_of(column) for column in differences.T])


def test_the_interval_excludes_zero_where_the_test_rejects_it():
    generator = np.random.default_rng(7)
    for n in (7, 9, 30):
        differences = generator.normal(0.5, 1, (n, 100))
        p = [sign_flip_p_values(differences, alternative=side) for side in ("greater", "less")]
        low, high = sign_flip_intervals(differences).T
        assert ((low > 0) == (p[0] <= 0.025)).all()
        assert ((high < 0) == (p[1] <= 0.025)).all()
        assert (low > 0).any()


def test_an_interval_far_beyond_the_drawn_patterns_is_bounded_and_holds_the_nearer_one():
    differences = np.random.default_rng(8).normal(0.5, 1, 100)
    usual, strict = interval_of(differences), interval_of(differences, confidence=1 - 1e-6)
    assert strict[0] < usual[0] < usual[1] < strict[1]
    assert np.isfinite(strict).all()
    assert interval_of(differences[:16], confidence=1 - 1e-9) == (-np.inf, np.inf)


@pytest.mark.parametrize("n", [6, 10, 20])
def test_exchangeable_pairs_raise_false_alarms_as_rarely_as_said(n):
    """Skewed values with rare failures, 2,000 pairs of runs: 5% and four standard errors."""
    generator = np.random.default_rng(9)
    sides = np.exp(generator.normal(0, 1, (2, n, 2_000))) * (generator.random((2, n, 2_000)) < 0.9)
    p = sign_flip_p_values(sides[0] - sides[1])
    assert (p <= 0.05).mean() <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 2_000)
    assert (p <= 0.05).any()


@pytest.mark.parametrize("n", [3, 6, 14, 15, 200])
def test_both_questions_at_once_have_the_answers_of_each(n):
    rng = np.random.default_rng(n)
    differences = np.stack((rng.standard_normal(n), rng.standard_normal(n) + 1, np.zeros(n), np.full(n, 0.5)), axis=1)
    p_values, intervals = sign_flips(differences)
    assert p_values == pytest.approx(sign_flip_p_values(differences), rel=1e-12)
    assert intervals == pytest.approx(sign_flip_intervals(differences), rel=1e-12)


def test_intervals_of_several_confidences_are_those_of_each():
    differences = np.random.default_rng(3).standard_normal((40, 5))
    confidences = np.array([0.5, 0.9, 0.95, 0.99, 0.95])
    together = sign_flip_intervals(differences, confidence=confidences)
    alone = [
        sign_flip_intervals(differences[:, [at]], confidence=float(confidence))[0]
        for at, confidence in enumerate(confidences)
    ]
    assert together == pytest.approx(np.array(alone), rel=1e-12)
