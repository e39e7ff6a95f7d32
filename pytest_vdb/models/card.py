"""The declarative description of a model, read from the catalogue's TOML and checked field by field; no torch here."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import msgspec

from pytest_vdb import files
from pytest_vdb.budget import budget, in_words
from pytest_vdb.errors import CardError, DoesNotFit, RecipeError, UnknownName, near_misses
from pytest_vdb.models import unfit
from pytest_vdb.models.frame_rule import FrameRule
from pytest_vdb.records import Recipe, Task, WeightsMode

DTYPES: Mapping[str, str] = {
    "float32": "float32",
    "fp32": "float32",
    "bfloat16": "bfloat16",
    "bf16": "bfloat16",
    "float16": "float16",
    "fp16": "float16",
    "half": "float16",
}
"""Every accepted spelling of a dtype and the one that is recorded."""

TINY = Recipe(frames=9, height=32, width=32, steps=2, fps=8.0, dtype="float32")
"""What `tiny` weights are asked for, unless the card's `tiny` table says otherwise."""

CALLABLE = Recipe(frames=16, height=256, width=256, fps=8.0)
"""What a model without a diffusers pipeline is asked for, unless it says otherwise."""

ANY_FRAMES = FrameRule("any")

_TASKS = f"one of: {', '.join(get_args(Task))}"

