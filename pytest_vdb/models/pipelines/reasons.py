"""Why a pipeline class cannot follow a value of the recipe: the words that several switches share."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pytest_vdb.errors import near_misses
from pytest_vdb.models import classes

Reason = str | None
"""None: nothing is against it."""

OFF = (None, False, "none", "torch")
"""Values that switch nothing on, so every class can follow them."""


def unknown_value(value: str, known: Collection[str]) -> str:
    """What is meant instead, or what there is."""
    near = near_misses(value, known)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"


def no_denoiser(kind: Any) -> Reason:
    """What acts on a denoiser needs one."""
    return None if classes.denoiser_classes(kind) else f"{kind.__name__} has no denoiser"


def class_names(options: Collection[Any]) -> str:
    """The classes that a component may have, by name."""
    return ", ".join(option.__name__ for option in options) or "none"
