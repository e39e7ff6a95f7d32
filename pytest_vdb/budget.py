"""How much one input file may become in memory: asked before it is decoded and while it is.

A file of a few kilobytes can hold 36 GB of zeros, and a header can promise a million frames. What a clip, an image, an
archive of arrays or a reference set may become is one number for all of them, said in every refusal.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pytest_vdb.errors import OptionError, TooLarge

VARIABLE = "VDB_BUDGET"
"""Environment variable of the budget. `--vdb-budget` sets it, so that what a session starts inherits it."""

MOST_FRAMES = 100_000
"""Frames of one clip: more than an hour at 24 a second."""

_SHARE = 8
"""The default is this part of the machine's memory: metrics hold a clip several times over, and workers share it."""
_DEFAULT_MOST = 3 * 2**30
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclass(frozen=True, slots=True)
class Budget:
    """What one input may become."""

    size: int
    """Bytes in memory, decoded."""
    frames: int = MOST_FRAMES

    def check(self, asked: int, *, where: str | Path, what: str = "in memory") -> None:
        """Refuse what would not fit.

        Args:
            asked: bytes that it would take.
            where: the file.
            what: what they are, for the message.

        Raises:
            TooLarge: with the file, what it asks for, and the option that allows more.
        """
        if asked > self.size:
            raise TooLarge(f"{in_words(asked)} {what}, more than {in_words(self.size)}", where=where, mend=_MEND)

    def check_frames(self, frames: int, *, where: str | Path) -> None:
        """Refuse a clip of too many frames.

        Raises:
            TooLarge: with the file and the number of frames.
        """
        if frames > self.frames:
            raise TooLarge(
                f"{frames:,} frames, more than {self.frames:,}", where=where, mend="cut the clip into shorter ones"
            )


def budget() -> Budget:
    """The budget of this process: `$VDB_BUDGET`, else an eighth of the machine's memory, at most 3 GiB.

    Raises:
        OptionError: the variable holds no size.
    """
    asked = os.environ.get(VARIABLE)
    return Budget(parse(asked, where=VARIABLE) if asked else _default_size())


def parse(text: str, *, where: str) -> int:
    """`8GiB`, `8G`, `500M` or a number of bytes -> bytes.

    Raises:
        OptionError: no such size, or none above zero.
    """
    match = re.fullmatch(r"\s*(\d{1,6}(?:\.\d{1,6})?|\d{1,18})\s*([KMGT]?)(?:i?B)?\s*", text, flags=re.IGNORECASE)
    size = int(float(match[1]) * _UNITS[match[2].upper()]) if match else 0
    if size < 1:
        raise OptionError(f"{text!r} is no size", where=where, mend="write one like 8GiB or 500M")
    return size


def in_words(size: int) -> str:
    """`3.0 GiB`, `512 MiB`, `17 bytes`."""
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= factor:
            return f"{size / factor:,.{1 if size < 10 * factor else 0}f} {unit}"
    return f"{size} bytes"


@lru_cache(maxsize=1)
def _default_size() -> int:
    import psutil

    return min(_DEFAULT_MOST, int(psutil.virtual_memory().total) // _SHARE)


_MEND = f"give a smaller file, or allow more: --vdb-budget=8GiB, or {VARIABLE}=8GiB in the environment"
