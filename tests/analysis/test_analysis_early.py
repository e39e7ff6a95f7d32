"""A gate that may stop early: what settles a model, what holds it, and that the last word is the one that was said."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from sessions_alike import ENVIRONMENT

from pytest_vdb.analysis.early import Settled, Watch, obstacles
from pytest_vdb.analysis.gate import Verdict, judge
from pytest_vdb.analysis.pinned import saved_in_words
from pytest_vdb.analysis.rules import parse_rules
from pytest_vdb.records import DECIDED, Baseline, Failure, Measurement, Record, Run, pinned_order

HUNDRED = tuple(f"p{number}" for number in range(100))
NOW = Run(id="now", started_at="2026-01-02T00:00:00Z", environment=ENVIRONMENT, order=HUNDRED)
BEFORE = Run(id="before", started_at="2026-01-01T00:00:00Z", environment=ENVIRONMENT)
SPREAD = 0.03
COST: dict[str, Any] = {"unit": "s", "better": "lower", "kind": "performance"}


def record(prompt: str | None, model: str = "dim", **values: float | None) -> Record:
    def about(name: str) -> dict[str, Any]:
        return COST if name == "latency" else {"unit": "1", "better": "higher"}

    return Record(
        run="r",
        nodeid=f"test_generation.py::test_generation[{model}--{prompt}]",
        benchmark="test_generation.py::test_generation",
        model=model,
        status="passed",
        prompt=prompt,
        seed=None if prompt is None else 7,
        weights="hub",
        recipe_digest="r1",
        hardware="CPU",
        measurements=tuple(
            Measurement(name=name, value=value, reason=None if value is not None else "not a number", **about(name))
            for name, value in values.items()
        ),
    )


def night(change: float, *, model: str = "dim", noise: int = 1, **more: float) -> list[Record]:
    """A hundred prompts whose sharpness is .8, with what a night adds, less a change in spreads of the differences."""
    usual = 0.8 + 0.05 * np.random.default_rng(0).standard_normal(100)
    values = usual + SPREAD / np.sqrt(2) * np.random.default_rng(noise).standard_normal(100) - change * SPREAD
    return [record(p, model, sharpness=float(v), **more) for p, v in zip(HUNDRED, values, strict=True)]


def baseline(*nights: list[Record]) -> Baseline:
    return Baseline(run=BEFORE, records=tuple(one for of_model in nights for one in of_model))


def skipped(one: Record, reason: str) -> Record:
    return dataclasses.replace(one, status="skipped", measurements=(), failure=Failure(type=DECIDED, message=reason))


def lived(
    now: list[Record], before: Baseline, rules: str = "sharpness:-2%", *, order: list[int] | None = None
) -> tuple[list[Record], list[Settled]]:
    """A session's records, with those skipped that it found to be settled, in the order in which they finished."""
    watch = Watch(now, NOW, before, parse_rules(rules))
    records, settled = [], []
    for place in order or range(len(now)):
        reason = next((one.reason for one in settled if one.model == now[place].model), None)
        records.append(now[place] if reason is None else skipped(now[place], reason))
        settled += watch.hear(records[-1])
    return records, settled


def verdicts(records: list[Record], before: Baseline, rules: str = "sharpness:-2%") -> tuple[Verdict, ...]:
    return judge(records, NOW, before, parse_rules(rules))


def test_a_regression_of_one_spread_beyond_its_margin_ends_its_model_and_stays_the_last_word():
    before = baseline(night(0, noise=2))
    records, (settled,) = lived(night(1.6), before)
    (verdict,) = verdicts(records, before)
    assert (verdict.outcome, verdict.planned) == ("regressed", 100)
    assert verdict.n < 50
    assert settled.reason.startswith(f"decided: sharpness of dim regressed after {verdict.n} of 100 prompts (e-value ")
    assert f"over {verdict.n} of 100 prompts; e-value" in verdict.reason
    assert sum(one.is_spared for one in records) == 100 - verdict.n
    assert saved_in_words(NOW, records) == f"stopped when decided: {100 - verdict.n} of 100 generations saved " + (
        f"({100 - verdict.n}%)"
    )


def test_the_very_same_values_pass_after_twenty_nine_prompts_and_wait_for_all_of_fewer():
    same = night(0)
    records, (settled,) = lived(same, baseline(same))
    assert "sharpness of dim is equivalent after 29 of 100 prompts" in settled.reason
    assert [one.outcome for one in verdicts(records, baseline(same))] == ["equivalent"]
    assert lived(same[:20], baseline(same[:20])) == (same[:20], [])
    assert [one.outcome for one in verdicts(same[:20], baseline(same[:20]))] == ["equivalent"]


