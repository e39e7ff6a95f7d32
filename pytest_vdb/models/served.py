"""A model of the catalogue in another process: what that opens and asks, in an environment with pytest-vdb.

`vdb isolate NAME` writes a `model.py` that names it. The session sees a model without a pipeline and without weights,
so weights are the published ones or a folder, never random: their rows are ranked. As one of several ranks it is the
session's own model, with the session's weights.
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any, ClassVar

from pytest_vdb.models.recipes import resolve
from pytest_vdb.models.registry import Registry
from pytest_vdb.models.source import WeightsSource
from pytest_vdb.models.spread import TOLD
from pytest_vdb.options import cache_folder, is_offline
from pytest_vdb.records import Clip, Prompt, Recipe, WeightsMode


class FromCatalogue:
    """Derive from it, and name the model."""

    name: ClassVar[str]
    weights_dir: ClassVar[str | None] = None
    """A folder of its weights; None: as the Hub's cache on this machine has them."""

    def __init__(self) -> None:
        self._registry = Registry.from_catalog()
        self._card = self._registry.get(self.name)
        self._model: Any = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Those of the model itself."""
        return () if self._model is None else tuple(self._model.notes)

    def load(self, recipe: Any, device: str) -> None:
        """Open it.

        Args:
            recipe: an object with the settings of a recipe.
            device: a torch device.

        Raises:
            WeightsMissing, WeightsBroken, RecipeError: see `Registry.open`.
        """
        local = None if self.weights_dir is None else Path(self.weights_dir)
        cache = cache_folder() / "weights"
        source = WeightsSource(mode=self._mode, device=device, cache_dir=cache, local_dir=local, offline=is_offline())
        self._model = self._registry.open(self._card, self._resolved(recipe), source)

    def generate(self, prompt: Any, recipe: Any, seed: int) -> Clip:
        """Answer one prompt.

        Args:
            prompt: an object with the fields of a prompt.
            recipe: an object with the settings of a recipe.
            seed: as in the session.
        """
        clip: Clip = self._model.generate(_prompt_of(prompt), self._resolved(recipe), seed)
        return clip

    @property
    def _mode(self) -> WeightsMode:
        return "hub" if self.weights_dir is None else "local"

    def _resolved(self, recipe: Any) -> Recipe:
        """The session's recipe as this card has it: there it was resolved for a model without weights."""
        settings = {key: value for key, value in vars(recipe).items() if key != "weights"}
        return resolve(self._card, Recipe(**settings), self._mode)


class OfCatalogue:
    """One of several ranks: the model, and the weights, that the session opened; its environment names them."""

    def __init__(self) -> None:
        told = json.loads(os.environ[TOLD])
        paths = {name: told[name] and Path(told[name]) for name in ("cache_dir", "local_dir")}
        self._card = Registry.from_catalog().get(told.pop("model"))
        self._source = WeightsSource(**{**told, **paths})
        self._model: Any = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Those of the pipeline."""
        return () if self._model is None else tuple(self._model.notes)

    @property
    def revision(self) -> str | None:
        """Commit of the weights."""
        return None if self._model is None else self._model.revision

    def load(self, recipe: Any, device: str) -> None:
        """Open it on this rank's device.

        Args:
            recipe: an object with the settings of a recipe, as the session resolved it.
            device: a torch device.

        Raises:
            WeightsMissing, WeightsBroken, RecipeError: see `DiffusersModel.load`.
        """
        import torch

        from pytest_vdb.models.pipelines.diffusers import DiffusersModel

        if self._source.mode == "tiny":  # as in the session
            torch.set_num_threads(1)
        here = dataclasses.replace(self._source, device=device)
        self._model = DiffusersModel.load(self._card, Recipe(**vars(recipe)), here)

    def generate(self, prompt: Any, recipe: Any, seed: int) -> Clip:
        """Answer one prompt together with the other ranks.

        Args:
            prompt: an object with the fields of a prompt.
            recipe: an object with the settings of a recipe.
            seed: as in the session.
        """
        clip: Clip = self._model.generate(_prompt_of(prompt), Recipe(**vars(recipe)), seed)
        return clip


def _prompt_of(told: Any) -> Prompt:
    return Prompt(**{**vars(told), "tags": tuple(told.tags)})
