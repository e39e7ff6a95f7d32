"""From evidence to verdicts: what chance alone does, what figures without noise do, and published runs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_vdb.analysis.decisions import Evidence, Swapping, decide, error_of_sets, evidence_of_cost


def of_prompts(values, margin: float = 0.02, **more) -> Evidence:
    return Evidence(way="prompts", margin=margin, worse={f"p{i}": float(v) for i, v in enumerate(values)}, **more)


def decisions(*evidence: Evidence) -> list[str]:
    return [one.decision for one in decide(evidence)]


def test_two_published_runs_within_each_others_noise_decide_nothing_and_say_how_many_would():
    """MLPerf v6.0: one system's two runs lie .77 apart, the margin is .705, one run's standard deviation is .24."""
    error = math.sqrt(2) * 0.24
    (found,) = decide([Evidence(way="sets", margin=0.705, worse={None: 70.6549 - 69.8883}, error=error)])
    assert found.decision == "inconclusive"
    assert found.remark == "about 188 times as many clips would tell"


def test_the_intervals_of_two_sets_give_the_error_of_their_difference():
    assert error_of_sets((90, 110), (140, 160)) == pytest.approx(math.sqrt(2) * 10 / 1.96, rel=1e-3)
    assert error_of_sets((90, 110), None) is None


@pytest.mark.parametrize(("either", "least"), [(False, 5), (True, 6)])
def test_five_prompts_are_the_least_whose_swaps_show_what_got_worse_and_six_what_changed(either, least):
    def of_set(prompts: int) -> Evidence:
        swapping = Swapping(prompts, lambda _: 2.0 ** (1 - prompts))  # the most extreme arrangement that there is
        return Evidence(
            way="sets", margin=0.1, worse={None: 9.0}, error=0.1, degrees=9, swapping=swapping, either=either
        )

    found = decide([of_set(least - 1)])[0]
    said = f"the clips of {least - 1} prompts cannot show it, those of {least} could"
    assert (found.decision, found.remark) == ("inconclusive", said)
    assert decisions(of_set(least)) == ["regressed"]


def test_the_ways_of_asking_share_one_error_rate():
    """A cost that is surprising at 1 in 50 regresses where it alone is asked for, and not beside prompts."""
    cost = evidence_of_cost(2.15, [1.0], margin=0.0, lower_is_better=True, exact=False)
    assert decisions(cost) == ["regressed"]
    assert decisions(cost, of_prompts(np.zeros(6) + 0.001)) == ["inconclusive", "equivalent"]


def test_more_frames_per_second_are_better():
    history = [10.0, 10.1, 9.9, 10.05, 9.95, 10.0]

    def rate(now: float) -> list[str]:
        return decisions(evidence_of_cost(now, history, margin=0.5, lower_is_better=False, exact=False))

    assert [*rate(8.0), *rate(10.0), *rate(13.0)] == ["regressed", "equivalent", "improved"]


def test_a_cost_of_nothing_has_no_ratio():
    (found,) = decide([evidence_of_cost(0.0, [1.0], margin=0.1, lower_is_better=True, exact=False)])
    assert (found.decision, bool(found.remark)) == ("inconclusive", True)


def test_rules_that_ask_different_prompts_are_one_family():
    found = decide([of_prompts([0.9] * 8), of_prompts([0.9] * 3), of_prompts([0.001, -0.001] * 4)])
    assert [one.decision for one in found] == ["regressed", "inconclusive", "equivalent"]
    assert "3 prompts cannot show it" in found[1].remark


def test_nothing_asked_is_nothing_decided():
    assert decide([]) == ()


@pytest.mark.slow
@pytest.mark.parametrize("margin", [0.0, 0.02])
def test_a_gate_of_twenty_rules_of_which_nothing_changed_alarms_in_one_of_twenty_runs(margin):
    """Skewed samples of prompts that differ, averaged: three standard errors above 5% are allowed."""
    rng, alarms, runs = np.random.default_rng(17), 0, 60
    for _ in range(runs):
        prompt = rng.normal(size=(20, 1, 8))
        sides = [(rng.lognormal(size=(20, 4, 8)) + prompt).mean(axis=1) for _ in range(2)]
        alarms += "regressed" in decisions(*(of_prompts(worse, margin) for worse in sides[1] - sides[0]))
    assert alarms / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


@pytest.mark.slow
def test_a_change_of_the_margin_is_rarely_called_equivalent():
    rng, runs = np.random.default_rng(18), 300
    found = decisions(*(of_prompts(rng.normal(0.02, 0.03, 12)) for _ in range(runs)))
    assert found.count("equivalent") / runs <= 0.05


@pytest.mark.slow
def test_a_change_of_one_percent_is_seen_on_a_hundred_prompts():
    rng, runs = np.random.default_rng(19), 100
    seen = [decisions(of_prompts(rng.normal(0.01, 0.03, 100), margin=0.0)) == ["regressed"] for _ in range(runs)]
    assert np.mean(seen) >= 0.9
