"""Which records are of one test, and which of one row: what every record knows, and what a test learns as it runs.

A node id alone is a name: the same test is the same sample of the same model under the same settings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from pytest_vdb.analysis.benchmarks import placed
from pytest_vdb.records import Record

Maker = tuple[str, str | None, tuple[tuple[str, str], ...]]
Setup = tuple[str | None, ...]
"""None: what was never learnt."""


def latest(records: Iterable[Record]) -> list[Record]:
    """Each in its benchmark, without those that a later record of the same test supersedes.

    The same test is the same sample (prompt, index, seed) of the same model under the same settings, in a benchmark
    with the same parameters: a node id alone is a name.
    """
    found = placed(records)
    if len({record.nodeid for record in found}) == len(found):
        return found  # no two can be of one test
    by_test: dict[tuple[object, ...], list[Record]] = defaultdict(list)
    for record in found:
        kept = by_test[record.nodeid, record.benchmark, record.prompt, record.sample_index, maker_of(record)]
        kept[:] = [earlier for earlier in kept if not agree(_learnt(earlier), _learnt(record))]
        kept.append(record)
    return [record for kept in by_test.values() for record in kept]


def maker_of(record: Record) -> Maker:
    """Who made it, who published it, and the benchmark's parameters: every record knows these."""
    return record.model, record.published, _sorted_parameters(record)


def setup_of(record: Record) -> Setup:
    """By what it was made. A test that died early never learnt it."""
    return record.weights, record.recipe_digest, record.hardware, record.revision


def _learnt(record: Record) -> tuple[object, ...]:
    """All that a test learns while it runs: by what it was made, and of what."""
    return (*setup_of(record), record.seed, record.prompt_text)


def agree(one: Sequence[object], other: Sequence[object]) -> bool:
    """Whether they may be the same: None is what was never learnt, and agrees with anything."""
    return all(a == b or a is None or b is None for a, b in zip(one, other, strict=True))


def place_of(record: Record) -> tuple[object, ...]:
    """Where it stands among all records, whatever order they came in."""
    seed = -1 if record.seed is None else record.seed
    return (
        record.benchmark,
        record.nodeid,
        _sorted_parameters(record),
        record.model,
        record.run,
        record.prompt or "",
        seed,
    )


def in_order(records: Sequence[Record]) -> list[Record]:
    """By their places."""
    if len({record.nodeid for record in records}) == len(records):
        return sorted(records, key=attrgetter("benchmark", "nodeid"))  # no two of which have the same place so far
    return sorted(records, key=place_of)


def _sorted_parameters(record: Record) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(record.parameters.items())) if record.parameters else ()


def other_recipe(before: Record, now: Record, *, words: str = "{} (now {})") -> str:
    """`another recipe: frames=17 (now 9)`, of two records that differ in weights or recipe.

    Args:
        words: how the value before and the value now are told.
    """
    if before.weights != now.weights:
        return f"other weights: {words.format(before.weights, now.weights)}"
    keys = [key for key in {**before.recipe, **now.recipe} if before.recipe.get(key) != now.recipe.get(key)]
    settings = ", ".join(f"{key}={words.format(_setting(before, key), _setting(now, key))}" for key in keys[:4])
    return f"another recipe: {settings or words.format(before.recipe_digest, now.recipe_digest)}"


def _setting(record: Record, key: str) -> Any:
    return record.recipe.get(key, "unset")
