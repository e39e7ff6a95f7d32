"""Count every card at its default recipe, and what was published at others, for `pytest_vdb/models/counts.json`.

    python benchmarks/perf/count_models.py [NAMES] [--again]

Counts what is not in the file yet (a card that changed has another key), and drops what no card asks for any more; with
`--again` also what could not be counted. Takes from one second to a minute for each, on a processor, and little memory.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from pytest_vdb.estimates import counting, prediction
from pytest_vdb.models import counts, recipes
from pytest_vdb.models.card import ModelCard
from pytest_vdb.models.registry import Registry
from pytest_vdb.models.weights import architectures
from pytest_vdb.records import Recipe

FEW_STEPS = 6
"""Enough to count where each step is like the others."""


def at_defaults(registry: Registry) -> list[tuple[ModelCard, Recipe]]:
    cards = [card for card in registry.select("all") if card.architecture is not None]
    return [(card, recipes.resolve(card, Recipe(), "random")) for card in cards]


def published(registry: Registry) -> list[tuple[ModelCard, Recipe]]:
    rows = [(registry.get(row.model), row.recipe) for row in prediction.published_rows()]
    return [(card, recipes.resolve(card, recipe, "random")) for card, recipe in rows]


def count(card: ModelCard, recipe: Recipe) -> counts.Counts | counts.Uncounted:
    """At fewer steps where they are alike: no second expert, no strength that leaves steps out."""
    assert card.architecture is not None
    plan = architectures.preset(card.architecture)
    alike = "transformer_2" not in plan.components and recipe.strength is None
    if not alike or recipe.steps is None or recipe.steps <= FEW_STEPS or card.minimum_steps > FEW_STEPS:
        return counting.count(card, recipe)
    found = counting.count(card, replace(recipe, steps=FEW_STEPS))
    return found.at_steps(recipe.steps) if isinstance(found, counts.Counts) else found


def main(arguments: Sequence[str]) -> None:
    registry = Registry.from_catalog()
    names = [one for one in arguments if not one.startswith("--")]
    chosen = {card.name for card in registry.select(names[0])} if names else None
    keys_of_defaults = [counts.key_of(card, recipe) for card, recipe in at_defaults(registry)]
    wanted = {counts.key_of(*one): one for one in (*at_defaults(registry), *published(registry))}
    found = {key: one for key, one in counts.shipped().items() if key in wanted}
    for key, (card, recipe) in wanted.items():
        here = found.get(key)
        again = "--again" in arguments and isinstance(here, counts.Uncounted)
        if (here is not None and not again) or (chosen is not None and card.name not in chosen):
            continue
        began = time.perf_counter()
        made = count(card, recipe)
        if made.diffusers is not None:  # else something is not installed here
            found[key] = made
            counts.keep(dict(sorted(found.items())), counts.SHIPPED)
        result = made.reason if isinstance(made, counts.Uncounted) else f"{made.operations / 1e15:.3g} PFLOP"
        print(f"{card.name}: {result}, {time.perf_counter() - began:.1f} s", flush=True)
    of = Counter(type(found.get(key)) for key in keys_of_defaults)
    print(
        f"at their default recipes {of[counts.Counts]} models are counted, {of[counts.Uncounted]} cannot be, "
        f"{of[type(None)]} are counted when they are asked for"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
