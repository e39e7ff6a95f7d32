"""What the gate says: when it fails, when it passes, and that it never passes silently."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from sessions_alike import ENVIRONMENT

from pytest_vdb.analysis.gate import Verdict, exit_code, judge
from pytest_vdb.analysis.rules import Rule, check_names, parse_rules
from pytest_vdb.errors import OptionError, UnknownName
from pytest_vdb.records import Baseline, Failure, Measurement, Record, Run

NOW = Run(id="run-now", started_at="2026-01-02T00:00:00Z", environment=ENVIRONMENT)
BEFORE = Run(id="run-before", started_at="2026-01-01T00:00:00Z", environment=ENVIRONMENT)


def asked(model: str, values: list[float | None], *, metric: str = "sharpness", **more: Any) -> list[Record]:
    """One record per value: prompts p0, p1, ..."""
    about: dict[str, Any] = {"unit": "1", "better": "higher"}
    if metric == "latency":
        about = {"unit": "s", "better": "lower", "kind": "performance"}
    about |= more.pop("about", {})
    records = []
    for index, value in enumerate(values):
        reason = "the weights are absent" if value is None else None
        known: dict[str, Any] = {
            "run": "r",
            "nodeid": f"test_generation[{model}-p{index}]",
            "benchmark": "test_generation",
            "status": "passed",
            "prompt": f"p{index}",
            "seed": 100 + index,
            "weights": "hub",
            "recipe_digest": "r1",
            "recipe": {"frames": 17},
            "hardware": "CPU",
            "measurements": (Measurement(name=metric, value=value, reason=reason, **about),),
        }
        records.append(Record(**known | {"model": model} | more))
    return records


def judged(
    now: list[Record], before: list[Record], rules: str = "sharpness:-2%", history: list[list[Record]] | None = None
) -> tuple[Verdict, ...]:
    earlier = tuple(Baseline(run=BEFORE, records=tuple(records)) for records in history or ())
    return judge(now, NOW, Baseline(run=BEFORE, records=tuple(before), history=earlier), parse_rules(rules))


def one(
    now: list[Record], before: list[Record], rules: str = "sharpness:-2%", history: list[list[Record]] | None = None
) -> Verdict:
    (verdict,) = judged(now, before, rules, history)
    return verdict


def outcome(now: list[Record], before: list[Record], rules: str = "sharpness:-2%") -> str:
    return one(now, before, rules).outcome


VALUES = [0.50, 0.52, 0.48, 0.51, 0.47, 0.55, 0.49, 0.50]


def scaled(factor: float) -> list[float | None]:
    return [value * factor for value in VALUES]


# rules


def test_a_rule_is_a_percentage_or_an_absolute_figure():
    assert parse_rules("clip_similarity:-2%, latency:+10%,vbench.motion:-0.02,x:±5%\n y:3") == (
        Rule(metric="clip_similarity", relative=0.02, sign="-"),
        Rule(metric="latency", relative=0.1, sign="+"),
        Rule(metric="vbench.motion", absolute=0.02, sign="-"),
        Rule(metric="x", relative=0.05),
        Rule(metric="y", absolute=3),
    )
    assert parse_rules({"latency": "+10%"}) == parse_rules("latency:+10%")
    assert parse_rules("") == ()
    assert str(parse_rules("latency:+10%")[0]) == "latency:+10%"


def test_a_rule_may_ask_for_both_limits_and_speak_of_some_models():
    (rule,) = parse_rules("vbench.* @ wan*: +10% & 0.5s")
    assert rule == Rule(metric="vbench.*", model="wan*", relative=0.1, absolute=0.5, unit="s", sign="+")
    assert str(rule) == "vbench.*@wan*:+10%&0.5s"
    assert rule.margin(2.0, kind="performance", unit="s") == 0.5
    assert rule.margin(8.0, kind="performance", unit="s") == 0.8


def test_a_cost_has_a_floor():
    (rule,) = parse_rules("load_time:+10%")
    assert rule.margin(1e-5, kind="performance", unit="s") == 0.005
    assert rule.margin(1e-5, kind="quality", unit="s") == pytest.approx(1e-6)


def test_an_absolute_limit_of_the_rules_own_counts_in_the_place_of_the_floor():
    (rule,) = parse_rules("latency:+2%&0.0005s")
    assert rule.margin(0.05, kind="performance", unit="s") == pytest.approx(0.001)
    assert rule.margin(1e-5, kind="performance", unit="s") == 0.0005


@pytest.mark.parametrize(
    "text",
    ["latency", "latency:", ":5%", "latency:ten", "latency:5%%", "a:--2", "a:+1%&-2", "a:1%&2%", "a:1&2", "a:1%&2&3"],
)
def test_what_is_no_rule_is_refused_with_where_and_how_to_write_one(text):
    with pytest.raises(OptionError, match=r"--vdb-fail-on: [\s\S]*(METRIC:MARGIN|percentage)"):
        parse_rules(text)


# figures


def test_a_drop_beyond_the_margin_is_a_regression_with_its_figures():
    verdict = one(asked("a", scaled(0.95)), asked("a", VALUES))
    assert (verdict.outcome, verdict.fails(), verdict.n) == ("regressed", True, 8)
    assert verdict.reason == "sharpness of a: 0.5025 -> 0.4774 (-5.0%; allowed -2%) over 8 prompts"
    assert verdict.baseline_mean == pytest.approx(0.5025)
    assert verdict.mean == pytest.approx(0.5025 * 0.95)
    assert verdict.p == 1 / 2**8


def test_the_same_values_are_equivalent_and_pass():
    verdict = one(asked("a", VALUES), asked("a", VALUES))
    assert (verdict.outcome, verdict.fails()) == ("equivalent", False)
    assert outcome(asked("a", [0.5]), asked("a", [0.5])) == "equivalent"


def test_a_change_of_exactly_the_margin_is_no_regression():
    assert outcome(asked("a", [0.98] * 8), asked("a", [1.0] * 8)) == "equivalent"


def test_a_small_change_is_within_the_margin():
    assert outcome(asked("a", scaled(0.999)), asked("a", VALUES)) == "equivalent"


def test_a_rise_beyond_the_margin_is_an_improvement():
    verdict = one(asked("a", scaled(1.05)), asked("a", VALUES))
    assert (verdict.outcome, verdict.fails()) == ("improved", False)


def test_a_mean_within_the_margin_that_may_be_chance_passes_unless_the_user_is_strict():
    verdict = one(asked("a", [value + (-1) ** i * 0.1 for i, value in enumerate(VALUES)]), asked("a", VALUES))
    assert (verdict.outcome, verdict.fails(), verdict.fails(strict=True)) == ("inconclusive", False, True)
    assert verdict.needed == 700
    assert "too few to tell; about 700 prompts would" in verdict.reason


def test_a_mean_far_beyond_the_margin_over_few_prompts_says_how_many_could_tell():
    verdict = one(asked("a", [0.3, 0.4, 0.35]), asked("a", [0.5, 0.5, 0.5]))
    assert verdict.outcome == "inconclusive"
    assert "3 prompts cannot show it, 6 could" in verdict.reason


def test_the_samples_of_a_prompt_are_one():
    now, before = (
        [r for sample in range(8) for r in asked("a", [v, v, v], sample_index=sample, seed=sample)] for v in (0.4, 0.5)
    )
    assert one(now, before).n == 3
    assert outcome(now, before) == "inconclusive"


def test_an_absolute_margin_is_in_the_metrics_unit():
    now, before = asked("a", [0.47] * 8), asked("a", [0.5] * 8)
    assert outcome(now, before, "sharpness:-0.02") == "regressed"
    assert outcome(now, before, "sharpness:-0.02&10%") == "equivalent"
    assert outcome(asked("a", [0.49, 0.48] * 4), before, "sharpness:-0.04") == "equivalent"


def test_a_limit_in_another_unit_is_refused():
    verdict = one(asked("a", [1.0], metric="latency"), asked("a", [1.0], metric="latency"), "latency:+500ms")
    assert (verdict.outcome, verdict.fails()) == ("incomparable", True)
    assert "latency is in s, not in ms" in verdict.reason


# costs


def test_one_earlier_session_is_not_trusted():
    before = asked("a", [1.0] * 6, metric="latency")
    verdict = one(asked("a", [1.2] * 6, metric="latency"), before, "latency:+10%")
    assert verdict.outcome == "inconclusive"
    assert "history:10" in verdict.reason
    assert outcome(asked("a", [9.0] * 6, metric="latency"), before, "latency:+10%") == "regressed"


@pytest.mark.parametrize(("commit", "told"), [("0123456789abcdef", "0123456789"), (None, "REF")])
def test_what_one_earlier_session_cannot_tell_names_the_command_that_can(commit, told):
    now, before = (asked("a", [seconds] * 6, metric="latency") for seconds in (1.2, 1.0))
    run = dataclasses.replace(BEFORE, environment=dataclasses.replace(ENVIRONMENT, git_commit=commit))
    (verdict,) = judge(now, NOW, Baseline(run=run, records=tuple(before)), parse_rules("latency:+10%"))
    assert f"run both in turns (vdb ab --ref {told}), or give --vdb-baseline=history:10" in verdict.reason


def test_many_sessions_that_cannot_tell_name_it_too():
    sessions = [asked("a", [value] * 6, metric="latency") for value in (1.01, 0.99, 1.0, 1.02, 0.98, 1.0, 1.01)]
    now = asked("a", [1.12] * 6, metric="latency")
    reason = one(now, sessions[0], "latency:+10%", sessions[1:]).reason
    assert "within what earlier sessions differ by: run both in turns (vdb ab --ref REF)" in reason


def test_many_sessions_show_how_much_sessions_differ():
    sessions = [asked("a", [value] * 6, metric="latency") for value in (1.01, 0.99, 1.0, 1.02, 0.98, 1.0, 1.01)]

    def now(value: float) -> Verdict:
        return one(asked("a", [value] * 6, metric="latency"), sessions[0], "latency:+10%", sessions[1:])

    assert now(1.3).outcome == "regressed"
    assert now(1.12).outcome == "inconclusive"
    assert now(1.01).outcome == "equivalent"
    assert now(0.7).outcome == "improved"
    assert "1.000 -> 1.300 (+30.0%; allowed +10%) after 7 sessions" in now(1.3).reason


def test_one_slow_prompt_of_a_session_moves_no_median():
    sessions = [asked("a", [value] * 6, metric="latency") for value in (1.01, 0.99, 1.0, 1.02, 0.98, 1.0, 1.01)]
    now = asked("a", [1.0] * 5 + [30.0], metric="latency")
    assert one(now, sessions[0], "latency:+10%", sessions[1:]).outcome == "equivalent"


def test_what_the_allocator_counts_has_no_noise():
    about = {"unit": "MiB", "better": "lower", "kind": "performance"}
    now, before = (asked("a", [value] * 2, metric="peak_memory_allocated", about=about) for value in (1200, 1000))
    assert outcome(now, before, "peak_memory_allocated:+10%") == "regressed"
    assert outcome(before, now, "peak_memory_allocated:+10%") == "improved"
    assert outcome(now, before, "peak_memory_allocated:+30%") == "equivalent"


def test_a_cost_of_microseconds_alarms_nobody():
    now, before = (asked("a", [value] * 6, metric="latency") for value in (1e-3, 1e-5))
    assert "at least 0.005 s" in one(now, before, "latency:+10%").reason
    assert outcome(now, before, "latency:+10%") != "regressed"


# sets


def test_a_set_has_one_value_and_its_interval_tells_how_sure_it_is():
    def of_set(value: float, half: float | None) -> list[Record]:
        interval = None if half is None else (value - half, value + half)
        measured = Measurement(name="fvd", value=value, unit="1", better="lower", n=64, interval=interval)
        (record,) = asked("a", [0.0], prompt=None, seed=None)
        return [dataclasses.replace(record, measurements=(measured,))]

    assert outcome(of_set(150, 10), of_set(100, 10), "fvd:+10%") == "regressed"
    assert outcome(of_set(115, 10), of_set(100, 10), "fvd:+10%") == "inconclusive"
    assert outcome(of_set(101, 2), of_set(100, 2), "fvd:+10%") == "equivalent"
    assert outcome(of_set(100, None), of_set(100, None), "fvd:+10%") == "equivalent"
    assert "nothing says how sure they are" in one(of_set(150, None), of_set(100, 10), "fvd:+10%").reason


def test_a_relative_margin_of_a_mean_of_zero_is_said_to_be_nothing():
    assert outcome(asked("a", [0.1]), asked("a", [0.0])) == "incomparable"
    assert outcome(asked("a", [0.0]), asked("a", [0.0])) == "equivalent"
    assert outcome(asked("a", [0.0] * 8), asked("a", [0.1] * 8), "sharpness:-0.05") == "regressed"


def test_the_pairs_are_compared_and_not_the_means_of_different_prompts():
    """The baseline had two easy prompts that this run does not have: its pairs are the same, but they are missing."""
    verdict = one(asked("a", [0.1, 0.1]), asked("a", [0.1, 0.1, 0.9, 0.9]))
    assert verdict.outcome == "missing"
    assert (verdict.mean, verdict.baseline_mean, verdict.n) == (0.1, 0.1, 2)


def test_a_neutral_metric_takes_its_direction_from_the_rule():
    neutral = {"better": "neutral"}
    now, before = asked("a", [0.6] * 8, about=neutral), asked("a", [0.5] * 8, about=neutral)
    assert outcome(now, before, "sharpness:-10%") == "improved"
    assert outcome(now, before, "sharpness:+10%") == "regressed"
    assert outcome(now, before, "sharpness:10%") == "regressed"
    assert outcome(before, now, "sharpness:10%") == "regressed"
    near = asked("a", [0.51, 0.49] * 4, about=neutral)
    assert outcome(near, before, "sharpness:10%") == "equivalent"


def test_a_sign_that_contradicts_the_metric_is_refused_with_the_right_one():
    verdict = one(asked("a", VALUES), asked("a", VALUES), "sharpness:+2%")
    assert verdict.fails()
    assert "write sharpness:-2%" in verdict.reason


# what is missing


def test_a_typo_in_the_metric_fails_with_the_near_miss():
    verdict = one(asked("a", VALUES), asked("a", VALUES), "sharpnes:-2%")
    assert (verdict.outcome, verdict.fails(), verdict.model) == ("missing", True, "every model")
    assert "did you mean 'sharpness'?" in verdict.reason


def test_a_model_on_one_side_only_fails():
    gone, new = judged(asked("new", VALUES), asked("gone", VALUES))
    assert (gone.model, gone.outcome) == ("gone", "missing")
    assert "not in this run (run-now)" in gone.reason
    assert (new.model, new.fails()) == ("new", True)
    assert "save a new one" in new.reason


def test_an_empty_run_and_an_empty_baseline_fail():
    assert one([], asked("a", VALUES)).fails()
    assert one(asked("a", VALUES), []).fails()
    assert one([], []).fails()


def test_a_crashed_test_fails_the_gate_even_if_the_others_are_better():
    now = asked("a", scaled(1.5))
    crash = Failure(type="WorkerCrashed", message="signal 9")
    now[1] = asked("a", VALUES, status="crashed", measurements=(), failure=crash)[1]
    verdict = one(now, asked("a", VALUES))
    assert (verdict.outcome, verdict.fails(), verdict.n) == ("missing", True, 7)
    assert "1 of the baseline's 8 (prompt, seed) pairs has no value now" in verdict.reason
    assert "(crashed: WorkerCrashed: signal 9)" in verdict.reason


def test_a_model_that_crashed_on_load_says_why_though_its_recipe_is_unknown():
    failure = Failure(type="OSError", message="no such file")
    unknown = {"weights": None, "recipe_digest": None, "hardware": None, "seed": None, "recipe": {}}
    now = asked("a", VALUES, status="failed", measurements=(), failure=failure, **unknown)
    verdict = one(now, asked("a", VALUES))
    assert verdict.outcome == "missing"
    assert "failed: OSError: no such file" in verdict.reason


def test_a_value_that_was_not_measured_fails_with_its_reason():
    verdict = one(asked("a", [None] * 8), asked("a", VALUES))
    assert (verdict.outcome, verdict.fails()) == ("missing", True)
    assert "the weights are absent" in verdict.reason
    assert one(asked("a", VALUES), asked("a", [None] * 8)).outcome == "missing"


def test_other_seeds_share_no_pair():
    verdict = one(asked("a", VALUES, seed=7), asked("a", VALUES))
    assert verdict.outcome == "missing"
    assert "another --vdb-seed" in verdict.reason


def test_the_timing_of_a_reused_clip_is_no_timing():
    now = asked("a", [0.01] * 3, metric="latency", reused_from="run-0")
    verdict = one(now, asked("a", [1.0] * 3, metric="latency"), "latency:+10%")
    assert verdict.outcome == "missing"
    assert "cache" in verdict.reason


# what cannot be compared


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"recipe_digest": "r2", "recipe": {"frames": 9}}, "another recipe: frames=17 (now 9)"),
        ({"weights": "tiny"}, "other weights: hub (now tiny)"),
        ({"about": {"version": "2"}}, "the metric's version is 2, in the baseline 1"),
        ({"about": {"better": "lower"}}, "direction"),
        ({"about": {"wiring": True}}, "proof of the wiring"),
    ],
)
def test_what_differs_is_named_and_fails(change, words):
    verdict = one(asked("a", VALUES, **change), asked("a", VALUES))
    assert (verdict.outcome, verdict.fails()) == ("incomparable", True)
    assert words in verdict.reason


def test_performance_is_only_compared_on_the_same_hardware():
    now = asked("a", [1.0] * 3, metric="latency", hardware="H100")
    verdict = one(now, asked("a", [1.0] * 3, metric="latency"), "latency:+10%")
    assert (verdict.outcome, verdict.fails()) == ("incomparable", True)
    assert "measured on H100, the baseline on CPU" in verdict.reason


def test_quality_on_other_hardware_is_compared_and_said():
    verdict = one(asked("a", VALUES, hardware="H100"), asked("a", VALUES))
    assert verdict.outcome == "equivalent"
    assert "on H100, the baseline on CPU" in verdict.reason


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("sharpness", [1.7e308, -1.7e308, 1e200])
def test_values_beyond_all_measure_are_refused_and_not_squared(sharpness):
    verdict = one(asked("a", [sharpness, 0.0] * 4), asked("a", [-sharpness, 0.0] * 4), "sharpness:-1")
    assert (verdict.outcome, verdict.fails()) == ("incomparable", True)
    assert "by more than can be computed with" in verdict.reason


def test_a_prompt_with_another_text_is_another_prompt():
    verdict = one(asked("a", VALUES, prompt_text="a cat"), asked("a", VALUES, prompt_text="a dog"))
    assert verdict.outcome == "incomparable"


def test_what_is_measured_once_per_model_is_compared_though_another_prompt_came_first():
    now, before = asked("a", [3.0] * 3, metric="latency"), asked("a", [2.0] * 3, metric="latency")
    now = [dataclasses.replace(record, measurements=()) if i != 2 else record for i, record in enumerate(now)]
    before = [dataclasses.replace(record, measurements=()) if i != 0 else record for i, record in enumerate(before)]
    verdict = one(now, before, "latency:+10%")
    assert (verdict.outcome, verdict.n, verdict.baseline_mean, verdict.mean) == ("inconclusive", 1, 2, 3)


# several


def test_every_rule_judges_every_model_that_measures_its_metric():
    now = asked("a", VALUES) + asked("b", scaled(0.5)) + asked("c", [1.0] * 2, metric="latency", benchmark="efficiency")
    before = asked("a", VALUES) + asked("b", VALUES) + asked("c", [1.0] * 2, metric="latency", benchmark="efficiency")
    verdicts = judged(now, before, "sharpness:-2%,latency:+10%")
    assert [(v.metric, v.model, v.outcome) for v in verdicts] == [
        ("sharpness", "a", "equivalent"),
        ("sharpness", "b", "regressed"),
        ("latency", "c", "equivalent"),
    ]


def test_two_recipes_of_one_model_are_judged_apart():
    other = {"recipe_digest": "r2", "recipe": {"frames": 9}}
    both = asked("a", VALUES) + asked("a", [0.9] * 4, nodeid="x", **other)
    assert [v.outcome for v in judged(both[:9], both[:9])] == ["equivalent", "equivalent"]
    assert [v.outcome for v in judged(both[:8], both[:9])] == ["equivalent", "missing"]
    assert [v.outcome for v in judged(both[:9], both[:8])] == ["equivalent", "missing"]


def test_all_tests_of_one_parameter_that_are_gone_do_not_pass():
    before = asked("a", VALUES, parameters={"strength": "0.1"}) + asked("a", VALUES, parameters={"strength": "0.9"})
    verdict = one(asked("a", VALUES, parameters={"strength": "0.1"}), before)
    assert verdict.outcome == "missing"
    assert "8 of the baseline's 16" in verdict.reason


def test_values_of_different_parameters_are_never_paired():
    before = asked("a", VALUES, parameters={"strength": "0.1"})
    assert one(asked("a", VALUES, parameters={"strength": "0.9"}), before).outcome == "missing"


# benchmarks and figures


def test_a_baseline_of_an_earlier_version_knows_the_function_alone():
    now = asked("a", scaled(1), benchmark="benchmarks/test_generation.py::test_generation")
    assert one(now, asked("a", scaled(1))).outcome == "equivalent"


def test_two_benchmarks_of_one_function_are_judged_apart():
    def both(*files: str) -> list[Record]:
        return [
            dataclasses.replace(record, benchmark=f"{file}.py::test_generation", nodeid=f"{file}{record.nodeid}")
            for file in files
            for record in asked("a", scaled(1))
        ]

    assert sorted(v.outcome for v in judged(both("fast"), both("fast", "slow"))) == ["equivalent", "missing"]


def test_the_figures_of_a_small_change_differ():
    assert "0.99996 -> 0.99991 (-0.0050%; " in one(asked("a", [0.99991]), asked("a", [0.99996])).reason
    assert "2.000e-6 -> 8.000e-6" in one(asked("a", [8e-6]), asked("a", [2e-6])).reason


# several rules


def test_the_last_rule_that_names_a_metric_and_a_model_counts():
    now = asked("wan-a", scaled(0.95)) + asked("ltx", scaled(0.95))
    before = asked("wan-a", VALUES) + asked("ltx", VALUES)
    verdicts = judged(now, before, "sharp*:-2%,sharpness@wan*:-10%")
    assert [(v.model, v.rule, v.outcome) for v in verdicts] == [
        ("ltx", "sharp*:-2%", "regressed"),
        ("wan-a", "sharpness@wan*:-10%", "equivalent"),
    ]


def test_a_rule_or_a_model_that_the_baseline_does_not_know_is_refused_with_the_near_miss():
    baseline = Baseline(run=BEFORE, records=tuple(asked("wan-a", VALUES)))
    check_names(parse_rules("sharp*:-2%,sharpness@wan*:-2%"), baseline)
    with pytest.raises(UnknownName, match=r"unknown metric 'sharpnes'[\s\S]*did you mean 'sharpness'"):
        check_names(parse_rules("sharpnes:-2%"), baseline)
    with pytest.raises(UnknownName, match=r"unknown model 'wan-b'[\s\S]*did you mean 'wan-a'"):
        check_names(parse_rules("sharpness@wan-b:-2%"), baseline)


def test_twenty_rules_on_six_prompts_still_see_what_is_broken():
    rng = np.random.default_rng(3)
    metrics = [f"m{i}" for i in range(20)]

    def run(broken: float) -> list[Record]:
        records = asked("a", [0.0] * 6)
        values = {name: 1 + 0.03 * rng.standard_normal(6) - broken * (name == "m7") for name in metrics}
        return [
            dataclasses.replace(
                record,
                measurements=tuple(
                    Measurement(name=name, value=float(values[name][at]), unit="1", better="higher") for name in metrics
                ),
            )
            for at, record in enumerate(records)
        ]

    verdicts = judged(run(0.8), run(0), "m*:-2%")
    assert [v.metric for v in verdicts if v.outcome == "regressed"] == ["m7"]


def test_the_exit_code_is_that_of_the_worst():
    same, worse = asked("a", VALUES), asked("a", scaled(0.5))
    assert exit_code(judged(same, same)) == 0
    assert exit_code(judged(worse, same)) == 1
    assert exit_code(judged([], same)) == 12
    assert exit_code(judged(asked("a", VALUES, weights="tiny"), same)) == 13
    few = judged(asked("a", [0.3, 0.4]), asked("a", [0.5, 0.5]))
    assert (exit_code(few), exit_code(few, strict=True)) == (0, 14)
    assert exit_code((*judged(worse, same), *judged([], same))) == 1
