"""Series over runs: like with like, nothing hidden, and the first run of a change."""

from __future__ import annotations

import pytest

from pytest_vdb.analysis.history import in_short, telling_apart, trends
from pytest_vdb.errors import RecordError, UnknownName
from pytest_vdb.records import Environment, Failure, Measurement, Record, Run
from pytest_vdb.results.history import RunInShort

HERE = Environment(python="3.12", platform="test", hardware="cpu", cpu="cpu", cpu_count=1, memory_mib=1)
BASE = {
    "benchmark": "t.py::t",
    "model": "m",
    "status": "passed",
    "weights": "hub",
    "recipe_digest": "r",
    "hardware": "CPU",
}


def quality(value, **changes) -> Measurement:
    return Measurement(**{"name": "sharpness", "value": value, "unit": "1", "better": "higher"} | changes)


def latency(value, **changes) -> Measurement:
    given = {"name": "latency", "value": value, "unit": "s", "better": "lower", "kind": "performance"}
    return Measurement(**given | changes)


def record(prompt, *measured, **changes) -> Record:
    given = BASE | {"run": "r", "nodeid": f"t.py::t[{prompt}]", "prompt": prompt, "seed": 1, "measurements": measured}
    return Record(**given | changes)


def run(day, *records, branch="main", seed=0) -> RunInShort:
    began = f"2026-01-{day:02}T00:00:00+00:00"
    made = Run(id=f"run{day:02}", started_at=began, environment=HERE, options={"seed": seed})
    asked = in_short(made, records)
    return RunInShort(run=made.id, began=began, commit=f"commit{day:02}", dirty=False, branch=branch, asked=asked)


def night(day, score=0.5, seconds=2.0, **changes) -> RunInShort:
    measured = [quality(score), latency(seconds)]
    return run(day, record("a", *measured), record("b", *measured), **changes)


def test_quality_is_the_mean_over_prompts_and_a_cost_the_median():
    records = [
        record("a", quality(0.2), latency(1.0)),
        record("a", quality(0.4), latency(2.0), sample_index=1, nodeid="s1", seed=2),
        record("b", quality(0.9), latency(30.0)),
    ]
    sharp, slow = run(1, *records).asked[0].figures
    assert (sharp.value, sharp.n) == (pytest.approx((0.3 + 0.9) / 2), 2)
    assert slow.value == 2.0


def test_what_does_not_count_is_left_out_with_its_reason():
    reused = record("a", quality(0.2), latency(1.0), reused_from="r0")
    failed = record("b", status="failed", failure=Failure(type="BadClip", message="one colour"))
    sharp, slow = run(1, reused, failed).asked[0].figures
    assert (sharp.value, sharp.n, sharp.why) == (0.2, 1, "failed: BadClip: one colour")
    assert slow.value is None
    assert "cache" in slow.why
    assert run(1, record("a", quality(0.2, wiring=True))).asked[0].figures == ()


def test_the_first_run_of_a_change_and_the_last_before_are_named():
    nights = [night(day, score=0.5 if day < 12 else 0.45, seconds=2.0 if day < 8 else 1.5) for day in range(1, 21)]
    slow, sharp = trends(nights)
    (worse,) = sharp.steps
    assert (worse.first.run, worse.last.commit, worse.worse) == ("run12", "commit11", True)
    assert (worse.before, worse.after) == (0.5, 0.45)
    (better,) = slow.steps
    assert (better.first.run, better.worse) == ("run08", False)
    assert sharp.change == pytest.approx(-0.05)


def test_a_cost_that_moved_by_next_to_nothing_alarms_nobody():
    nights = [night(day, seconds=0.002 if day < 12 else 0.003) for day in range(1, 21)]
    assert [series.steps for series in trends(nights, metrics=["latency"])] == [()]


