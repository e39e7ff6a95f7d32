"""A pipeline over several devices: the same pipeline in as many processes of torchrun, each asked for every clip.

The weights are found, downloaded or built here, once, before any process of it starts.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any, Self

from pytest_vdb.files import is_there
from pytest_vdb.models import classes
from pytest_vdb.models.card import ModelCard
from pytest_vdb.models.isolated import IsolatedModel
from pytest_vdb.models.isolation.settings import Isolation
from pytest_vdb.models.pipelines import calls, switches
from pytest_vdb.models.source import WeightsSource
from pytest_vdb.models.weights import finding
from pytest_vdb.records import Clip, Prompt, Recipe

TOLD = "VDB_SPREAD"
"""Variable of a rank's environment: its model and where the weights come from, as JSON."""

_SERVE = "pytest_vdb.models.served:OfCatalogue"
_SECONDS = 4 * 3600.0
"""For a clip, and for a load: a rank that hangs is ended then. In one process nothing would end it."""
_PIDS = 4096
"""Processes and threads of a rank: those of a library grow with the processors."""
NEVER_TRIED = "over several GPUs: written from documents, never tried"


class SpreadModel:
    """Behind the `Model` protocol."""

    pipeline: Any = None
    runs_elsewhere = True

    def __init__(self, card: ModelCard, recipe: Recipe, source: WeightsSource) -> None:
        self._recipe = recipe
        self._on_cpu = source.device == "cpu"
        isolation = Isolation(
            serve=_SERVE,
            python=sys.executable,
            folder=str(Path(__file__).resolve().parents[2]),
            wall="venv",
            environment={TOLD: json.dumps(_told_to_ranks(card, source))},
            seconds=_SECONDS,
            start_seconds=_SECONDS,
            pids=_PIDS,
        )
        self._ranks = IsolatedModel(card.name, isolation, source.device)

    @classmethod
    def load(cls, card: ModelCard, recipe: Recipe, source: WeightsSource) -> Self:
        """Start the processes, each of which loads the pipeline and sets every switch.

        Raises:
            WeightsMissing, WeightsBroken, RecipeError: as where it runs on one device.
            ModelProcessError: one of the processes could not start or load.
        """
        switches.check_environment(card, recipe, source)
        if source.mode != "random":
            kind = classes.pipeline_class(card)
            finding.find(card, kind, recipe, source, inputs=calls.conditions(kind, card.task))
            source = dataclasses.replace(source, offline=True)  # all ranks open what was found here
        model = cls(card, recipe, source)
        model._ranks.load(_with_whole_path(recipe))
        return model

    @property
    def revision(self) -> str | None:
        """Commit of the repository, for `hub` weights."""
        return self._ranks.revision

    @property
    def devices(self) -> int:
        """How many share each clip."""
        return self._recipe.devices

    @property
    def notes(self) -> tuple[str, ...]:
        """Over how many processes, and what the pipeline says of the last clip."""
        told = f"each clip over {self.devices} processes of torchrun ({self._recipe.parallel})"
        untried = () if self._on_cpu else (NEVER_TRIED,)
        return (told, *untried, *self._ranks.notes_of_clip)

    @property
    def has_ended(self) -> bool:
        """Whether its processes are gone: whoever asks next pays for another load."""
        return self._ranks.has_ended

    def generate(self, prompt: Prompt, recipe: Recipe, seed: int) -> Clip:
        """Ask all ranks; the first one hands on the clip.

        Raises:
            ModelProcessError, ModelOutOfMemory, BadClip: see `IsolatedModel.generate`.
        """
        return self._ranks.generate(prompt, _with_whole_path(recipe), seed)

    def generate_batch(self, prompts: Any, recipe: Recipe, seeds: Any) -> tuple[Clip, ...]:
        """One after another; a recipe with a batch is refused before."""
        return self._ranks.generate_batch(prompts, _with_whole_path(recipe), seeds)

    def close(self) -> None:
        """End all of its processes."""
        self._ranks.close()


def _told_to_ranks(card: ModelCard, source: WeightsSource) -> dict[str, Any]:
    """Plain values, with paths that are the same from everywhere."""
    told = {
        name: str(value.resolve()) if isinstance(value, Path) else value
        for name, value in dataclasses.asdict(source).items()
    }
    return {"model": card.name, **told}


def _with_whole_path(recipe: Recipe) -> Recipe:
    """Ranks have another working folder."""
    if recipe.lora is None or not is_there(Path(recipe.lora)):
        return recipe
    return dataclasses.replace(recipe, lora=str(Path(recipe.lora).resolve()))
