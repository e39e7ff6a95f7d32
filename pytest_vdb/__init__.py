"""Benchmarks of video diffusion models as tests.

The public names: `Clip`, `Prompt`, `Recipe` and `Measurement` to speak with, `@model` and `@metric` to extend with.
"""

from pytest_vdb.errors import CannotMeasure, VdbError
from pytest_vdb.metrics.contract import Score, metric
from pytest_vdb.models.registry import model
from pytest_vdb.records import Clip, Measurement, Prompt, Recipe

__version__ = "0.1.0"

__all__ = ["CannotMeasure", "Clip", "Measurement", "Prompt", "Recipe", "Score", "VdbError", "metric", "model"]
