"""What the storage knows of a shard: which tests are done, which began and were never heard of again, and where.

Attempts on a planned shard and on all that it was split into lie together, and are known together: what one of them
has done no other does again, and a test that two have run is a duplicate like any other.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from pytest_vdb.cluster.attempts import BEAT_S, BEGINS, LINES, Event
from pytest_vdb.cluster.jobs import ATTEMPTS, Shard
from pytest_vdb.errors import RecordError
from pytest_vdb.records import Environment, Record, Status
from pytest_vdb.results.lines import Listener
from pytest_vdb.storage import Storage, get_all

FINAL: frozenset[Status] = frozenset({"passed", "failed", "xfailed", "oom", "skipped", "quarantined"})
"""A later attempt does not run these again; anything else may be the machine's fault."""
STRIKES = 3
"""So many attempts that ended without a word in the same test: it is the test's fault, not the machine's."""
LOST_AFTER_S = 4 * BEAT_S
"""Who has not said for so long that it is alive is not; clocks of machines differ by seconds."""


@dataclass(slots=True)
class Told:
    """What one attempt said."""

    name: str
    began_at: float | None = None
    """Seconds since 1970."""
    last_at: float | None = None
    ended: str | None = None
    """Why; None: without a word, or it still runs."""
    shard: str | None = None
    """On which it was, of those that lie together; None: an earlier version said so, which split none."""
    worker: str | None = None
    environment: Environment | None = None
    records: list[Record] = field(default_factory=list)
    unfinished: set[str] = field(default_factory=set)
    """Tests that began, and of which there is no record."""
    warnings: list[str] = field(default_factory=list)

    def is_on(self, shard: Shard) -> bool:
        """Whether it was on this one, of those that lie together."""
        return self.shard in {None, shard.id}

    def runs(self, now: float) -> bool:
        """Whether it still does, as far as anybody can tell."""
        return self.ended is None and self.last_at is not None and now - self.last_at < LOST_AFTER_S

    @property
    def seconds(self) -> float:
        """That it took so far."""
        return 0.0 if self.began_at is None or self.last_at is None else max(0.0, self.last_at - self.began_at)


def told_in(name: str, data: bytes) -> Told:
    """Read what an attempt said; a line that is torn is told, and the others are not lost with it."""
    told, listener = Told(name), Listener()
    events = msgspec.json.Decoder(Event)
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line:
            continue
        try:
            if line.startswith(BEGINS):
                _hear(told, events.decode(line))
            elif isinstance(record := listener.heard(line), Record):
                told.records.append(record)
                told.unfinished.discard(record.nodeid)
        except (RecordError, msgspec.DecodeError) as problem:
            what = problem.what if isinstance(problem, RecordError) else problem
            told.warnings.append(f"{name}:{number}: left out a line that cannot be read: {what}")
    return told


def _hear(told: Told, event: Event) -> None:
    told.last_at = max(event.at, told.last_at or event.at)
    if event.event == "start":
        told.began_at, told.shard = event.at, event.shard
        told.worker, told.environment = event.worker, event.environment
    elif event.event == "begin" and event.nodeid is not None:
        told.unfinished.add(event.nodeid)
    elif event.event == "end":
        told.ended = event.why


@dataclass(slots=True)
class Known:
    """What all attempts on a planned shard, and on those that were split from it, said together."""

    attempts: list[Told]
    """The oldest first."""
    records: dict[str, Record]
    """The one that counts of each test, by node id."""
    duplicates: int
    """Records of tests that another record stands for."""
    disagreements: list[str]
    """Tests of which one machine kind made two different clips."""

    @property
    def strikes(self) -> Counter[str]:
        """How many attempts ended without a word in each test; those that were told to go do not count."""
        return Counter(nodeid for told in self.attempts if told.ended is None for nodeid in told.unfinished)

    @property
    def done(self) -> set[str]:
        """Tests that no later attempt runs again."""
        return {nodeid for nodeid, record in self.records.items() if record.status in FINAL}

    @property
    def quarantined(self) -> dict[str, int]:
        """Tests in which as many attempts ended as is enough, and how many.

        An attempt that was killed a second ago cannot be told from one that runs: both have a strike.
        """
        return {test: count for test, count in self.strikes.items() if count >= STRIKES and test not in self.done}

    def done_of(self, shard: Shard) -> set[str]:
        """Those of a shard."""
        return {test for test in self.done if shard.has(self.records[test].model, self.records[test].prompt)}

    def attempts_on(self, shard: Shard) -> list[Told]:
        """Those on this one, of the shards that lie together."""
        return [told for told in self.attempts if told.is_on(shard)]

    def is_finished(self, shard: Shard) -> bool:
        """Whether nothing is left to do of it."""
        ended = any(told.ended == "finished" for told in self.attempts_on(shard))
        return ended or len(self.done_of(shard)) >= shard.tests

    def runs(self, shard: Shard, now: float) -> bool:
        """Whether a session on it does, as far as anybody can tell."""
        return any(told.runs(now) for told in self.attempts_on(shard))

    @property
    def seconds(self) -> float:
        """That all attempts took."""
        return sum(told.seconds for told in self.attempts)


