"""When Python looks for garbage: not through a million objects of libraries, which live as long as the process."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


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


def set_aside_what_lives() -> None:
    """Leave everything that is older than the model to come out of later collections.

    To look through it takes a quarter of a second each time that a model is freed, which is longer than a tiny one
    takes to load; and more than a second when the process ends, which gives its memory back without that.
    """
    gc.collect()  # what is garbage already must not be set aside with the rest
    gc.freeze()
