"""With how many digits numbers are shown: enough to tell apart what differs, and no more than anyone can read.

One rule for every report: a column's smallest figure keeps three significant digits as far as four decimals go; what
must be told apart is printed apart; an interval shows its first digit; what is far from 1 is written as `2.00e-6`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeGuard

Pair = tuple[float | None, float | None]
MISSING = "–"
PRECISION = 1e-9
"""Of the largest value beside it: a difference below is rounding, and two such values are equal."""

_USUAL_PLACES = 4
_MOST_PLACES = 6
"""Decimals; small figures that need more are written with an exponent."""
_LARGEST = 1e9
"""From here on figures are written with an exponent."""
_SIGNIFICANT_OF_INTERVAL = 6
"""Digits at most that an interval may ask for: one of 1e-12 around 1 is no reason for twelve decimals."""
_MOST_DIGITS = 9
_LAST_DECADE = 300
"""Up to here a decade can be stood for by a value within it."""


@dataclass(frozen=True, slots=True)
class Notation:
    """How the figures of one column are written, so that they line up."""

    places: int
    """Decimals; of the mantissa where there is an exponent."""
    scientific: bool = False

    def write(self, value: float | None) -> str:
        """`0.812`, `12,345`, `2.00e-6`, or an en dash."""
        if value is None or not math.isfinite(value):
            return MISSING
        if self.scientific:
            mantissa, _, exponent = f"{value:.{self.places}e}".partition("e")
            return f"{mantissa}e{int(exponent)}" if int(exponent) else mantissa
        text = f"{value:,.{self.places}f}"
        return text[1:] if text.startswith("-") and not text.strip("-0.,") else text


def notation(
    values: Iterable[float | None],
    *,
    apart: Iterable[Pair] = (),
    halves: Iterable[float | None] = (),
    significant: int = 3,
) -> Notation:
    """How to write figures that stand together.

    Args:
        values: all of them; those that are missing do not count.
        apart: two of them each, that must not look alike unless they are equal.
        halves: half the widths of intervals that stand beside them.
        significant: digits that the smallest figure keeps.
    """
    sizes = [abs(value) for value in values if _finite(value) and value]
    if not sizes:
        return Notation(significant)
    largest = max(sizes)
    sizes = [size for size in sizes if size > PRECISION * largest]
    pairs = [(a, b) for a, b in apart if _finite(a) and _finite(b) and not equal(a, b, largest)]
    widths = [half for half in halves if _finite(half) and half > 10.0**-_SIGNIFICANT_OF_INTERVAL * largest]
    places = max(
        _usual_places(min(sizes), largest, significant),
        *(_place_of(size) for size in (min(sizes), *widths)),
        *(_place_of(abs(b - a)) for a, b in pairs),
    )
    most = max(_MOST_PLACES, _MOST_DIGITS - 1 + _place_of(largest))
    if largest >= _LARGEST or (places > _MOST_PLACES and min(sizes) < 10.0**-_USUAL_PLACES):
        return _told_apart(Notation(significant - 1, scientific=True), pairs, most=_MOST_DIGITS - 1)
    return _told_apart(Notation(min(places, most)), pairs, most=most)


def figure_alone(value: float | None, *, significant: int = 3) -> str:
    """A figure that nothing stands beside, as `notation([value])` writes it: its decade decides, and is asked once."""
    if not _finite(value) or not value:
        return Notation(significant).write(value)
    place = _place_of(abs(value))
    in_range = abs(place) <= _LAST_DECADE
    return (_notation_of_decade(place, significant) if in_range else notation([value], significant=significant)).write(
        value
    )


@cache
def _notation_of_decade(place: int, significant: int) -> Notation:
    return notation([2 * 10.0**-place], significant=significant)


def equal(one: float, other: float, largest: float) -> bool:
    """Whether two values differ by no more than rounding, beside one of that size."""
    return abs(one - other) <= PRECISION * abs(largest)


def _usual_places(smallest: float, largest: float, significant: int) -> int:
    """Decimals that show so many digits of the smallest figure, if the largest one leaves room for them."""
    if largest >= 1_000:
        return 1 if smallest < 100 else 0
    room = max(_USUAL_PLACES, significant - 1 + _place_of(largest))
    return min(room, max(0, significant - 1 + _place_of(smallest)))


def _place_of(size: float) -> int:
    """The decimal place of the first digit: 1 of 0.5, 0 of 5, -1 of 50."""
    return -math.floor(math.log10(size))


def _finite(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _told_apart(start: Notation, pairs: Sequence[tuple[float, float]], *, most: int) -> Notation:
    """With as many more decimals as it takes to write both of each pair differently."""
    found = start
    while found.places < most and any(found.write(a) == found.write(b) for a, b in pairs):
        found = Notation(found.places + 1, found.scientific)
    return found
