"""A job until nothing is left of it: what is finished is not run again, what another coordinator runs is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from pytest_vdb.cluster.engines.contract import Engine, Machines
from pytest_vdb.cluster.jobs import Job, Shard, address_of, is_cancelled
from pytest_vdb.cluster.knowing import Known, known_of, known_of_all
from pytest_vdb.cluster.running import Task
from pytest_vdb.cluster.storage import Storage, patiently

ROUNDS_OF_A_JOB = 3
"""Over the engine's own retries: a machine that is broken may break several."""
_POLL_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a shard."""

    shard: Shard
    known: Known
    problem: str | None = None
    """Why it is not finished; None: it is."""


def outcomes(
    storage: Storage,
    job: Job,
    shards: Sequence[Shard],
    engine: Engine,
    machines: Machines,
    environment: Mapping[str, str],
    say: Callable[[str], None],
) -> Generator[Outcome]:
    """Each shard once, as soon as it is finished or given up; closed early, what this process runs is ended.

    Raises:
        StorageError: it cannot be reached, for minutes.
        EngineError: the engine cannot run anything.
    """
    left: dict[str, Shard] = {}
    elsewhere: dict[str, Shard] = {}
    now = time.time()
    for shard, known in known_of_all(storage, shards):
        if known.is_finished(shard):
            yield Outcome(shard=shard, known=known)
        elif any(told.runs(now) for told in known.attempts):
            elsewhere[shard.id] = shard
        else:
            left[shard.id] = shard
    if elsewhere:
        say(f"{len(elsewhere)} shards are run by sessions of another coordinator, and are waited for")
    problems: dict[str, str] = {}
    was_cancelled = False
    for _ in range(ROUNDS_OF_A_JOB):
        for outcome in _round(storage, job, list(left.values()), engine, machines, environment, problems):
            del left[outcome.shard.id]
            yield outcome
        for outcome in _followed(storage, elsewhere):
            if outcome.problem is None:
                yield outcome
            else:
                left[outcome.shard.id] = outcome.shard
                problems[outcome.shard.id] = outcome.problem
        elsewhere = {}
        was_cancelled = bool(left) and patiently(partial(is_cancelled, storage))
        if not left or was_cancelled:
            break
    for shard in left.values():
        known = patiently(partial(known_of, storage, shard))
        problem = "the job was cancelled" if was_cancelled else problems.get(shard.id, "its engine said nothing of it")
        yield Outcome(shard=shard, known=known, problem=problem)


def _round(
    storage: Storage,
    job: Job,
    left: Sequence[Shard],
    engine: Engine,
    machines: Machines,
    environment: Mapping[str, str],
    problems: dict[str, str],
) -> Generator[Outcome]:
    """Those that the engine finished; why it did not finish the others goes into `problems`."""
    of_address = {address_of(storage, shard): shard for shard in left}
    tasks = [
        Task(address=address, arguments=job.arguments, folder=job.folder, environment=environment)
        for address in of_address
    ]
    if not tasks:
        return
    running = engine.run(tasks, machines)
    try:
        for ended in running:
            shard = of_address[ended.task.address]
            known = patiently(partial(known_of, storage, shard))
            if known.is_finished(shard):
                yield Outcome(shard=shard, known=known)
            else:
                problems[shard.id] = ended.problem or "its session ended before its last test"
    finally:
        running.close()


def _followed(storage: Storage, elsewhere: Mapping[str, Shard]) -> Generator[Outcome]:
    """Shards that sessions of somebody else run, as they finish or are lost."""
    waiting = dict(elsewhere)
    while waiting:
        for shard, known in patiently(lambda: list(known_of_all(storage, list(waiting.values())))):
            if known.is_finished(shard):
                yield Outcome(shard=shard, known=known)
            elif not any(told.runs(time.time()) for told in known.attempts):
                yield Outcome(shard=shard, known=known, problem="the session that ran it elsewhere was lost")
            else:
                continue
            del waiting[shard.id]
        if waiting:
            time.sleep(_POLL_S)
