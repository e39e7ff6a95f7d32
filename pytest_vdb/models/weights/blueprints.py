"""What pipelines are made of, as data: `architectures/tiny/*.toml` (shrunken) and `architectures/full/*.toml` (real).

A **part** is a table that names a class and its configuration. A **blueprint** names a part for each component of a
pipeline. Parts may be shared by every file of a folder:

    [parts.wan-transformer]
    class = "diffusers.WanTransformer3DModel"
    num_layers = 2

    [pipelines.WanImageToVideoPipeline.components]
    transformer = { part = "wan-transformer", in_channels = 36 }   # the part with a difference
    vae = "wan-vae"                                                # the part as it is
    tokenizer = { make = "tokenizers.t5" }                         # a function of this package instead of a class
    transformer_2 = "none"                                         # None, which TOML cannot say
    boundary_ratio = 0.875                                         # any other value is passed on

A pipeline that is `like = "Another"` starts from the other's tables. Besides `components` a blueprint has:
`after_load`, attributes to set on the loaded pipeline (`"vae.use_tiling" = true`); `call`, arguments that every call
of it needs; `loading`, the components that `from_pretrained` must be given again. A part may have `more_config`:
entries of its configuration that its pipeline reads and its constructor does not take.
"""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pytest_vdb.errors import CardError, UnknownName

FOLDER = Path(__file__).parent / "architectures"
"""Where the data lies: one folder per scale, one file per family."""

NONE = "none"
"""How the data writes None."""

Table = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """One pipeline's parts, with every reference to a part filled in."""

    name: str
    pipeline: str
    """Name of the diffusers class."""
    components: Table
    """Constructor argument -> a table with `class` or `make`, or a plain value."""
    call: Table = field(default_factory=dict)
    after_load: Table = field(default_factory=dict)
    loading: Table = field(default_factory=dict)
    published: Table = field(default_factory=dict)
    """Component -> its published number of parameters, and `source`."""


@cache
def blueprints(scale: str, folder: Path = FOLDER) -> Mapping[str, Blueprint]:
    """All blueprints of a scale, by name.

    Args:
        scale: a folder in there: of ours `tiny` or `full`.
        folder: where scales are described; default: ours.

    Raises:
        CardError: a part or pipeline is defined twice, or refers to one that does not exist.
    """
    parts: Table = {}
    pipelines: Table = {}
    for path in sorted((folder / scale).glob("*.toml")):
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        for section, known in (("parts", parts), ("pipelines", pipelines)):
            for name, table in tables.get(section, {}).items():
                if name in known:
                    raise CardError(f"{section}.{name} is defined twice", where=path, mend="give it another name")
                known[name] = table
    return {name: _blueprint(name, pipelines, parts) for name in pipelines}


def blueprint(scale: str, name: str) -> Blueprint:
    """The blueprint of that name.

    Raises:
        UnknownName: there is none, with near misses.
    """
    known = blueprints(scale)
    if name not in known:
        raise UnknownName(
            f"{scale} architecture", name, known, mend=f"Add a table to {FOLDER.name}/{scale}/ to describe it."
        )
    return known[name]


def is_model(component: Any) -> bool:
    """Whether a component has weights: a class that is neither a scheduler, a processor nor a tokenizer."""
    import torch

    return (
        isinstance(component, dict)
        and "class" in component
        and issubclass(_imported(component["class"]), torch.nn.Module)
    )


def construct(component: Any) -> Any:
    """Build one component of a blueprint.

    Models come back in evaluation mode, with the values their own initialisation gave them.
    """
    if not isinstance(component, dict):
        return None if component == NONE else component
    reserved = ("class", "make", "more_config")
    settings = {key: _value(value) for key, value in component.items() if key not in reserved}
    if "make" in component:
        return _imported(f"{__package__}.{component['make']}")(**settings)
    kind = _imported(component["class"])
    # Models of transformers take a configuration object; everything else takes its settings as they are.
    config_class = getattr(kind, "config_class", None)
    built = kind(**settings) if config_class is None else kind(config_class(**settings))
    if "more_config" in component:
        built.register_to_config(**component["more_config"])
    return built.eval() if hasattr(built, "eval") else built


def adjust(pipe: Any, plan: Blueprint) -> None:
    """Set on a pipeline what its blueprint says under `after_load`: `from_pretrained` does not restore it."""
    for path, value in plan.after_load.items():
        *owners, attribute = path.split(".")
        owner = pipe
        for name in owners:
            owner = getattr(owner, name)
        setattr(owner, attribute, value)


def _blueprint(name: str, pipelines: Table, parts: Table) -> Blueprint:
    tables: Table = {"pipeline": name}
    for ancestor in reversed(_ancestry(name, pipelines)):
        for key, value in pipelines[ancestor].items():
            tables[key] = {**tables.get(key, {}), **value} if isinstance(value, dict) else value
    tables.pop("like", None)
    tables["published"] = pipelines[name].get("published", {})  # a figure of one model is not its descendants'
    tables["call"] = _value(tables.get("call", {}))
    for section in ("components", "loading"):
        tables[section] = {key: _resolved(value, parts, name) for key, value in tables.get(section, {}).items()}
    return Blueprint(name=name, **tables)


def _ancestry(name: str, pipelines: Table) -> list[str]:
    """The pipeline, the one it is like, the one that is like, and so on."""
    chain = [name]
    while (parent := pipelines[chain[-1]].get("like")) is not None:
        if parent not in pipelines or parent in chain:
            raise CardError(f"{chain[-1]} is like {parent!r}, which is not another pipeline", where=FOLDER)
        chain.append(parent)
    return chain


def _resolved(component: Any, parts: Table, user: str) -> Any:
    """The component with the part it refers to filled in."""
    if isinstance(component, str) and component != NONE:
        component = {"part": component}
    if not isinstance(component, dict) or "part" not in component:
        return component
    name = component["part"]
    if name not in parts:
        raise UnknownName("part", name, parts, where=f"{FOLDER.name}, {user}")
    own = {key: value for key, value in component.items() if key != "part"}
    return {**_resolved(parts[name], parts, user), **own}


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _value(inner) for key, inner in value.items()}
    return None if value == NONE else value


def _imported(path: str) -> Any:
    """`diffusers.pipelines.ltx2.vocoder.LTX2Vocoder` -> the class."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise CardError(
            f"{path} cannot be imported: {error}",
            where=FOLDER,
            mend="the installed library may be too old: pip install --upgrade diffusers transformers",
        ) from error
