"""Kernel distances and the Inception Score, against closed forms and chance (reference values: parity tests)."""

import numpy as np
import pytest

from pytest_vdb.errors import CannotMeasure
from pytest_vdb.metrics.contract import ReferenceFeatures, spec_of
from pytest_vdb.metrics.inception_score import inception_score, inception_score_of
from pytest_vdb.metrics.kernels import (
    JEDI_KERNEL,
    KVD_KERNEL,
    jedi,
    jedi_distance,
    jedi_unbiased,
    kernel_swap_test,
    kvd,
    mmd2,
)
from pytest_vdb.metrics.moments import Moments
from pytest_vdb.metrics.resampling import swap_patterns, swap_test


def features(n, d, seed, shift=0.0, scale=1.0):
    noise = np.random.default_rng(seed).standard_normal((n, d))
    return noise * (2 * (1 + np.arange(d)) ** -0.5) * scale + shift + 0.3


def reference_of(vectors, *, moments_only=False):
    if moments_only:
        return ReferenceFeatures(source="test", moments=Moments.of(vectors).arrays())
    return ReferenceFeatures(source="test", features=vectors.astype(np.float32))


def test_jedi_closed_form_without_bias_is_the_kernel_sum():
    first, second = features(60, 40, 1), features(70, 40, 2, 0.1)
    by_kernel = 100 * mmd2(first, second, JEDI_KERNEL, unbiased=True)
    assert jedi_distance(first, second, unbiased=True) == pytest.approx(by_kernel, rel=1e-10)


def test_large_means_cost_no_digits():
    first, second = features(300, 20, 1) + 300, features(300, 20, 2, 0.5) + 300
    by_kernel = 100 * mmd2(first, second, JEDI_KERNEL, unbiased=True)
    assert jedi_distance(Moments.of(first), Moments.of(second), unbiased=True) == pytest.approx(by_kernel, rel=1e-6)


@pytest.mark.parametrize("n", [16, 64])
def test_the_unbiased_distances_are_centred_on_zero(n):
    kvds = [mmd2(features(n, 30, s), features(n, 30, 1000 + s), KVD_KERNEL, unbiased=True) for s in range(100)]
    jedis = [jedi_distance(features(n, 30, s), features(n, 30, 1000 + s), unbiased=True) for s in range(100)]
    for values in (kvds, jedis):
        assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))


def test_the_biased_jedi_is_not():
    values = [jedi_distance(features(16, 30, s), features(16, 30, 1000 + s)) for s in range(30)]
    assert min(values) > 0


def test_blocks_change_nothing():
    first, second = features(1500, 20, 1), features(1100, 20, 2)
    whole = KVD_KERNEL(first, first)
    expected = (whole.sum() - np.trace(whole)) / (1500 * 1499)
    other = KVD_KERNEL(second, second)
    expected += (other.sum() - np.trace(other)) / (1100 * 1099) - 2 * KVD_KERNEL(first, second).mean()
    assert mmd2(first, second, KVD_KERNEL, unbiased=True) == pytest.approx(expected, rel=1e-8)


def test_the_interval_is_the_jackknife_done_by_hand():
    first, second = features(12, 10, 1), features(9, 10, 2, 0.3)
    score = kvd(list(first), reference_of(second))
    second = second.astype(np.float32)
    left = [
        [mmd2(np.delete(first, i, 0), second, KVD_KERNEL, unbiased=True) for i in range(12)],
        [mmd2(first, np.delete(second, i, 0), KVD_KERNEL, unbiased=True) for i in range(9)],
    ]
    variance = sum((len(v) - 1) ** 2 / len(v) * np.var(v, ddof=1) for v in left)
    reach = 2.306004 * np.sqrt(variance)  # Student's t, 8 degrees of freedom
    assert score.interval == pytest.approx((score.value - reach, score.value + reach), rel=1e-5)


def test_jedi_has_a_value_from_moments_and_says_what_it_lacks():
    first, second = features(60, 20, 1), features(60, 20, 2)
    for measure in (jedi, jedi_unbiased):
        full = measure(list(first), reference_of(second))
        bare = measure(list(first), reference_of(second, moments_only=True))
        assert bare.value == pytest.approx(full.value, rel=1e-4, abs=1e-6)
        assert full.interval is not None
        assert bare.interval is None
        assert "no interval from moments alone" in bare.reason


def test_kvd_cannot_be_had_from_moments():
    with pytest.raises(CannotMeasure, match="only their moments were kept"):
        kvd(list(features(5, 4, 0)), reference_of(features(5, 4, 1), moments_only=True))


