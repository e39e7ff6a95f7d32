"""Shards are split where that saves time, every test stays with somebody, and nothing that runs is taken away."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from made_shards import make_record, make_shard, put_attempt

from pytest_vdb.cluster.costs import START_S
from pytest_vdb.cluster.jobs import Job, parts_in, shard_named, shards_in, submit
from pytest_vdb.cluster.knowing import known_of
from pytest_vdb.cluster.stealing import number_taken, rest_of, split, split_for
from pytest_vdb.errors import StorageError

NOW = 1_000_000.0
JOB = Job(id="j", arguments=(), folder="/p", tests=20, gpus=1, created_at="2026-01-01T00:00:00+00:00")
PROMPTS = tuple("abcdefghijklmnopqrst")


def long_shard(**about):
    """Twenty tests of ten seconds, and a load of thirty."""
    usual = {"prompts": PROMPTS, "tests": 20, "tests_of_prompts": (1,) * 20, "expected_s": 230.0, "load_s": 30.0}
    return make_shard(**{**usual, **about})


def says(storage, shard, *records, began_at=NOW):
    """An attempt that runs."""
    put_attempt(storage, shard, *records, began_at=began_at, begins="next")


@pytest.fixture
def job(storage):
    submit(storage, JOB, [long_shard()])
    return storage


def test_both_end_together_and_nothing_is_taken_that_its_load_is_dearer_than():
    chance = random.Random(1)
    for _ in range(500):
        left, begins_in_s = chance.randrange(200), chance.uniform(0, 300)
        test_s, load_s = chance.uniform(1, 300), chance.uniform(10, 300)
        taken = number_taken(left, test_s=test_s, load_s=load_s, begins_in_s=begins_in_s)
        assert 0 <= taken <= max(left, 0) or begins_in_s > load_s
        if taken:
            ours, theirs = begins_in_s + (left - taken) * test_s, load_s + taken * test_s
            assert -1e-6 <= ours - theirs <= 2 * test_s + 1e-6
            assert taken * test_s >= load_s
        else:
            saved = (left * test_s + begins_in_s - load_s) / 2
            assert saved < max(load_s, test_s) + 1e-6
    assert number_taken(0, test_s=1.0, load_s=10.0, begins_in_s=0.0) == 0


def test_the_end_of_what_waits_is_taken(storage):
    rest = rest_of(long_shard(), known_of(storage, long_shard()), NOW)
    assert rest.taken == PROMPTS[-9:]
    assert rest.ends_in_s == pytest.approx(30 + 19 * 10)


def test_what_is_done_and_what_runs_stays(storage):
    shard = long_shard()
    says(storage, shard, *(make_record(prompt, duration_s=40.0) for prompt in "abct"))
    rest = rest_of(shard, known_of(storage, shard), NOW)
    assert rest.test_s == pytest.approx(40.0)
    assert rest.load_s == START_S
    assert rest.taken == PROMPTS[-1 - len(rest.taken) : -1]
    assert len(rest.taken) == math.floor((15 + (20 - START_S) / 40) / 2)


def test_a_load_that_has_begun_counts(storage):
    shard = long_shard(prompts=PROMPTS[:9], tests=9, tests_of_prompts=(1,) * 9, expected_s=120.0)
    known = known_of(storage, shard)
    assert rest_of(shard, known, NOW).taken == PROMPTS[5:9]
    says(storage, shard, began_at=NOW - 30)
    assert rest_of(shard, known_of(storage, shard), NOW) is None


@pytest.mark.parametrize("unknown", [{"tests_of_prompts": ()}, {"load_s": None}, {"expected_s": None}])
def test_where_nobody_knows_what_it_takes_it_is_whole(storage, unknown):
    shard = long_shard(**unknown)
    assert rest_of(shard, known_of(storage, shard), NOW) is None


def test_every_test_stays_with_somebody(job):
    shard = long_shard(has_others=True, tests=42, tests_of_prompts=(2,) * 20)
    kept, part = split(job, rest_of(shard, known_of(job, shard), NOW))
    assert kept.prompts + part.prompts == PROMPTS
    assert (kept.tests + part.tests, kept.has_others, part.has_others) == (42, True, False)
    assert part.tests == 2 * len(part.prompts)
    assert kept.expected_s < shard.expected_s + 1e-6
    assert shard_named(job, shard.name) == kept
    assert parts_in(job, kept) == parts_in(job, part) == [part]
    assert {one.id for one in shards_in(job)} == {kept.id, part.id}
    assert job.put_names[-2:] == [part.name, kept.name]


def test_a_storage_that_goes_away_in_between_loses_no_test(job):
    rest = rest_of(long_shard(), known_of(job, long_shard()), NOW)
    put = job.put

    def put_once(name, data):
        put(name, data)
        job.is_away = True

    job.put = put_once
    with pytest.raises(StorageError):
        split(job, rest)
    job.is_away = False
    assert {prompt for shard in shards_in(job) for prompt in shard.prompts} == set(PROMPTS)


def test_the_one_that_would_end_last_is_split_as_often_as_workers_idle(job):
    other = long_shard(id="other.0000", model="other", expected_s=630.0)
    shards = [long_shard(), other]
    done = list(split_for(job, shards, 4, NOW))
    assert [kept.planned for kept, _ in done] == ["other.0000"] * 3 + ["wan.0000"]
    ends = {one.id: one for pair in done for one in pair}
    assert sorted(prompt for one in ends.values() if one.model == "other" for prompt in one.prompts) == list(PROMPTS)
    assert max(one.expected_s for one in ends.values()) <= 210


def test_a_part_is_split_again_and_lies_beside_it(job):
    part = replace(long_shard(), id="wan.0000.aa", split_from="wan.0000")
    _, again = split(job, rest_of(part, known_of(job, part), NOW))
    assert again.planned == "wan.0000"
    assert again.name.startswith("shards/wan.0000/wan.0000.")


def test_nothing_is_split_of_what_is_finished_or_short(job):
    says(job, long_shard(), *(make_record(prompt) for prompt in PROMPTS))
    short = make_shard(id="short.0000", model="short", tests_of_prompts=(1, 1, 1), load_s=30.0)
    assert list(split_for(job, [long_shard(), short], 5, NOW)) == []
