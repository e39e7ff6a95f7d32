"""What is known of the costs of a session's models before it runs: the newest runs' records, then the estimate."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from pytest_vdb.cluster.costs import Cost, Setup, estimated_cost, measured_costs, setup_of
from pytest_vdb.errors import VdbError
from pytest_vdb.estimates import evidence, prediction
from pytest_vdb.estimates.prediction import Reference
from pytest_vdb.models import counts
from pytest_vdb.models.registry import Registry
from pytest_vdb.records import Record
from pytest_vdb.results import baselines, journal


def costs_of_setups(
    output: Path, cache_dir: Path, registry: Registry, models: Mapping[str, Record]
) -> Mapping[Setup, Cost]:
    """What a test takes, for each model under each recipe of which it is known.

    Args:
        output: in whose runs earlier records lie.
        cache_dir: where counts and measured devices are kept.
        registry: whose cards the models have.
        models: what every record of a model says.
    """
    records: list[Record] = []
    names = {about.model for about in models.values()}
    for run in baselines.runs_in(output)[: evidence.NEWEST_RUNS]:
        with contextlib.suppress(VdbError):  # a run that cannot be read is no evidence
            records += journal.read_of_models(run.folder, names)[1]
    measured = measured_costs(records)
    references: tuple[Reference, ...] | None = None
    found: dict[Setup, Cost] = {}
    for about in models.values():
        setup = setup_of(about)
        if setup in measured:
            found[setup] = measured[setup]
        elif about.weights in evidence.FULL_SIZE:
            if references is None:
                own = evidence.references_of(records, registry, cache_dir)
                references = (*own, *prediction.published())
            cost = _estimated(about, registry, cache_dir, references)
            if cost is not None:
                found[setup] = cost
    return found


def _estimated(about: Record, registry: Registry, cache_dir: Path, references: tuple[Reference, ...]) -> Cost | None:
    """None where the model was not counted, or nobody knows the device."""
    device = None if about.hardware is None else evidence.device_of(about.hardware, cache_dir)
    if device is None or about.model not in registry.names():
        return None
    card, recipe = registry.get(about.model), evidence.recipe_of(about)
    known = counts.known(card, recipe, cache_dir)
    if not isinstance(known, counts.Counts):
        return None
    predicted = prediction.predict(card.name, recipe, known, device, references, clips=recipe.clips)
    if predicted.seconds is None:
        return None
    return estimated_cost(predicted.seconds, card.download_gb, predicted.rests_on)
