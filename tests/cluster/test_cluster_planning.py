"""Shards cover every test once, are worth their load, and are no longer than an eighth of a worker's share."""

from __future__ import annotations

import math
import random

import pytest

from pytest_vdb.cluster.costs import START_S, Cost
from pytest_vdb.cluster.planning import LOADS, ROUNDS, Work, cut, forecast, works_of
from pytest_vdb.estimates.prediction import Range


def cost(load_s, test_s, half=0.1):
    ends = {"low": test_s / math.exp(half), "high": test_s * math.exp(half)}
    return Cost(load_s=load_s, test_s=Range(value=test_s, **ends), rests_on="a test")


def work(model, prompts, others=0):
    return Work(model, {f"p{number}": 1 for number in range(prompts)}, others)


def test_every_test_is_in_one_shard():
    chance = random.Random(1)
    works = [work(f"m{number}", chance.randrange(1, 90), number % 3) for number in range(30)]
    costs = {one.model: cost(chance.uniform(1, 300), chance.uniform(1, 300)) for one in works[:20]}
    shards = cut(works, costs, workers=16)
    for one in works:
        own = [shard for shard in shards if shard.model == one.model]
        assert sorted(prompt for shard in own for prompt in shard.prompts) == sorted(one.prompts)
        assert sum(shard.tests for shard in own) == one.tests
        assert [shard.has_others for shard in own].count(True) == (1 if one.others else 0)
    assert len({shard.id for shard in shards}) == len(shards)


def test_a_shard_is_worth_five_loads_where_workers_are_many():
    (one,) = works = [work("wan", 100)]
    shards = cut(works, {"wan": cost(90.0, 10.0)}, workers=512)
    size = LOADS * (START_S + 90)
    assert len(shards) == math.ceil(one.tests * 10 / size) == 2
    assert all(shard.expected_s == pytest.approx(START_S + 90 + 10 * shard.tests) for shard in shards)


def test_a_shard_is_an_eighth_of_a_workers_share_where_they_are_few():
    works = [work(f"m{number}", 100) for number in range(4)]
    shards = cut(works, {one.model: cost(0.0, 100.0) for one in works}, workers=8)
    share = 4 * (START_S + 100 * 100) / 8
    assert max(shard.tests for shard in shards) * 100 <= share / ROUNDS + 100


def test_one_worker_loads_each_model_once():
    works = [work("large", 1000), *(work(f"m{number}", 10) for number in range(9))]
    assert len(cut(works, {one.model: cost(60.0, 10.0) for one in works}, workers=1)) == 10


def test_long_shards_come_first():
    works = [work("short", 3), work("long", 3)]
    shards = cut(works, {"short": cost(1.0, 1.0), "long": cost(1.0, 500.0)}, workers=1)
    assert [shard.model for shard in shards] == ["long", "short"]


def test_what_nobody_knows_is_cut_and_is_not_foretold():
    works = [work("known", 40), work("new", 40)]
    costs = {"known": cost(10.0, 30.0)}
    shards = cut(works, costs, workers=8)
    assert {shard.expected_s for shard in shards if shard.model == "new"} == {None}
    foreseen = forecast(shards, costs, workers=8)
    assert foreseen.unknown == ("new",)
    assert foreseen.tests == 80
    assert foreseen.worker_hours[0] * 3600 == pytest.approx(sum(s.expected_s for s in shards if s.model == "known"))


def test_a_makespan_lies_between_the_fair_share_and_the_sum():
    works = [work(f"m{number}", 50) for number in range(6)]
    costs = {one.model: cost(20.0, 5.0, half=0.5) for one in works}
    foreseen = forecast(cut(works, costs, workers=4), costs, workers=4)
    total = foreseen.worker_hours[0] * 3600
    value, low, high = foreseen.makespan_s
    assert total / 4 <= value * 1.000001
    assert value <= total
    assert low < value < high
    assert 0 < foreseen.overhead < 1


def test_what_can_be_split_is_foretold_to_end_near_the_fair_share():
    works = [work(f"m{number}", 60) for number in range(5)]
    costs = {one.model: cost(20.0, 30.0, half=0.5) for one in works}
    shards = cut(works, costs, workers=8, grows=True)
    whole, split = (forecast(shards, costs, workers=8, grows=grows) for grows in (False, True))
    share = whole.worker_hours[0] * 3600 / 8
    assert len(shards) == 5
    assert whole.makespan_s[0] > 1.5 * share
    assert share <= split.makespan_s[0] < 1.15 * share
    assert split.makespan_s[1] < split.makespan_s[0] < split.makespan_s[2]


def test_splitting_makes_no_job_longer():
    chance = random.Random(3)
    for _ in range(20):
        works = [work(f"m{number}", chance.randrange(1, 60)) for number in range(chance.randrange(1, 12))]
        costs = {one.model: cost(chance.uniform(1, 300), chance.uniform(0.1, 300)) for one in works}
        workers = chance.randrange(1, 20)
        shards = cut(works, costs, workers, grows=True)
        whole, split = (forecast(shards, costs, workers, grows=grows).makespan_s[0] for grows in (False, True))
        assert split <= whole * 1.000001
        assert split * workers >= sum(shard.expected_s for shard in shards) * 0.999999


def test_a_model_without_prompts_is_one_shard():
    (shard,) = cut([Work("wan", {}, 2)], {}, workers=4)
    assert (shard.prompts, shard.has_others, shard.tests) == ((), True, 2)


def test_models_whose_names_are_no_file_names_do_not_become_one():
    shards = cut([work("org/wan:1", 1), work("org_wan_1", 1)], {}, workers=1)
    assert len({shard.id for shard in shards}) == 2
    assert not any("/" in shard.id for shard in shards)


def test_tests_are_counted_by_model_and_prompt():
    (one,) = works_of([("wan", "a"), ("wan", "b"), ("wan", "a"), ("wan", None)])
    assert (one.prompts, one.others, one.tests) == ({"a": 2, "b": 1}, 1, 4)
