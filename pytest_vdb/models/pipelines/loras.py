"""The recipe's `lora` and `lora_scale`: an adapter from a file, a folder or a repository; safetensors only."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from pytest_vdb import files
from pytest_vdb.errors import RecipeError
from pytest_vdb.files import is_folder, is_there
from pytest_vdb.models.pipelines.reasons import Reason
from pytest_vdb.models.weights import folders
from pytest_vdb.records import Recipe

ADAPTER = "vdb"
"""What the adapter is called in the pipeline."""

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
"""What the hub calls a repository."""


def why_no_lora(kind: Any, value: str) -> Reason:
    """Why a class cannot load an adapter, or not from this place."""
    if (reason := why_no_lora_scale(kind, 1.0)) is not None:
        return reason
    if os.path.isfile(value):  # noqa: PTH113 - a Path raises for a name that is too long
        return None if value.endswith(folders.TENSORS) else f"only {folders.TENSORS} files are read"
    if os.path.isdir(value):  # noqa: PTH112
        there = any(path.suffix == folders.TENSORS for path in Path(value).iterdir())
        return None if there else f"there is no {folders.TENSORS} file in that folder"
    return None if _REPOSITORY.fullmatch(value) else "there is no such file or folder, and no repository is called so"


def why_no_lora_scale(kind: Any, _value: float) -> Reason:
    """Why a class has no adapter to scale."""
    return None if hasattr(kind, "load_lora_weights") else f"{kind.__name__} loads no LoRA"


def set_lora(pipeline: Any, recipe: Recipe, _device: str) -> None:
    """Load the adapter at its scale; what is torn is refused before a library opens it."""
    assert recipe.lora is not None
    path = Path(recipe.lora)
    settings: dict[str, Any] = {"adapter_name": ADAPTER, "use_safetensors": True}
    if is_folder(path):
        folders.check_part(path)
    elif is_there(path):
        folders.check_header(files.regular(path, error=RecipeError))
        settings["weight_name"], path = path.name, path.parent
    pipeline.load_lora_weights(str(path), **settings)
    pipeline.set_adapters([ADAPTER], [1.0 if recipe.lora_scale is None else recipe.lora_scale])
