"""The catalogue: cards read from TOML and checked field by field, each able to follow its own defaults."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from pytest_vdb import files
from pytest_vdb.errors import CardError, RecipeError, UnknownName
from pytest_vdb.models.card import TINY, ModelCard
from pytest_vdb.models.frame_rule import FrameRule
from pytest_vdb.models.recipes import resolve
from pytest_vdb.records import Recipe

FOLDER = Path(__file__).parent / "catalog"
"""Where the data lies: one file per family."""

_WIRING_SETTINGS = ("guidance", "strength")
"""Defaults that `tiny` shares with the full-size model: they choose a code path, not a size."""

_SETTINGS = {f.name for f in dataclasses.fields(Recipe)}
_SLUG = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-")


def _table_of_a_model() -> Any:
    """What a model's table may hold: the fields of a card, but for those that the file says in other places."""
    types: Mapping[str, Any] = get_type_hints(ModelCard) | {"pipeline": str, "frame_rule": str}
    required = ("pipeline", "task", "frame_rule", "size_multiple", "defaults")
    others = {f.name: f for f in dataclasses.fields(ModelCard) if f.name not in (*required, "name", "family", "where")}
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [
        *((name, types[name]) for name in required),
        *(
            (name, types[name], dataclasses.field(default=known.default, default_factory=known.default_factory))
            for name, known in others.items()
        ),
    ]
    return dataclasses.make_dataclass("Table", fields, kw_only=True)


_Table = _table_of_a_model()
_FIELDS = {f.name for f in dataclasses.fields(_Table)}


@lru_cache(maxsize=1)
def catalog() -> tuple[ModelCard, ...]:
    """Every model of the shipped catalogue, file by file."""
    return tuple(card for path in sorted(FOLDER.glob("*.toml")) for card in read_cards(path))


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
    for weights in ("random", "tiny"):
        try:
            resolve(card, Recipe(), weights)
        except RecipeError as error:
            kind = "tiny" if weights == "tiny" else "defaults"
            raise CardError(f"{error.what}, in its own `{kind}`", where=where, mend=error.mend) from None


def _known_only(table: Mapping[str, Any], known: set[str], kind: str, *, where: str) -> None:
    for key in table:
        if key not in known:
            misses = UnknownName(kind, key, known)
            raise CardError(misses.what, where=where, mend=misses.mend or f"Known: {', '.join(sorted(known))}.")
