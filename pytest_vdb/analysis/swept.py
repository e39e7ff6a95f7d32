"""Where one model was run by several recipes: in which settings they differ, and each recipe compared for itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from pytest_vdb.records import Recipe, Record
from pytest_vdb.sweeps import told

_ORDER = [field.name for field in fields(Recipe) if field.name != "weights"]
"""Of settings; the weights are told by themselves."""
_POINT = " ("
"""Between a function's name, which holds no blank, and its point."""


def varying(recipes: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The settings in which recipes differ."""
    every = list(recipes)
    return tuple(name for name in _ORDER if len({str(recipe.get(name)) for recipe in every}) > 1)


def place_of_recipe(recipe: Mapping[str, Any]) -> tuple[tuple[str, float, str], ...]:
    """To sort by settings, numbers in their order: so the points of a sweep stand as they were asked for."""
    known = {"batch": 1, **recipe}
    numbers = {name: value for name, value in known.items() if isinstance(value, int | float)}
    return tuple((name, float(numbers.get(name, 0)), str(known[name])) for name in sorted(known))


def apart(first: Sequence[Record], second: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """The records of two sides; where one side ran a benchmark of a model by several recipes, each is one of its own.

    `test_efficiency` becomes `test_efficiency (steps=10, batch=2)`, on both sides alike.
    """
    swept: dict[str, set[str]] = defaultdict(set)
    for side in (first, second):
        recipes: dict[tuple[str, str, str | None], dict[str, Mapping[str, Any]]] = defaultdict(dict)
        for record in side:
            if record.recipe_digest is not None and record.recipe:
                recipes[record.benchmark, record.model, record.weights][record.recipe_digest] = record.recipe
        for (benchmark, _, _), found in recipes.items():
            swept[benchmark].update(varying(found.values()))
    if not any(swept.values()):
        return list(first), list(second)
    settings = {benchmark: [name for name in _ORDER if name in names] for benchmark, names in swept.items()}
    return _at_points(first, settings), _at_points(second, settings)


def without_point(benchmark: str) -> str:
    """The benchmark's own name, without the point of a sweep that `apart` gave it."""
    place, inside, function = benchmark.rpartition("::")
    return f"{place}{inside}{function.partition(_POINT)[0]}"


def _at_points(records: Iterable[Record], settings: Mapping[str, Sequence[str]]) -> list[Record]:
    return [
        replace(record, benchmark=f"{record.benchmark}{_POINT}{told(record.recipe, names)})")
        if record.recipe and (names := settings.get(record.benchmark))
        else record
        for record in records
    ]
