"""Remove what a stranger left in a folder while he may still be at work there.

However deep it lies: a path of five thousand folders is longer than the system takes and deeper than Python recurses,
so inner folders are moved up before the outer one goes. Never what a link names: a folder is opened without following
one, and all that is done in it is done by that descriptor.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from pathlib import Path

_OPENED = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OURS = 0o700


def emptied(folder: Path, *, seconds: float = 10.0) -> bool:
    """Whether nothing is left in it.

    Args:
        folder: of this process's own making, which nobody else can replace.
        seconds: until it is given up, because somebody fills it as fast.
    """
    until = time.monotonic() + seconds
    top = os.open(folder, _OPENED)
    try:
        while names := _names_in(top):
            if time.monotonic() > until:
                return False
            for name in names:
                _remove(name, top)
    finally:
        os.close(top)
    return True


def _names_in(place: int) -> list[str]:
    with os.scandir(place) as found:
        return [entry.name for entry in found]


def _remove(name: str, top: int) -> None:
    """One entry, or if it is a folder all of it that is none; what is another thing by now comes again."""
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=top)
        return
    with contextlib.suppress(OSError):
        _allow(name, top)
        inner = os.open(name, _OPENED, dir_fd=top)
        try:
            for one in _names_in(inner):
                _take_out(one, inner, top)
        finally:
            os.close(inner)
        os.rmdir(name, dir_fd=top)


def _take_out(name: str, inner: int, top: int) -> None:
    """A file is removed, a folder moved up."""
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=inner)
        return
    with contextlib.suppress(OSError):
        _allow(name, inner)  # to move a folder is to write into it
        os.rename(name, secrets.token_hex(8), src_dir_fd=inner, dst_dir_fd=top)


def _allow(name: str, place: int) -> None:
    """Let this user into a folder that was made unreadable."""
    if not hasattr(os, "O_PATH"):
        return
    number = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
    try:
        os.chmod(f"/proc/self/fd/{number}", _OURS)  # noqa: PTH101 - a path by which no link is followed
    finally:
        os.close(number)
