"""What was measured on this machine: the latencies of its runs, as references to predict others from."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median

from pytest_vdb.errors import VdbError
from pytest_vdb.estimates.prediction import Reference
from pytest_vdb.models import counts
from pytest_vdb.models.counts import Counts
from pytest_vdb.models.registry import Registry
from pytest_vdb.profiling import hardware
from pytest_vdb.profiling.gpus import ENERGY
from pytest_vdb.profiling.hardware import Hardware
from pytest_vdb.profiling.latency import LATENCY
from pytest_vdb.profiling.rounds import CLIP_TIME
from pytest_vdb.records import Recipe, Record
from pytest_vdb.results import baselines, journal

NEWEST_RUNS = 20
"""Older ones say little of the software that is installed now, and reading takes time."""
FULL_SIZE = ("hub", "local", "random")
"""Weights modes whose speed is the model's."""


def of_runs(output: Path, registry: Registry, cache_dir: Path) -> tuple[Reference, ...]:
    """The latencies of an output folder's newest runs, a reference for each model, recipe and device.

    Args:
        output: e.g. `reports`; nothing is found in a folder that is not there.
        registry: whose cards the records' models have.
        cache_dir: where counts and measured devices are kept.
    """
    records: list[Record] = []
    for run in baselines.runs_in(output)[:NEWEST_RUNS]:
        with contextlib.suppress(VdbError):  # a run that cannot be read is no evidence
            records += journal.read(run.folder)[1]
    return tuple(references_of(records, registry, cache_dir))


def references_of(records: Iterable[Record], registry: Registry, cache_dir: Path) -> Iterator[Reference]:
    """What records measured of models at full size, where the device and the counts are known."""
    groups: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
    for record in records:
        counts_here = record.status == "passed" and record.weights in FULL_SIZE and record.reused_from is None
        if counts_here and record.hardware is not None and _seconds_of_clip(record) is not None:
            groups[record.model, record.recipe_digest or "", record.hardware].append(record)
    for (model, _, device_name), group in groups.items():
        device = device_of(device_name, cache_dir)
        if device is None or model not in registry.names():
            continue
        recipe = recipe_of(group[0])
        if recipe.parallel is not None:  # its seconds are not one device's
            continue
        found = counts.known(registry.get(model), recipe, cache_dir)
        if isinstance(found, Counts):
            yield _reference(model, device, recipe, found, group)


def recipe_of(record: Record) -> Recipe:
    """The one it was made under, every dtype in its recorded spelling."""
    names = {field.name for field in dataclasses.fields(Recipe)}
    recipe = Recipe(**{name: value for name, value in record.recipe.items() if name in names})
    return recipe.spelt_as_recorded()


def device_of(name: str, cache_dir: Path) -> Hardware | None:
    """A device by the name that a record has: a known card, or one that was measured here."""
    return hardware.find(name) or hardware.measured_of(name.partition(" (")[0], cache_dir)


def _reference(model: str, device: Hardware, recipe: Recipe, found: Counts, group: list[Record]) -> Reference:
    seconds = [value for record in group if (value := _seconds_of_clip(record))]
    joules = [value / recipe.clips for record in group if (value := _reading_of(record, ENERGY.name))]
    return Reference(
        model=model,
        device=device,
        recipe=recipe,
        counts=found,
        seconds=median(seconds),
        joules=median(joules) if joules else None,
        source=f"{len(seconds)} clips, last run {max(record.run for record in group)}",
        own=True,
        spread=math.log(max(seconds) / min(seconds)) / 2,
    )


def _seconds_of_clip(record: Record) -> float | None:
    """Of a call that answered a prompt, or of calls that were timed, which may have made several clips each."""
    return _reading_of(record, LATENCY.name) or _reading_of(record, CLIP_TIME.name) or None


def _reading_of(record: Record, name: str) -> float | None:
    measurement = record.measurement(name)
    return None if measurement is None else measurement.value
