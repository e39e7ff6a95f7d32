"""How a model's values of a metric lie over the prompts, in the ten characters a cell for which a page has room.

The page's script draws them; without one the page says nothing of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_vdb.analysis.tables import Cell

LEAST_PROMPTS = 20
"""Of fewer the steps would hold one or two each, and look as if they said something."""
STEPS = 10
_TALLEST = 9
_BEYOND = 0.5
"""Per cent of all values at either end that share the outermost steps: a wild one would leave the others one step."""


@dataclass(frozen=True, slots=True)
class Distributions:
    """Of the cells of one column, on one scale."""

    ends: tuple[float, float]
    """Of the scale; values beyond are counted in the step next to them."""
    heights: Mapping[int, str]
    """Line -> a digit of each of the equal steps, as high as prompts are in it: the fullest step has a 9, and one
    that has any prompt no 0."""


def distributions_of(cells: Sequence[Cell]) -> Distributions | None:
    """Of the cells with enough prompts; None: there are none, or all their values are equal."""
    import numpy as np

    values = {
        at: np.array(cell.means_of(tuple(cell.by_prompt)), dtype=np.float64)
        for at, cell in enumerate(cells)
        if cell.n >= LEAST_PROMPTS
    }
    if not values:
        return None
    with np.errstate(over="ignore", invalid="ignore"):  # values as far apart as they can be have no scale
        low, high = np.percentile(np.concatenate(list(values.values())), (_BEYOND, 100 - _BEYOND)).tolist()
    if not 0 < high - low < float("inf"):
        return None
    heights = {}
    for at, own in values.items():
        steps = np.clip((own - low) / (high - low) * STEPS, 0, STEPS - 1).astype(np.intp)
        counts = np.bincount(steps, minlength=STEPS)
        heights[at] = "".join(map(str, np.ceil(counts * (_TALLEST / counts.max())).astype(np.intp).tolist()))
    return Distributions((low, high), heights)
