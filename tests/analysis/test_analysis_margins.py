"""What a gate can see beside the noise: as said, it sees; and what it cannot hold is said before the night."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from sessions_alike import session

from pytest_vdb.analysis.decisions import decide, evidence_of_cost
from pytest_vdb.analysis.gate import judge
from pytest_vdb.analysis.margins import Limit, limits_of, limits_of_gate, said_before, sentence, sentences_of
from pytest_vdb.analysis.noise import floors_of
from pytest_vdb.analysis.rules import parse_rules
from pytest_vdb.errors import OptionError, RecordError
from pytest_vdb.records import Baseline
from pytest_vdb.results.noise import Floor, Noise, save_noise
from pytest_vdb.statistics.families import SIGNIFICANCE
from pytest_vdb.statistics.together import turned_p_values

FLOOR = Floor(
    benchmark="t.py::test_generation",
    model="wan",
    metric="sharpness",
    version="1",
    unit="1",
    better="higher",
    kind="quality",
    weights="hub",
    recipe="r",
    hardware="CPU",
    way="prompts",
    prompts=8,
    sessions=2,
    value=0.5,
    between=0.03,
)
COST = replace(FLOOR, metric="latency", unit="s", better="lower", kind="performance", way="costs", value=10.0)


def only(floor: Floor, rules: str = "") -> Limit:
    (limit,) = limits_of([floor], parse_rules(rules))
    return limit


def noise_of(*sessions: Baseline) -> Noise:
    ids = tuple(session.run.id for session in sessions)
    return Noise(run=sessions[0].run, sessions=ids, floors=floors_of(sessions))


# what is said to be caught is caught


@pytest.mark.parametrize("prompts", [6, 8, 30])
@pytest.mark.parametrize("rules", [1, 20])
def test_the_gate_sees_the_smallest_change_in_four_of_five_runs(prompts, rules):
    floors = [replace(FLOOR, prompts=prompts, between=1.0, metric=f"m{at}") for at in range(rules)]
    limit = limits_of(floors, parse_rules("m*:-0"))[0]
    rng, seen = np.random.default_rng(prompts), 0
    for _ in range(200):
        worse = rng.normal(size=(prompts, rules))
        worse[:, 0] += limit.smallest
        seen += turned_p_values(worse)[0] < SIGNIFICANCE  # as `decisions` calls it
    assert 0.7 < seen / 200 < 0.9


@pytest.mark.parametrize("earlier", [1, 5, 10])
@pytest.mark.parametrize("better", ["lower", "higher"])
def test_the_gate_sees_the_smallest_change_of_a_cost_in_four_of_five_nights(earlier, better):
    floor = replace(COST, between=0.05, sessions=earlier, better=better)
    limit = only(floor, "latency:10%")
    sign = 1 if better == "lower" else -1
    rng, seen = np.random.default_rng(earlier), 0
    for _ in range(300):
        *before, now = 10 * np.exp(rng.normal(0, 0.05, earlier + 1))
        now *= (10 + sign * limit.catches) / 10
        margin = 0.1 * float(np.median(before))
        one = evidence_of_cost(now, before, margin=margin, lower_is_better=better == "lower", exact=False)
        seen += decide([one])[0].decision == "regressed"
    assert 0.7 < seen / 300 < 0.9


def test_without_noise_any_change_is_seen_if_there_are_prompts_enough():
    assert only(replace(FLOOR, between=0.0)).smallest == 0
    few = only(replace(FLOOR, between=0.0, prompts=4), "sharpness:-2%")
    assert few.smallest is None
    assert few.below
    assert sentence(few) == "sharpness:-2% of wan: 4 prompts can show no change at all; 5 could"


def test_more_rules_need_a_larger_change():
    alone = only(FLOOR, "sharpness:-2%")
    crowd = limits_of([replace(FLOOR, metric=f"m{at}") for at in range(20)], parse_rules("m*:-2%"))[0]
    assert crowd.smallest > alone.smallest
    assert crowd.catches == pytest.approx(crowd.smallest + 0.01)


def test_a_metric_of_which_either_way_is_worse_counts_twice():
    neutral = replace(FLOOR, better="neutral")
    assert only(neutral, "sharpness:2%").smallest > only(neutral, "sharpness:-2%").smallest
    assert only(neutral, "sharpness:+2%").smallest == only(FLOOR, "sharpness:-2%").smallest


def test_a_rate_that_may_fall_by_all_of_it_catches_nothing():
    limit = only(replace(COST, better="higher", between=0.1), "latency:-100%")
    assert limit.catches is None
    assert not limit.below


def test_an_exact_cost_has_no_noise_and_one_session_is_enough():
    limit = only(replace(COST, metric="peak_memory_allocated", unit="MiB", between=0.0, sessions=1), "peak*:+1%")
    assert limit.catches == pytest.approx(4.0)  # a cost's floor
    assert not limit.below


def test_a_set_without_an_interval_says_nothing():
    sets = replace(FLOOR, metric="fvd", better="lower", way="sets", within=None)
    assert not only(sets, "fvd:+1%").is_known
    known = only(replace(sets, within=1.0), "fvd:+1%")
    assert known.smallest == pytest.approx(2.486 * math.sqrt(2), rel=1e-3)
    assert known.below


# which margins lie below


def test_a_margin_below_its_noise_floor_is_told_with_what_can_be_caught():
    told = sentence(only(replace(COST, between=0.032, sessions=10), "latency:+1%"))
    assert told == (
        "latency:+1% of wan lies below its noise floor (±3.2% between sessions): this gate can catch +11% or more; "
        "no number of earlier sessions would do"
    )
    told = sentence(only(replace(COST, between=0.032, sessions=2), "latency:+10%"))
    assert told.startswith(
        "latency:+10% of wan lies below its noise floor (±3.2% between sessions, and 2 earlier sessions are trusted "
        "only as far as ±26%): this gate can catch +"
    )
    assert told.endswith("8 earlier sessions would do (history:8)")
    assert sentence(only(replace(COST, between=0.032, sessions=8), "latency:+10%")) is None
    assert sentence(only(replace(COST, between=0.032, sessions=7), "latency:+10%")) is not None


def test_how_many_prompts_would_do_is_the_least_number_that_does():
    below = only(FLOOR, "sharpness:-2%")
    assert sentence(below) == (
        "sharpness:-2% of wan lies below its noise floor (a prompt differs by ±0.030 between sessions, 8 prompts): "
        f"this gate can catch -8.0% or more; about {below.needed} prompts would do"
    )
    assert not only(replace(FLOOR, prompts=below.needed), "sharpness:-2%").below
    assert only(replace(FLOOR, prompts=below.needed - 1), "sharpness:-2%").below
    assert only(FLOOR, "sharpness:-0").needed is None


def test_a_change_that_cannot_be_a_share_is_told_in_the_unit():
    assert "can catch -0.040" in sentence(only(FLOOR, "sharpness:-0.01"))
    assert "can catch -0.03" in sentence(only(replace(FLOOR, value=0.001), "sharpness:-2%"))


def test_the_last_rule_that_names_a_metric_and_a_model_counts():
    limits = limits_of([FLOOR, replace(FLOOR, model="cog")], parse_rules("sharpness:-2%,sharpness@wan:-50%"))
    assert [limit.below for limit in limits] == [False, True]


def test_beyond_all_numbers_is_no_number():
    assert only(replace(COST, between=1e6), "latency:+10%").catches == math.inf
    assert "can catch +–" in sentence(only(replace(COST, between=1e6), "latency:+10%"))


def test_of_several_benchmarks_each_is_told():
    both = [replace(COST, between=0.1), replace(COST, between=0.1, benchmark="t.py::test_efficiency")]
    told = sentences_of(limits_of(both, parse_rules("latency:+1%")))
    assert [one.partition(" lies")[0] for one in told] == [
        "latency:+1% of wan (test_generation)",
        "latency:+1% of wan (test_efficiency)",
    ]


# before the night

RULES = parse_rules("sharpness:-2%,latency:+10%")


def night(number: int, latency: float, **more: object) -> Baseline:
    return session(number, {"sharpness": [0.5, 0.6, 0.7, 0.5, 0.6, 0.7], "latency": [latency] * 6}, **more)


NIGHTS = [night(number, 10 * factor) for number, factor in enumerate((1.0, 1.03, 0.98, 1.01, 0.97, 1.02))]


def test_a_gate_with_one_earlier_session_says_what_it_can_catch(tmp_path):
    save_noise(noise_of(*NIGHTS), tmp_path / "noise.json")
    (told,) = said_before(tmp_path / "noise.json", NIGHTS[0], RULES, strict=False, where="--noise")
    assert told.startswith("latency:+10% of wan lies below its noise floor (±2.3% between sessions, and one earlier")
    assert told.endswith("would do (history:14)")
    with pytest.raises(OptionError, match="lies below its noise floor") as refused:
        said_before(tmp_path / "noise.json", NIGHTS[0], RULES, strict=True, where="--noise")
    assert refused.value.where == "--noise"


def test_a_gate_with_earlier_sessions_enough_says_nothing(tmp_path):
    save_noise(noise_of(*NIGHTS), tmp_path / "noise.json")
    earlier = replace(NIGHTS[0], history=tuple(night(10 + n, 10.0) for n in range(13)))
    assert said_before(tmp_path / "noise.json", earlier, RULES, strict=True, where="--noise") == []


def test_the_nights_of_a_history_speak_for_themselves():
    history = replace(NIGHTS[0], history=tuple(NIGHTS[1:]))
    (told,) = said_before(None, history, parse_rules("sharpness:-2%,latency:+5%"), strict=True, where="--noise")
    assert told.startswith(
        "latency:+5% of wan lies below its noise floor (±2.3% between sessions): this gate can catch +"
    )
    few = replace(NIGHTS[0], history=tuple(NIGHTS[1:3]))
    assert said_before(None, few, RULES, strict=False, where="--noise") == []
    assert said_before(None, NIGHTS[0], RULES, strict=False, where="--noise") == []


@pytest.mark.parametrize(
    "change", [{"hardware": "H100"}, {"recipe_digest": "s"}, {"model": "cog"}, {"about": {"version": "2"}}]
)
def test_the_noise_of_something_else_says_nothing(tmp_path, change):
    save_noise(noise_of(*NIGHTS), tmp_path / "noise.json")
    other = night(9, 10.0, **change)
    told = said_before(tmp_path / "noise.json", other, parse_rules("latency:+10%"), strict=True, where="--noise")
    assert told == [f"noise.json has no noise floor of latency of {change.get('model', 'wan')}"]


def test_a_header_is_no_report(tmp_path):
    nights = [session(n, {f"spread{at}": [0.5 + n, 0.6, 0.7] for at in range(12)}) for n in range(2)]
    save_noise(noise_of(*nights), tmp_path / "noise.json")
    told = said_before(tmp_path / "noise.json", nights[0], parse_rules("spread*:-1%"), strict=False, where="--noise")
    assert len(told) == 9
    assert told[-1] == "4 more margins lie below their noise floor"


def test_a_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(RecordError, match="no such noise floor"):
        said_before(tmp_path / "noise.json", NIGHTS[0], RULES, strict=False, where="--noise")


def test_what_lies_above_its_noise_floor_is_equivalent_where_nothing_changed():
    rng = np.random.default_rng(11)
    prompts = rng.normal(0.5, 0.1, 40)

    def again(number: int) -> Baseline:
        return session(number, {"sharpness": list(prompts + rng.normal(0, 0.01, 40))})

    first = again(0)
    floors = floors_of([first, again(1)])
    assert not limits_of(floors, parse_rules("sharpness:-2%"))[0].below
    assert limits_of(floors, parse_rules("sharpness:-0.2%"))[0].below
    after = [again(number) for number in range(2, 22)]
    verdicts = [judge(one.records, one.run, first, parse_rules("sharpness:-2%"))[0].outcome for one in after]
    assert verdicts.count("equivalent") >= 16


def test_other_seeds_serve_where_no_session_had_the_same():
    sessions = [session(n, {"sharpness": [0.5 + n / 100] * 8}, seed=n) for n in range(2)]
    assert limits_of(floors_of(sessions), RULES)[0].floor.seeds == "other"
    (limit,) = limits_of_gate(noise_of(*sessions), sessions[0], parse_rules("sharpness:-1%"))
    assert limit.below
