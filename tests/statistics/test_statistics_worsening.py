"""The rules of one gate as one family."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_vdb.statistics.exchangeable import sign_flip_intervals
from pytest_vdb.statistics.worsening import judge_family


def changes(*means: float, n: int = 40, spread: float = 0.03, seed: int = 1) -> list[list[float]]:
    generator = np.random.default_rng(seed)
    return [generator.normal(mean, spread, n).tolist() for mean in means]


def judgements(*arguments) -> list[str]:
    return [one.judgement for one in judge_family(*arguments)]


def test_each_rule_has_its_own_verdict_beside_its_own_margin():
    family = changes(0.06, -0.06, 0.0, 0.02)
    assert judgements(family, [0.02] * 4) == ["regressed", "improved", "equivalent", "inconclusive"]
    assert judgements(family, [0.2] * 4) == ["equivalent"] * 4
    assert judgements(family[:1], [0.0]) == ["regressed"]


def test_the_same_values_on_every_prompt_are_equivalent_without_any_margin():
    (one,) = judge_family([[0.0] * 3], [0.0])
    assert (one.judgement, one.identical, one.p) == ("equivalent", True, 1)


def test_a_family_of_one_is_not_corrected_and_a_larger_one_is():
    (only,) = judge_family(changes(0.01), [0.0])
    assert only.corrected == only.alone
    assert only.adjusted == only.p
    family = judge_family(changes(0.01, *[0.0] * 19), [0.0] * 20)
    assert family[0].adjusted == pytest.approx(20 * family[0].p)
    assert family[0].corrected[0] < family[0].alone[0] < family[0].alone[1] < family[0].corrected[1]


def test_what_holm_finds_lies_beyond_the_margin_and_what_he_does_not_does_not():
    generator = np.random.default_rng(2)
    for n in (9, 12, 40):
        family = changes(*generator.uniform(-0.05, 0.05, 60), n=n, seed=n)
        for one in judge_family(family, [0.01] * 60):
            beyond = one.judgement in {"regressed", "improved"}
            assert beyond == (one.adjusted < 0.05)


def test_rules_on_different_numbers_of_prompts_are_one_family():
    family = [*changes(0.06, n=40), *changes(0.06, n=7, seed=3), *changes(0.06, n=2, seed=4)]
    first, second, third = judge_family(family, [0.01] * 3)
    assert [one.judgement for one in (first, second, third)] == ["regressed", "inconclusive", "inconclusive"]
    assert second.alone == pytest.approx(tuple(sign_flip_intervals(np.array([family[1]]).T)[0]))
    assert third.alone == (-np.inf, np.inf)
    assert judge_family([], []) == ()


def test_a_gate_with_nothing_to_report_alarms_as_rarely_as_said():
    """100 gates of twenty rules on ten prompts: 5% and four standard errors."""
    generator = np.random.default_rng(5)
    alarms = 0
    for _ in range(100):
        sides = generator.lognormal(0, 1, (2, 20, 10))
        found = judgements((sides[0] - sides[1]).tolist(), [0.0] * 20)
        alarms += bool({"regressed", "improved"} & set(found))
    assert 0 < alarms <= 100 * 0.05 + 4 * np.sqrt(100 * 0.05 * 0.95)


def test_at_a_true_change_of_the_margin_it_is_called_equivalent_as_rarely_as_said():
    """2,000 rules of one change each: 2.5% and four standard errors."""
    family = changes(*[0.02] * 2_000, n=12, seed=6)
    shares = [one == "equivalent" for one in judgements(family, [0.02] * 2_000)]
    assert np.mean(shares) <= 0.025 + 4 * np.sqrt(0.025 * 0.975 / 2_000)
    assert any(shares)
