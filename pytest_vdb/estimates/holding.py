"""A latency that was just measured, held against its device: what it says of the device, or that it cannot be true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_vdb.errors import FasterThanPhysics, RecordError
from pytest_vdb.estimates.evidence import FULL_SIZE
from pytest_vdb.estimates.limit import Limit, limit
from pytest_vdb.models import counts
from pytest_vdb.models.card import ModelCard
from pytest_vdb.models.counts import Counts
from pytest_vdb.profiling import hardware
from pytest_vdb.profiling.latency import LATENCY, MFU, OPERATION_INTENSITY, THROUGHPUT
from pytest_vdb.profiling.rounds import OF_ROUNDS, STEADY_LATENCY
from pytest_vdb.records import Measurement, Recipe

TIMES = {LATENCY.name: {LATENCY.name, THROUGHPUT.name}, STEADY_LATENCY.name: {reading.name for reading in OF_ROUNDS}}
"""A latency -> it and what follows from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Readings after the check."""

    readings: tuple[Measurement, ...]
    """With `mfu` and, where bytes were counted, `operation_intensity`; without a time that cannot be true: None, and
    the reason."""
    error: FasterThanPhysics | None = None
    """For the test to fail with."""


def held(card: ModelCard, recipe: Recipe, device: str, readings: Sequence[Measurement], cache_dir: Path) -> Held:
    """Check the latency among the readings of a call, where the device is known and the weights are of full size.

    Args:
        card: of the model.
        recipe: as `recipes.resolve` returned it.
        device: its whole name, as records have it.
        readings: of a call on one device, or of several calls.
        cache_dir: where counts are kept.
    """
    known, latency = hardware.find(device), next((one for one in readings if one.name in TIMES), None)
    full_size = recipe.weights in FULL_SIZE and card.pipeline is not None
    if known is None or latency is None or latency.value is None or not full_size:
        return Held(readings=tuple(readings))
    if recipe.devices > 1:
        reason = f"{recipe.devices} devices share the clip: the peak of one says nothing of it"
        return Held(readings=(*readings, MFU.of(None, reason=reason)))
    found = _counts_of(card, recipe, cache_dir)
    if isinstance(found, str):
        return Held(readings=(*readings, MFU.of(None, reason=found)))
    judged = limit(found, recipe, known, latency.value, clips=recipe.clips)
    share = MFU.of(judged.utilisation, reason=_remark(judged, known.title))
    place = () if judged.intensity is None else (OPERATION_INTENSITY.of(judged.intensity),)
    if not judged.is_impossible:
        return Held(readings=(*readings, *place, share))
    times = TIMES[latency.name]
    refused = [
        replace(one, value=None, interval=None, reason=judged.reason) if one.name in times else one for one in readings
    ]
    mend = "was the device synchronised, is the card's architecture this model's, were calls left out?"
    return Held(
        readings=(*refused, *place, share), error=FasterThanPhysics(str(judged.reason), where=card.name, mend=mend)
    )


def _counts_of(card: ModelCard, recipe: Recipe, cache_dir: Path) -> Counts | str:
    """The counts, or why there are none: a file that is torn must not cost the clip."""
    try:
        found = counts.known(card, recipe, cache_dir)
    except RecordError as error:
        return str(error)
    if found is None:
        return "nobody has counted the operations of this recipe; vdb estimate does"
    return found if isinstance(found, Counts) else found.reason


def _remark(judged: Limit, title: str) -> str | None:
    """Why there is no share of the peak, or where the call stands on the roofline."""
    if judged.utilisation is None:
        return judged.reason
    doubt = "; more than any published run of a video model reached" if judged.is_doubtful else ""
    if judged.intensity is None or judged.ridge is None:
        return f"of {title}{doubt}"
    place = f"{judged.intensity:,.0f} operations per byte, and memory is the limit below {judged.ridge:,.0f}"
    return f"of {title}, limited by {judged.bound}: {place}{doubt}"
