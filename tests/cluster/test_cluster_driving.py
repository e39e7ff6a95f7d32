"""A job is followed until each shard is finished or given up, whatever its engine does."""

from __future__ import annotations

from made_shards import make_shard

from pytest_vdb.cluster.driving import outcomes
from pytest_vdb.cluster.engines.contract import Engine, Machines
from pytest_vdb.cluster.jobs import Job, cancel, submit

JOB = Job(id="j", arguments=(), folder="/p", tests=3, gpus=0, created_at="2026-01-01T00:00:00+00:00")


def engine_that_runs(run):
    return Engine(name="made", extra=None, workers=lambda _: 1, gpus=lambda _: 0, run=run)


def outcomes_with(storage, run):
    shards = [make_shard()]
    submit(storage, JOB, shards)
    return list(outcomes(storage, JOB, shards, engine_that_runs(run), Machines(), {}, print))


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
