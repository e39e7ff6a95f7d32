"""A sweep: several values of some settings of the recipe, and every combination of them, in one session."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from pytest_vdb.errors import OptionError, RecipeError, UnknownName
from pytest_vdb.records import OF_THE_CALL, Recipe

NATIVE = "native"
"""The model's own value of a setting, whichever that is."""
SIZE = "size"
"""Height and width together: `256` is a square, `480x832` height and width."""

Sweep = tuple[tuple[str, tuple[str, ...]], ...]
"""Setting -> its values, as they were written."""


@dataclass(frozen=True, slots=True)
class Point:
    """One combination."""

    values: tuple[tuple[str, str], ...]
    """Setting and value, as they were written."""

    @property
    def name(self) -> str:
        """`steps=10, batch=2`."""
        return ", ".join(f"{setting}={value}" for setting, value in self.values)

    def over(self, recipe: Recipe) -> Recipe:
        """The recipe with this point's settings; what is `native` is left to the model's card."""
        settings = [pair for setting, value in self.values for pair in _fields_of(setting, value)]
        own = replace(recipe, **{name: None for name, value in settings if value == NATIVE})
        return Recipe.parse([f"{name}={value}" for name, value in settings if value != NATIVE]).over(own)


def parse(texts: Iterable[str], *, where: str) -> Sweep:
    """`["steps=10,20,50", "size=256,native"]` as settings and values; of one that is given twice all values count.

    Raises:
        OptionError: no values, a setting that no sweep can have, or one that is in another.
        UnknownName, RecipeError: no such setting, or a value that it cannot have.
    """
    found: dict[str, dict[Recipe, str]] = {}
    for text in texts:
        setting, equals, values = text.partition("=")
        setting = setting.strip().replace("-", "_")
        written = [value.strip() for value in values.split(",") if value.strip()]
        if not equals or not written:
            mend = "write SETTING=VALUE,VALUE, e.g. steps=10,20,50"
            raise OptionError(f"{text!r} has no values", where=where, mend=mend)
        _check_setting(setting, where)
        values_of_setting = found.setdefault(setting, {})
        for value in written:  # bf16 and bfloat16 are one: two points of one recipe would be told in one row
            values_of_setting.setdefault(_meant_by(setting, value, where), value)
    if SIZE in found and found.keys() & {"height", "width"}:
        raise OptionError("size and height or width", where=where, mend="sweep the size, or height and width apart")
    return tuple((setting, tuple(values.values())) for setting, values in found.items())


def points(sweep: Sweep) -> tuple[Point, ...]:
    """Every combination; those that one loaded model can follow stand beside each other. None of no sweep."""
    if not sweep:
        return ()
    loaded_first = sorted(sweep, key=lambda axis: _is_of_the_call(axis[0]))
    place = {setting: at for at, (setting, _) in enumerate(sweep)}
    combined = itertools.product(*([(setting, value) for value in values] for setting, values in loaded_first))
    return tuple(Point(tuple(sorted(pairs, key=lambda pair: place[pair[0]]))) for pairs in combined)


def told(recipe: Mapping[str, object], settings: Sequence[str]) -> str:
    """`steps=10, size=480x832, batch=1`, of settings in which recipes differ; what is not set is the model's own.

    Args:
        recipe: settings by name, as records have them.
        settings: which are told.
    """
    parts = []
    for setting in settings:
        if setting == "height" and "width" in settings:
            parts.append(f"size={recipe.get('height', NATIVE)}x{recipe.get('width', NATIVE)}")
        elif setting != "width" or "height" not in settings:
            usual: object = 1 if setting == "batch" else NATIVE
            parts.append(f"{setting}={recipe.get(setting, usual)}")
    return ", ".join(parts)


def _is_of_the_call(setting: str) -> bool:
    return setting == SIZE or setting in OF_THE_CALL


def _fields_of(setting: str, value: str) -> list[tuple[str, str]]:
    if setting != SIZE:
        return [(setting, value)]
    height, by, width = value.lower().partition("x")
    return [("height", height), ("width", width if by else height)]


def _check_setting(setting: str, where: str) -> None:
    known = [SIZE, *(field.name for field in fields(Recipe))]
    if setting not in known:
        raise UnknownName("setting of a sweep", setting, known, where=where, mend=f"Known: {', '.join(known)}.")
    if setting == "weights":
        raise OptionError("weights belong to a session", where=where, mend="give --vdb-weights, in a session of each")


def _meant_by(setting: str, value: str, where: str) -> Recipe:
    """What a value asks for, the same for every spelling of it; nothing where it is native."""
    asked = [f"{name}={one}" for name, one in _fields_of(setting, value) if one != NATIVE]
    try:
        return Recipe.parse(asked, where=where).spelt_as_recorded()
    except RecipeError as error:
        if setting != SIZE:
            raise
        mend = "write 256 for a square, 480x832 for height and width, or native"
        raise OptionError(f"size={value}", where=where, mend=mend) from error
