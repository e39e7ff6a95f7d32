"""What is left of a shard is split when workers idle: one of them takes over tests at its end that have not begun.

Nobody is asked and nothing is locked: whoever splits puts the part that is taken, then the shard without it. The
session of the shard reads it again and again, and leaves out what it has lost. A test that both run meanwhile is a
duplicate, and one of its records counts.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pytest_vdb.cluster.costs import START_S, joined, measured_costs
from pytest_vdb.cluster.jobs import Shard
from pytest_vdb.cluster.knowing import FINAL, Known, Told, known_of_all
from pytest_vdb.records import to_json
from pytest_vdb.storage import Storage


def number_taken(left: int, *, test_s: float, load_s: float, begins_in_s: float) -> int:
    """How many tests another worker takes over, so that both end at the same time.

    Args:
        left: tests that the session has not begun.
        test_s: that each of them takes.
        load_s: until the other worker begins its first one.
        begins_in_s: until the session itself begins the first of them.

    Returns:
        0 where what is taken would take less time than to load the model for it.
    """
    taken = int((left + (begins_in_s - load_s) / test_s) / 2)
    return taken if taken * test_s >= load_s else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """What is left of a shard, and what of it is worth a session of its own."""

    shard: Shard
    ends_in_s: float
    taken: tuple[str, ...]
    """Prompts, the last ones of the shard."""
    load_s: float
    test_s: float


def rest_of(shard: Shard, known: Known, now: float) -> Rest | None:
    """What is left of a shard.

    Args:
        shard: that waits, or of which a session runs.
        known: what attempts said of it.
        now: seconds since 1970.

    Returns:
        None where nothing of it is worth a session of its own, or nobody knows what its tests take.
    """
    pace = _pace_of(shard, known)
    if pace is None or len(shard.tests_of_prompts) != len(shard.prompts):
        return None
    load_s, test_s = pace
    sessions = [told for told in known.attempts_on(shard) if told.runs(now)]
    left = _tests_left(shard, known)
    running = max(1, sum(len(told.unfinished) for told in sessions))
    open_ones = list(left)[running:]  # the first ones run, or will before anybody hears of a split
    tests = sum(left[prompt] for prompt in open_ones)
    begins_in_s = _begins_in_s(sessions, now, load_s, test_s)
    wanted = number_taken(tests, test_s=test_s, load_s=load_s, begins_in_s=begins_in_s)
    taken: list[str] = []
    while wanted > 0 and open_ones:
        taken.insert(0, open_ones.pop())
        wanted -= left[taken[0]]
    if not taken:
        return None
    ends_in_s = begins_in_s + tests * test_s
    return Rest(shard=shard, ends_in_s=ends_in_s, taken=tuple(taken), load_s=load_s, test_s=test_s)


def _pace_of(shard: Shard, known: Known) -> tuple[float, float] | None:
    """Seconds until a session's first test begins, and of a test: as sessions measured them, else as planned."""
    measured = measured_costs(known.records.values())
    if measured:
        cost = joined(measured.values())
        return START_S + cost.load_s, cost.test_s.value
    if shard.expected_s is None or shard.load_s is None:
        return None
    return shard.load_s, max((shard.expected_s - shard.load_s) / shard.tests, 1e-3)


def _tests_left(shard: Shard, known: Known) -> dict[str, int]:
    """Tests that are not done of each prompt of which there are any, in the shard's order."""
    done = Counter(record.prompt for record in known.records.values() if record.status in FINAL)
    each = zip(shard.prompts, shard.tests_of_prompts, strict=True)
    return {prompt: tests - done[prompt] for prompt, tests in each if tests > done[prompt]}


def _begins_in_s(sessions: Sequence[Told], now: float, load_s: float, test_s: float) -> float:
    """Until the session begins its next test: half of one that it runs, else what is left of its load."""
    if any(told.records for told in sessions):
        return test_s / 2
    began_at = max((told.began_at for told in sessions if told.began_at is not None), default=now)
    return min(load_s, max(0.0, load_s - (now - began_at)))


def split(storage: Storage, rest: Rest) -> tuple[Shard, Shard]:
    """Put the part of a shard that is taken, then the shard without it: in between both have it, and it is not lost.

    Returns:
        The shard, and the part.

    Raises:
        StorageError: the storage cannot be reached.
    """
    kept, part = _halves(rest)
    for one in (part, kept):
        storage.put(one.name, to_json(one).encode())
    return kept, part


def _halves(rest: Rest) -> tuple[Shard, Shard]:
    shard = rest.shard
    each = dict(zip(shard.prompts, shard.tests_of_prompts, strict=True))
    kept = [prompt for prompt in shard.prompts if prompt not in set(rest.taken)]
    others = shard.tests - sum(each.values())
    part = replace(shard, id=f"{shard.planned}.{secrets.token_hex(3)}", split_from=shard.planned, has_others=False)
    return _with_prompts(shard, kept, each, others, rest), _with_prompts(part, rest.taken, each, 0, rest)


def _with_prompts(shard: Shard, prompts: Iterable[str], each: dict[str, int], others: int, rest: Rest) -> Shard:
    counts = {prompt: each[prompt] for prompt in prompts}
    tests = others + sum(counts.values())
    return replace(
        shard,
        prompts=tuple(counts),
        tests_of_prompts=tuple(counts.values()),
        tests=tests,
        expected_s=rest.load_s + rest.test_s * tests,
        load_s=rest.load_s,
    )


def split_for(storage: Storage, shards: Sequence[Shard], idle: int, now: float) -> Iterator[tuple[Shard, Shard]]:
    """Split shards for workers that idle, each time the one that would end last.

    Args:
        storage: of the job.
        shards: that are not finished.
        idle: how many workers have nothing to do.
        now: seconds since 1970.

    Yields:
        Of each split, as soon as it is in the storage, the shard, and the part that was taken from it.

    Raises:
        StorageError: the storage cannot be reached.
    """
    known = {shard.id: (shard, found) for shard, found in known_of_all(storage, shards) if not found.is_finished(shard)}
    rests = {name: rest for name, (shard, found) in known.items() if (rest := rest_of(shard, found, now)) is not None}
    while rests and idle > 0:
        last = max(rests.values(), key=lambda rest: rest.ends_in_s)
        found = known[last.shard.id][1]
        kept, part = split(storage, last)
        yield kept, part
        idle -= 1
        del rests[last.shard.id]
        for one in (kept, part):
            known[one.id] = one, found
            if (rest := rest_of(one, found, now)) is not None:
                rests[one.id] = rest
