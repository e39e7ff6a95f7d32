"""When Python looks for garbage: not through a million objects of libraries, which live as long as the process.

And when the C library gives back to the kernel what is free.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
from collections.abc import Iterator
from typing import TypeVar

Value = TypeVar("Value")


@contextlib.contextmanager
def without_collections() -> Iterator[None]:
    """Import a library of thousands of modules: nearly all that it makes stays.

    The collector would look through it a thousand times on the way, which is a seventh of the time that torch,
    diffusers and transformers take. What is garbage is found by the next collection.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@contextlib.contextmanager
def setting_aside() -> Iterator[None]:
    """Read what lives as long as the process: no collection looks through it, neither meanwhile nor later.

    That of a million records takes a tenth of the time in which they are read and compared.
    """
    with without_collections():
        yield
        gc.freeze()


def kept(value: Value) -> Value:
    """What lives as long as the process: it takes a tenth of a second to take a hundred thousand records apart."""
    _KEPT.append(value)
    return value


_KEPT: list[object] = []


def set_aside_what_lives() -> None:
    """Leave everything that is older than the model to come out of later collections.

    To look through it takes a quarter of a second each time that a model is freed, which is longer than a tiny one
    takes to load; and more than a second when the process ends, which gives its memory back without that.
    """
    gc.collect()  # what is garbage already must not be set aside with the rest
    gc.freeze()


def give_back_free_pages() -> None:
    """glibc keeps freed pages for itself unless it is asked; other C libraries have no such call."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
