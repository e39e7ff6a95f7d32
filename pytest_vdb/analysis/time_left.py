"""How long a session will still take, from what its tests took so far and what they took the last time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from statistics import median

Test = tuple[str, str]
"""A benchmark and a model."""


def seconds_left(
    waiting: Iterable[Test],
    finished: Iterable[tuple[Test, float]],
    earlier: Iterable[tuple[Test, float]] = (),
    *,
    workers: int = 1,
) -> float | None:
    """Seconds until the last test ends, or None where nothing is known of any of them.

    A test takes what the median of its kind took in this session; else in an earlier one; else what the model's other
    tests take; what no one knows of takes the mean of the others.

    Args:
        waiting: the tests that have not ended.
        finished: those that have, with their seconds.
        earlier: those of a session before.
        workers: that share them.
    """
    waiting = list(waiting)
    now, before = _medians_of_tests(finished), _medians_of_tests(earlier)
    of_model = _medians_of_tests(((("", model), seconds) for (_, model), seconds in now.items()))
    known = [now.get(test) or before.get(test) or of_model.get(("", test[1])) for test in waiting]
    told = [seconds for seconds in known if seconds is not None]
    if not told:
        return None if waiting else 0.0
    return (sum(told) + (len(waiting) - len(told)) * sum(told) / len(told)) / max(1, workers)


def _medians_of_tests(tests: Iterable[tuple[Test, float]]) -> dict[Test, float]:
    """The median of each kind."""
    found: dict[Test, list[float]] = defaultdict(list)
    for test, seconds in tests:
        found[test].append(seconds)
    return {test: median(seconds) for test, seconds in found.items()}
