"""Names, globs and tags -> models: the catalogue, what `@model` tagged, and what installed packages bring."""

from __future__ import annotations

import dataclasses
import fnmatch
import importlib.metadata
import importlib.util
import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, cast

import msgspec

from pytest_vdb.errors import BadClip, CardError, UnknownName
from pytest_vdb.models import recorded
from pytest_vdb.models.card import CALLABLE, ModelCard, read_cards
from pytest_vdb.models.frame_rule import FrameRule
from pytest_vdb.models.outputs import described
from pytest_vdb.places import where_is
from pytest_vdb.records import Clip, Prompt, Recipe, Task, digest

if TYPE_CHECKING:
    from pytest_vdb.models.weights import WeightsSource

ENTRY_POINTS = "pytest_vdb.models"
"""Entry-point group: each entry names a module (or a single tagged object) that is scanned."""

CATALOG = Path(__file__).parent / "catalog"
_TAG = "__vdb_model__"

Target = TypeVar("Target", bound=Callable[..., Any])


class Model(Protocol):
    """What a loaded model can do."""

    @property
    def revision(self) -> str | None:
        """Commit of the weights that were loaded, where there is one."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the last generation did otherwise than asked, e.g. another frame count."""

    @property
    def pipeline(self) -> Any:
        """The diffusers pipeline, for the profiler's stage hooks; None for other models."""

    def generate(self, prompt: Prompt, recipe: Recipe, seed: int) -> Clip:
        """Answer one prompt."""

    def close(self) -> None:
        """Free its memory."""


def model(
    name: str,
    *,
    task: Task = "t2v",
    tags: tuple[str, ...] = (),
    frame_rule: str = "any",
    size_multiple: int = 1,
    **recipe_defaults: Any,
) -> Callable[[Target], Target]:
    """Tag a class or function as a model; it stays the plain class or function that it was.

    A class is constructed once (without arguments) and needs `generate(prompt, recipe, seed) -> Clip`; a function takes
    the same arguments.

    Args:
        name: how it is selected and reported.
        task: `t2v`, `i2v` or `v2v`.
        tags: further labels that `tag:` selects it by.
        frame_rule: the frame counts that it can make, e.g. `4k+1`; others are refused before it is constructed.
        size_multiple: its height and width must be multiples of it.
        recipe_defaults: settings of `Recipe` that it is asked for unless the user says otherwise.

    Raises:
        UnknownName: a default that is no setting of a recipe.
        CardError: a frame rule that cannot be read.
    """
    known = [f.name for f in dataclasses.fields(Recipe)]
    for key in recipe_defaults:
        if key not in known:
            raise UnknownName("recipe setting", key, known, where=f"@model({name!r})")
    try:
        defaults = msgspec.convert(recipe_defaults, Recipe).over(CALLABLE)
        rule = FrameRule.parse(frame_rule)
    except (msgspec.ValidationError, ValueError, AttributeError) as error:
        raise CardError(str(error).replace(" - at `$.", ", in `"), where=f"@model({name!r})") from None

    def tag(target: Target) -> Target:
        family = target.__module__.rpartition(".")[2]
        card = ModelCard(
            name=name,
            family=family,
            task=task,
            tags=tags,
            frame_rule=rule,
            size_multiple=size_multiple,
            defaults=defaults,
            notes=(inspect.getdoc(target) or "").partition("\n")[0],
            where=where_is(target),
        )
        setattr(target, _TAG, card)
        return target

    return tag


