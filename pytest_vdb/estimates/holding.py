"""A latency that was just measured, held against its device: what it says of the device, or that it cannot be true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_vdb.errors import FasterThanPhysics
from pytest_vdb.estimates.evidence import FULL_SIZE
from pytest_vdb.estimates.limit import Limit, limit
from pytest_vdb.models import counts
from pytest_vdb.models.card import ModelCard
from pytest_vdb.models.counts import Counts
from pytest_vdb.profiling import hardware
from pytest_vdb.profiling.latency import LATENCY, THROUGHPUT
from pytest_vdb.profiling.rounds import OF_ROUNDS, STEADY_LATENCY
from pytest_vdb.records import Measurement, Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Readings after the check."""

    readings: tuple[Measurement, ...]
    """Without a time that cannot be true: None, and the reason."""
    note: str | None = None
    """What the latency says of the device."""
    error: FasterThanPhysics | None = None
    """For the test to fail with."""


def held(card: ModelCard, recipe: Recipe, device: str, readings: Sequence[Measurement], cache_dir: Path) -> Held:
    """Check the latency among the readings of a call, where device and model are known; nothing else changes.

    Args:
        card: of the model.
        recipe: as `recipes.resolve` returned it.
        device: its whole name, as records have it.
        readings: of a call on one device, or of several calls.
        cache_dir: where counts are kept.
    """
    known, seconds = hardware.find(device), _latency_among(readings)
    if known is None or seconds is None or recipe.weights not in FULL_SIZE or card.pipeline is None:
        return Held(readings=tuple(readings))
    found = counts.known(card, recipe, cache_dir)
    if not isinstance(found, Counts):
        return Held(readings=tuple(readings))
    judged = limit(found, recipe, known, seconds, clips=recipe.clips)
    if not judged.is_impossible:
        return Held(readings=tuple(readings), note=_note(judged, known.title))
    times = {one.name for one in (LATENCY, THROUGHPUT, *OF_ROUNDS)}
    refused = (replace(one, value=None, reason=judged.reason) if one.name in times else one for one in readings)
    mend = "was the device synchronised, is the card's architecture this model's, were calls left out?"
    return Held(readings=tuple(refused), error=FasterThanPhysics(str(judged.reason), where=card.name, mend=mend))


def _latency_among(readings: Sequence[Measurement]) -> float | None:
    return next((one.value for one in readings if one.name in {LATENCY.name, STEADY_LATENCY.name}), None)


def _note(judged: Limit, title: str) -> str | None:
    if judged.utilisation is None:
        return None
    doubt = ", more than any published run of a video model reached" if judged.is_doubtful else ""
    return f"{judged.utilisation:.0%} of the peak of {title} (MFU), limited by {judged.bound}{doubt}"
