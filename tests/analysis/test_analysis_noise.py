"""How much sessions differ in which nothing has changed; and what is not the same thing twice."""

from __future__ import annotations

import dataclasses
import math
from statistics import stdev

import numpy as np
import pytest
from sessions_alike import session

from pytest_vdb.analysis.noise import floors_of
from pytest_vdb.records import Baseline, Failure, Record
from pytest_vdb.results.noise import Floor

VALUES = [0.1, 0.52, 0.48, 0.51, 0.47, 0.55]


def one(*sessions: Baseline) -> Floor:
    (floor,) = floors_of(sessions)
    return floor


def test_a_deterministic_pipeline_has_no_noise_at_all():
    floor = one(*(session(number, {"sharpness": VALUES}) for number in range(3)))  # 0.1 + 0.1 + 0.1 is not 0.3
    assert floor.between == 0
    assert (floor.way, floor.prompts, floor.sessions) == ("prompts", 6, 3)
    assert floor.within == pytest.approx(stdev(VALUES))
    assert floor.value == pytest.approx(sum(VALUES) / 6)


def test_the_spread_of_a_metric_is_that_of_a_prompts_two_means():
    rng = np.random.default_rng(3)
    prompts = rng.normal(0.5, 0.2, 200)
    sessions = [session(n, {"sharpness": list(prompts + rng.normal(0, 0.01, 200))}) for n in range(4)]
    assert one(*sessions).between == pytest.approx(0.01 * math.sqrt(2), rel=0.05)
    two = [[r.measurement("sharpness").value for r in s.records] for s in sessions[:2]]
    differences = np.subtract(*two)
    assert one(*sessions[:2]).between == pytest.approx(math.sqrt((differences**2).mean()))


def test_the_samples_of_a_prompt_are_one():
    single = [session(n, {"sharpness": [0.5 + n / 10, 0.6 + n / 10]}) for n in range(2)]
    doubled = [
        dataclasses.replace(
            s, records=(*s.records, *(dataclasses.replace(r, seed=50 + r.seed, sample_index=1) for r in s.records))
        )
        for s in single
    ]
    assert one(*doubled).between == pytest.approx(one(*single).between)
    assert one(*doubled).prompts == 2


def test_a_cost_differs_by_the_medians_of_its_sessions():
    nights = [1.0, 1.1, 0.95, 1.05]
    floor = one(*(session(n, {"latency": [night, night * 1.01, night * 5]}) for n, night in enumerate(nights)))
    assert floor.way == "costs"
    assert floor.between == pytest.approx(stdev(math.log(night) for night in nights))
    assert floor.value == pytest.approx(1.025 * 1.01)


def test_sessions_that_differ_in_all_prompts_together_are_told():
    rng = np.random.default_rng(6)  # of twenty seeds one says so by chance
    prompts = rng.normal(0.5, 0.2, 12)

    def night(number: int, shift: float) -> Baseline:
        names = ("sharpness", "spread", "cuts")
        return session(number, {name: list(prompts + shift + rng.normal(0, 0.01, 12)) for name in names})

    assert [floor.remarks for floor in floors_of([night(0, 0.0), night(1, 0.0)])] == [(), (), ()]
    told = floors_of([night(0, 0.0), night(1, 0.02)])
    assert all("differ in all prompts together" in floor.remarks[0] for floor in told)


def test_other_seeds_are_a_noise_of_their_own():
    sessions = [
        session(0, {"sharpness": [0.5, 0.6]}, seed=0),
        session(1, {"sharpness": [0.5, 0.6]}, seed=0),
        session(2, {"sharpness": [0.6, 0.5]}, seed=1),
    ]
    same, other = floors_of(sessions)
    assert (same.seeds, same.between, same.sessions) == ("same", 0, 2)
    assert (other.seeds, other.sessions) == ("other", 2)
    assert other.between == pytest.approx(0.1)
    (alone,) = floors_of(sessions[1:])
    assert alone == dataclasses.replace(other, value=alone.value)


def test_what_a_seed_does_is_no_matter_of_costs():
    floor = one(session(0, {"latency": [1.0, 1.2]}, seed=0), session(1, {"latency": [1.1, 1.3]}, seed=1))
    assert (floor.sessions, floor.prompts) == (2, 2)


def test_a_prompt_without_a_value_in_one_session_is_left_out_and_said():
    whole, holed = session(0, {"sharpness": VALUES}), session(1, {"sharpness": [None, *VALUES[1:]]})
    floor = one(whole, holed)
    assert (floor.prompts, floor.between) == (5, 0)
    assert floor.remarks == ("1 of 6 prompts not in every session (the sampler diverged)",)


