"""Many questions at once: twenty tests at 5% each are wrong somewhere in 64 of 100 runs where nothing has changed.

A test that could not be made has no p (None); it is no member of the family and passes through.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

P = TypeVar("P", float, float | None)

SIGNIFICANCE = 0.05
"""Two are told apart where p is below it."""


def holm(p_values: Sequence[P]) -> tuple[P, ...]:
    """p-values adjusted so that *any* false alarm among them is as rare as one was: for gates.

    Null: each its own. Assumed: nothing; the tests may depend on each other in any way.

    Args:
        p_values: in [0, 1], or None.

    Returns:
        In the same order, in [0, 1], or None.

    Source: Holm 1979, Scandinavian Journal of Statistics 6.
    """
    adjusted: list[P] = list(p_values)
    running = 0.0
    for left, index, p in _from_the_smallest(p_values):
        running = max(running, min(1.0, p * left))
        adjusted[index] = running
    return tuple(adjusted)


def benjamini_hochberg(p_values: Sequence[P]) -> tuple[P, ...]:
    """p-values adjusted to the *share* of false alarms among the findings: for exploring.

    Null: each its own. Assumed: independent tests, or such that help each other (positive regression dependence).

    Source: Benjamini and Hochberg 1995, Journal of the Royal Statistical Society B 57.
    """
    adjusted: list[P] = list(p_values)
    count, running = sum(p is not None for p in p_values), 1.0
    for left, index, p in reversed(list(_from_the_smallest(p_values))):
        running = min(running, p * count / (count - left + 1))
        adjusted[index] = running
    return tuple(adjusted)


def _from_the_smallest(p_values: Sequence[float | None]) -> Iterator[tuple[int, int, float]]:
    """(how many are not smaller, index, p) of each that has a p."""
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    for rank, (p, index) in enumerate(known):
        yield len(known) - rank, index, p