def test_one_clip_is_no_set():
    with pytest.raises(CannotMeasure, match="needs 2 clips on either side, got 1 and 5"):
        kvd(list(features(1, 4, 0)), reference_of(features(5, 4, 1)))


def test_features_that_are_not_finite_are_no_number():
    spoilt = features(5, 4, 0)
    spoilt[2, 1] = np.inf
    with pytest.raises(CannotMeasure, match="not finite"):
        kvd(list(spoilt), reference_of(features(5, 4, 1)))


def test_the_swap_test_by_sums_is_the_swap_test_by_kernels():
    first, second, real = features(8, 5, 1), features(8, 5, 2, 0.4), features(30, 5, 3)

    def distance(vectors):
        return mmd2(vectors, real, KVD_KERNEL, unbiased=True)

    slow, fast = swap_test(first, second, distance), kernel_swap_test(first, second, real, permutations=999)
    assert fast.permutations == slow.permutations == 127
    assert fast.difference == pytest.approx(slow.difference, rel=1e-9)
    assert fast.p == slow.p


def test_the_biased_swap_test_by_sums_is_the_one_by_kernels_and_its_difference_is_that_of_the_metric():
    first, second, real = features(8, 5, 1), features(8, 5, 2, 0.4), features(30, 5, 3)
    slow = swap_test(first, second, lambda vectors: mmd2(vectors, real, JEDI_KERNEL, unbiased=False))
    fast = kernel_swap_test(first, second, real, JEDI_KERNEL, unbiased=False, permutations=999)
    assert fast.p == slow.p
    by_metric = spec_of(jedi).swaps(first, second, reference_of(real), permutations=999, seed=0)
    from_moments = spec_of(jedi).swaps(first, second, reference_of(real, moments_only=True), permutations=999, seed=0)
    difference = jedi(list(first), reference_of(real)).value - jedi(list(second), reference_of(real)).value
    assert by_metric.difference == pytest.approx(difference, rel=1e-6)
    assert from_moments.difference == pytest.approx(difference, rel=1e-4)
    assert by_metric.p == from_moments.p == slow.p


def test_the_samples_of_one_prompt_are_swapped_together():
    patterns = swap_patterns(6, 999, 0, groups=["b", "b", "a", "a", "c", "c"])
    assert len(patterns) == 2**2 - 1
    assert (patterns[:, ::2] == patterns[:, 1::2]).all()
    first, second, real = features(6, 5, 1), features(6, 5, 2, 0.4), features(30, 5, 3)
    assert kernel_swap_test(first, second, real, groups=list("aabbcc")).permutations == 3


def test_samples_that_are_swapped_one_by_one_raise_false_alarms_and_whole_prompts_do_not():
    real, of, alarms = features(60, 6, 1), np.repeat(np.arange(12), 4), {"clips": 0, "prompts": 0}
    for trial in range(100):
        rng = np.random.default_rng(trial)
        prompts = 0.7 * rng.standard_normal((12, 6))
        first, second = (
            (prompts + 0.7 * rng.standard_normal((12, 6)))[of] + 0.5 * rng.standard_normal((48, 6)) for _ in range(2)
        )
        for unit, groups in (("clips", None), ("prompts", list(of))):
            alarms[unit] += kernel_swap_test(first, second, real, permutations=99, groups=groups).p <= 0.05
    assert alarms["prompts"] <= 11
    assert alarms["clips"] >= 18


def test_the_swap_test_rejects_as_often_as_it_says():
    ps = [
        kernel_swap_test(features(20, 5, s), features(20, 5, 500 + s), features(40, 5, 900 + s), permutations=199).p
        for s in range(100)
    ]
    assert np.mean(np.array(ps) <= 0.1) < 0.22


def test_the_inception_score_of_extremes():
    same = np.full((40, 8), 1 / 8)
    sure = np.eye(8)[np.arange(40) % 8]
    assert inception_score_of(same, splits=1).mean == pytest.approx(1)
    assert inception_score_of(sure, splits=1).mean == pytest.approx(8)


def test_the_inception_score_names_its_splits_and_its_n():
    score = inception_score(list(features(60, 10, 0)))
    assert score.n == 60
    assert len(score.series) == 10
    assert score.interval[0] < score.value < score.interval[1]
    assert "10 splits of seed 42" in score.reason
    assert "N = 60" in score.reason


def test_too_few_clips_have_no_inception_score():
    with pytest.raises(CannotMeasure, match="10 splits need 20 clips, got 19"):
        inception_score(list(features(19, 10, 0)))