def test_what_no_bet_decides_is_measured_to_the_end_and_inconclusive():
    before = baseline(night(0, noise=2))
    records, settled = lived(night(0.5), before, "sharpness:-1%")
    assert (records, settled) == (night(0.5), [])
    (verdict,) = verdicts(records, before, "sharpness:-1%")
    assert verdict.outcome == "inconclusive"
    assert "the bets tell neither" in verdict.reason


def test_a_run_that_might_have_stopped_is_judged_by_bets_although_it_did_not():
    """Sign-flips of all prompts would have found it; whoever might have stopped must not look at both."""
    before, now = baseline(night(0, noise=2)), night(0.22)
    (by_bets,) = verdicts(now, before, "sharpness:-0%")
    (once,) = judge(now, dataclasses.replace(NOW, order=()), before, parse_rules("sharpness:-0%"))
    assert (by_bets.outcome, once.outcome) == ("inconclusive", "regressed")
    assert by_bets.level == pytest.approx(0.035)
    assert once.level is once.e_value is once.planned is None


def test_a_run_beside_a_baseline_that_was_stopped_is_judged_by_bets():
    stopped = Baseline(run=NOW, records=tuple(night(0, noise=2)[:40]))
    (verdict,) = judge(night(1.6), dataclasses.replace(NOW, order=()), stopped, parse_rules("sharpness:-2%"))
    assert (verdict.outcome, verdict.n, verdict.level) == ("regressed", 40, pytest.approx(0.035))


def test_a_baseline_that_was_stopped_in_another_order_takes_nothing_but_its_own_prompts_away():
    order = tuple(reversed(HUNDRED))
    records = [one if place < 60 else skipped(one, "decided") for place, one in enumerate(night(0, noise=2)[::-1])]
    stopped = Baseline(run=dataclasses.replace(NOW, order=order), records=tuple(records))
    (verdict,) = verdicts(night(1.6), stopped)
    assert (verdict.outcome, verdict.n, verdict.planned) == ("regressed", 60, 60)


def test_prompts_count_in_their_order_and_wait_for_those_that_are_not_finished():
    before, now = baseline(night(0, noise=2)), night(1.6)
    watch = Watch(now, NOW, before, parse_rules("sharpness:-2%"))
    assert [watch.hear(one) for one in now[1:60]] == [[]] * 59
    assert watch.hear(now[0])[0].reason.startswith("decided: sharpness of dim regressed after 60 of 100")


def test_what_was_measured_beyond_the_first_prompt_that_was_spared_is_no_evidence():
    before, now = baseline(night(0, noise=2)), night(1.6)
    records, _ = lived(now, before)
    n = sum(not one.is_spared for one in records)
    wild = [*records[: n + 3], record(HUNDRED[n + 3], sharpness=50.0), *records[n + 4 :]]
    assert verdicts(wild, before) == verdicts(records, before)


def test_a_rule_that_is_not_decided_holds_all_tests_of_its_model_and_no_other():
    before = baseline(night(0, noise=2, depth=0.5)[:50], night(0, model="same", noise=2, depth=0.5)[:50])
    undecided = [
        record(one.prompt, sharpness=one.measurements[0].value, depth=depth)
        for one, depth in zip(night(1.6)[:50], [0.4, 0.6] * 25, strict=True)
    ]
    other = night(1.6, model="same", depth=0.5)[:50]
    _, settled = lived([*undecided, *other], before, "sharpness:-2%,depth:-2%")
    assert [one.model for one in settled] == ["same"]
    assert settled[0].reason.endswith(", and 1 other rule")


def test_a_prompt_without_a_value_holds_its_model_until_that_regressed():
    before = baseline(night(0, noise=2))
    crashed = dataclasses.replace(night(0, noise=2)[3], status="crashed", measurements=())
    same = [*night(0, noise=2)[:3], crashed, *night(0, noise=2)[4:]]
    assert lived(same, before)[1] == []
    assert [one.outcome for one in verdicts(same, before)] == ["missing"]
    not_a_number = [*night(1.6)[:3], record("p3", sharpness=float("nan")), *night(1.6)[4:]]
    records, settled = lived(not_a_number, before)
    assert "regressed" in settled[0].reason
    assert [one.outcome for one in verdicts(records, before)] == ["regressed"]


def test_a_model_that_the_baseline_does_not_know_is_measured_to_the_end():
    before = baseline(night(0, model="other", noise=2))
    assert lived(night(1.6), before)[1] == []


