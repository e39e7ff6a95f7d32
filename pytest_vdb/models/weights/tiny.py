"""Weights mode `tiny`: every pipeline with shrunken components and seeded random weights, built once per machine.

`ensure` writes a complete pipeline folder, as `save_pretrained` does, with safetensors. Callers always load it back by
`from_pretrained`: a freshly built model differs from a reloaded one by up to 1e-6 (memory-mapped tensors lie
unaligned), so only loaded ones give the same clips everywhere. What a pipeline is made of is data, in
`architectures/tiny/*.toml` and the form that `blueprints` describes: to add a pipeline, add a table.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pytest_vdb.errors import CardError, LibraryMissing
from pytest_vdb.files import is_there
from pytest_vdb.models import classes, workshop
from pytest_vdb.models.weights import blueprints, modular
from pytest_vdb.places import code_beside
from pytest_vdb.records import digest


def pipeline_classes() -> tuple[str, ...]:
    """Names of the diffusers classes that can be built, sorted."""
    return tuple(sorted(blueprints.blueprints("tiny")))


def ensure(pipeline_class: str, cache_dir: Path) -> Path:
    """A folder with the tiny pipeline, built now if it is not there yet.

    Several processes may ask at once: each builds in a folder of its own, the first to finish gives it its name.

    Args:
        pipeline_class: a diffusers class such as `WanPipeline`.
        cache_dir: where such folders are kept. The folder's name holds a digest of the definition, of this code and of
            the versions of diffusers, transformers and torch, so a change builds a new one.

    Raises:
        UnknownName: no such pipeline is described.
        CardError: the installed diffusers does not have it.
        LibraryMissing: it needs a library that is not installed.
        OutputError: the folder cannot be written; nothing of it is left behind.
    """
    plan = blueprints.blueprint("tiny", pipeline_class)
    folder = _folder_of_plan(plan, cache_dir)
    if not is_there(folder):
        with workshop.finished_as(folder) as made, _without_progress_bars():
            _save_pipeline(_build(plan), made)
    return folder


def discard(pipeline_class: str, cache_dir: Path) -> None:
    """Take a folder away that turned out to be torn, so that `ensure` builds it anew.

    Raises:
        OutputError: it cannot be taken away.
    """
    workshop.discard(_folder_of_plan(blueprints.blueprint("tiny", pipeline_class), cache_dir))


def _folder_of_plan(plan: blueprints.Blueprint, cache_dir: Path) -> Path:
    return cache_dir / f"{plan.pipeline}-{_identity_of_plan(plan)}"


def load_overrides(pipeline_class: str) -> dict[str, Any]:
    """What `from_pretrained` must be given because it cannot restore it, e.g. a stand-in for a safety checker."""
    loading = blueprints.blueprint("tiny", pipeline_class).loading
    return {name: blueprints.construct(component) for name, component in loading.items()}


def after_load(pipe: Any) -> None:
    """Set what a tiny pipeline needs and `from_pretrained` does not restore: tile sizes, neutral prompt templates."""
    blueprints.adjust(pipe, blueprints.blueprint("tiny", type(pipe).__name__))


def call_settings(pipeline_class: str) -> dict[str, Any]:
    """Arguments that every call of the tiny pipeline needs, e.g. how many tokens its text encoder takes."""
    return dict(blueprints.blueprint("tiny", pipeline_class).call)


def _identity_of_plan(plan: blueprints.Blueprint) -> str:
    return digest(
        {
            "components": plan.components,
            "code": code_beside(__file__),
            "versions": {package: version(package) for package in ("diffusers", "transformers", "torch")},
        }
    )


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    """Saving takes milliseconds; transformers would draw a bar for each model all the same."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _build(plan: blueprints.Blueprint) -> Any:
    import diffusers

    from pytest_vdb.models.weights import random_weights

    kind = getattr(diffusers, plan.pipeline, None)
    if kind is None:
        raise CardError(
            f"diffusers {version('diffusers')} has no {plan.pipeline}",
            where="architectures/tiny",
            mend="pip install --upgrade diffusers",
        )
    components = {role: _seeded(role, component) for role, component in plan.components.items()}
    # Some pipelines make a network of their own from the parts, e.g. AnimateDiff its motion UNet.
    with random_weights.seeded(plan.pipeline):
        try:
            if classes.is_modular(kind):
                return modular.assemble(kind, components)
            return kind(**components)
        except ImportError as error:
            # diffusers puts a dummy in the place of a class whose library is absent; its message says which.
            raise LibraryMissing(f"{plan.pipeline} needs a library: {' '.join(str(error).split())}") from error


def _save_pipeline(pipeline: Any, folder: Path) -> None:
    if classes.is_modular(type(pipeline)):
        modular.save(pipeline, folder)
    else:
        pipeline.save_pretrained(folder, safe_serialization=True)


def _seeded(role: str, component: Any) -> Any:
    """Build a component from a seed of its own, whatever was built before it."""
    import torch

    from pytest_vdb.models.weights import random_weights

    with random_weights.seeded(role):
        built = blueprints.construct(component)
        if isinstance(built, torch.nn.Module):
            random_weights.redraw(built)
    return built
