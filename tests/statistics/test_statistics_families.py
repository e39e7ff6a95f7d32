"""Holm and Benjamini-Hochberg: the published cases, scipy's, what has no p, and levels that say what Holm decides."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pytest_vdb.statistics.families import benjamini_hochberg, holm


def test_holm_matches_its_definition_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.9, 0.8]) == (1.0, 1.0)
    assert holm([]) == ()


def test_benjamini_hochberg_is_scipys():
    generator = np.random.default_rng(1)
    for count in (1, 2, 7, 40):
        p_values = [float(p) for p in generator.random(count) ** 2]
        assert benjamini_hochberg(p_values) == pytest.approx(stats.false_discovery_control(p_values))
    assert benjamini_hochberg([]) == ()


@pytest.mark.parametrize("correct", [holm, benjamini_hochberg])
def test_what_has_no_p_passes_through_and_does_not_count(correct):
    without = correct([0.01, 0.04, 0.03])
    assert correct([None, 0.01, 0.04, None, 0.03]) == (None, without[0], without[1], None, without[2])
    assert correct([None]) == (None,)


def test_no_correction_lowers_a_p_or_changes_the_order():
    generator = np.random.default_rng(2)
    for _ in range(50):
        p_values = [float(p) for p in generator.random(12) ** 3]
        by_holm, by_share = holm(p_values), benjamini_hochberg(p_values)
        for p, share, anywhere in zip(p_values, by_share, by_holm, strict=True):
            assert p <= share + 1e-15 <= anywhere + 2e-15
        order = np.argsort(p_values)
        assert (np.diff(np.array(by_holm)[order]) >= 0).all()
