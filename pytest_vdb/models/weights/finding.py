"""Where a card's weights are: a folder that `from_pretrained` reads, built, given or downloaded."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_vdb.errors import WeightsMissing
from pytest_vdb.files import is_folder, is_there
from pytest_vdb.models import classes
from pytest_vdb.models.card import ModelCard
from pytest_vdb.models.source import WeightsSource
from pytest_vdb.models.weights import folders, hub, modular, tiny
from pytest_vdb.models.weights.reading import read_part
from pytest_vdb.records import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A folder that `from_pretrained` can read, and what must be given to it."""

    folder: Path
    given: Mapping[str, Any] = field(default_factory=dict)
    revision: str | None = None


def find(card: ModelCard, kind: Any, recipe: Recipe, source: WeightsSource, *, inputs: Collection[str]) -> Found:
    """The folder with a pipeline's weights, downloaded or built now if it is not there and may be.

    Args:
        card: with the pipeline's class.
        kind: that class.
        recipe: as `recipes.resolve` returned it; parts from other repositories are read in its dtype.
        source: `hub`, `local` or `tiny`.
        inputs: what a modular pipeline will be called with: components that these do not need are not downloaded.

    Raises:
        WeightsMissing: they are not here, and may not or cannot be had.
        WeightsBroken: a part, or a download, is not what it should be.
    """
    return _FINDERS[source.mode](card, kind, recipe, source, inputs)


def require_any(card: ModelCard, source: WeightsSource) -> None:
    """Find out before any library is imported, which takes seconds, that a pipeline's weights cannot be had.

    Raises:
        WeightsMissing, WeightsBroken: nothing of them is here, and the hub may not be asked, or refuses them.
    """
    if source.mode == "hub":
        hub.require_any(card, offline=source.offline)


def index_names(kind: Any) -> tuple[str, ...]:
    """What the index in a folder of this pipeline class is called; the preferred name first."""
    return (folders.MODULAR_INDEX, folders.INDEX) if classes.is_modular(kind) else (folders.INDEX,)


def _find_tiny(card: ModelCard, _kind: Any, _recipe: Recipe, source: WeightsSource, _inputs: Collection[str]) -> Found:
    assert card.pipeline is not None
    folder = tiny.ensure(card.pipeline, source.cache_dir)
    return Found(folder=folder, given=tiny.load_overrides(card.pipeline))


def _find_local(card: ModelCard, kind: Any, recipe: Recipe, source: WeightsSource, _inputs: Collection[str]) -> Found:
    if source.local_dir is None:
        raise WeightsMissing("local weights without a folder", where=card.name, mend="give --vdb-weights-dir=FOLDER")
    own = source.local_dir / card.name
    folder = own if is_folder(own) else source.local_dir
    names = index_names(kind)
    if folder is source.local_dir and not any(is_there(folder / name) for name in names):
        there = sorted(path.name for path in source.local_dir.iterdir()) if is_folder(source.local_dir) else []
        raise WeightsMissing(
            f"there is neither a folder {card.name!r} nor a {names[0]} in it; it holds: {', '.join(there) or '-'}",
            where=source.local_dir,
            mend=f"put the pipeline of {card.repository or card.name} into {own}",
        )
    absent = [part for part in card.parts if not is_folder(folder / part.component)]
    if absent:
        listed = ", ".join(f"{part.component} ({part.repository})" for part in absent)
        raise WeightsMissing(
            f"components from other repositories are not in it: {listed}",
            where=folder,
            mend=f"put each into a folder of its name, e.g. {folder / absent[0].component}",
        )
    given = {part.component: read_part(part, folder / part.component, recipe) for part in card.parts}
    return Found(folder=folder, given=given)


def _find_on_hub(card: ModelCard, kind: Any, recipe: Recipe, source: WeightsSource, inputs: Collection[str]) -> Found:
    ledger = source.cache_dir / "verified"
    given = {}
    for part in card.parts:
        snapshot = hub.part(part, offline=source.offline)
        folders.verify_downloads(snapshot.folder, ledger)
        given[part.component] = read_part(part, snapshot.folder / (part.subfolder or ""), recipe)
    if classes.is_modular(kind):
        names = modular.needed(kind, inputs) - set(given)
        snapshot = hub.components(card, names, indexes=index_names(kind), offline=source.offline)
    else:
        snapshot = hub.pipeline(card, kind, given=given, offline=source.offline)
    folders.verify_downloads(snapshot.folder, ledger)
    return Found(folder=snapshot.folder, given=given, revision=snapshot.revision)


_FINDERS = {"tiny": _find_tiny, "local": _find_local, "hub": _find_on_hub}
