"""A model of the catalogue as an isolated one: what its process opens and asks, in an environment with pytest-vdb.

`vdb isolate NAME` writes a `model.py` that names it. The session sees a model without a pipeline and without weights,
so weights are the published ones or a folder, never random: their rows are ranked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pytest_vdb.models.recipes import resolve
from pytest_vdb.models.registry import Registry
from pytest_vdb.models.source import WeightsSource
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
        asked = Prompt(**{**vars(prompt), "tags": tuple(prompt.tags)})
        clip: Clip = self._model.generate(asked, self._resolved(recipe), seed)
        return clip

    @property
    def _mode(self) -> WeightsMode:
        return "hub" if self.weights_dir is None else "local"

    def _resolved(self, recipe: Any) -> Recipe:
        """The session's recipe as this card has it: there it was resolved for a model without weights."""
        settings = {key: value for key, value in vars(recipe).items() if key != "weights"}
        return resolve(self._card, Recipe(**settings), self._mode)
