"""What the rows of a table are called, wherever they are named: in reports and in other tools."""

from __future__ import annotations

from pytest_vdb.analysis.swept import varying
from pytest_vdb.analysis.tables import Row, Table
from pytest_vdb.sweeps import told

MOST_SETTINGS = 4
"""Of a recipe, in a row's name: of more its digest is told."""


def distinct_names(table: Table) -> dict[int, str]:
    """Row position -> the model's name, with what sets it apart where one model has several rows."""
    by_model: dict[str, list[Row]] = {}
    for row in table.rows:
        by_model.setdefault(row.model, []).append(row)
    return {at: _name_of_row(row, by_model[row.model]) for at, row in enumerate(table.rows)}


def _name_of_row(row: Row, alike: list[Row]) -> str:
    """The model with the benchmark's own parameters, and with what sets it apart from other rows of its model."""
    apart = [f"{name}={value}" for name, value in row.parameters.items()]
    twins = [other for other in alike if other is not row and other.parameters == row.parameters]
    if row.published is not None and twins:
        several = any(other.published not in {None, row.published} for other in twins)
        apart.append(f"published in {row.published}" if several else "published")
    if row.published is None and any(other.weights != row.weights for other in twins):
        apart.append(row.weights or "?")
    if any(other.recipe_digest != row.recipe_digest for other in twins):
        apart.append(_name_of_recipe(row, [other for other in twins if other.weights == row.weights]))
    if any(other.hardware != row.hardware for other in twins):
        apart.append(row.hardware or "?")
    if any(other.revision != row.revision for other in twins):
        apart.append(f"revision {(row.revision or '?')[:8]}")
    return f"{row.model} ({', '.join(apart)})" if apart else row.model


def _name_of_recipe(row: Row, alike: list[Row]) -> str:
    """The settings in which its recipe differs from other rows'; where these are too many, or not known, a digest.

    Args:
        alike: other rows of the model, with the same weights.
    """
    recipes = {other.recipe_digest: other.recipe for other in (row, *alike)}
    settings = varying(recipes.values())
    names = {name: told(recipe, settings) for name, recipe in recipes.items()}
    are_telling = 0 < len(settings) <= MOST_SETTINGS and len(set(names.values())) == len(names)
    if not are_telling or not all(recipes.values()):
        return (row.recipe_digest or "no recipe")[:6]
    return names[row.recipe_digest]
