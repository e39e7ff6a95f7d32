"""How far a job is, from its storage alone: whoever reaches that sees it, from any machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_vdb.cluster.jobs import Job, Shard, shards_in
from pytest_vdb.cluster.knowing import Known, known_of_all
from pytest_vdb.storage import Storage

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
    gpu_hours: float | None
    """Of its attempts: how long each said that it lives, times the GPUs that it had; None: it runs on processors."""
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
    gpu_hours: float | None
    cost: float | None
    """Of the GPU-hours; None: there are none, or nobody said what one costs."""
    currency: str | None
    left_s: float | None
    """Until the last one ends, if as many go on as run now; None: none runs, or nobody knows."""
    cancelled: bool


def watched(storage: Storage, job: Job, now: float) -> tuple[ShardState, ...]:
    """How far each shard of a job is.

    Args:
        storage: of the job.
        job: that lies there.
        now: seconds since 1970.

    Raises:
        StorageError: it cannot be reached.
    """
    shards = known_of_all(storage, shards_in(storage))
    return tuple(_state_of_shard(shard, known, job.gpus, now) for shard, known in shards)


def _state_of_shard(shard: Shard, known: Known, gpus: int, now: float) -> ShardState:
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
        gpu_hours=seconds / 3600 * gpus if gpus else None,
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


def summed_up(
    states: Sequence[ShardState], price: tuple[float, str] | None = None, *, cancelled: bool = False
) -> JobState:
    """All shards together.

    Args:
        states: of the shards.
        price: of an hour of one GPU, and its currency.
        cancelled: whether the job is.
    """
    of_state = {name: sum(one.state == name for one in states) for name in ("waiting", "running", "done", "lost")}
    left = [one.left_s for one in states if one.state != "done"]
    known = [seconds for seconds in left if seconds is not None]
    running = of_state["running"]
    gpu_hours = [one.gpu_hours for one in states if one.gpu_hours is not None]
    cost = sum(gpu_hours) * price[0] if price is not None and gpu_hours else None
    return JobState(
        shards=len(states),
        **of_state,
        retried=sum(one.retried for one in states),
        tests=sum(one.tests for one in states),
        left=sum(one.tests - one.done_tests for one in states if one.state != "done"),
        worker_hours=sum(one.worker_hours for one in states),
        gpu_hours=sum(gpu_hours) if gpu_hours else None,
        cost=cost,
        currency=price[1] if price is not None and cost is not None else None,
        left_s=sum(known) / running if running and len(known) == len(left) else None,
        cancelled=cancelled,
    )