def test_metrics_of_all_clips_hold_their_models_and_are_named():
    of_set = dataclasses.replace(record(None, fvd=400.0), nodeid="vdb-sets::dim", seed=None)
    before = baseline([*night(0, noise=2), of_set], night(0, model="same", noise=2))
    rules = "sharpness:-2%,fvd@dim:+5%"
    assert obstacles(parse_rules(rules), before) == (
        "cannot stop early because of fvd@dim:+5%: fvd is measured of all clips of a model at once",
    )
    _, settled = lived([*night(1.6), *night(1.6, model="same")], before, rules)
    assert [one.model for one in settled] == ["same"]


def test_costs_alone_decide_nothing_and_beside_prompts_have_ten():
    before = baseline(night(0, noise=2, latency=1.0))
    slow = night(20, latency=9.0)
    assert obstacles(parse_rules("latency:+10%"), before) == (
        "cannot stop early because of latency:+10%: a cost is judged by sessions, and no rule asks prompts",
    )
    assert lived(slow, before, "latency:+10%")[1] == []
    rules = "sharpness:-2%,latency:+10%"
    assert obstacles(parse_rules(rules), before) == ()
    records, (settled,) = lived(slow, before, rules)
    assert "after 10 of 100 prompts" in settled.reason
    told = {one.metric: one for one in verdicts(records, before, rules)}
    assert {name: one.outcome for name, one in told.items()} == {"sharpness": "regressed", "latency": "regressed"}
    assert "over 10 of 100 prompts" in told["latency"].reason


def test_every_sample_of_a_prompt_is_waited_for():
    first, second = (
        [dataclasses.replace(one, seed=seed, sample_index=seed, nodeid=f"{one.nodeid}-s{seed}") for one in night(2.5)]
        for seed in (0, 1)
    )
    usual = [dataclasses.replace(one, seed=s) for s in (0, 1) for one in night(0, noise=2)]
    watch = Watch([*first, *second], NOW, baseline(usual), parse_rules("sharpness:-2%"))
    assert not any(watch.hear(one) for one in first)
    reasons = [settled.reason for one in second for settled in watch.hear(one)]
    assert len(reasons) == 1
    assert "regressed" in reasons[0]


def test_a_margin_is_a_share_of_the_whole_baseline_however_many_prompts_were_seen():
    before = baseline(night(0, noise=2))
    records, _ = lived(night(1.6), before)
    (stopped,), (whole,) = verdicts(records, before), verdicts(night(1.6), before)
    assert stopped.margin == pytest.approx(whole.margin, rel=1e-9)


@pytest.mark.parametrize("change", [0.0, 1.8])
def test_the_last_word_is_what_was_said_in_whatever_order_workers_finish(change):
    rng = np.random.default_rng(11)
    before = baseline(night(0, noise=2, depth=0.5))
    order = sorted(range(100), key=lambda place: place + rng.integers(0, 3))
    rules = "sharpness:-5%,depth:-2%"
    records, (settled,) = lived(night(change, depth=0.5), before, rules, order=order)
    told = {one.metric: one.outcome for one in verdicts(records, before, rules)}
    assert told == {"sharpness": "regressed" if change > 1.5 else "equivalent", "depth": "equivalent"}
    assert any(f"{metric} of dim" in settled.reason and outcome in settled.reason for metric, outcome in told.items())


def test_nothing_changed_alarms_rarely_whoever_looks_after_every_prompt():
    """Thirty gates of five rules, margin 0: at 3.5% one is to be expected, and five in fewer than 1 of 200 tries."""
    rng = np.random.default_rng(9)
    rules = ",".join(f"m{number}:-0%" for number in range(5))
    alarms = 0
    for _ in range(30):
        before, now = (
            [record(p, **{f"m{k}": float(v) for k, v in enumerate(rng.normal(0.8, SPREAD, 5))}) for p in HUNDRED[:30]]
            for _ in range(2)
        )
        alarms += any(one.outcome == "regressed" for one in verdicts(now, baseline(before), rules))
    assert alarms < 5


def test_the_order_is_random_pinned_and_all_of_the_suite():
    order = pinned_order(HUNDRED, 0, "suite")
    assert sorted(order) == sorted(HUNDRED)
    assert order == pinned_order(reversed(HUNDRED), 0, "suite") != HUNDRED
    assert len({order, pinned_order(HUNDRED, 1, "suite"), pinned_order(HUNDRED, 0, "another")}) == 3
