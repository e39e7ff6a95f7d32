"""What votes say: of models, of raters, of metrics; and what they do not say."""

from __future__ import annotations

import random

import pytest

from pytest_vdb.analysis.preference import ELO_ON_AVERAGE, count, records_of
from pytest_vdb.analysis.votes import Shown, Vote
from pytest_vdb.errors import RecordError
from pytest_vdb.records import Measurement, Record

STRENGTH = {"good": 1.5, "middling": 0.0, "poor": -1.5}


def vote(rater: str, left: str, right: str, choice: str, prompt: str = "p0", worse: str = "") -> Vote:
    sides = [
        Shown(model=model, prompt=prompt, is_degraded=worse == side)
        for model, side in ((left, "left"), (right, "right"))
    ]
    return Vote(rater=rater, left=sides[0], right=sides[1], choice=choice)


def poll(raters: int, each: int, *, clicking: int = 0) -> list[Vote]:
    drawn = random.Random(4)
    votes = []
    for number in range(raters):
        for _ in range(each):
            left, right = drawn.sample(list(STRENGTH), 2)
            likely = 0.5 if number < clicking else 1 / (1 + 2.718281828 ** (STRENGTH[right] - STRENGTH[left]))
            choice = "left" if drawn.random() < likely else "right"
            votes.append(vote(f"r{number}", left, right, choice, f"p{drawn.randrange(5)}"))
    return votes


def test_the_preferred_models_come_first_with_intervals_around_a_thousand():
    found = count(poll(20, 30))
    assert [one.model for one in found.models] == ["good", "middling", "poor"]
    assert sum(one.elo for one in found.models) / 3 == pytest.approx(ELO_ON_AVERAGE)
    assert all(one.interval[0] < one.elo < one.interval[1] for one in found.models)
    assert found.models[0].interval[0] > found.models[1].interval[1]
    assert found.votes == 600
    assert 0 < found.alpha < 1


def test_who_clicks_at_random_is_named_and_still_counted():
    found = count(poll(20, 80, clicking=1))
    assert [rater.name for rater in found.raters if rater.remark] == ["r0"]
    assert found.raters[0].remark == "votes like a coin"
    assert found.votes == 1600


def test_who_fails_the_checks_is_left_out_and_named():
    votes = poll(6, 30)
    votes += [vote("r0", "good", "good", "right", worse="right") for _ in range(3)]
    votes += [vote("r1", "good", "good", "right", worse="left") for _ in range(3)]
    found = count(votes)
    assert {rater.name: rater.remark for rater in found.raters if rater.is_left_out} == {
        "r0": "left out: failed 3 of 3 checks"
    }
    assert found.votes == 150


def test_one_failed_check_is_excused():
    votes = (
        poll(6, 30)
        + [vote("r0", "good", "good", "right", worse="right")]
        + [vote("r0", "good", "good", "left", worse="right")] * 4
    )
    assert not any(rater.is_left_out for rater in count(votes).raters)


def test_checks_by_the_thousand_are_counted():
    votes = [vote("unknown", "good", "good", "left" if at % 20 else "right", worse="right") for at in range(1200)]
    (rater,) = count([vote("unknown", "good", "poor", "left"), *votes]).raters
    assert (rater.checks, rater.failed, rater.is_left_out) == (1200, 60, False)


def test_raters_may_be_left_out_by_name():
    found = count(poll(6, 30), without=["r3"])
    assert found.votes == 150
    assert {rater.name: rater.remark for rater in found.raters if rater.is_left_out} == {"r3": "left out by name"}


def test_thousands_of_votes_that_nobody_shares_are_finite_odds():
    votes = [vote(f"r{at % 8}", "good", "poor", "left" if at % 20 else "right") for at in range(3200)]
    votes += [vote("bot", "good", "poor", "right" if at % 50 else "left") for at in range(2000)]
    votes += [vote("bot", "good", "good", "right", worse="right")] * 400
    odds = {rater.name: rater.coin_odds for rater in count(votes).raters}
    assert 1e300 < odds.pop("bot") < float("inf")
    assert all(0 < value < 1 for value in odds.values())