_WIRING_SETTINGS = ("guidance", "strength")
"""Defaults that `tiny` shares with the full-size model: they choose a code path, not a size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A component of a pipeline that is published in a repository of its own (a motion adapter, a ControlNet)."""

    component: str
    """Its name in the pipeline, e.g. `motion_adapter`."""
    type: str
    """Class name in diffusers or transformers, or the full path of a class that they do not export."""
    repository: str
    subfolder: str | None = None
    revision: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """One model: what it is, where its weights are, what it can make and what it makes unless told otherwise."""

    name: str
    family: str
    task: Task = "t2v"
    """What it does unless told otherwise; one of `tasks`."""
    tasks: tuple[Task, ...] = ()
    pipeline: str | None = None
    """Class name in diffusers; None for a model that is a callable or a folder of clips."""
    repository: str | None = None
    revision: str | None = None
    """Commit of the repository; None: the latest, unpinned."""
    variant: str | None = None
    """Suffix of the weight files to prefer, e.g. `fp16`."""
    parts: tuple[Part, ...] = ()
    """Components that come from other repositories."""
    architecture: str | None = None
    """Preset of the full-size architecture that `random` weights are made for."""
    float32: tuple[str, ...] = ()
    """Components that stay in float32 whatever the recipe's dtype, as their authors advise."""
    call: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)
    """Arguments that every call of the full-size pipeline gets, e.g. a second expert's guidance."""
    scheduler: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)
    """What is changed in the published scheduler: `class`, and settings of it."""
    minimum_steps: int = 1
    tags: tuple[str, ...] = ()
    parameters: float | None = None
    """Parameters of the denoiser (all of its experts), in billions."""
    licence: str = "unverified"
    """Of the weights, as its source has it; `unverified` where nobody read one."""
    licence_source: str | None = None
    """Where the licence was read."""
    download_gb: float | None = None
    """Size of the repository's files that are downloaded."""
    hub_source: str | None = None
    """Where the revision and the download's size were read, if not on the Hub itself."""
    minimum_memory_gib: float | None = None
    """Published least GPU memory at the default recipe."""
    minimum_memory_source: str | None = None
    frame_rule: FrameRule = ANY_FRAMES
    size_multiple: int = 1
    """Height and width must be multiples of it."""
    defaults: Recipe = CALLABLE
    tiny: Recipe = TINY
    notes: str = ""
    broken: str | None = None
    """Why it cannot run in the installed libraries; a test of it is reported with this reason, not run."""
    where: str | None = None
    """File and line that the card came from; of recordings, the folder."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not isinstance(self.tags, tuple):
            raise CardError(f"model {self.name!r}, tags {self.tags!r}: a name is a text, tags are a tuple of texts")
        if self.task not in get_args(Task):
            raise CardError(f"model {self.name!r}: unknown task {self.task!r}", where=self.where, mend=_TASKS)
        if not self.tasks:
            object.__setattr__(self, "tasks", (self.task,))
        if not self.name or not self.name.isprintable() or self.name != self.name.strip():
            raise CardError(
                f"model name {self.name!r}", where=self.where, mend="use printable characters, no blanks around"
            )
        if self.task not in self.tasks:
            raise CardError(
                f"model {self.name!r}: task {self.task!r} is not among its tasks {self.tasks}", where=self.where
            )

    @property
    def labels(self) -> frozenset[str]:
        """Everything `tag:` selects it by: its tags, its tasks and its family."""
        return frozenset((*self.tags, *self.tasks, self.family))

    @property
    def pinned(self) -> str:
        """The revision as people read it."""
        return self.revision or "latest, unpinned"

    def default_recipe(self, weights: WeightsMode) -> Recipe:
        """What the model makes when the recipe says nothing."""
        return self.tiny if weights == "tiny" and self.pipeline is not None else self.defaults

    def resolve(self, recipe: Recipe, weights: WeightsMode) -> Recipe:
        """The recipe with every default filled in, checked against what the model can do. Loads no weights.

        Args:
            recipe: what was asked for; unset fields come from the card.
            weights: the weights mode; a model without a pipeline has none and always gets `none`.

        Raises:
            RecipeError: a frame count, size or name that the model cannot follow, with the nearest legal values, or a
                switch that its pipeline class does not have.
        """
        full = recipe.over(self.default_recipe(weights))
        full = dataclasses.replace(full, weights=self._weights(weights), dtype=self._dtype(full.dtype))
        self._check_positive(full)
        self._check_frames(full)
        self._check_size(full)
        self._check_budget(full)
        asked = set(recipe.settings())
        if self.pipeline is not None and (known := unfit.first(self.pipeline, full, asked)) is not None:
            raise self._refuse(f"{known[0]}={getattr(full, known[0])}", f"{self.pipeline}: {known[1]}")
        if self.pipeline is not None and (asked := asked - _ALWAYS_KNOWN):
            from pytest_vdb.models import switches  # imports diffusers, so only when a switch was asked for

            switches.check(self, full, asked)
        return full

    def require_memory(self, available_gib: float) -> None:
        """Refuse a device that is published to be too small for the default recipe.

        Raises:
            DoesNotFit: with both figures and where the published one comes from.
        """
        if self.minimum_memory_gib is not None and self.minimum_memory_gib > available_gib:
            raise DoesNotFit(
                f"needs {self.minimum_memory_gib:g} GiB, the device has {available_gib:.1f} GiB "
                f"({self.minimum_memory_source or 'source not given'})",
                where=self.name,
                mend="add --vdb-recipe offload=model, use fewer frames or a smaller size, or a larger device",
            )

    def _weights(self, weights: WeightsMode) -> WeightsMode:
        if self.pipeline is None:
            return "none"
        if weights == "none":
            raise self._refuse("weights=none", "it is a diffusers pipeline: hub, local, random or tiny")
        if weights == "hub" and self.repository is None:
            raise self._refuse("weights=hub", "no repository is known for it: use local, random or tiny")
        return weights

    def _dtype(self, dtype: str | None) -> str | None:
        if dtype is None or dtype in DTYPES:
            return DTYPES.get(dtype or "")
        near = near_misses(dtype, DTYPES)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise self._refuse(f"dtype={dtype}", f"{hint}Known: {', '.join(sorted(set(DTYPES.values())))}")

    def _check_positive(self, recipe: Recipe) -> None:
        for name in ("frames", "height", "width", "fps", "steps"):
            value = getattr(recipe, name)
            if value is not None and value <= 0:
                raise self._refuse(f"{name}={value}", f"{name} must be positive")
        if recipe.steps is not None and recipe.steps < self.minimum_steps:
            raise self._refuse(f"steps={recipe.steps}", f"it needs at least {self.minimum_steps} steps")

    def _check_frames(self, recipe: Recipe) -> None:
        frames = recipe.frames
        if frames is not None and not self.frame_rule.allows(frames):
            near = " or ".join(map(str, self.frame_rule.nearest(frames)))
            raise self._refuse(f"frames={frames}", f"its frame counts are {self.frame_rule.text}; nearest: {near}")

    def _check_size(self, recipe: Recipe) -> None:
        for name in ("height", "width"):
            size, multiple = getattr(recipe, name), self.size_multiple
            if size is not None and size % multiple:
                below, above = size // multiple * multiple, (size // multiple + 1) * multiple
                near = " or ".join(str(n) for n in (below, above) if n > 0)
                raise self._refuse(f"{name}={size}", f"{name} must be a multiple of {multiple}; nearest: {near}")

    def _check_budget(self, recipe: Recipe) -> None:
        """A clip that no command could read again need not be generated."""
        size = (recipe.frames or 0) * (recipe.height or 0) * (recipe.width or 0) * 3
        if size > budget().size:
            raise self._refuse(
                f"frames={recipe.frames}, height={recipe.height}, width={recipe.width}",
                f"the clip would take {in_words(size)}, more than {in_words(budget().size)}: make it smaller, or allow "
                f"more with --vdb-budget",
            )

    def _refuse(self, setting: str, mend: str) -> RecipeError:
        return RecipeError(f"cannot follow {setting}", where=f"model {self.name}", mend=mend)


_ALWAYS_KNOWN = frozenset({"frames", "height", "width", "fps", "steps", "dtype", "weights"})
"""Settings that are checked against the card alone; every other one is a question to the pipeline class."""


@dataclass(kw_only=True)
class _Table:
    """A model's table in the TOML, as it is written there."""

    pipeline: str
    task: Task
    frame_rule: str
    size_multiple: int
    defaults: Recipe
    tasks: tuple[Task, ...] = ()
    repository: str | None = None
    revision: str | None = None
    variant: str | None = None
    parts: tuple[Part, ...] = ()
    architecture: str | None = None
    float32: tuple[str, ...] = ()
    call: dict[str, Any] = dataclasses.field(default_factory=dict)
    scheduler: dict[str, Any] = dataclasses.field(default_factory=dict)
    minimum_steps: int = 1
    tags: tuple[str, ...] = ()
    parameters: float | None = None
    licence: str = "unverified"
    licence_source: str | None = None
    download_gb: float | None = None
    hub_source: str | None = None
    minimum_memory_gib: float | None = None
    minimum_memory_source: str | None = None
    tiny: Recipe = TINY
    notes: str = ""
    broken: str | None = None


