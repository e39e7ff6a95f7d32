"""Whether all that the other parts call is there: functions of NVML and CUDA, models, presets, networks, figures.

Nothing of it is listed by hand: names of libraries are read from our own code, the rest is asked for.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from types import ModuleType

from pytest_vdb import profiling
from pytest_vdb.errors import VdbError
from pytest_vdb.estimates.prediction import published, published_rows
from pytest_vdb.metrics.registry import MetricRegistry
from pytest_vdb.models import classes
from pytest_vdb.models.registry import Registry
from pytest_vdb.models.weights import architectures
from pytest_vdb.profiling import hardware, nvml
from pytest_vdb.profiling.profiler import Profiler
from pytest_vdb.results import environment

from . import clips, models
from .cards import Card
from .plan import ON_A_CARD, SECONDS_OF_PARTS, Plan
from .rows import Check, Row, there

NOTHING_FOUND = "no name was found in our code"
OF_NVML = {"pynvml", "nvml", "_nvml"}
OF_CUDA = {"cuda"}
"""What our code calls the libraries whose functions it asks for."""


def rows(plan: Plan, card: Card, left_s: Callable[[], float]) -> Iterator[Row]:  # noqa: ARG001 - takes seconds
    """A check for each kind of thing."""
    for part in SECONDS_OF_PARTS:
        importlib.import_module(f"{__package__}.{part}")
    yield there("functions of NVML that we call", _lacking_of_nvml(), source="pynvml")
    yield there("functions of CUDA that we call", _lacking_of_cuda(), source="torch.cuda")
    yield there("readings of a CUDA device", _undeclared(), source="the profiler's probes")
    for name in ON_A_CARD.models:
        yield _model(name)
    yield there("networks of the default metrics", _without_weights(), source="random weights that can be made")
    yield there("published figures", _unpublished(), source="published.toml, hardware.toml and the counts")


def _lacking_of_nvml() -> str | None:
    import pynvml

    found = {name for module in (nvml, environment) for name in _asked_of(module, OF_NVML)}
    return _names_listed(name for name in found if not hasattr(pynvml, name)) if found else NOTHING_FOUND


def _lacking_of_cuda() -> str | None:
    import torch

    modules = (
        importlib.import_module(f"{profiling.__name__}.{one.name}") for one in pkgutil.iter_modules(profiling.__path__)
    )
    found = {name for module in modules for name in _asked_of(module, OF_CUDA)}
    return _names_listed(name for name in found if not hasattr(torch.cuda, name)) if found else NOTHING_FOUND


def _asked_of(module: ModuleType, called: set[str]) -> Iterator[str]:
    """Every NAME of `cuda.NAME` in a module, `cuda` being one of what the library is called there."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Attribute):
            owner = node.value
            if (isinstance(owner, ast.Name) and owner.id in called) or (
                isinstance(owner, ast.Attribute) and owner.attr in called
            ):
                yield node.attr


def _undeclared() -> str | None:
    declared = {one.name for one in Profiler("cuda").readings}
    return None if len(declared) > 10 else f"only {_names_listed(declared)}"


def _model(name: str) -> Check:
    """Its card, its class in the installed diffusers, its full-size architecture, the preset as far as it follows."""
    lacking: str | None = None
    try:
        card = Registry.from_catalog().get(name)
        classes.pipeline_class(card)
        architectures.preset(card.architecture or name)
        models.recipe_of(card, ON_A_CARD)
    except VdbError as error:
        lacking = str(error)
    return there(f"model {name}", lacking, source="the catalogue and diffusers")


def _without_weights() -> str | None:
    needed = {network for spec in MetricRegistry.builtin().select("default") for network in spec.backbones}
    return _names_listed(needed - clips.WEIGHTS.keys())


def _unpublished() -> str | None:
    """Every row's card is known, and those that we hold ours against have their counts."""
    unknown = {row.gpu for row in published_rows()} - hardware.known().keys()
    beside = {one.model for one in published()} & set(ON_A_CARD.models)
    return _names_listed(unknown) or (None if beside else "none is of a model that is measured here")


def _names_listed(names: object) -> str | None:
    """None where there are none."""
    return ", ".join(sorted(names)) or None  # type: ignore[call-overload]
