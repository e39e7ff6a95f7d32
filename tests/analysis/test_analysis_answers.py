"""What one side of a gate says of a metric, pair by pair."""

from __future__ import annotations

import dataclasses

from sessions_alike import of, session

from pytest_vdb.analysis.answers import Answers

VALUES: dict[str, list[float | None]] = {"sharpness": [0.5, None, 0.25], "latency": [1.0, 2.0, 3.0]}


def test_a_pair_without_a_value_has_no_mean_and_says_why():
    answer = Answers(session(1, VALUES).records, {}).of("sharpness")
    assert answer.means == {("p0", 0, ()): 0.5, ("p2", 2, ()): 0.25}
    assert [one.why_not for one in answer.statements([("p1", 1, ())])] == ["the sampler diverged"]


def test_records_of_one_pair_are_averaged_and_each_run_is_asked():
    first, second = session(1, VALUES).records, session(2, {"sharpness": [0.7]}).records
    answer = Answers([*first, *second], {}).of("sharpness")
    assert answer.means["p0", 0, ()] == 0.6
    assert answer.means_in("run-2") == {("p0", 0, ()): 0.7}
    assert answer.answered(["run-1", "run-2"]) == [("p0", 0, ())]


def test_pairs_come_in_the_order_of_a_gate_that_may_stop():
    answer = Answers(session(1, VALUES).records, {"p2": 0, "p0": 1, "p1": 2}).of("latency")
    assert [prompt for prompt, _, _ in answer.order] == ["p2", "p0", "p1"]


def test_what_is_read_once_is_one_pair():
    first, *others = session(1, VALUES).records
    loaded = dataclasses.replace(first, measurements=(*first.measurements, of("load_time", 3.0)))
    answer = Answers([loaded, *others], {}).of("load_time")
    assert answer.is_read_once
    assert answer.as_one().means == {(None, None, ()): 3.0}


def test_a_test_that_died_before_its_seed_stands_for_its_pair():
    died = dataclasses.replace(session(1, VALUES).records[0], seed=None, status="crashed")
    answer = Answers([died], {}).of("sharpness")
    assert answer.near(("p0", 0, ())) == [("p0", None, ())]
    assert answer.near(("p1", 1, ())) == []
