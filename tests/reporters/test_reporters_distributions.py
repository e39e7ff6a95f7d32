"""How values lie over the prompts, in ten characters."""

from __future__ import annotations

import pytest

from pytest_vdb.analysis.tables import Cell
from pytest_vdb.reporters.distributions import Distributions, distributions_of


def cell_of(values: list[float]) -> Cell:
    return Cell(mean=sum(values) / len(values), by_prompt={f"p{at}": value for at, value in enumerate(values)})


def test_even_values_are_as_high_everywhere_and_two_peaks_are_two():
    even, peaks = [at / 100 for at in range(101)], [0.0] * 30 + [1.0] * 60
    found = distributions_of([cell_of(even), cell_of(peaks)])
    assert found is not None
    assert found.ends == (0.0, 1.0)
    assert found.heights == {0: "9" * 10, 1: "5000000009"}


def test_one_wild_value_leaves_the_others_their_steps_and_is_not_lost():
    values = [at / 500 for at in range(500)] + [1e9]
    found = distributions_of([cell_of(values)])
    assert found is not None
    assert found.ends[1] < 1
    assert set(found.heights[0]) <= {"8", "9"}


@pytest.mark.filterwarnings("error")
def test_few_prompts_equal_values_and_the_largest_have_none():
    assert distributions_of([cell_of([0.1, 0.9] * 9)]) is None
    assert distributions_of([cell_of([0.5] * 40)]) is None
    assert distributions_of([cell_of([-1e308, 1e308] * 20)]) is None
    assert distributions_of([Cell(mean=None)]) is None
    assert distributions_of([]) is None


def test_only_who_has_enough_of_them_is_drawn():
    found = distributions_of([cell_of([0.1, 0.9]), cell_of([0.0, 1.0] * 20)])
    assert found == Distributions((0.0, 1.0), {1: "9000000009"})
