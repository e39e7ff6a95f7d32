"""Shards by number: who starts many sessions by one command (an Indexed Job, an array) tells each only its number.

    python -m pytest_vdb.cluster.indexed PLACE ARGUMENT...

runs the shard of that number with these arguments of pytest, in the folder where it is started. PLACE is a list of
shards, `JOB/lists/NAME.json`, or JOB itself for all shards of it, by name. It ends with 0 where the session did what it
could, with 75 where it was told to go, else with 1: it shall be tried again.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_vdb import signals
from pytest_vdb.cluster.jobs import PREEMPTED, SHARDS, SUFFIX
from pytest_vdb.cluster.running import Task, run_shard
from pytest_vdb.errors import EngineError, VdbError
from pytest_vdb.records import SCHEMA_IN_FULL, from_json, to_json
from pytest_vdb.storage import patiently, storage_at

LISTS = "lists/"
"""Of a job: which shard has which number, a list for each time that some of them were handed out."""
NUMBERS = ("JOB_COMPLETION_INDEX", "SLURM_ARRAY_TASK_ID")
"""Where Kubernetes and Slurm tell a process its number."""
DIED = 1
"""What the process ends with whose session died, or found no shard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardList:
    """Which shard has which number: its place in the list."""

    shards: tuple[str, ...]
    """Ids."""
    schema: int = SCHEMA_IN_FULL


def put_list(addresses: Sequence[str], name: str) -> str:
    """Number shards of one job, from 0.

    Args:
        addresses: of the shards, as `--vdb-shard` takes them.
        name: of the list, which nobody has used.

    Returns:
        The address of the list.

    Raises:
        StorageError: the storage did not take it, for minutes.
    """
    storage, place = storage_at(job_with(addresses[0])), f"{LISTS}{name}{SUFFIX}"
    ids = tuple(address.rpartition(SHARDS)[2].removesuffix(SUFFIX) for address in addresses)
    patiently(lambda: storage.put(place, to_json(ShardList(shards=ids)).encode()))
    return list_called(name, storage.address)


def list_called(name: str, job: str) -> str:
    """The address of a job's list of that name."""
    return f"{job}/{LISTS}{name}{SUFFIX}"


def job_with(address: str) -> str:
    """The address of the job that has the shard at an address."""
    return address.rpartition(SHARDS)[0].rstrip("/")


def addresses_in(place: str) -> list[str]:
    """The shards of a list, or all of a job, each at its number; their addresses as `--vdb-shard` takes them.

    Raises:
        StorageError: the storage cannot be reached, for minutes, or has no such list.
        RecordError: what is there is no list.
    """
    job, of_list, name = place.rpartition(LISTS)
    storage = storage_at(job if of_list else place)
    if of_list:
        listed = from_json(patiently(lambda: storage.get(f"{LISTS}{name}")), ShardList, where=place)
        names: Iterable[str] = (f"{SHARDS}{shard}{SUFFIX}" for shard in listed.shards)
    else:
        names = sorted(
            (shard for shard in patiently(lambda: storage.names(SHARDS)) if shard.endswith(SUFFIX)),
            key=lambda shard: shard.count(
                "/"
            ),  # what was split from shards stands behind: the others keep their numbers
        )
    return [f"{storage.address}/{name}" for name in names]


def _shard_number(environment: Mapping[str, str]) -> int:
    """Raises `EngineError` where nobody told a number."""
    told = [environment[name] for name in NUMBERS if name in environment]
    if not told or not told[0].isdecimal():
        mend = f"start it as a pod of an Indexed Job or a task of an array, which have {' or '.join(NUMBERS)}"
        raise EngineError(f"which shard to run is not known: {told[0] if told else 'no number'}", mend=mend)
    return int(told[0])


def run_by_number(place: str, arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the shard whose number stands in the environment; the status that this process shall end with."""
    told_to_go = threading.Event()
    for one in signals.OF_AN_END:  # as the first process of a container nobody else listens to them
        signal.signal(one, lambda *_: told_to_go.set())
    try:
        number, addresses = _shard_number(environment), addresses_in(place)
        if number >= len(addresses):
            mend = "start as many sessions as there are shards, numbered from 0"
            raise EngineError(f"there is no shard {number}: there are {len(addresses)}", where=place, mend=mend)
        task = Task(address=addresses[number], arguments=tuple(arguments), folder=str(Path.cwd()))
        run_shard(task, must_stop=told_to_go.is_set)
    except VdbError as problem:
        sys.stderr.write(f"{problem}\n")
        return PREEMPTED if told_to_go.is_set() else DIED
    return 0


if __name__ == "__main__":
    if len(sys.argv) == 1:
        sys.exit("which job or list of shards? give its address, and then arguments of pytest")
    sys.exit(run_by_number(sys.argv[1], sys.argv[2:], os.environ))
