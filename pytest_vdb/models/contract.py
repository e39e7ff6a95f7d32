"""What a model is: the protocol of a loaded one, and `@model`, by which a class or a function becomes one."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar, cast

import msgspec

from pytest_vdb.errors import BadClip, CardError, UnknownName
from pytest_vdb.models.card import CALLABLE, ModelCard
from pytest_vdb.models.frame_rule import FrameRule
from pytest_vdb.places import where_is
from pytest_vdb.records import Clip, Prompt, Recipe, Task

DETERMINISTIC = "deterministic"
"""Tag of a model whose clip does not depend on the seed."""

ONE_BY_ONE = "its batch is made clip by clip: it has no method generate_batch(prompts, recipe, seeds)"

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

    def generate_batch(self, prompts: Sequence[Prompt], recipe: Recipe, seeds: Sequence[int]) -> Sequence[Clip]:
        """Answer several prompts in one call: a clip of each, of its own seed."""

    def close(self) -> None:
        """Free its memory."""


def model(
    name: str,
    *,
    task: Task = "t2v",
    tags: tuple[str, ...] = (),
    frame_rule: str = "any",
    size_multiple: int = 1,
    warm_up: bool = True,
    **recipe_defaults: Any,
) -> Callable[[Target], Target]:
    """Tag a class or function as a model; it stays the plain class or function that it was.

    A class is constructed once (without arguments) and needs `generate(prompt, recipe, seed) -> Clip`; a function takes
    the same arguments. Where it can make several clips in one call, `generate_batch(prompts, recipe, seeds)` returns a
    list of them.

    Args:
        name: how it is selected and reported.
        task: `t2v`, `i2v` or `v2v`.
        tags: further labels that `tag:` selects it by.
        frame_rule: the frame counts that it can make, e.g. `4k+1`; others are refused before it is constructed.
        size_multiple: its height and width must be multiples of it.
        warm_up: whether its first call in a process is made twice, so that what is timed is warm; no for what is paid
            by the call.
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
            warm_up=warm_up,
            defaults=defaults,
            notes=(inspect.getdoc(target) or "").partition("\n")[0],
            where=where_is(target),
        )
        setattr(target, _TAG, card)
        return target

    return tag


def card_of(target: object) -> ModelCard | None:
    """The card that `@model` gave it; None for what is not tagged, and for an object of a tagged class."""
    card = vars(target).get(_TAG) if hasattr(target, "__dict__") else None
    return card if isinstance(card, ModelCard) else None


def tagged(source: object) -> Iterator[tuple[ModelCard, Callable[..., Any]]]:
    """The tagged object itself, or those among its public and private attributes, each with its card."""
    if (card := card_of(source)) is not None:
        yield card, cast(Callable[..., Any], source)
        return
    for value in list(vars(source).values()) if hasattr(source, "__dict__") else []:
        if (inspect.isclass(value) or inspect.isfunction(value)) and (card := card_of(value)) is not None:
            yield card, value


class CallableModel:
    """A class, a function or an object that generates, behind the `Model` protocol.

    Args:
        name: of the model, for error messages.
        target: a class, which is constructed now; else what answers prompts, itself or by its `generate`.
    """

    revision: str | None = None

    def __init__(self, name: str, target: object) -> None:
        self._name = name
        self._object = cast(Any, target() if inspect.isclass(target) else target)
        self._of_batch: tuple[str, ...] = ()
        self._generate: Callable[..., Any] = getattr(self._object, "generate", self._object)
        if not callable(self._generate):
            raise CardError(
                f"{type(self._object).__qualname__} has no method `generate`",
                where=f"model {self._name}",
                mend="give it generate(self, prompt, recipe, seed) -> Clip",
            )

    @property
    def pipeline(self) -> Any:
        """The diffusers pipeline that the object keeps under that name, if it keeps one."""
        return getattr(self._object, "pipeline", None)

    @property
    def instance(self) -> Any:
        """The object that was constructed for this session; None for a function, which outlives every session."""
        return None if inspect.isfunction(self._object) else self._object

    @property
    def notes(self) -> tuple[str, ...]:
        """The object's own `notes`, if it keeps any, and how it was asked for a batch."""
        kept = getattr(self._object, "notes", None) or ()
        own = map(str, (kept,) if isinstance(kept, str) or not isinstance(kept, Iterable) else kept)
        return (*own, *self._of_batch)

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

    def generate_batch(self, prompts: Sequence[Prompt], recipe: Recipe, seeds: Sequence[int]) -> tuple[Clip, ...]:
        """Call the user's code once for all clips, if it has `generate_batch`; else once for each.

        Raises:
            BadClip: what it made or returned is not a clip for each prompt.
        """
        own = getattr(self._object, "generate_batch", None)
        if not callable(own):
            self._of_batch = (ONE_BY_ONE,)
            return tuple(self.generate(prompt, recipe, seed) for prompt, seed in zip(prompts, seeds, strict=True))
        made = own(prompts, recipe, seeds)
        is_batch = isinstance(made, Sequence) and len(made) == len(prompts)
        if not is_batch or not all(isinstance(clip, Clip) for clip in made):
            raise BadClip(
                f"generate_batch returned {described(made)} instead of {len(prompts)} clips",
                where=f"model {self._name}",
                mend="return a list with a pytest_vdb.Clip for each prompt",
            )
        return tuple(made)

    def close(self) -> None:
        """Call the object's `close`, if it has one."""
        close = getattr(self._object, "close", None)
        if callable(close):
            close()


def has_ended(opened: Model) -> bool:
    """Whether a model that was opened is of no more use: its process is gone."""
    return bool(getattr(opened, "has_ended", False))


def runs_elsewhere(opened: Model) -> bool:
    """Whether what it takes is taken by another process: this one's memory is not its own."""
    return bool(getattr(opened, "runs_elsewhere", False))


def devices_of(opened: Model) -> int:
    """Over how many devices a model that was opened shares each clip."""
    return int(getattr(opened, "devices", 1))


def described(value: object) -> str:
    """A value in a few words, for a sentence that says what was returned: its type, and how much of what it is."""
    name = type(value).__name__
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None and dtype is not None:
        return f"{name} ({dtype} of shape {tuple(shape)})"
    if isinstance(value, list | tuple):
        return (
            f"{name} ({len(value)} of {', '.join(dict.fromkeys(type(item).__name__ for item in value)) or 'nothing'})"
        )
    return name