_FIELDS = {f.name for f in dataclasses.fields(_Table)}
_SETTINGS = {f.name for f in dataclasses.fields(Recipe)}
_SLUG = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-")


def read_cards(path: Path) -> tuple[ModelCard, ...]:
    """Every model of one catalogue file.

    The file has `family`, an optional table `[shared]` with the fields that all its models have in common, and one
    table `[model.NAME]` each.

    Raises:
        CardError: naming the file, the table and the field.
    """
    text = files.read_text(path, error=CardError)
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also integers of more than 4,300 digits
        raise CardError(f"not TOML: {str(error) or 'nested too deeply'}", where=path) from None
    _known_only(document, {"family", "shared", "model"}, "field", where=str(path))
    family, shared, models = document.get("family"), document.get("shared", {}), document.get("model", {})
    if not isinstance(family, str) or not family:
        raise CardError("`family` is missing or not a text", where=path, mend='begin the file with family = "..."')
    if not isinstance(shared, dict) or not isinstance(models, dict) or not models:
        raise CardError("has no table [model.NAME]", where=path, mend="add one table for each model")
    return tuple(
        _read_card(name, table, family, shared, f"{path}:{_line_of(name, text)}") for name, table in models.items()
    )


def _line_of(name: str, text: str) -> int:
    """Where a model's table begins, from 1; the file's first line if it is written in a way of its own."""
    header = re.compile(rf"^[ \t]*\[model\.[\"']?{re.escape(name)}[\"']?[\].]", re.MULTILINE)
    found = header.search(text)
    return text.count("\n", 0, found.start()) + 1 if found else 1


def _read_card(name: str, table: object, family: str, shared: dict[str, Any], where: str) -> ModelCard:
    place = f"{where}: [model.{name!r}]"
    if not isinstance(table, dict):
        raise CardError("is not a table", where=place)
    if set(name) - _SLUG or not name:
        raise CardError("the name of a catalogue model has only a-z, 0-9, '.' and '-'", where=place)
    merged = {**shared, **table}
    _known_only(merged, _FIELDS, "field", where=place)
    for key in ("defaults", "tiny"):
        settings = [source.get(key, {}) for source in (shared, table)]
        if not all(isinstance(each, dict) for each in settings):
            raise CardError(f"`{key}` is not a table", where=place)
        merged[key] = settings[0] | settings[1]
        _known_only(merged[key], _SETTINGS, f"setting of `{key}`", where=place)
    try:
        read = msgspec.convert(merged, _Table)
        rule = FrameRule.parse(read.frame_rule)
    except (msgspec.ValidationError, ValueError, RecursionError) as error:
        raise CardError(str(error).replace(" - at `$.", ", in `"), where=place) from None
    wiring = Recipe(**{key: getattr(read.defaults, key) for key in _WIRING_SETTINGS})
    fields = {f.name: getattr(read, f.name) for f in dataclasses.fields(read)}
    fields.update(frame_rule=rule, tiny=read.tiny.over(TINY).over(wiring))
    card = ModelCard(name=name, family=family, where=where, **fields)
    _check_own_recipes(card, place)
    return card


def _check_own_recipes(card: ModelCard, where: str) -> None:
    """Refuse a card that cannot follow its own defaults."""
    for field in ("size_multiple", "minimum_steps"):
        if getattr(card, field) < 1:
            raise CardError(f"`{field}` is {getattr(card, field)}", where=where, mend="give a whole number from 1")
    for weights in ("random", "tiny"):
        try:
            card.resolve(Recipe(), weights)
        except RecipeError as error:
            kind = "tiny" if weights == "tiny" else "defaults"
            raise CardError(f"{error.what}, in its own `{kind}`", where=where, mend=error.mend) from None


def _known_only(table: Mapping[str, Any], known: set[str], kind: str, *, where: str) -> None:
    for key in table:
        if key not in known:
            misses = UnknownName(kind, key, known)
            raise CardError(misses.what, where=where, mend=misses.mend or f"Known: {', '.join(sorted(known))}.")
