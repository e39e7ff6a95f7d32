"""Numbers on a command line: checked where they are typed, before any work."""

from __future__ import annotations

import argparse
from collections.abc import Callable

_MOST = 2**31 - 1


def whole(least: int) -> Callable[[str], int]:
    """An argparse type: a whole number of at least `least`."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:  # also of more than 4,300 digits
            number = least - 1
        if not least <= number <= _MOST:
            raise argparse.ArgumentTypeError(f"{text[:40]!r}: give a whole number of at least {least}")
        return number

    return read