def test_who_answers_a_pair_again_agrees_with_nobody():
    asked = [("good", "poor", "left"), ("good", "middling", "right")]
    votes = [vote("a", *one) for one in asked]
    assert count([*votes, *votes]).alpha is None
    assert count([*votes, *votes, *(vote("b", *one) for one in asked)]).alpha == 1


def test_no_vote_that_counts_is_no_strength():
    votes = [vote("a", "good", "poor", "left"), *[vote("a", "good", "good", "right", worse="right")] * 4]
    found = count(votes)
    assert [(one.model, one.elo, one.reason) for one in found.models] == [
        ("good", None, "no vote counts"),
        ("poor", None, "no vote counts"),
    ]


def measured(model: str, prompt: str, **values: float) -> Record:
    better = {"seen": "higher", "blur": "lower", "motion": "neutral"}
    measurements = tuple(
        Measurement(name=name, value=value, unit="1", better=better[name]) for name, value in values.items()
    )
    return Record(
        run="r",
        nodeid=f"{model}-{prompt}",
        benchmark="b",
        model=model,
        prompt=prompt,
        status="passed",
        measurements=measurements,
    )


def test_metrics_are_held_against_the_votes_in_their_own_direction():
    records = [
        measured(model, f"p{at}", seen=strength, blur=strength, motion=strength)
        for model, strength in STRENGTH.items()
        for at in range(5)
    ]
    found = {one.metric: one for one in count(poll(20, 30), records).metrics}
    assert found.keys() == {"seen", "blur"}, "a neutral metric says of no clip that it is better"
    assert found["seen"].agreeing == pytest.approx(1 - found["blur"].agreeing)
    assert found["seen"].interval[0] > 0.7


def test_equal_values_are_half_an_agreement():
    records = [measured(model, "p0", seen=1.0) for model in STRENGTH]
    (found,) = count([vote("a", "good", "poor", "left"), vote("b", "poor", "good", "left")], records).metrics
    assert (found.agreeing, found.interval) == (0.5, None)


def test_prompts_that_all_agree_say_nothing_of_others():
    records = [measured(model, f"p{at}", seen=STRENGTH[model]) for model in STRENGTH for at in range(3)]
    votes = [vote("a", "good", "poor", "left", f"p{at}") for at in range(3)]
    (found,) = count(votes, records).metrics
    assert (found.agreeing, found.interval) == (1.0, None)


def test_a_record_of_each_model_joins_what_was_measured_of_it():
    found = count(poll(20, 30))
    records = records_of(found, "arena-1", {"good": {"weights": "hub", "recipe_digest": "r1"}})
    assert (records[0].model, records[0].weights, records[0].recipe_digest) == ("good", "hub", "r1")
    (one,) = records[0].measurements
    assert (one.name, one.unit, one.value, one.interval) == (
        "preference",
        "Elo",
        found.models[0].elo,
        found.models[0].interval,
    )


@pytest.mark.parametrize(
    ("setup", "said"), [({"task": "none"}, "not a Record: Invalid enum value 'none'"), ({"recipe": 3}, "at `recipe")]
)
def test_what_no_record_says_of_a_model_is_refused_with_its_file(setup, said, tmp_path):
    with pytest.raises(RecordError, match=said) as error:
        records_of(count(poll(6, 30)), "arena-1", {"good": setup}, where=tmp_path / "key.json")
    assert "key.json" in str(error.value)


def test_what_is_said_of_a_model_is_not_what_its_record_is():
    setups = {"good": {"run": "other", "model": "other", "later_version": 1}}
    assert {(one.run, one.model) for one in records_of(count(poll(6, 30)), "arena-1", setups)} == {
        ("arena-1", model) for model in STRENGTH
    }
