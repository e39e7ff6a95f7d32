"""Work on many clips at once: decoding and counting pixels leave Python's lock free, so threads serve."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from pytest_vdb.results.environment import cpu_count

Thing = TypeVar("Thing")
Result = TypeVar("Result")

MOST_SIDE_BY_SIDE = 16
"""A clip of 49x480x720 takes 50 MB, and as much again while it is measured."""


def side_by_side(
    work: Callable[[Thing], Result], things: Iterable[Thing], *, at_a_time: int | None = None
) -> Iterator[Result]:
    """What `work` makes of each thing, in order; no more than `at_a_time` are held, by default one per core.

    Raises:
        Exception: what `work` raises, when that thing's turn comes; what was not begun then is not done.
    """
    at_a_time = at_a_time or min(cpu_count(), MOST_SIDE_BY_SIDE)
    pool = ThreadPoolExecutor(at_a_time)
    coming: deque[Future[Result]] = deque()
    try:
        for thing in things:
            coming.append(pool.submit(work, thing))
            if len(coming) > at_a_time:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
    except Exception:
        pool.shutdown(cancel_futures=True)
        raise
    finally:  # whoever stops does not wait for the clips that are still being measured
        pool.shutdown(wait=False, cancel_futures=True)
