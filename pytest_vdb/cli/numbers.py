"""Numbers on a command line: checked where they are typed, before any work."""

from __future__ import annotations

from collections.abc import Callable

from pytest_vdb.errors import OptionError

_MOST = 2**31 - 1


def whole(flag: str, least: int) -> Callable[[str], int]:
    """An argparse type: a whole number of at least `least`.

    Raises:
        OptionError: (when called) no such number.
    """

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:  # also of more than 4,300 digits
            number = least - 1
        if not least <= number <= _MOST:
            raise OptionError(f"{text[:40]!r}", where=flag, mend=f"give at least {least}, a whole number")
        return number

    return read
