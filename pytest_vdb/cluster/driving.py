"""A job until nothing is left of it: what is finished is not run again, what another coordinator runs is waited for.

While workers idle, what is left of shards is split for them, where the engine takes more tasks than it was given. What
came of a shard is told when all that it was split into has ended: its records come home once.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from pytest_vdb.cluster import stealing
from pytest_vdb.cluster.engines.contract import Engine, Machines, Tasks
from pytest_vdb.cluster.jobs import Job, Shard, address_of, is_cancelled, parts_in
from pytest_vdb.cluster.knowing import Known, known_of, known_of_planned
from pytest_vdb.cluster.running import Task
from pytest_vdb.errors import StorageError
from pytest_vdb.storage import Storage, patiently

ROUNDS_OF_A_JOB = 3
"""Over the engine's own retries: a machine that is broken may break several."""
_POLL_S = 2.0
_LOOKING = 0.1
"""The part of its time that a coordinator looks for something to split, while workers idle: each look reads what all
sessions that run have said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a planned shard."""

    shards: tuple[Shard, ...]
    """What it was split into; itself, if it was not."""
    known: Known
    problem: str | None = None
    """Why it is not finished; None: it is."""


@dataclass(slots=True)
class _Progress:
    """What is left of a job's shards, and what they were split into."""

    storage: Storage
    parts: dict[str, dict[str, Shard]] = field(default_factory=dict)
    """All shards, by the planned one and their own ids."""
    left: dict[str, Shard] = field(default_factory=dict)
    """Those that are to be run, by their ids."""
    elsewhere: dict[str, Shard] = field(default_factory=dict)
    """Those that sessions of another coordinator run."""
    problems: dict[str, str] = field(default_factory=dict)
    """Why a shard that is left was not finished, by its id."""

    def take_up(self, shards: Iterable[Shard]) -> Generator[Outcome]:
        """All shards that the job has: those of which nothing is left are told."""
        for parts, known in known_of_planned(self.storage, list(shards)):
            self._sort(parts, known)
            yield from self._told_if_over(parts[0], known)

    def finish(self, shard: Shard, known: Known) -> Generator[Outcome]:
        """Nothing is left of a shard; what somebody else split from it, or this process unawares, is taken up."""
        self.left.pop(shard.id, None)
        self.elsewhere.pop(shard.id, None)
        parts = patiently(partial(parts_in, self.storage, shard))
        self._sort([one for one in parts if one.id not in self.parts[shard.planned]], known)
        yield from self._told_if_over(shard, known)

    def give_back(self, shard: Shard, problem: str) -> None:
        """A shard was not finished where it ran."""
        self.elsewhere.pop(shard.id, None)
        self.left[shard.id] = shard
        self.problems[shard.id] = problem

    def split(self, kept: Shard, part: Shard) -> None:
        """A shard is smaller now, and the part that was taken from it one more."""
        for shard in (kept, part):
            self.parts[shard.planned][shard.id] = self.left[shard.id] = shard

    def given_up(self, why: str | None) -> Generator[Outcome]:
        """Planned shards of which something is left.

        Args:
            why: if it is the same for all of them.
        """
        for planned in dict.fromkeys(shard.planned for shard in self.left.values()):
            parts = self.parts[planned]
            said = [self.problems[one] for one in parts if one in self.left and one in self.problems]
            problem = why or next(iter(said), "its engine said nothing of it")
            known = patiently(partial(known_of, self.storage, next(iter(parts.values()))))
            yield Outcome(shards=tuple(parts.values()), known=known, problem=problem)

    def _sort(self, shards: Iterable[Shard], known: Known) -> None:
        for shard in shards:
            self.parts.setdefault(shard.planned, {})[shard.id] = shard
            if known.is_finished(shard):
                continue
            (self.elsewhere if known.runs(shard, time.time()) else self.left)[shard.id] = shard

    def _told_if_over(self, shard: Shard, known: Known) -> Generator[Outcome]:
        parts = self.parts[shard.planned]
        if not any(one in self.left or one in self.elsewhere for one in parts):
            yield Outcome(shards=tuple(parts.values()), known=known)


