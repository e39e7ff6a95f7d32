"""What a model does for one clip, counted without its weights: operations, bytes, memory; shipped, or kept in a cache.

Counts belong to an architecture, a task and the settings of a recipe that change shapes or calls. Those of the
catalogue at its default recipes are shipped (`counts.json`); `pytest_vdb.estimates.counting` makes others. No torch.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from pytest_vdb import files
from pytest_vdb.errors import RecordError
from pytest_vdb.models.card import ModelCard
from pytest_vdb.models.weights import architectures
from pytest_vdb.records import Recipe, digest

SHIPPED = Path(__file__).with_suffix(".json")
FOLDER_OF_COUNTS = "counts"
"""In the cache folder: a file for each model and recipe that was counted here."""
VERSION = 1
"""Of the way of counting: others' counts are not comparable."""

_SHAPING = ("frames", "height", "width", "guidance", "strength", "max_sequence_length", "dtype", "fps")
"""Settings of a recipe that change the shapes or the calls of a step; steps only change how often they happen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartCount:
    """A model of a pipeline."""

    parameters: int
    bytes: int
    """Of its weights, at the recipe's dtype; what the model keeps in float32 counted so."""
    largest_bytes: int
    """Of its largest single weight: what has to be on the device where weights come one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCount:
    """All calls of a part in one stage of a clip, together."""

    stage: str
    """`text`, `encode`, `denoise` or `decode`."""
    part: str
    calls: int
    products: float
    """Operations of matrix products and convolutions."""
    attention: float
    """Operations of attention."""
    moved_bytes: float
    """Read and written without compiling, attention fused."""
    peak_bytes: int
    """The most that intermediate tensors of one call took."""
    inner_width: float | None = None
    """Geometric mean of the products' smaller inner side, weighted by operations: narrow ones do not fill a GPU."""
    head_width: float | None = None
    """The same of the width of attention's heads; None where there is none."""
    tiled_peak_bytes: int | None = None
    """The same for decoding in tiles; None where the part cannot."""

    @property
    def operations(self) -> float:
        """All of them."""
        return self.products + self.attention


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """One clip of one model under one recipe."""

    key: str
    """What it was counted for: see `key_of`."""
    steps: int | None
    diffusers: str
    """The version whose code was counted."""
    parts: Mapping[str, PartCount]
    stages: tuple[StageCount, ...]

    @property
    def operations(self) -> float:
        """Of a clip."""
        return sum(stage.operations for stage in self.stages)

    @property
    def weights_bytes(self) -> int:
        """Of all parts."""
        return sum(part.bytes for part in self.parts.values())

    def of_stage(self, name: str) -> tuple[StageCount, ...]:
        """The parts that work in a stage."""
        return tuple(stage for stage in self.stages if stage.stage == name)

    def at_steps(self, steps: int | None) -> Counts:
        """The same for another number of steps: the denoiser is called as often in each."""
        if steps is None or self.steps is None or steps == self.steps:
            return self
        stages = tuple(
            _more_often(stage, steps / self.steps) if stage.stage == "denoise" else stage for stage in self.stages
        )
        return dataclasses.replace(self, steps=steps, stages=stages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncounted:
    """Why a model has no counts."""

    key: str
    reason: str
    diffusers: str | None
    """The version that was tried; None where none was: there is nothing to run, or something is not installed."""


def key_of(card: ModelCard, recipe: Recipe) -> str:
    """What counts depend on, in short: what the pipeline is made of, how the card drives it, and what shapes a call.

    Args:
        card: of the model.
        recipe: as `recipes.resolve` returned it.
    """
    of_card = [card.pipeline, card.task, dict(card.call), dict(card.scheduler), card.float32]
    plan = None if card.architecture is None else architectures.preset(card.architecture)
    made_of = None if plan is None else [plan.components, plan.call, plan.after_load]
    return digest([VERSION, of_card, made_of, [getattr(recipe, name) for name in _SHAPING]])


def shipped() -> Mapping[str, Counts | Uncounted]:
    """The counts that come with this package, by key."""
    return _read_counts(SHIPPED)


def shipped_of(card: ModelCard, recipe: Recipe) -> Counts | Uncounted | None:
    """The shipped counts of a model under a recipe; None: there are none."""
    key = key_of(card, recipe)
    if card.architecture is None:
        reason = "no pipeline to count" if card.pipeline is None else "no full-size architecture is described for it"
        return Uncounted(key=key, reason=reason, diffusers=None)
    found = shipped().get(key)
    return found.at_steps(recipe.steps) if isinstance(found, Counts) else found


def known(card: ModelCard, recipe: Recipe, cache_dir: Path) -> Counts | Uncounted | None:
    """The counts of a model under a recipe, shipped or counted on this machine earlier; None: nobody counted yet.

    Raises:
        RecordError: the cache's file is torn.
    """
    if (found := shipped_of(card, recipe)) is not None:
        return found
    key = key_of(card, recipe)
    path = place_of(key, cache_dir)
    kept = _read_counts(path).get(key) if files.is_file(path) else None
    return kept.at_steps(recipe.steps) if isinstance(kept, Counts) else kept


def keep(found: Mapping[str, Counts | Uncounted], path: Path) -> Path:
    """Write counts by their keys.

    Raises:
        OutputError: it cannot be written.
    """
    plain = {key: dataclasses.asdict(one) for key, one in found.items()}
    rows = ",\n".join(f"{json.dumps(key)}: {json.dumps(one, separators=(',', ':'))}" for key, one in plain.items())
    return files.write(path, f"{{\n{rows}\n}}\n")


def place_of(key: str, cache_dir: Path) -> Path:
    """Where this machine keeps the counts of that key, of the installed diffusers."""
    return cache_dir / FOLDER_OF_COUNTS / f"{key}-{_diffusers()}.json"


@cache
def _diffusers() -> str:
    try:
        return importlib.metadata.version("diffusers")
    except importlib.metadata.PackageNotFoundError:
        return "none"


@cache
def _read_counts(path: Path) -> Mapping[str, Counts | Uncounted]:
    tables: Mapping[str, Any] = files.read_json(path, error=RecordError, mend="delete it: it is counted anew")
    try:
        return {key: _read_one(one) for key, one in tables.items()}
    except (msgspec.ValidationError, TypeError, AttributeError) as problem:
        raise RecordError(f"no counts: {problem}", where=path, mend="delete it: it is counted anew") from None


def _read_one(table: Any) -> Counts | Uncounted:
    return msgspec.convert(table, Uncounted) if "reason" in table else msgspec.convert(table, Counts)


def _more_often(stage: StageCount, factor: float) -> StageCount:
    return dataclasses.replace(
        stage,
        calls=round(stage.calls * factor),
        products=stage.products * factor,
        attention=stage.attention * factor,
        moved_bytes=stage.moved_bytes * factor,
    )
