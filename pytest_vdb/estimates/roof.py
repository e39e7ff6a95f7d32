"""The roof of a device: how many operations a second its products allow, and how many its memory feeds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from pytest_vdb.estimates.limit import peak_per_s
from pytest_vdb.profiling import hardware
from pytest_vdb.records import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Roof:
    """What limits a call: `min(peak_per_s, intensity * bytes_per_s)` operations a second."""

    title: str
    """Of the device."""
    peak_per_s: float
    """Dense operations per second, in the dtype of a recipe."""
    bytes_per_s: float

    @property
    def ridge(self) -> float:
        """Operations per byte from which products, and not memory, are the limit."""
        return self.peak_per_s / self.bytes_per_s


def roof_of(device: str | None, recipe: Mapping[str, Any]) -> Roof | None:
    """The roof under which a recipe runs on a device; None where either is not known.

    Args:
        device: its whole name, as records have it.
        recipe: settings by name, as records have them, those of other versions among them.
    """
    found = None if device is None else hardware.find(device)
    if found is None or found.bytes_per_s is None:
        return None
    known = {field.name for field in dataclasses.fields(Recipe)}
    try:
        settings = msgspec.convert({key: recipe[key] for key in recipe if key in known}, Recipe)
    except msgspec.ValidationError:
        return None
    peak = peak_per_s(found, settings)
    return None if peak is None else Roof(title=found.title, peak_per_s=peak, bytes_per_s=found.bytes_per_s)