class Registry:
    """The models of one session. There is no global one.

    Args:
        base_seed: of the session: what tells a folder of recordings which sample a seed stands for.
    """

    def __init__(self, *, base_seed: int = 0) -> None:
        self._base_seed = base_seed
        self._cards: dict[str, ModelCard] = {}
        self._targets: dict[str, Callable[..., Any] | recorded.RecordedModel] = {}

    @classmethod
    def from_catalog(cls, *, base_seed: int = 0) -> Self:
        """The shipped catalogue and the calibration models."""
        registry = cls(base_seed=base_seed)
        for card in _catalog():
            registry._add(card)
        if importlib.util.find_spec("pytest_vdb.models.calibration"):
            registry.add_from(importlib.import_module("pytest_vdb.models.calibration"))
        return registry

    def add_from(self, source: ModuleType | object) -> None:
        """Add what `@model` tagged in a module, a class or a plugin object; twice the same object counts once.

        Raises:
            CardError: another model has the name already.
        """
        for target in _tagged(source):
            self._add(getattr(target, _TAG), target)

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

    def add_card(self, card: ModelCard) -> None:
        """Add one more diffusers model, e.g. from the user's own TOML through `read_cards`."""
        self._add(card)

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

        `recordings:FOLDER` and `recordings:NAME=FOLDER` are models too: the clips of that folder.

        Args:
            folder: what a relative FOLDER is relative to; the working folder if not given.

        Raises:
            UnknownName: a term that selects nothing, with the near misses.
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
            recipe: what `card.resolve` returned.
            source: where its weights come from.

        Raises:
            WeightsMissing, WeightsBroken, RecipeError: see `pytest_vdb.models.weights`.
        """
        if card.pipeline is not None:
            from pytest_vdb.models.diffusers import DiffusersModel

            return DiffusersModel.load(card, recipe, source)
        return CallableModel(self._targets[card.name])

    def fingerprint(self, card: ModelCard) -> str:
        """Changes with the model's source: its code, or the repositories and revisions that its weights come from.

        A callable is fingerprinted by the text of the file that defines it, so an edit makes new clips.
        """
        target = self._targets.get(card.name)
        if target is None:
            parts = [str(part) for part in card.parts]
            return digest([card.pipeline, card.repository, card.revision, card.variant, parts, dict(card.call)])
        if isinstance(target, recorded.RecordedModel):
            return target.fingerprint()
        try:
            source = Path(inspect.getfile(target)).read_text(encoding="utf-8")
        except (OSError, TypeError):
            source = repr(target)  # made at run time: names an address, so its clips are not found again
        return digest([f"{target.__module__}.{target.__qualname__}", source])

    def _matching(self, term: str, folder: Path | None) -> tuple[ModelCard, ...]:
        if term == "all":
            return tuple(self._cards.values())
        if term.startswith(recorded.PREFIX):
            return (self._recorded(term, folder),)
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

    def _recorded(self, term: str, folder: Path | None) -> ModelCard:
        """The card of a folder of clips, added when it is first selected."""
        card = recorded.card_of(term, folder)
        known = self._cards.get(card.name)
        if known is not None and known == card:
            return known
        self._add(card, recorded.RecordedModel(Path(card.where or ""), base_seed=self._base_seed))
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


class CallableModel:
    """A user's class or function behind the `Model` protocol."""

    revision: str | None = None
    pipeline: Any = None

    def __init__(self, target: Callable[..., Any] | recorded.RecordedModel) -> None:
        self._name = getattr(target, _TAG).name if hasattr(target, _TAG) else type(target).__name__
        self._object = cast(Any, target() if inspect.isclass(target) else target)
        self._generate: Callable[..., Any] = getattr(self._object, "generate", self._object)
        if not callable(self._generate):
            raise CardError(
                f"{type(self._object).__qualname__} has no method `generate`",
                where=f"model {self._name}",
                mend="give it generate(self, prompt, recipe, seed) -> Clip",
            )

    @property
    def instance(self) -> Any:
        """The object that was constructed for this session; None for a function, which outlives every session."""
        return None if inspect.isfunction(self._object) else self._object

    @property
    def notes(self) -> tuple[str, ...]:
        """The object's own `notes`, if it keeps any."""
        kept = getattr(self._object, "notes", None) or ()
        return tuple(map(str, (kept,) if isinstance(kept, str) or not isinstance(kept, Iterable) else kept))

    def generate(self, prompt: Prompt, recipe: Recipe, seed: int) -> Clip:
        """Call the user's code.

        Raises:
            BadClip: what it made or returned is no clip, with the model's name and what it is instead.
        """
        where = f"model {self._name}"
        try:
            made = self._generate(prompt, recipe, seed)
        except BadClip as error:
            if error.where is not None:
                raise
            raise BadClip(error.what, where=where, mend=error.mend) from error
        if not isinstance(made, Clip):
            raise BadClip(
                f"returned {described(made)} instead of a Clip",
                where=where,
                mend="return pytest_vdb.Clip(frames, fps), with frames as uint8 (T, H, W, 3)",
            )
        return made

    def close(self) -> None:
        """Call the object's `close`, if it has one."""
        close = getattr(self._object, "close", None)
        if callable(close):
            close()


def _same(known: object, known_card: ModelCard, target: object, card: ModelCard) -> bool:
    """Whether two models of one name are one: the same object, or the same line of a file that was imported twice."""
    if known is None or target is None:
        return False
    modules = getattr(known, "__module__", None), getattr(target, "__module__", None)
    return known is target or (known_card == card and modules[0] != modules[1])


@lru_cache(maxsize=1)
def _catalog() -> tuple[ModelCard, ...]:
    return tuple(card for path in sorted(CATALOG.glob("*.toml")) for card in read_cards(path))


def _tagged(source: object) -> Iterator[Callable[..., Any]]:
    """The tagged object itself, or those among its public and private attributes."""
    if isinstance(vars(source).get(_TAG) if hasattr(source, "__dict__") else None, ModelCard):
        yield source  # type: ignore[misc]
        return
    for value in list(vars(source).values()) if hasattr(source, "__dict__") else []:
        if (inspect.isclass(value) or inspect.isfunction(value)) and isinstance(vars(value).get(_TAG), ModelCard):
            yield value
