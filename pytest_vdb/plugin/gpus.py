"""One GPU per worker, chosen before the worker imports anything."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache


@lru_cache(maxsize=1)
def visible_gpus() -> tuple[str, ...]:
    """UUIDs of the GPUs that this process may use, in the order of `CUDA_VISIBLE_DEVICES`. Never initialises CUDA."""
    from pytest_vdb.results.environment import graphics

    cards, _, _ = graphics()
    return tuple(card.uuid for card in cards if card.uuid is not None)


def number_of_workers() -> int | None:
    """What `-n auto` means: the number of GPUs; None (pytest-xdist decides) without any or when its variable is set."""
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    return len(visible_gpus()) or None


def pin(specs: Sequence[object]) -> None:
    """Worker i gets GPU i modulo their number; a replacement inherits its predecessor's spec, and so its GPU."""
    gpus = visible_gpus()
    for index, spec in enumerate(specs):
        if gpus:
            spec.env["CUDA_VISIBLE_DEVICES"] = gpus[index % len(gpus)]  # type: ignore[attr-defined]
