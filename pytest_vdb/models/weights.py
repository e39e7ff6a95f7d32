"""Where weights come from, and a loaded pipeline from any of them.

`hub`, `local` and `tiny` all end in a folder that `from_pretrained` reads: one path from there on. `random` makes a
full-size pipeline in memory; it is then dressed and placed exactly as the others are.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_vdb.errors import CardError, LibraryMissing, VdbError, WeightsBroken, WeightsMissing
from pytest_vdb.files import is_folder, is_there
from pytest_vdb.models import calls, classes, folders, modular
from pytest_vdb.models.card import ModelCard, Part
from pytest_vdb.models.source import WeightsSource
from pytest_vdb.records import Recipe

_LONGEST_REASON = 500
_MOST_PARTS = 100_000
"""Modules of one pipeline. The largest models have ten thousand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A pipeline that is ready to be called."""

    pipeline: Any
    revision: str | None = None
    """Commit of the repository, for `hub` weights."""
    call: Mapping[str, Any] = field(default_factory=dict)
    """Arguments that every call needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A folder that `from_pretrained` can read, and what must be given to it."""

    folder: Path
    given: Mapping[str, Any] = field(default_factory=dict)
    revision: str | None = None


def load_pipeline(card: ModelCard, recipe: Recipe, source: WeightsSource) -> Loaded:
    """Load a card's pipeline, set the recipe's switches and put it on the device.

    Args:
        card: a card with a pipeline class.
        recipe: as `recipes.resolve` returned it.
        source: where the weights come from.

    Raises:
        CardError: the installed diffusers has no such class.
        RecipeError: a switch that this pipeline, device or environment cannot follow.
        WeightsMissing: the weights are not here (and may not or cannot be downloaded).
        WeightsBroken: they are here but torn, pickled, incomplete or of another architecture.
    """
    from pytest_vdb.models import switches

    kind = classes.pipeline_class(card)
    switches.check_environment(card, recipe, source)
    with _quietly():
        make = _random if source.mode == "random" else _from_folder
        loaded = make(card, kind, recipe, source)
        loaded.pipeline.set_progress_bar_config(disable=True)
        if card.scheduler and source.mode != "tiny":
            switches.change_scheduler(loaded.pipeline, card.scheduler)
        switches.apply(card, loaded.pipeline, recipe, source.device)
    return loaded


def index_names(kind: Any) -> tuple[str, ...]:
    """What the index in a folder of this pipeline class is called; the preferred name first."""
    return (folders.MODULAR_INDEX, folders.INDEX) if classes.is_modular(kind) else (folders.INDEX,)


def dtypes_of(card: ModelCard, recipe: Recipe) -> Any:
    """What `from_pretrained` takes as `dtype`: one dtype, or one for each component that stays in float32."""
    import torch

    dtype = getattr(torch, recipe.dtype or "float32")
    if not card.float32 or dtype == torch.float32:
        return dtype
    return {"default": dtype, **dict.fromkeys(card.float32, torch.float32)}


def _from_folder(card: ModelCard, kind: Any, recipe: Recipe, source: WeightsSource) -> Loaded:
    """Tiny weights that turn out to be torn are made anew, once: nobody could copy them again."""
    from pytest_vdb.models import tiny

    try:
        return _from_folder_as_it_is(card, kind, recipe, source)
    except WeightsBroken:
        if source.mode != "tiny":
            raise
        tiny.discard(card.pipeline or "", source.cache_dir)
        return _from_folder_as_it_is(card, kind, recipe, source)


def _from_folder_as_it_is(card: ModelCard, kind: Any, recipe: Recipe, source: WeightsSource) -> Loaded:
    from pytest_vdb.models import switches, tiny

    found = _FINDERS[source.mode](card, kind, recipe, source)
    index = folders.read_index(found.folder, index_names(kind))
    inputs = calls.conditions(kind, card.task)
    only = modular.needed(kind, inputs) if classes.is_modular(kind) else None
    folders.check(found.folder, index, given=found.given, only=only)
    settings = {
        "dtype": dtypes_of(card, recipe),
        "use_safetensors": True,
        "local_files_only": True,
        "variant": card.variant if source.mode == "hub" else None,
        "trust_remote_code": source.trust_remote_code,
        **switches.loading_settings(kind, recipe),
        **found.given,
    }

    def read() -> Any:
        if classes.is_modular(kind):
            return modular.load(kind, found.folder, index, settings, inputs=inputs)
        return kind.from_pretrained(found.folder, **settings)

    pipeline = _read(read, found.folder, card)
    if source.mode != "tiny":
        return Loaded(pipeline=pipeline, revision=found.revision, call=card.call)
    tiny.after_load(pipeline)
    return Loaded(pipeline=pipeline, call=tiny.call_settings(card.pipeline or ""))


def _random(card: ModelCard, kind: Any, recipe: Recipe, source: WeightsSource) -> Loaded:
    """The full-size architecture with values that nobody trained, made where it is to run."""
    import torch

    from pytest_vdb.models import architectures, blueprints

    if card.architecture is None:
        raise WeightsMissing(
            "no full-size architecture is described for it: its configuration is not published where we could read it; "
            "it cannot be made with random weights",
            where=f"model {card.name}",
            mend="use --vdb-weights=tiny, local or hub, or add a preset to architectures/full/",
        )
    plan = architectures.preset(card.architecture)
    device = source.device if recipe.offload in (None, "none") else "cpu"
    components = architectures.build(card.architecture, dtype=getattr(torch, recipe.dtype or "float32"), device=device)
    if classes.is_modular(kind):
        pipeline = modular.assemble(kind, components, inputs=calls.conditions(kind, card.task))
    else:
        known = classes.components(kind)
        pipeline = kind(**{name: component for name, component in components.items() if name in known})
    for name in card.float32:
        if (part := getattr(pipeline, name, None)) is None:
            raise CardError(f"`float32` names {name!r}, which {card.pipeline} does not have", where=card.where)
        part.float()
    blueprints.adjust(pipeline, plan)
    return Loaded(pipeline=pipeline, call={**card.call, **plan.call})


def _find_tiny(card: ModelCard, _kind: Any, _recipe: Recipe, source: WeightsSource) -> _Found:
    from pytest_vdb.models import tiny

    assert card.pipeline is not None
    folder = tiny.ensure(card.pipeline, source.cache_dir)
    return _Found(folder=folder, given=tiny.load_overrides(card.pipeline))


def _find_local(card: ModelCard, kind: Any, recipe: Recipe, source: WeightsSource) -> _Found:
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
    given = {part.component: _read_part(part, folder / part.component, recipe) for part in card.parts}
    return _Found(folder=folder, given=given)


def _find_on_hub(card: ModelCard, kind: Any, recipe: Recipe, source: WeightsSource) -> _Found:
    from pytest_vdb.models import hub

    ledger = source.cache_dir / "verified"
    given = {}
    for part in card.parts:
        snapshot = hub.part(part, offline=source.offline)
        folders.verify_downloads(snapshot.folder, ledger)
        given[part.component] = _read_part(part, snapshot.folder / (part.subfolder or ""), recipe)
    if classes.is_modular(kind):
        names = modular.needed(kind, calls.conditions(kind, card.task)) - set(given)
        snapshot = hub.components(card, names, indexes=index_names(kind), offline=source.offline)
    else:
        snapshot = hub.pipeline(card, kind, given=given, offline=source.offline)
    folders.verify_downloads(snapshot.folder, ledger)
    return _Found(folder=snapshot.folder, given=given, revision=snapshot.revision)


_FINDERS = {"tiny": _find_tiny, "local": _find_local, "hub": _find_on_hub}


def _read_part(part: Part, folder: Path, recipe: Recipe) -> Any:
    import torch

    kind = classes.part_class(part)
    folders.check_part(folder)
    settings: dict[str, Any] = {"local_files_only": True}
    if issubclass(kind, torch.nn.Module):
        settings |= {"dtype": getattr(torch, recipe.dtype or "float32"), "use_safetensors": True}
    return _read(lambda: kind.from_pretrained(folder, **settings), folder, None)


def _read(load: Callable[[], Any], folder: Path, card: ModelCard | None) -> Any:
    """Call `from_pretrained`; what it cannot read is a broken folder, not a bug of the caller."""
    import torch

    kind = card.pipeline if card is not None else "the component"
    try:
        with _no_endless_network(folder):
            return load()
    except (VdbError, MemoryError, torch.OutOfMemoryError):
        raise
    except ImportError as error:
        raise LibraryMissing(f"{kind} needs a library: {_shortened(error)}", where=folder) from error
    except Exception as error:
        raise WeightsBroken(
            f"{kind} cannot be loaded from it: {type(error).__name__}: {_shortened(error)}",
            where=folder,
            mend="is it the folder of another architecture or of an incomplete copy?",
        ) from error


def _shortened(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."


@contextlib.contextmanager
def _no_endless_network(folder: Path) -> Iterator[None]:
    """Stop a network that is built out of more parts than any has: a configuration may ask for a million layers."""
    from torch.nn.modules.module import register_module_module_registration_hook

    parts = itertools.count(1)

    def count(*_: Any) -> None:
        if next(parts) > _MOST_PARTS:
            raise WeightsBroken(
                f"its configuration describes more than {_MOST_PARTS:,} parts", where=folder, mend=folders.COPY_AGAIN
            )

    hook = register_module_module_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Progress bars of loading off: pytest's own line is the only one. Put back afterwards."""
    import diffusers.utils.logging as of_diffusers
    import transformers.utils.logging as of_transformers

    before = [(bars, bars.is_progress_bar_enabled()) for bars in (of_diffusers, of_transformers)]
    try:
        for bars, _ in before:
            bars.disable_progress_bar()
        yield
    finally:
        for bars, enabled in before:
            if enabled:
                bars.enable_progress_bar()
