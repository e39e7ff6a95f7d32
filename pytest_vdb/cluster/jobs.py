"""A job is what one session hands out: its command, and shards of its tests; all of it lies in the storage.

JOB/job.json                          the command, where it was typed, how much each shard needs
JOB/shards/SHARD.json                 a model, and a slice of the prompts
JOB/shards/SHARD/PART.json            what was split from it: the same, and the shard has fewer prompts since
JOB/attempts/SHARD/ATTEMPT.jsonl      what a session on a shard, or on one split from it, said: see `attempts.py`
JOB/attempts/SHARD/ATTEMPT/...        its previews and features
JOB/cancel                            is there: no session begins another test
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pytest_vdb.errors import StorageError
from pytest_vdb.records import SCHEMA_IN_FULL, from_json, to_json
from pytest_vdb.storage import Storage, get_all, put_all, storage_at

JOBS = "jobs"
"""The folder of an output folder in which jobs lie that were given no other place."""
JOB = "job.json"
SHARDS = "shards/"
CANCEL = "cancel"
SUFFIX = ".json"
ATTEMPTS = "attempts/"

DIES_WITH = "VDB_DIES_WITH"
"""In the environment of a session on a shard: the process that started it, which it does not outlive."""
SHARERS = "VDB_SHARERS"
"""In the environment of a session on a shard: how many may run on the same device at a time, itself included."""
WORKER = "VDB_WORKER"
"""In the environment of a session on a shard: what the engine calls the place where it runs."""

ENDED_WELL = (0, 1, 5)
"""What a session ends with that did what it could: all passed, some failed, nothing was left to do."""
PREEMPTED = 75
"""What a session ends with that was told to go: EX_TEMPFAIL, try again elsewhere."""
NOT_STORED = 74
"""What a session ends with whose storage was away to the end: EX_IOERR, some of it is known to nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A model with a slice of the prompts: the unit of work that a machine takes."""

    id: str
    model: str
    prompts: tuple[str, ...]
    has_others: bool
    """Whether it also runs the model's tests that ask for no prompt."""
    tests: int
    """How many there are."""
    expected_s: float | None
    """Of its session, with the start and the load; None: nobody knows."""
    load_s: float | None = None
    """Of these seconds those until its first test begins; None: nobody knows."""
    tests_of_prompts: tuple[int, ...] = ()
    """How many of its tests ask for each of its prompts; empty: an earlier version cut it, and it is not split."""
    split_from: str | None = None
    """The id of the shard that was planned, and of which this is a part; None: it was planned."""
    schema: int = SCHEMA_IN_FULL

    @property
    def name(self) -> str:
        """Of its object in the storage."""
        below = SHARDS if self.split_from is None else f"{SHARDS}{self.split_from}/"
        return f"{below}{self.id}{SUFFIX}"

    @property
    def planned(self) -> str:
        """The id of the shard that was planned; attempts on all that it was split into lie together."""
        return self.split_from or self.id

    def has(self, model: str, prompt: str | None) -> bool:
        """Whether tests of this model that ask for this prompt, or for none, are the shard's."""
        return model == self.model and (self.has_others if prompt is None else prompt in self.prompts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What all shards have in common."""

    id: str
    arguments: tuple[str, ...]
    """pytest's, of every session."""
    folder: str
    """Where the command was typed, as all machines see it."""
    tests: int
    gpus: int
    """That each session has for itself; 0: it runs on processors."""
    created_at: str
    """ISO 8601, UTC."""
    price_gpu_hour: tuple[float, str] | None = None
    """What its command said that a GPU costs for an hour, and the currency; None: nothing."""
    schema: int = SCHEMA_IN_FULL


def submit(storage: Storage, job: Job, shards: Iterable[Shard]) -> None:
    """Put the shards, then the job that says that all of them are there.

    Raises:
        StorageError: the storage did not take them.
    """
    put_all(storage, ((shard.name, to_json(shard).encode()) for shard in shards))
    storage.put(JOB, to_json(job).encode())


def job_in(storage: Storage) -> Job:
    """The job of a storage.

    Raises:
        StorageError: there is none, or it cannot be reached.
        RecordError: what is there is none.
    """
    if not storage.has(JOB):
        mend = "give the folder or address that `vdb run --on` named"
        raise StorageError(f"there is no job: it has no {JOB}", where=storage.address, mend=mend)
    return from_json(storage.get(JOB), Job, where=f"{storage.address}/{JOB}")


def shards_in(storage: Storage) -> list[Shard]:
    """All shards of a job, the long ones first.

    Raises:
        StorageError: the storage cannot be reached.
        RecordError: an object that is no shard.
    """
    return sorted(_shards_below(storage, SHARDS), key=lambda shard: (-(shard.expected_s or 0), shard.id))


def parts_in(storage: Storage, shard: Shard) -> list[Shard]:
    """What was split from the planned shard of this one, whoever did so.

    Raises:
        StorageError: the storage cannot be reached.
        RecordError: an object that is no shard.
    """
    return _shards_below(storage, f"{SHARDS}{shard.planned}/")


def _shards_below(storage: Storage, below: str) -> list[Shard]:
    names = [name for name in storage.names(below) if name.endswith(SUFFIX)]
    return [from_json(text, Shard, where=name) for name, text in get_all(storage, names)]


def address_of(storage: Storage, shard: Shard) -> str:
    """As `--vdb-shard` takes it."""
    return f"{storage.address}/{shard.name}"


def shard_at(address: str) -> tuple[Storage, Shard]:
    """The shard at an address, and the storage of its job.

    Raises:
        StorageError: it is no shard's address, there is nothing, or the storage cannot be reached.
        RecordError: what is there is no shard.
    """
    job, found, name = address.rpartition(SHARDS)
    if not found or not name.endswith(SUFFIX):
        mend = f"give JOB/{SHARDS}SHARD{SUFFIX}, as `vdb jobs JOB` lists them"
        raise StorageError(f"{address!r} is no shard", where="--vdb-shard", mend=mend)
    storage = storage_at(job)
    return storage, shard_named(storage, f"{SHARDS}{name}")


def shard_named(storage: Storage, name: str) -> Shard:
    """A shard as it stands in the storage: since it was read last it may have been split.

    Raises:
        StorageError: there is none of that name, or the storage cannot be reached.
        RecordError: what is there is no shard.
    """
    return from_json(storage.get(name), Shard, where=f"{storage.address}/{name}")


def cancel(storage: Storage) -> None:
    """From now on no session begins another test.

    Raises:
        StorageError: the storage cannot be reached.
    """
    storage.put(CANCEL, b"cancelled\n")


def is_cancelled(storage: Storage) -> bool:
    """Whether no session shall begin another test.

    Raises:
        StorageError: the storage cannot be reached.
    """
    return storage.has(CANCEL)