def known(attempts: Iterable[Told]) -> Known:
    """Bring together what attempts that lie together said: by identity, of several the better."""
    told = sorted(attempts, key=lambda one: one.name)
    records: dict[str, Record] = {}
    duplicates, disagreements = 0, []
    for record in (record for one in told for record in one.records):
        before = records.get(record.nodeid)
        if before is None:
            records[record.nodeid] = record
            continue
        if _identity_of_test(before) != _identity_of_test(
            record
        ):  # the suite or the model changed between two attempts
            disagreements.append(f"{record.nodeid}: it was another test: its suite, recipe or weights were changed")
        elif _clips_differ(before, record):
            disagreements.append(f"{record.nodeid}: two different clips on {record.hardware}")
        duplicates += 1
        records[record.nodeid] = min(before, record, key=_rank)
    return Known(told, records, duplicates, list(dict.fromkeys(disagreements)))


def _identity_of_test(record: Record) -> tuple[object, ...]:
    """The same test under the same conditions, wherever it ran."""
    made_of = record.recipe_digest, record.seed, record.weights, record.revision, record.suite_digest
    return (record.nodeid, *made_of)


def _clips_differ(one: Record, other: Record) -> bool:
    if one.clip is None or other.clip is None or one.hardware != other.hardware:
        return False
    return one.clip.digest != other.clip.digest


def _rank(record: Record) -> tuple[bool, bool, str]:
    """Of two records of a test: a result before an accident, measured before reused, then the earlier."""
    return record.status not in FINAL, record.reused_from is not None, record.started_at or "~"


def known_of(storage: Storage, shard: Shard) -> Known:
    """What the storage knows of a shard, and of those that lie together with it.

    Raises:
        StorageError: it cannot be reached.
    """
    below = f"{ATTEMPTS}{shard.planned}/"
    names = [name for name in storage.names(below) if _is_attempt(name)]
    return known(told_in(name, data) for name, data in get_all(storage, names))


def known_of_all(storage: Storage, shards: Sequence[Shard]) -> Iterator[tuple[Shard, Known]]:
    """What the storage knows of each shard, as `known_of_planned` asks for it.

    Raises:
        StorageError: it cannot be reached.
    """
    for parts, found in known_of_planned(storage, shards):
        yield from ((shard, found) for shard in parts)


def known_of_planned(storage: Storage, shards: Sequence[Shard]) -> Iterator[tuple[Sequence[Shard], Known]]:
    """What the storage knows of each planned shard, with those of the shards that it became.

    One listing for all of them, and the records of one planned shard at a time.

    Raises:
        StorageError: it cannot be reached.
    """
    parts: dict[str, list[Shard]] = defaultdict(list)
    for shard in shards:
        parts[shard.planned].append(shard)
    attempts = attempts_by_shard(storage)
    for planned, of_it in parts.items():
        yield of_it, known(told_in(name, data) for name, data in get_all(storage, attempts.get(planned, ())))


def attempts_by_shard(storage: Storage) -> Mapping[str, list[str]]:
    """The names of all attempts, by the id of the planned shard.

    Raises:
        StorageError: it cannot be reached.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for name in storage.names(ATTEMPTS):
        if _is_attempt(name):
            found[name.split("/")[1]].append(name)
    return found


def _is_attempt(name: str) -> bool:
    """Whether it is one, and no file of one."""
    return name.endswith(LINES) and name.count("/") == 2