def test_a_run_in_which_a_prompt_failed_is_shown_and_not_compared():
    nights = [night(day) for day in range(1, 10)]
    nights.append(run(10, record("a", quality(0.9)), record("b", status="oom")))
    (sharp,) = trends(nights, metrics=["sharpness"])
    assert [point.figure.value for point in sharp.points][-2:] == [0.5, 0.9]
    assert [point.comparable for point in sharp.points][-2:] == [0.5, None]
    assert sharp.change is None


def test_a_model_that_died_in_the_newest_run_is_not_shown_as_it_was():
    died = record("a", status="crashed", weights=None, recipe_digest=None, hardware=None)
    for series in trends([night(1), night(2), run(3, died)]):
        assert series.lacking == "crashed (run run03)"
    short = quality(None, reason="too short")
    (series,) = trends([night(1), run(2, record("a", short), record("b", short))], metrics=["sharpness"])
    assert series.lacking == "too short"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"recipe_digest": "s"}, "recipe"),
        ({"hardware": "GPU"}, "hardware"),
        ({"weights": "local"}, "weights"),
        ({"revision": "main"}, "revision"),
        ({"suite_digest": "another"}, "prompts"),
        ({"parameters": {"size": "large"}}, "parameters"),
        ({"measurements": (quality(0.5, version="2"),)}, "version"),
        ({"benchmark": "u.py::u"}, "benchmark"),
    ],
)
def test_what_was_measured_otherwise_is_another_series(changed, told):
    other = run(2, record("a", **{"measurements": (quality(0.5),)} | changed))
    found = trends([run(1, record("a", quality(0.5))), other])
    assert len(found) == 2
    assert all(set(apart) == {told} for apart in telling_apart(found))


def test_other_prompts_and_another_base_seed_are_another_series():
    assert len(trends([run(1, record("a", quality(0.5))), run(2, record("b", quality(0.5)))])) == 2
    assert len(trends([run(1, record("a", quality(0.5))), run(2, record("a", quality(0.5)), seed=7)])) == 2


def test_one_file_typed_from_two_folders_is_one_series():
    there = record("a", quality(0.5), benchmark="benchmarks/t.py::t")
    (series,) = trends([run(1, record("a", quality(0.5))), run(2, there)])
    assert len(series.points) == 2


def test_branch_last_and_names_choose():
    nights = [night(1), night(2, branch="dev"), night(3), night(4)]
    assert [len(series.points) for series in trends(nights, branch="main", last=2)] == [2, 2]
    assert [series.figure.metric for series in trends(nights, metrics=["lat*"])] == ["latency"]
    with pytest.raises(UnknownName, match="did you mean 'sharpness'"):
        trends(nights, metrics=["sharpnes"])
    with pytest.raises(UnknownName, match="unknown model 'x'"):
        trends(nights, model="x")
    with pytest.raises(RecordError, match="no finished run of the branch x"):
        trends(nights, branch="x")


def test_a_set_metric_over_fewer_clips_is_not_compared():
    def with_fvd(day, value, n) -> RunInShort:
        fvd = quality(value, name="fvd", better="lower", n=n)
        of_set = record(None, fvd, seed=None, nodeid="sets")
        return run(day, record("a", quality(0.5)), record("b", quality(0.5)), of_set)

    (fvd,) = trends([with_fvd(1, 9.0, 8), with_fvd(2, 9.0, 8), with_fvd(3, 12.0, 7)], metrics=["fvd"])
    assert [point.comparable for point in fvd.points] == [9.0, 9.0, None]


@pytest.mark.parametrize("score", [1e308, -1e308, 5e-324, 1e-310, 0.0, 1e150])
def test_no_figure_is_too_large_or_small_to_be_told(score):
    nights = [
        run(day, record("a", quality(score if day % 3 else 1.0)), record("b", quality(score))) for day in range(1, 20)
    ]
    (series,) = trends(nights)
    assert all(step.before != step.after for step in series.steps)
    assert ("too large to compare" in series.points[0].figure.why) == (abs(score) > 1e150)
