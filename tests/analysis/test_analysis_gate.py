"""What the gate says: when it fails, when it passes, and that it never passes silently."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pytest_vdb.analysis.gate import Rule, Verdict, judge, parse_rules
from pytest_vdb.errors import OptionError
from pytest_vdb.records import Baseline, Environment, Failure, Measurement, Record, Run

ENVIRONMENT = Environment(
    python="3.12.1", platform="Linux", hardware="CPU", cpu="a CPU", cpu_count=2, memory_mib=8_000, packages={}
)
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


def judged(now: list[Record], before: list[Record], rules: str = "sharpness:-2%") -> tuple[Verdict, ...]:
    return judge(now, NOW, Baseline(run=BEFORE, records=tuple(before)), parse_rules(rules))


def one(now: list[Record], before: list[Record], rules: str = "sharpness:-2%") -> Verdict:
    (verdict,) = judged(now, before, rules)
    return verdict


VALUES = [0.50, 0.52, 0.48, 0.51]


def scaled(factor: float) -> list[float | None]:
    return [value * factor for value in VALUES]


# rules


def test_a_rule_is_a_percentage_or_an_absolute_figure():
    assert parse_rules("clip_similarity:-2%, latency:+10%,vbench.motion:-0.02,x:±5%\n y:3") == (
        Rule(metric="clip_similarity", margin=0.02, relative=True, sign="-"),
        Rule(metric="latency", margin=0.1, relative=True, sign="+"),
        Rule(metric="vbench.motion", margin=0.02, relative=False, sign="-"),
        Rule(metric="x", margin=0.05, relative=True, sign=""),
        Rule(metric="y", margin=3, relative=False, sign=""),
    )
    assert parse_rules({"latency": "+10%"}) == parse_rules("latency:+10%")
    assert parse_rules("") == ()
    assert str(parse_rules("latency:+10%")[0]) == "latency:+10%"


@pytest.mark.parametrize("text", ["latency", "latency:", ":5%", "latency:ten", "latency:5%%", "latency:nan", "a:--2"])
def test_what_is_no_rule_is_refused_with_where_and_how_to_write_one(text):
    with pytest.raises(OptionError, match=r"--vdb-fail-on: [\s\S]*(METRIC:MARGIN|percentage)"):
        parse_rules(text)


# figures


def test_a_drop_beyond_the_margin_is_a_regression_with_its_figures():
    verdict = one(asked("a", scaled(0.95)), asked("a", VALUES))
    assert (verdict.outcome, verdict.failed, verdict.n) == ("regressed", True, 4)
    assert verdict.reason == "sharpness of a: 0.5025 -> 0.4774 (-5.0%; allowed -2%) over 4 pairs"
    assert verdict.baseline_mean == pytest.approx(0.5025)
    assert verdict.mean == pytest.approx(0.5025 * 0.95)


def test_the_same_values_are_equivalent_and_pass():
    verdict = one(asked("a", VALUES), asked("a", VALUES))
    assert (verdict.outcome, verdict.failed) == ("equivalent", False)


def test_a_change_of_exactly_the_margin_is_allowed():
    assert one(asked("a", [0.98, 0.98]), asked("a", [1.0, 1.0])).outcome == "equivalent"


def test_a_rise_beyond_the_margin_is_an_improvement():
    verdict = one(asked("a", scaled(1.05)), asked("a", VALUES))
    assert (verdict.outcome, verdict.failed) == ("improved", False)


def test_a_mean_within_the_margin_whose_interval_is_not_is_inconclusive_and_passes():
    verdict = one(asked("a", [0.40, 0.62, 0.40, 0.59]), asked("a", VALUES))
    assert (verdict.outcome, verdict.failed) == ("inconclusive", False)
    assert "too few to be sure" in verdict.reason


@pytest.mark.parametrize(("rule", "outcome"), [("latency:+10%", "regressed"), ("latency:+30%", "equivalent")])
def test_latency_gets_worse_by_rising(rule, outcome):
    now, before = asked("a", [1.2] * 3, metric="latency"), asked("a", [1.0] * 3, metric="latency")
    assert one(now, before, rule).outcome == outcome


def test_an_absolute_margin_is_in_the_metrics_unit():
    now, before = asked("a", [0.47] * 3), asked("a", [0.5] * 3)
    assert one(now, before, "sharpness:-0.02").outcome == "regressed"
    assert one(now, before, "sharpness:-0.04").outcome == "equivalent"


def test_a_relative_margin_of_a_mean_of_zero_is_said_to_be_nothing():
    assert one(asked("a", [0.1]), asked("a", [0.0])).outcome == "incomparable"
    assert one(asked("a", [0.0]), asked("a", [0.0])).outcome == "equivalent"
    assert one(asked("a", [0.0]), asked("a", [0.1]), "sharpness:-0.05").outcome == "regressed"


def test_the_pairs_are_compared_and_not_the_means_of_different_prompts():
    """The baseline had two easy prompts that this run does not have: its pairs are the same, but they are missing."""
    verdict = one(asked("a", [0.1, 0.1]), asked("a", [0.1, 0.1, 0.9, 0.9]))
    assert verdict.outcome == "missing"
    assert (verdict.mean, verdict.baseline_mean, verdict.n) == (0.1, 0.1, 2)


def test_a_neutral_metric_takes_its_direction_from_the_rule():
    neutral = {"better": "neutral"}
    now, before = asked("a", [0.6] * 3, about=neutral), asked("a", [0.5] * 3, about=neutral)
    assert one(now, before, "sharpness:-10%").outcome == "improved"
    assert one(now, before, "sharpness:+10%").outcome == "regressed"
    assert one(now, before, "sharpness:10%").outcome == "regressed"


def test_a_sign_that_contradicts_the_metric_is_refused_with_the_right_one():
    verdict = one(asked("a", VALUES), asked("a", VALUES), "sharpness:+2%")
    assert verdict.failed
    assert "write sharpness:-2%" in verdict.reason


# what is missing


def test_a_typo_in_the_metric_fails_with_the_near_miss():
    verdict = one(asked("a", VALUES), asked("a", VALUES), "sharpnes:-2%")
    assert (verdict.outcome, verdict.failed, verdict.model) == ("missing", True, "every model")
    assert "did you mean 'sharpness'?" in verdict.reason


def test_a_model_on_one_side_only_fails():
    gone, new = judged(asked("new", VALUES), asked("gone", VALUES))
    assert (gone.model, gone.outcome) == ("gone", "missing")
    assert "not in this run (run-now)" in gone.reason
    assert (new.model, new.failed) == ("new", True)
    assert "save a new one" in new.reason


def test_an_empty_run_and_an_empty_baseline_fail():
    assert one([], asked("a", VALUES)).failed
    assert one(asked("a", VALUES), []).failed
    assert one([], []).failed


def test_a_crashed_test_fails_the_gate_even_if_the_others_are_better():
    now = asked("a", scaled(1.5))
    crash = Failure(type="WorkerCrashed", message="signal 9")
    now[1] = asked("a", VALUES, status="crashed", measurements=(), failure=crash)[1]
    verdict = one(now, asked("a", VALUES))
    assert (verdict.outcome, verdict.failed, verdict.n) == ("missing", True, 3)
    assert "1 of the baseline's 4 (prompt, seed) pairs has no value now" in verdict.reason
    assert "(crashed: WorkerCrashed: signal 9)" in verdict.reason


def test_a_model_that_crashed_on_load_says_why_though_its_recipe_is_unknown():
    failure = Failure(type="OSError", message="no such file")
    unknown = {"weights": None, "recipe_digest": None, "hardware": None, "seed": None, "recipe": {}}
    now = asked("a", VALUES, status="failed", measurements=(), failure=failure, **unknown)
    verdict = one(now, asked("a", VALUES))
    assert verdict.outcome == "missing"
    assert "failed: OSError: no such file" in verdict.reason


def test_a_value_that_was_not_measured_fails_with_its_reason():
    verdict = one(asked("a", [None] * 4), asked("a", VALUES))
    assert (verdict.outcome, verdict.failed) == ("missing", True)
    assert "the weights are absent" in verdict.reason
    assert one(asked("a", VALUES), asked("a", [None] * 4)).outcome == "missing"


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
    assert (verdict.outcome, verdict.failed) == ("incomparable", True)
    assert words in verdict.reason


def test_performance_is_only_compared_on_the_same_hardware():
    now = asked("a", [1.0] * 3, metric="latency", hardware="H100")
    verdict = one(now, asked("a", [1.0] * 3, metric="latency"), "latency:+10%")
    assert (verdict.outcome, verdict.failed) == ("incomparable", True)
    assert "measured on H100, the baseline on CPU" in verdict.reason


def test_quality_on_other_hardware_is_compared_and_said():
    verdict = one(asked("a", VALUES, hardware="H100"), asked("a", VALUES))
    assert verdict.outcome == "equivalent"
    assert "on H100, the baseline on CPU" in verdict.reason


def test_a_prompt_with_another_text_is_another_prompt():
    verdict = one(asked("a", VALUES, prompt_text="a cat"), asked("a", VALUES, prompt_text="a dog"))
    assert verdict.outcome == "incomparable"


def test_what_is_measured_once_per_model_is_compared_though_another_prompt_came_first():
    now, before = asked("a", [3.0] * 3, metric="latency"), asked("a", [2.0] * 3, metric="latency")
    now = [dataclasses.replace(record, measurements=()) if i != 2 else record for i, record in enumerate(now)]
    before = [dataclasses.replace(record, measurements=()) if i != 0 else record for i, record in enumerate(before)]
    verdict = one(now, before, "latency:+10%")
    assert (verdict.outcome, verdict.n, verdict.baseline_mean, verdict.mean) == ("regressed", 1, 2, 3)


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
    assert [v.outcome for v in judged(both[:5], both[:5])] == ["equivalent", "equivalent"]
    assert [v.outcome for v in judged(both[:4], both[:5])] == ["equivalent", "missing"]
    assert [v.outcome for v in judged(both[:5], both[:4])] == ["equivalent", "missing"]


def test_all_tests_of_one_parameter_that_are_gone_do_not_pass():
    before = asked("a", VALUES, parameters={"strength": "0.1"}) + asked("a", VALUES, parameters={"strength": "0.9"})
    verdict = one(asked("a", VALUES, parameters={"strength": "0.1"}), before)
    assert verdict.outcome == "missing"
    assert "4 of the baseline's 8" in verdict.reason


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
