"""Columns of text that line up in a terminal, whatever script they are written in."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Literal

Side = Literal["left", "right"]


def grid(rows: Sequence[Sequence[str]], sides: Sequence[Side], *, rule_after: int) -> str:
    """Columns two blanks apart, and a line under the first `rule_after` rows."""
    widths = [max(map(width_of, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(_padded_cell, row, widths, sides)) for row in rows]
    lines = [line.rstrip() for line in lines]
    return "\n".join([*lines[:rule_after], "─" * (sum(widths) + 2 * (len(widths) - 1)), *lines[rule_after:]])


def width_of(text: str) -> int:
    """Cells that `text` takes in a terminal: two for most of Chinese, Japanese, Korean and emoji, none for accents."""
    return len(text) if text.isascii() else sum(map(_cells_of_character, text))


def fitted(text: str, most: int) -> str:
    """`text` in at most so many cells, its middle left out: names that differ at either end still do."""
    if width_of(text) <= most:
        return text
    tail = _taken(text[::-1], (most - 1) // 2)[::-1]
    return f"{_taken(text, most - 1 - width_of(tail))}…{tail}"


def _taken(text: str, most: int) -> str:
    """As much of the beginning as fits."""
    used = 0
    for at, character in enumerate(text):
        used += _cells_of_character(character)
        if used > most:
            return text[:at]
    return text


def _cells_of_character(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def _padded_cell(text: str, size: int, side: Side) -> str:
    blanks = " " * (size - width_of(text))
    return text + blanks if side == "left" else blanks + text
