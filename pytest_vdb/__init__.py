"""Benchmarks of video diffusion models as tests.

The public names: `Clip`, `Prompt`, `Recipe`, `Measurement` and `Score` to speak with, `@model` (with `@isolated`),
`@metric` and `@backbone` (with `Feature`) to extend with, `VdbError` and `CannotMeasure` to catch and raise. Each is
imported when it is first used, because every pytest session on a machine with this package imports it, also those of
projects that never benchmark anything.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_vdb.backbones.contract import Feature, backbone
    from pytest_vdb.errors import CannotMeasure, VdbError
    from pytest_vdb.metrics.contract import Score, metric
    from pytest_vdb.models.contract import model
    from pytest_vdb.models.isolation.settings import isolated
    from pytest_vdb.records import Clip, Measurement, Prompt, Recipe

__version__ = "0.1.0"

__all__ = [
    "CannotMeasure",
    "Clip",
    "Feature",
    "Measurement",
    "Prompt",
    "Recipe",
    "Score",
    "VdbError",
    "backbone",
    "isolated",
    "metric",
    "model",
]

_HOMES = {
    "pytest_vdb.backbones.contract": ("Feature", "backbone"),
    "pytest_vdb.errors": ("CannotMeasure", "VdbError"),
    "pytest_vdb.metrics.contract": ("Score", "metric"),
    "pytest_vdb.models.contract": ("model",),
    "pytest_vdb.models.isolation.settings": ("isolated",),
    "pytest_vdb.records": ("Clip", "Measurement", "Prompt", "Recipe"),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
