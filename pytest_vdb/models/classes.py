"""The pipeline class of a card, and what it is called with, made of and gives back: read off the installed diffusers.

A `DiffusionPipeline` says it in the signatures of its `__call__` and its constructor. A `ModularPipeline` is put
together of blocks, and each block says what it reads, which components it uses and what it makes.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import typing
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from pytest_vdb.components import DENOISERS
from pytest_vdb.errors import CardError, LibraryMissing
from pytest_vdb.garbage import without_collections
from pytest_vdb.models.card import ModelCard, Part

LIBRARIES = ("diffusers", "transformers")
"""Where the classes of components come from."""

Parameters = Mapping[str, inspect.Parameter]


def pipeline_class(card: ModelCard) -> Any:
    """The card's class in the installed diffusers.

    Raises:
        CardError: there is none.
        LibraryMissing: it needs a package that is not installed.
    """
    with without_collections():
        import diffusers

        kind = getattr(diffusers, card.pipeline or "", None)
    if kind is None:
        raise CardError(
            f"diffusers {diffusers.__version__} has no {card.pipeline}",
            where=f"model {card.name}",
            mend="pip install --upgrade diffusers",
        )
    if not is_pipeline(kind):  # diffusers exports a stand-in where a package is missing
        if not (needed := ", ".join(getattr(kind, "_backends", ()))):
            raise CardError(f"{card.pipeline} of diffusers is no pipeline", where=f"model {card.name}")
        raise LibraryMissing(
            f"{card.pipeline} needs packages that are not all installed: {needed}",
            where=f"model {card.name}",
            mend="install them with pip (OpenCV is opencv-python-headless)",
        )
    return kind


def part_class(part: Part) -> Any:
    """The class of a part: a name in diffusers or transformers, or the full path of one that they do not export.

    Raises:
        CardError: there is no such class.
    """
    module, _, name = part.type.rpartition(".")
    homes = LIBRARIES if not module else (module,) if module.split(".")[0] in LIBRARIES else ()
    for home in homes:
        try:
            return getattr(importlib.import_module(home), name)
        except (ImportError, AttributeError):
            continue
    raise CardError(
        f"the installed libraries have no {part.type}",
        where=f"component {part.component}",
        mend="pip install --upgrade diffusers transformers",
    )


def is_pipeline(kind: Any) -> bool:
    """Whether it is a pipeline class of diffusers, of either kind; its stand-in for a missing package is none."""
    import diffusers

    return inspect.isclass(kind) and issubclass(kind, diffusers.DiffusionPipeline | diffusers.ModularPipeline)


def is_modular(kind: Any) -> bool:
    """Whether a pipeline class is put together of blocks."""
    import diffusers

    return issubclass(kind, diffusers.ModularPipeline)


def inputs(kind: Any) -> Parameters:
    """What a pipeline class is called with; one without a default must be given."""
    if not is_modular(kind):
        return inspect.signature(kind.__call__).parameters
    return {given.name: _parameter(given.name, _default_input(given)) for given in blocks(kind).inputs if given.name}


def components(kind: Any) -> Parameters:
    """What a pipeline class is made of; the annotation is the class, or the classes, of a component."""
    if not is_modular(kind):
        annotations = typing.get_type_hints(kind.__init__)
        given = inspect.signature(kind).parameters
        return {name: each.replace(annotation=annotations.get(name)) for name, each in given.items()}
    whole = blocks(kind)
    parts = {
        s.name: _parameter(s.name, _default_component(s), _hints(whole, s.name)) for s in whole.expected_components
    }
    settings = {spec.name: _parameter(spec.name, spec.default) for spec in whole.expected_configs}
    return {**parts, **settings}


def component_classes(kind: Any, name: str) -> tuple[Any, ...]:
    """The classes that a pipeline class accepts as one component; none if it has no such component."""
    known = components(kind)
    annotation = known[name].annotation if name in known else None
    options = typing.get_args(annotation) or (annotation,)
    return tuple(option for option in options if inspect.isclass(option) and option is not type(None))


def denoiser_classes(kind: Any) -> tuple[Any, ...]:
    """The classes that a pipeline class accepts as networks that predict noise."""
    return tuple(option for name in DENOISERS for option in component_classes(kind, name))


def denoisers(pipeline: Any) -> Iterator[Any]:
    """The networks of a loaded pipeline that predict noise."""
    for name in DENOISERS:
        if getattr(pipeline, name, None) is not None:
            yield getattr(pipeline, name)


def outputs(kind: Any) -> tuple[str, ...]:
    """What the blocks of a modular pipeline say that they make, by name."""
    return tuple(made.name for made in blocks(kind).outputs if made.name is not None)


def code_of_call(kind: Any) -> str:
    """The text of the code that calls the denoiser: of `__call__`, or of every block's module."""
    if not is_modular(kind):
        return inspect.getsource(inspect.unwrap(kind.__call__))
    modules = {type(block).__module__ for block in _all_blocks(blocks(kind))}
    return "\n".join(inspect.getsource(sys.modules[name]) for name in sorted(modules))


@lru_cache(maxsize=64)
def blocks(kind: Any) -> Any:
    """The blocks that a modular pipeline class has of its own accord, for all of its tasks; not to be changed."""
    import diffusers

    return getattr(diffusers, kind.default_blocks_name)()


def _parameter(name: str, default: Any, annotation: Any = None) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _default_input(given: Any) -> Any:
    return inspect.Parameter.empty if given.required and given.default is None else given.default


def _hints(whole: Any, name: str) -> Any:
    """Every class that a block asks for by this name: what the whole says is only what the first one asks for."""
    asked = [spec.type_hint for block in _all_blocks(whole) for spec in block.expected_components if spec.name == name]
    return typing.Union[tuple(dict.fromkeys(hint for hint in asked if hint is not None))]  # noqa: UP007 - of a tuple


def _default_component(spec: Any) -> Any:
    """Components that are made of a configuration (processors, guiders) need not be given."""
    return None if spec.default_creation_method == "from_config" else inspect.Parameter.empty


def _all_blocks(block: Any) -> Iterator[Any]:
    yield block
    for inner in block.sub_blocks.values():
        yield from _all_blocks(inner)