def test_not_a_number_is_no_value():
    floor = one(session(0, {"sharpness": VALUES}), session(1, {"sharpness": [math.nan, *VALUES[1:]]}))
    assert floor.prompts == 5
    assert "not a finite number" in floor.remarks[0]


def test_a_test_that_died_before_it_knew_its_recipe_is_told_with_its_reason():
    dead = session(1, {"sharpness": VALUES})
    died: Record = dataclasses.replace(
        dead.records[0],
        status="failed",
        failure=Failure(type="OSError", message="the checkpoint is truncated"),
        measurements=(),
        weights=None,
        recipe_digest=None,
        seed=None,
    )
    floor = one(session(0, {"sharpness": VALUES}), dataclasses.replace(dead, records=(died, *dead.records[1:])))
    assert floor.prompts == 5
    assert "the checkpoint is truncated" in floor.remarks[0]


def test_timings_that_workers_took_while_they_shared_a_device_are_no_session():
    alone = [session(n, {"latency": [1.0 + n / 10]}) for n in range(2)]
    shared = session(2, {"latency": [None]}, about={"reason": "withheld: 2 workers share this CPU"})
    floor = one(*alone, shared)
    assert floor.sessions == 2
    assert floor.remarks == ("1 of 3 sessions without a value (withheld: 2 workers share this CPU)",)
    left = one(alone[0], shared)
    assert left.between is None
    assert left.reason == (
        "one session measured it, and two can differ; the others have no value: withheld: 2 workers share this CPU"
    )


def test_costs_of_another_machine_are_not_the_same_thing_twice():
    floor = one(session(0, {"latency": [1.0]}), session(1, {"latency": [1.1]}, hardware="H100"))
    assert floor.between is None
    assert floor.reason == "measured on CPU and H100: not the same thing twice"


def test_pixels_of_another_machine_are_a_noise_that_says_so():
    floor = one(session(0, {"sharpness": [0.5, 0.6]}), session(1, {"sharpness": [0.5, 0.61]}, hardware="H100"))
    assert floor.between > 0
    assert floor.remarks == ("on CPU, H100",)


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (session(1, {"sharpness": [0.5]}, about={"version": "2"}), "version is 1 and 2"),
        (session(1, {"sharpness": [0.5]}, prompt_text="a dog"), "prompt 'p0' has another text"),
        (session(1, {"sharpness": [0.5]}, prompt="q0"), "share no prompt"),
        (session(1, {"sharpness": [None]}), "the sampler diverged"),
    ],
    ids=["version", "text", "prompts", "no value"],
)
def test_what_cannot_be_compared_says_why(second, reason):
    floor = one(session(0, {"sharpness": [0.5]}, prompt_text="a cat"), second)
    assert floor.between is None
    assert reason in floor.reason


def test_another_recipe_is_another_thing():
    floors = floors_of([session(0, {"sharpness": [0.5]}), session(1, {"sharpness": [0.5]}, recipe_digest="s")])
    assert [floor.between for floor in floors] == [None, None]


def test_what_tiny_random_networks_say_is_no_noise_of_a_metric():
    assert floors_of([session(n, {"sharpness": [0.5]}, about={"wiring": True}) for n in range(2)]) == ()


def test_a_cost_of_nothing_has_no_ratio():
    none = one(*(session(n, {"latency": [0.0]}) for n in range(2)))
    assert none.between == 0
    some = one(session(0, {"latency": [0.0]}), session(1, {"latency": [0.1]}))
    assert some.reason == "a cost of 0 has no ratio to others"


def test_a_set_of_clips_is_one_value_that_the_jackknife_knows():
    sets = [
        session(
            n,
            {"fvd": [10.0 + n]},
            about={"better": "lower", "n": 16, "interval": (8.04, 11.96)},
            prompt=None,
            of_set=True,
            nodeid="vdb-sets::fvd",
        )
        for n in range(2)
    ]
    floor = one(*sets)
    assert (floor.way, floor.prompts, floor.sessions) == ("sets", 16, 2)
    assert floor.within == pytest.approx(1.0, rel=1e-3)
    assert floor.between == pytest.approx(1.0)


def test_only_what_is_wanted_is_looked_at():
    sessions = [session(n, {"sharpness": VALUES, "latency": VALUES}) for n in range(2)]
    assert [f.metric for f in floors_of(sessions, lambda metric, model: metric == "latency")] == ["latency"]
    assert [f.metric for f in floors_of(sessions)] == ["sharpness", "latency"]


def test_runs_that_were_typed_in_different_folders_are_of_one_benchmark():
    here = session(0, {"sharpness": VALUES}, benchmark="benchmarks/t.py::test_generation")
    assert one(here, session(1, {"sharpness": VALUES})).between == 0
