"""Modular pipelines: put together of their parts, saved, read from a folder.

A `ModularPipeline` of diffusers has no `from_pretrained` that we could trust: it takes classes, places and revisions
from the folder's index, runs the folder's own code if told to, and only warns of a component that it could not load.
Here each component is read from the folder of its name, as a class that the blocks ask for.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pytest_vdb import files
from pytest_vdb.errors import LibraryMissing, WeightsBroken
from pytest_vdb.models import classes
from pytest_vdb.models.weights import folders
from pytest_vdb.models.weights.folders import MODULAR_INDEX, Index


def assemble(kind: Any, parts: Mapping[str, Any], *, inputs: Collection[str] | None = None) -> Any:
    """A pipeline made of its parts.

    Args:
        kind: a modular pipeline class.
        parts: components and settings, by name; those that the blocks do not ask for are left out.
        inputs: what it will be called with: only the blocks that these need are put in. None: all of them.
    """
    pipeline = _empty(kind, inputs)
    known = {*pipeline.component_names, *pipeline.config}
    pipeline.update_components(**{name: part for name, part in parts.items() if name in known and part is not None})
    _complete(pipeline)
    return pipeline


def needed(kind: Any, inputs: Collection[str]) -> frozenset[str]:
    """The components that have to be read from files for a call with these inputs."""
    return frozenset(_empty(kind, inputs).pretrained_component_names)


def save(pipeline: Any, folder: Path) -> None:
    """Write a pipeline's folder so that it is the same wherever it is written: the index names no place."""
    pipeline.save_pretrained(str(folder), safe_serialization=True, overwrite_modular_index=True)
    path = folder / MODULAR_INDEX
    index = json.loads(path.read_text(encoding="utf-8"))
    for value in index.values():
        if isinstance(value, list) and isinstance(value[-1], dict) and "pretrained_model_name_or_path" in value[-1]:
            value[-1]["pretrained_model_name_or_path"] = None
    files.write(path, json.dumps(index, indent=2, sort_keys=True) + "\n")


def load(kind: Any, folder: Path, index: Index, settings: Mapping[str, Any], *, inputs: Collection[str]) -> Any:
    """Read a pipeline from a folder.

    Args:
        kind: a modular pipeline class.
        folder: checked by `folders.check`.
        index: of the folder.
        settings: as `from_pretrained` of the other kind takes them; components among them are used as they are.
        inputs: what it will be called with: components that these do not need are not read.

    Raises:
        WeightsBroken: a component is missing, or of a class that the blocks do not ask for.
        LibraryMissing: it needs a library that is not installed.
    """
    parts = {name: value for name, value in index.settings.items() if name in classes.components(kind)}
    for name in needed(kind, inputs):
        parts[name] = settings[name] if name in settings else _component(kind, name, folder, index, settings)
    return assemble(kind, parts, inputs=inputs)


def _empty(kind: Any, inputs: Collection[str] | None) -> Any:
    """A pipeline without the components that are read from files."""
    if inputs is None:
        return kind()
    return kind(blocks=classes.blocks(kind).get_execution_blocks(**dict.fromkeys(inputs, True)))


def _complete(pipeline: Any) -> None:
    """What a pipeline adds to itself before it can be called: Cosmos its safety checker."""
    if getattr(pipeline, "requires_safety_checker", False) and getattr(pipeline, "safety_checker", None) is None:
        try:
            pipeline.enable_safety_checker()
        except ImportError as error:
            raise LibraryMissing(str(error), where=type(pipeline).__name__) from error


def _component(kind: Any, name: str, folder: Path, index: Index, settings: Mapping[str, Any]) -> Any:
    if name not in index.components:
        raise WeightsBroken(
            f"does not name the component {name!r}, which {kind.__name__} needs",
            where=index.path,
            mend=folders.COPY_AGAIN,
        )
    part = _class_of(kind, name, index)
    return part.from_pretrained(folder / name, **_settings_of(part, name, settings))


def _class_of(kind: Any, name: str, index: Index) -> Any:
    """The class that the index names, if it is one of those that the blocks ask for."""
    import diffusers
    import transformers

    library, class_name = index.components[name]
    asked = classes.component_classes(kind, name)
    exported = {"diffusers": diffusers, "transformers": transformers}
    named = getattr(exported[library], class_name, None) if library in exported else None
    left_open = {transformers.AutoTokenizer, transformers.AutoProcessor} & set(asked)
    if isinstance(named, type) and (left_open or any(issubclass(named, each) for each in asked)):
        return named
    same = next((each for each in asked if each.__name__ == class_name), None)
    if same is None:
        raise WeightsBroken(
            f"`{name}` is {library}.{class_name}, and {kind.__name__} takes "
            f"{' or '.join(each.__name__ for each in asked) or 'nothing'}",
            where=index.path,
            mend="is it the folder of another architecture?",
        )
    return same


def _settings_of(part: Any, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What one component's `from_pretrained` is told; only networks have a dtype and weights."""
    import torch

    if not issubclass(part, torch.nn.Module):
        return {"local_files_only": True}
    dtype = settings["dtype"]
    told = {
        "dtype": dtype.get(name, dtype["default"]) if isinstance(dtype, Mapping) else dtype,
        "use_safetensors": True,
        "local_files_only": True,
    }
    if settings.get("variant") is not None:
        told["variant"] = settings["variant"]
    quantised = getattr(settings.get("quantization_config"), "quant_mapping", None) or {}
    return {**told, **({"quantization_config": quantised[name]} if name in quantised else {})}
