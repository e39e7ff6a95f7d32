"""Names, globs and tags -> models: the catalogue, what `@model` tagged, and what installed packages bring."""

from __future__ import annotations

import fnmatch
import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from pytest_vdb.errors import CardError, OptionError, UnknownName
from pytest_vdb.models import calibration, fitting, isolated, recorded
from pytest_vdb.models.card import ModelCard
from pytest_vdb.models.catalog import catalog
from pytest_vdb.models.contract import CallableModel, Model, tagged
from pytest_vdb.models.isolation.settings import Isolation, isolation_of
from pytest_vdb.models.own_code import OwnCode
from pytest_vdb.models.pipelines import parallelism
from pytest_vdb.models.source import WeightsSource
from pytest_vdb.models.spread import SpreadModel
from pytest_vdb.records import Recipe, digest

ENTRY_POINTS = "pytest_vdb.models"
"""Entry-point group: each entry names a module (or a single tagged object) that is scanned."""

FITS = "fits:"
"""Begins a term that selects models by the memory they need."""


class Registry:
    """The models of one session. There is no global one.

    Args:
        base_seed: of the session: what tells a folder of recordings which sample a seed stands for.
    """

    def __init__(self, *, base_seed: int = 0) -> None:
        self._base_seed = base_seed
        self._own_code = OwnCode()
        self._cards: dict[str, ModelCard] = {}
        self._targets: dict[str, Callable[..., Any] | recorded.RecordedModel] = {}
        self._isolated: dict[str, Isolation] = {}
        self._fingerprints: dict[str, str] = {}
        """Of isolated models: each starts a process."""

    @classmethod
    def from_catalog(cls, *, base_seed: int = 0) -> Self:
        """The shipped catalogue and the calibration models."""
        registry = cls(base_seed=base_seed)
        for card in catalog():
            registry._add(card)
        registry.add_from(calibration)
        return registry

    def add_from(self, source: ModuleType | object) -> None:
        """Add what `@model` tagged in a module, a class or a plugin object; twice the same object counts once.

        Raises:
            CardError: another model has the name already.
        """
        for card, target in tagged(source):
            self._add(card, target)
            if (isolation := isolation_of(target)) is not None:
                self._isolated[card.name] = isolation

    def add_entry_points(self) -> None:
        """Add the models of installed packages: entry points of the group `pytest_vdb.models`.

        Raises:
            CardError: an entry point that cannot be imported.
        """
        for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
            try:
                loaded = entry.load()
            except (ImportError, AttributeError) as error:
                package = entry.dist.name if entry.dist else "unknown package"
                where = f"entry point {entry.name} = {entry.value} of {package}"
                raise CardError(str(error), where=where, mend="mend or uninstall that package") from error
            self.add_from(loaded)

    def names(self) -> tuple[str, ...]:
        """Every model, in the catalogue's order."""
        return tuple(self._cards)

    def get(self, name: str) -> ModelCard:
        """The card of exactly that name.

        Raises:
            UnknownName: with the near misses.
        """
        if name not in self._cards:
            raise UnknownName("model", name, self._cards, mend="`vdb models` lists them all.")
        return self._cards[name]

    def select(self, expression: str, *, folder: Path | None = None) -> tuple[ModelCard, ...]:
        """Models by name, glob (`wan*`), tag (`tag:i2v`, also families and tasks) or `all`; comma-separated, each once.

        `fits:24GB` are those that fit into so much memory at their default recipe.
        `recordings:FOLDER` and `recordings:NAME=FOLDER` are models too: the clips of that folder. So is
        `isolated:FOLDER`: what its `isolated.toml` starts in a process of its own.

        Args:
            folder: what a relative FOLDER is relative to; the working folder if not given.

        Raises:
            UnknownName: a term that selects nothing, with the near misses.
            OptionError: a size of memory that is none, or into which nothing fits.
            ClipFileError: a folder of recordings that is not there or holds no clip.
        """
        terms = [term.strip() for term in expression.split(",") if term.strip()]
        if not terms:
            raise UnknownName("model", expression, self._cards, mend="`vdb models` lists them all.")
        return tuple(dict.fromkeys(card for term in terms for card in self._matching(term, folder)))

    def open(self, card: ModelCard, recipe: Recipe, source: WeightsSource) -> Model:
        """Load a model so that it can generate; the caller closes it.

        Args:
            card: one of this registry's.
            recipe: what `recipes.resolve` returned.
            source: where its weights come from.

        Raises:
            WeightsMissing, WeightsBroken, RecipeError: see `pytest_vdb.models.pipelines.loading`.
            WallMissing, ModelProcessError: see `pytest_vdb.models.isolated`.
        """
        if card.pipeline is not None:
            if recipe.devices > 1 and not parallelism.is_rank():
                return SpreadModel.load(card, recipe, source)
            from pytest_vdb.models.pipelines.diffusers import DiffusersModel

            return DiffusersModel.load(card, recipe, source)
        if card.name in self._isolated:
            outside = isolated.IsolatedModel(card.name, self._isolated[card.name], source.device)
            outside.load(recipe)
            return outside
        return CallableModel(card.name, self._targets[card.name])

    def fingerprint(self, card: ModelCard) -> str:
        """Changes with the model's source: its code, or the repositories and revisions that its weights come from.

        A callable is fingerprinted by the text of the file that defines it and of all that this imports of the user's
        own, so an edit makes new clips. An isolated one by its files and its packages: its process is asked once.

        Raises:
            WallMissing, ModelProcessError: see `pytest_vdb.models.isolated`.
        """
        if card.name in self._isolated:
            if card.name not in self._fingerprints:
                self._fingerprints[card.name] = isolated.fingerprint(card.name, self._isolated[card.name])
            return self._fingerprints[card.name]
        target = self._targets.get(card.name)
        if target is None:
            parts = [str(part) for part in card.parts]
            return digest([card.pipeline, card.repository, card.revision, card.variant, parts, dict(card.call)])
        if isinstance(target, recorded.RecordedModel):
            return target.fingerprint()
        return self._own_code.digest(target)

    def _matching(self, term: str, folder: Path | None) -> tuple[ModelCard, ...]:
        if term == "all":
            return tuple(self._cards.values())
        if term.startswith(recorded.PREFIX):
            return (self._recorded(term, folder),)
        if term.startswith(isolated.PREFIX):
            return (self._isolated_in(term, folder),)
        if term.startswith(FITS):
            return self._fitting(term.removeprefix(FITS))
        if term.startswith("tag:"):
            label = term.removeprefix("tag:")
            found = tuple(card for card in self._cards.values() if label in card.labels)
            if not found:
                raise UnknownName("model tag", label, {name for card in self._cards.values() for name in card.labels})
            return found
        if term not in self._cards and any(sign in term for sign in "*?["):
            found = tuple(card for name, card in self._cards.items() if fnmatch.fnmatchcase(name, term))
            if found:
                return found
        return (self.get(term),)

    def _fitting(self, size: str) -> tuple[ModelCard, ...]:
        found = tuple(fitting.those_that_fit(size, tuple(self._cards.values())))
        if not found:
            mend = "`vdb estimate all` says what models need, and which switches make them smaller"
            raise OptionError(f"no model is known to fit into {size}", where=FITS, mend=mend)
        return found

    def _recorded(self, term: str, folder: Path | None) -> ModelCard:
        """The card of a folder of clips, added when it is first selected."""
        card = recorded.card_of(term, folder)
        known = self._cards.get(card.name)
        if known is not None and known == card:
            return known
        self._add(card, recorded.RecordedModel(Path(card.where or ""), base_seed=self._base_seed))
        return card

    def _isolated_in(self, term: str, folder: Path | None) -> ModelCard:
        """The card of a folder of an isolated model, added when it is first selected."""
        card, isolation = isolated.card_of_folder(term, folder)
        if self._cards.get(card.name) != card:
            self._add(card)
        self._isolated[card.name] = isolation
        return card

    def _add(self, card: ModelCard, target: Callable[..., Any] | recorded.RecordedModel | None = None) -> None:
        known = self._cards.get(card.name)
        if known is not None and not _same(self._targets.get(card.name), known, target, card):
            raise CardError(
                f"there are two models named {card.name!r}: in {known.where} and in {card.where}",
                mend="rename one of them",
            )
        self._cards[card.name] = card
        if target is not None:
            self._targets[card.name] = target


def _same(known: object, known_card: ModelCard, target: object, card: ModelCard) -> bool:
    """Whether two models of one name are one: the same object, or the same line of a file that was imported twice."""
    if known is None or target is None:
        return False
    modules = getattr(known, "__module__", None), getattr(target, "__module__", None)
    return known is target or (known_card == card and modules[0] != modules[1])
