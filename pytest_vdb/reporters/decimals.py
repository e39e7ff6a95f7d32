"""A table of numbers as text with so many decimals, a thousand lines at once: a run may have six million of them.

Each number is put together from words that are looked up in lists: a quarter of the time that it takes to write them
one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from pytest_vdb.figures import Notation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words = NDArray[np.uint64]
    """Of eight ASCII characters each; shorter ones end with characters that are nothing."""

_NOTHING = b"\0"
_DIGITS_OF_LIST = 4
_MOST_PLACES, _LARGEST = 2 * _DIGITS_OF_LIST, 1e7
"""Decimals, and numbers: two lists have so many, and what is beyond is written one by one."""
_ROUNDED_PRODUCT = 2.0**-50
"""Of a scaled number: how far its last digit may be wrong, with room. So close to a half only the exact decimals know
which way it is rounded."""


def lines_of_figures(
    numbers: NDArray[np.float64], notations: Sequence[Notation], *, before: str, after: str
) -> list[str]:
    """A text of each line: of each of its numbers what `Notation.write` gives.

    Args:
        numbers: `(lines, columns)`; nan is written as missing.
        notations: of each column.
        before: what stands before every number: at most eight characters of ASCII, no line break.
        after: what stands behind it.
    """
    scales = np.array([10.0 ** min(one.places, _MOST_PLACES) for one in notations])
    with np.errstate(over="ignore"):  # what is too large to be scaled is written one by one
        scaled = np.abs(numbers) * scales
    listed = np.array([not one.scientific and one.places <= _MOST_PLACES for one in notations], dtype=np.bool_)
    scaled[~np.isfinite(scaled)] = 0.5  # as one that lies between two
    between = np.abs(scaled - np.floor(scaled) - 0.5) > _ROUNDED_PRODUCT * scaled
    rounded = np.rint(scaled)
    sure = listed & between & (rounded < _LARGEST * scales)
    whole = np.where(sure, rounded, 0.0).T.astype(np.int64, order="C")
    negative = (numbers.T < 0) & (whole > 0)  # what is rounded to nothing has no sign
    words: list[Words] = []
    for own, signed, one in zip(whole, negative, notations, strict=True):
        words.append(_word(before))
        if signed.any():
            words.append(np.where(signed, _word("-"), _word("")))
        words += [*_words_of_column(own, min(one.places, _MOST_PLACES)), _word(after)]
    lines = _joined_lines(words, len(numbers))
    for at in np.flatnonzero(~sure.all(axis=1)).tolist():
        written = [one.write(number) for one, number in zip(notations, numbers[at].tolist(), strict=True)]
        lines[at] = "".join(f"{before}{text}{after}" for text in written)
    return lines


def _words_of_column(whole: NDArray[np.int64], places: int) -> Iterator[Words]:
    """`(lines,)` each, from left to right: what is before the point, and what is behind it."""
    integers = whole // 10**places
    yield from _words_of_integers(integers)
    if places:
        decimals = whole - integers * 10**places
        first, others = min(places, _DIGITS_OF_LIST), max(0, places - _DIGITS_OF_LIST)
        beginning = decimals // 10**others if others else decimals
        yield _list_of(f".{{:0{first}}}", 10**first)[beginning]
        if others:
            yield _list_of(f"{{:0{others}}}", 10**others)[decimals - beginning * 10**others]


def _words_of_integers(integers: NDArray[np.int64]) -> Iterator[Words]:
    if integers.max(initial=0) < 10**_DIGITS_OF_LIST:
        yield _list_of("{:,}", 10**_DIGITS_OF_LIST)[integers]
    else:
        thousands = integers // 1_000
        below = integers - 1_000 * thousands
        yield np.where(thousands > 0, _list_of("{:,},", 10**_DIGITS_OF_LIST)[thousands], _word(""))
        yield np.where(thousands > 0, _list_of("{:03}", 1_000)[below], _list_of("{}", 1_000)[below])


@cache
def _list_of(form: str, count: int) -> Words:
    """The numbers below `count` in that form."""
    return np.array([form.format(number).encode() for number in range(count)], dtype="S8").view(np.uint64)


@cache
def _word(text: str) -> Words:
    return np.array([text.encode()], dtype="S8").view(np.uint64)


def _joined_lines(words: Sequence[Words], count: int) -> list[str]:
    """The words side by side, without the characters that are nothing."""
    table = np.empty((count, len(words) + 1), dtype=np.uint64)
    for at, one in enumerate((*words, _word("\n"))):
        table[:, at] = one
    return table.tobytes().translate(None, _NOTHING).decode("ascii").split("\n")[:-1]
