"""The order in which a run that was allowed to stop early answered its prompts, and how far it came.

Bets are only fair in an order that was pinned before anything was measured, and on all prompts up to some place in it:
what a second worker had measured beyond the first prompt that was spared is no part of the evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

from pytest_vdb.records import PairKey, Record, Run

Ranks = Mapping[str, int]
"""Prompt -> its place in the order."""


def ranks_of(*runs: Run) -> Ranks:
    """Of the first run that was allowed to stop early; nothing where none was."""
    order: Sequence[str] = next((run.order for run in runs if run.order), ())
    return {prompt: rank for rank, prompt in enumerate(order)}


def in_order(ranks: Ranks) -> Callable[[PairKey], tuple[int, str]]:
    """A key to sort pairs by: prompts that are in no order come first."""
    return lambda pair: (ranks.get(pair[0] or "", -1), _pair_in_words(pair))


@lru_cache(maxsize=100_000)
def _pair_in_words(pair: PairKey) -> str:
    """Every model answers the same ones."""
    return str(pair)


def spared(records: Iterable[Record], ranks: Ranks) -> frozenset[str]:
    """The first prompt whose test was skipped because all was decided, and all that follow it.

    Args:
        records: of one model in one benchmark.
        ranks: of the run.
    """
    places = (ranks.get(record.prompt or "", len(ranks)) for record in records if record.is_spared)
    first = min(places, default=len(ranks))
    return frozenset(prompt for prompt, rank in ranks.items() if rank >= first)


def saved_in_words(run: Run, records: Iterable[Record]) -> str | None:
    """`stopped when decided: 77 of 200 generations saved (38%)`; None: the run was not allowed to stop early.

    Args:
        run: that was allowed, or not.
        records: of it; a test of a benchmark counts as one generation.
    """
    tests = {record.nodeid: record for record in records if record.prompt is not None}
    if not run.order or not tests:
        return None
    count = sum(record.is_spared for record in tests.values())
    return f"stopped when decided: {count} of {len(tests)} generations saved ({100 * count / len(tests):.0f}%)"
