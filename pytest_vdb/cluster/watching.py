"""How far a job is, from its storage alone: whoever reaches that sees it, from any machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_vdb.cluster.jobs import Shard, job_in, shards_in
from pytest_vdb.cluster.knowing import Known, known_of_all
from pytest_vdb.cluster.storage import Storage

State = Literal["waiting", "running", "done", "lost"]
"""`lost`: its last session ended without a word, or was told to go, and nobody has begun it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardState:
    """How far a shard is."""

    id: str
    model: str
    state: State
    tests: int
    done_tests: int
    attempts: int
    retried: int
    """Attempts after the first."""
    quarantined: int
    worker_hours: float
    left_s: float | None
    """Of its session, by what its tests took so far, else as it was planned; None: nobody knows."""
    workers: tuple[str, ...]
    """On which its attempts ran."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """How far all of them are."""

    shards: int
    done: int
    running: int
    waiting: int
    lost: int
    retried: int
    tests: int
    left: int
    """Tests that are not done."""
    worker_hours: float
    left_s: float | None
    """Until the last one ends, if as many go on as run now; None: none runs, or nobody knows."""
    cancelled: bool


def watched(storage: Storage, now: float) -> tuple[ShardState, ...]:
    """How far each shard of a job is.

    Args:
        storage: of the job.
        now: seconds since 1970.

    Raises:
        StorageError: there is no job, or it cannot be reached.
    """
    job_in(storage)
    return tuple(_state_of_shard(shard, known, now) for shard, known in known_of_all(storage, shards_in(storage)))


def _state_of_shard(shard: Shard, known: Known, now: float) -> ShardState:
    done = len(known.done_of(shard))
    attempts = known.attempts_on(shard)
    seconds = sum(told.seconds for told in attempts)
    return ShardState(
        id=shard.id,
        model=shard.model,
        state=_state_in_a_word(shard, known, now),
        tests=shard.tests,
        done_tests=done,
        attempts=len(attempts),
        retried=max(0, len(attempts) - 1),
        quarantined=sum(
            record.status == "quarantined" and shard.has(record.model, record.prompt)
            for record in known.records.values()
        ),
        worker_hours=seconds / 3600,
        left_s=None if known.is_finished(shard) else _seconds_left(shard, seconds, done),
        workers=tuple(dict.fromkeys(told.worker for told in attempts if told.worker is not None)),
    )


def _state_in_a_word(shard: Shard, known: Known, now: float) -> State:
    if known.is_finished(shard):
        return "done"
    if known.runs(shard, now):
        return "running"
    return "lost" if known.attempts_on(shard) else "waiting"


def _seconds_left(shard: Shard, seconds: float, done: int) -> float | None:
    """What is left takes as long a test as what is done took; before that, as it was planned."""
    left = max(0, shard.tests - done)
    if done:
        return seconds / done * left
    return shard.expected_s


def summed_up(states: Sequence[ShardState], *, cancelled: bool = False) -> JobState:
    """All shards together."""
    of_state = {name: sum(one.state == name for one in states) for name in ("waiting", "running", "done", "lost")}
    left = [one.left_s for one in states if one.state != "done"]
    known = [seconds for seconds in left if seconds is not None]
    running = of_state["running"]
    return JobState(
        shards=len(states),
        **of_state,
        retried=sum(one.retried for one in states),
        tests=sum(one.tests for one in states),
        left=sum(one.tests - one.done_tests for one in states if one.state != "done"),
        worker_hours=sum(one.worker_hours for one in states),
        left_s=sum(known) / running if running and len(known) == len(left) else None,
        cancelled=cancelled,
    )
