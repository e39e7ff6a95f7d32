"""Evidence that may be looked at after every prompt: fair games, and how rarely who looks always is wrong."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from pytest_vdb.statistics.stopping import (
    anytime_p_values,
    evidence_beside_margins,
    symmetric_e_values,
)


def test_the_game_on_signs_is_fair_over_all_patterns_of_signs():
    magnitudes = np.array([0.5, 2.0, 0.1, 0.0, 7.0, 1.0, 0.3])
    patterns = np.array(list(product([-1, 1], repeat=7))).T
    after = symmetric_e_values(magnitudes[:, None] * patterns)
    assert after.mean(axis=1) == pytest.approx(1)


def test_nothing_is_staked_before_there_is_a_scale():
    after = symmetric_e_values(np.array([[0.0], [0.0], [5.0], [5.0]]))[:, 0]
    assert after[:3].tolist() == [1, 1, 1]
    assert after[3] > 1


def test_scale_changes_nothing_and_the_other_sign_is_no_evidence():
    differences = np.random.default_rng(1).normal(1, 1, (40, 3))
    assert symmetric_e_values(differences * 1e6) == pytest.approx(symmetric_e_values(differences))
    assert (symmetric_e_values(-differences)[-1] < 0.1).all()


def test_a_p_value_never_rises():
    p = anytime_p_values(symmetric_e_values(np.random.default_rng(2).normal(0.3, 1, (60, 20))))
    assert (np.diff(p, axis=0) <= 0).all()
    assert ((p > 0) & (p <= 1)).all()


@pytest.mark.parametrize("law", ["normal", "heavy", "failures"])
def test_who_looks_after_every_prompt_is_wrong_as_rarely_as_said(law):
    """2,000 runs of 100 prompts with nothing changed, stopped at the first alarm."""
    generator = np.random.default_rng(3)
    shape = (2, 100, 2_000)
    values = {
        "normal": lambda: generator.normal(0, 1, shape),
        "heavy": lambda: generator.standard_t(2, shape),
        "failures": lambda: generator.uniform(0.7, 0.9, shape) * (generator.random(shape) < 0.97),
    }[law]()
    assert (anytime_p_values(symmetric_e_values(values[0] - values[1]))[-1] <= 0.05).mean() <= 0.05


def test_a_difference_of_one_standard_deviation_saves_half_of_a_hundred_prompts():
    """Corrected for twenty rules by the strictest step of Holm."""
    differences = np.random.default_rng(4).normal(1, 1, (100, 500))
    p = anytime_p_values(symmetric_e_values(differences))
    needed = (p > 0.05 / 20).sum(axis=0) + 1
    assert needed.mean() < 50
    assert np.quantile(needed, 0.9) < 60


def beside(worse, margin: float, *, either: bool = False):
    columns = worse.shape[1]
    return evidence_beside_margins(worse, np.full(columns, margin), either=np.full(columns, either))


def test_values_that_are_the_same_lie_within_any_margin_after_seven_prompts():
    within = beside(np.zeros((10, 1)), 0.02).within[:, 0]
    assert within[5] < 20 <= within[6]
    assert beside(np.zeros((100, 1)), 0.0).within[-1, 0] == 0  # of no margin nothing can be shown


def test_evidence_beside_a_margin_never_falls_and_tells_the_sides_apart():
    noise = np.random.default_rng(6).normal(0, 1, (100, 3))
    shown = beside(noise + np.array([3.0, 0.0, -3.0]), 1.0)
    for side in (shown.beyond, shown.within, shown.better):
        assert (np.diff(side, axis=0) >= 0).all()
    assert [side[-1] > 1e3 for side in (shown.beyond[:, 0], shown.within[:, 1], shown.better[:, 2])] == [True] * 3
    assert (shown.beyond[-1, 1:] < 20).all()
    assert shown.within[-1, 0] < 20


def test_who_calls_either_direction_worse_divides_the_money():
    worse = np.random.default_rng(7).normal(2.0, 1, (50, 1))
    one, both = beside(worse, 0.5), beside(worse, 0.5, either=True)
    assert both.beyond[-1] == pytest.approx(one.beyond[-1] / 2, rel=0.01)
    assert beside(-worse, 0.5, either=True).beyond == pytest.approx(both.beyond)
    assert both.better[-1] == 0


def test_a_change_of_the_margin_itself_is_rarely_called_smaller_or_larger():
    worse = np.random.default_rng(8).normal(0.5, 1, (100, 2_000))
    shown = beside(worse, 0.5)
    assert (shown.within[-1] >= 20).mean() <= 0.05
    assert (shown.beyond[-1] >= 20).mean() <= 0.05


def test_a_change_that_consists_of_failures_in_a_tenth_of_the_prompts_is_rarely_called_smaller():
    generator = np.random.default_rng(10)
    worse = 6.7 * (generator.random((100, 2_000)) < 0.1) + generator.normal(0, 1, (100, 2_000))
    found = evidence_beside_margins(worse, np.full(2_000, 0.67), either=np.zeros(2_000, dtype=bool), least=29)
    assert (found.within[-1] >= 20).mean() < 0.07  # in 4.7% no failure is among the first 29