def outcomes(
    storage: Storage,
    job: Job,
    shards: Sequence[Shard],
    engine: Engine,
    machines: Machines,
    environment: Mapping[str, str],
    say: Callable[[str], None],
) -> Generator[Outcome]:
    """Each planned shard once, as soon as it is finished or given up; closed early, what this process runs is ended.

    Raises:
        StorageError: it cannot be reached, for minutes.
        EngineError: the engine cannot run anything.
    """
    progress = _Progress(storage)
    yield from progress.take_up(shards)
    if progress.elsewhere:
        say(f"{len(progress.elsewhere)} shards are run by sessions of another coordinator, and are waited for")
    was_cancelled = False
    for _ in range(ROUNDS_OF_A_JOB):
        yield from _round(progress, job, engine, machines, environment)
        yield from _followed(progress)
        was_cancelled = bool(progress.left) and patiently(partial(is_cancelled, storage))
        if not progress.left or was_cancelled:
            break
    yield from progress.given_up("the job was cancelled" if was_cancelled else None)


def _round(
    progress: _Progress, job: Job, engine: Engine, machines: Machines, environment: Mapping[str, str]
) -> Generator[Outcome]:
    """Shards that are left, and what is split from them meanwhile, until the engine has ended with each."""
    storage = progress.storage

    def task_of(shard: Shard) -> Task:
        address = address_of(storage, shard)
        return Task(address=address, arguments=job.arguments, folder=job.folder, environment=environment)

    if not progress.left:
        return
    running: dict[str, str] = {}
    """Ids of shards that the engine has not ended with, by their addresses."""
    given: set[str] = set()
    """Ids of all that it was given: none is given twice in a round."""

    def tasks() -> Iterable[Task]:
        for shard in [one for one in progress.left.values() if one.id not in given]:
            task = task_of(shard)
            running[task.address] = shard.id
            given.add(shard.id)
            yield task

    splitting = _Splitting(progress, engine.workers(machines) if engine.grows else 0)

    def more() -> Iterable[Task]:
        splitting.look(running.values())
        return tasks()

    ends = engine.run(Tasks(tasks(), more), machines)
    try:
        for ended in ends:
            shard = progress.left[running.pop(ended.task.address)]
            known = patiently(partial(known_of, storage, shard))
            if known.is_finished(shard):
                yield from progress.finish(shard, known)
            else:
                progress.problems[shard.id] = ended.problem or "its session ended before its last test"
    finally:
        ends.close()


@dataclass(slots=True)
class _Splitting:
    """Splits what is left of shards, when fewer of them are unended than there are workers."""

    progress: _Progress
    workers: int
    looks_at: float = 0.0
    """On the monotonic clock: when it looks again, if workers idle then."""

    def look(self, unended: Collection[str]) -> None:
        """Split for workers that idle.

        Args:
            unended: ids of shards that the engine runs, or will run.
        """
        idle, began, storage = self.workers - len(unended), time.monotonic(), self.progress.storage
        if idle <= 0 or not unended or began < self.looks_at:
            return
        with contextlib.suppress(StorageError):  # it is away for a moment: at the next look
            if not is_cancelled(storage):
                shards = [self.progress.left[one] for one in unended]
                for kept, part in stealing.split_for(storage, shards, idle, time.time()):
                    self.progress.split(kept, part)
        took_s = time.monotonic() - began
        self.looks_at = began + max(_POLL_S, took_s / _LOOKING)


def _followed(progress: _Progress) -> Generator[Outcome]:
    """Shards that sessions of somebody else run, as they finish or are lost."""
    while progress.elsewhere:
        waiting = list(progress.elsewhere.values())
        for parts, known in patiently(partial(_all_known, progress.storage, waiting)):
            for shard in parts:
                if known.is_finished(shard):
                    yield from progress.finish(shard, known)
                elif not known.runs(shard, time.time()):
                    progress.give_back(shard, "the session that ran it elsewhere was lost")
        if progress.elsewhere:
            time.sleep(_POLL_S)


def _all_known(storage: Storage, shards: Sequence[Shard]) -> list[tuple[Sequence[Shard], Known]]:
    return list(known_of_planned(storage, shards))
