"""An attempt is one session on one shard: the only writer of one object, which only grows.

Its lines are events (`{"event":"start",...}`, `begin`, `end`, `alive`) and, between them, records as a run's file has
them. The object is put whole, by a thread of its own, a second after something was said at the latest: no test waits
for the storage, and one that is away for a minute loses nothing. Previews and features are there before the record
that names them.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from pytest_vdb import files
from pytest_vdb.cluster.jobs import ATTEMPTS, Shard, is_cancelled, shard_named
from pytest_vdb.errors import OutputError, RecordError, StorageError
from pytest_vdb.records import Environment, Record
from pytest_vdb.results.lines import Teller
from pytest_vdb.storage import Storage

End = Literal["finished", "preempted", "cancelled", "interrupted"]
LINES = ".jsonl"

BEAT_S = 30.0
"""So often an attempt says that it is alive, whatever its test does."""
_PERIOD_S = 1.0
"""Between two puts: a test's end and the beginning of the next one are one."""
_AGAIN_S = 2.0
"""After which a storage that was away is tried again."""


class Event(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What an attempt says besides records."""

    event: Literal["start", "begin", "end", "alive"]
    at: float
    """Seconds since 1970, by the clock of the machine."""
    nodeid: str | None = None
    """Of the test that begins."""
    why: str | None = None
    """Of the end: one of `End`."""
    shard: str | None = None
    """Of the start: on which of the shards that lie together."""
    worker: str | None = None
    """What the engine calls the place."""
    environment: Environment | None = None


BEGINS = b'{"event":'
"""How the line of an event begins."""


def _line_of_event(event: Event) -> bytes:
    return msgspec.json.encode(event)


@dataclass(frozen=True, slots=True)
class _Said:
    """A line, and the files that must be there before it."""

    line: bytes
    files: Mapping[str, Path]
    """By their names below the attempt's own folder."""


class Attempt:
    """Says what a session does with its shard. What it says is put by a thread.

    Args:
        storage: of the job.
        shard: which one.
        environment: where the session runs.
        worker: what the engine calls this place.
    """

    def __init__(self, storage: Storage, shard: Shard, environment: Environment, worker: str | None) -> None:
        self.name = f"{ATTEMPTS}{shard.planned}/{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
        self.is_cancelled = False
        """Whether the job was cancelled, as far as the thread has looked."""
        self.shard = shard
        """As the thread has read it last: what was split from it is run by another session."""
        self.problem: str | None = None
        """Why the storage does not take what is said; None: it does."""
        self._storage = storage
        self._teller = Teller()
        self._kept: list[bytes] = []
        """Lines whose files are in the storage."""
        self._waiting: list[_Said] = []
        self._changed = threading.Condition()
        self._ends_by: float | None = None
        """On the monotonic clock: when the thread gives up, once the session has ended."""
        self._say(Event(event="start", at=time.time(), shard=shard.id, worker=worker, environment=environment))
        self._thread = threading.Thread(target=self._publish, name="vdb-attempt", daemon=True)
        self._thread.start()

    def begin(self, nodeid: str) -> None:
        """A test begins."""
        self._say(Event(event="begin", at=time.time(), nodeid=nodeid))

    def keep(self, record: Record, folder: Path) -> None:
        """A test is over.

        Args:
            record: of the test.
            folder: the run's own, in which the files lie that it names.
        """
        told = self._teller.told(record)
        self._teller.kept(told)
        self._append(_Said(told.whole, {name: folder / name for name in files_of(record)}))

    def end(self, why: End, *, patience_s: float) -> bool:
        """The session is over.

        Args:
            why: it is.
            patience_s: how long a storage that is away is waited for.

        Returns:
            Whether all that was said is in the storage.
        """
        self._say(Event(event="end", at=time.time(), why=why))
        with self._changed:
            self._ends_by = time.monotonic() + patience_s
            self._changed.notify()
        self._thread.join(patience_s + 1)
        return not self._thread.is_alive() and not self._waiting and self.problem is None

    def _say(self, event: Event) -> None:
        self._append(_Said(_line_of_event(event), {}))

    def _append(self, said: _Said) -> None:
        with self._changed:
            self._waiting.append(said)
            self._changed.notify()

    # On the thread --------------------------------------------------------------------------------------------------

    def _publish(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ends_by is not None, timeout=BEAT_S)
                waiting = list(self._waiting)
            self._put(waiting)
            ends_by = self._ends_by
            if ends_by is None:
                self._look_at_the_job()
            elif not self._waiting or time.monotonic() > ends_by:
                return
            with self._changed:
                if self._ends_by is ends_by:  # else the session has ended meanwhile, and is waiting
                    self._changed.wait(_AGAIN_S if self.problem is not None else _PERIOD_S)

    def _put(self, waiting: list[_Said]) -> None:
        """What was said so far, and that the session is alive; if the storage does not take it, nothing is lost."""
        try:
            for said in waiting:
                for name, path in said.files.items():
                    if files.is_file(path):  # else the disk did not take it, and the record says so
                        self._storage.put(f"{self.name}/{name}", files.read_bytes(path, error=OutputError))
            lines = [*self._kept, *(said.line for said in waiting)]
            alive = _line_of_event(Event(event="alive", at=time.time()))
            self._storage.put(f"{self.name}{LINES}", b"\n".join([*lines, alive, b""]))
        except (StorageError, OutputError) as problem:
            self.problem = str(problem)
            return
        self.problem = None
        self._kept = lines
        with self._changed:
            del self._waiting[: len(waiting)]

    def _look_at_the_job(self) -> None:
        try:
            self.is_cancelled = is_cancelled(self._storage)
            self.shard = shard_named(self._storage, self.shard.name)
        except (StorageError, RecordError) as problem:
            self.problem = str(problem)


def files_of(record: Record) -> tuple[str, ...]:
    """The files that a record names, relative to its run's folder."""
    named = (record.features, *((record.clip.preview, record.clip.poster) if record.clip else ()))
    return tuple(name for name in named if name)


def without_files(record: Record, missing: set[str]) -> Record:
    """The same record, naming none of these files."""
    clip = record.clip
    if clip is not None:
        preview, poster = (None if name in missing else name for name in (clip.preview, clip.poster))
        clip = replace(clip, preview=preview, poster=poster)
    return replace(record, clip=clip, features=None if record.features in missing else record.features)
