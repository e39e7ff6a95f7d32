"""A job is followed until each shard is finished or given up, whatever its engine does."""

from __future__ import annotations

import time

import pytest
from made_shards import make_record, make_shard, put_attempt

from pytest_vdb.cluster import stealing
from pytest_vdb.cluster.driving import outcomes
from pytest_vdb.cluster.engines.contract import Ended, Engine, Machines
from pytest_vdb.cluster.jobs import Job, cancel, shard_at, submit
from pytest_vdb.cluster.knowing import known_of

JOB = Job(id="j", arguments=(), folder="/p", tests=3, gpus=0, created_at="2026-01-01T00:00:00+00:00")


PROMPTS = tuple("abcdefgh")
LONG = make_shard(prompts=PROMPTS, tests=8, tests_of_prompts=(1,) * 8, expected_s=810.0, load_s=10.0)
"""Eight tests of a hundred seconds."""


def engine_that_runs(run, workers=1, *, grows=False):
    return Engine(name="made", extra=None, workers=lambda _: workers, gpus=lambda _: 0, run=run, grows=grows)


def outcomes_with(storage, run, *, shards=(), **about):
    shards = shards or [make_shard()]
    submit(storage, JOB, shards)
    return list(outcomes(storage, JOB, shards, engine_that_runs(run, **about), Machines(), {}, print))


def session_on(task):
    """Runs what the storage says of the shard by now."""
    storage, shard = shard_at(task.address)
    put_attempt(storage, shard, *map(make_record, shard.prompts), end="finished")
    return Ended(task=task)


def test_a_shard_that_its_engine_forgets_is_given_up(storage):
    (outcome,) = outcomes_with(storage, lambda tasks, machines: (ended for ended in ()))
    assert outcome.problem == "its engine said nothing of it"


def test_a_job_that_is_cancelled_meanwhile_is_not_begun_again(storage):
    asked = []

    def run(tasks, machines):
        asked.append(len(tasks))
        cancel(storage)
        yield from ()

    (outcome,) = outcomes_with(storage, run)
    assert (outcome.problem, asked) == ("the job was cancelled", [1])


def test_what_is_left_is_split_for_workers_that_idle_and_comes_home_once(storage):
    given = []

    def run(tasks, machines):
        given.append([task.address for task in tasks])
        given.append([task.address for task in tasks.more()])
        for task in tasks:
            yield session_on(task)

    (outcome,) = outcomes_with(storage, run, shards=[LONG], workers=3, grows=True)
    assert list(map(len, given)) == [1, 2]
    assert outcome.problem is None
    assert len(outcome.shards) == 3
    assert sorted(prompt for shard in outcome.shards for prompt in shard.prompts) == list(PROMPTS)
    assert len(outcome.known.records) == 8
    assert outcome.known.duplicates == 0


@pytest.mark.parametrize(("workers", "grows"), [(1, True), (3, False)])
def test_nothing_is_split_where_nobody_idles_or_the_engine_takes_no_more(storage, workers, grows):
    def run(tasks, machines):
        assert not list(tasks.more()) or not grows
        for task in list(tasks):
            yield session_on(task)

    (outcome,) = outcomes_with(storage, run, shards=[LONG], workers=workers, grows=grows)
    assert len(outcome.shards) == 1


def test_what_somebody_else_split_is_run_too_before_anything_comes_home(storage):
    def run(tasks, machines):
        if len(given := list(tasks)) == 1 and given[0].address.endswith("wan.0000.json"):
            list(stealing.split_for(storage, [LONG], 1, 0.0))
        for task in given:
            yield session_on(task)

    (outcome,) = outcomes_with(storage, run, shards=[LONG])
    assert len(outcome.known.records) == 8
    assert len(outcome.shards) == 2


def test_a_part_that_is_given_up_is_told_with_what_its_shard_did(storage):
    def run(tasks, machines):
        tasks.more()
        for task in list(tasks):
            yield (session_on(task) if task.address.endswith(LONG.name) else Ended(task=task, problem="it burns"))

    (outcome,) = outcomes_with(storage, run, shards=[LONG], workers=2, grows=True)
    assert outcome.problem == "it burns"
    assert 0 < len(outcome.known.records) < 8
    assert outcome.known == known_of(storage, LONG)


def test_a_session_of_another_coordinator_and_what_it_was_split_into_are_waited_for(storage):
    submit(storage, JOB, [LONG])
    put_attempt(storage, LONG, began_at=time.time(), begins="one")
    asked = []

    def say(text):
        asked.append(text)
        (pair,) = stealing.split_for(storage, [LONG], 1, 0.0)
        put_attempt(storage, LONG, *map(make_record, pair[0].prompts), end="finished")

    def run(tasks, machines):
        for task in tasks:
            yield session_on(task)

    found = list(outcomes(storage, JOB, [LONG], engine_that_runs(run), Machines(), {}, say))
    assert asked
    assert [len(outcome.known.records) for outcome in found] == [8]
