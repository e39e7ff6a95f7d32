"""What differs is printed differently, and nothing has more digits than it needs."""

import itertools
import math
import random

import pytest

from pytest_vdb.figures import Notation, equal, figure_alone, notation


def written(*values: float | None, **more) -> list[str]:
    ranked = sorted(value for value in values if value is not None)
    known = notation(values, **{"apart": itertools.pairwise(ranked)} | more)
    return [known.write(value) for value in values]


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0.312], ["0.312"]),
        ([0.0512, 0.3], ["0.0512", "0.3000"]),
        ([0.004, 9.0], ["0.0040", "9.0000"]),
        ([843.2], ["843"]),
        ([12.5, 2130.0], ["12.5", "2,130.0"]),
        ([1200.0, 843.0], ["1,200", "843"]),
        ([0.0], ["0.000"]),
        ([0.0004, 0.0009], ["0.000400", "0.000900"]),
        ([None, 0.5], ["–", "0.500"]),
    ],
)
def test_the_smallest_figure_keeps_three_significant_digits_where_four_decimals_do(values, shown):
    assert written(*values) == shown


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0.99996, 0.9996, 0.99951], ["0.99996", "0.99960", "0.99951"]),
        ([2e-6, 8e-6], ["2.00e-6", "8.00e-6"]),
        ([-2e-6, 3e-6], ["-2.00e-6", "3.00e-6"]),
        ([0.99999996, 0.99999991], ["0.99999996", "0.99999991"]),
        ([34.1234567, 34.1234568], ["34.1234567", "34.1234568"]),
        ([12345.678, 12345.9], ["12,345.7", "12,345.9"]),
        ([1.2e13, 1.3e13], ["1.20e13", "1.30e13"]),
        ([1.2345e-7, 1.2346e-7], ["1.2345e-7", "1.2346e-7"]),
        ([2e-6, 0.8], ["0.000002", "0.800000"]),
        ([2e-8, 0.8], ["2.00e-8", "8.00e-1"]),
        ([1e300, 1.0], ["1.00e300", "1.00"]),
        ([0.5, 1.5, 2.5], ["0.500", "1.500", "2.500"]),
    ],
)
def test_what_is_ranked_apart_is_printed_apart(values, shown):
    assert written(*values) == shown


def test_rounding_alone_asks_for_no_digits():
    assert written(0.1 + 0.2, 0.3) == ["0.300", "0.300"]
    assert written(1e-17, 0.03, 0.04) == ["0.0000", "0.0300", "0.0400"]
    assert equal(0.1 + 0.2, 0.3, 0.3)
    assert not equal(0.99999996, 0.99999991, 1.0)


def test_values_that_are_not_ranked_may_look_alike():
    assert written(0.81234, 0.81235, apart=()) == ["0.812", "0.812"]


def test_an_interval_shows_its_first_digit_but_not_that_of_rounding():
    assert notation([0.812], halves=[0.00003]) == Notation(5)
    assert notation([0.812], halves=[None, 1e-13, 0.0]) == Notation(3)
    assert notation([12345.678], halves=[12.3]) == Notation(0)


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_what_is_no_number_is_a_dash_and_changes_nothing_beside_it(value):
    assert written(value, 0.312) == ["–", "0.312"]


def test_a_figure_has_thousands_and_no_minus_zero():
    assert Notation(1).write(12345.678) == "12,345.7"
    assert Notation(2).write(-0.0001) == "0.00"


def test_any_two_of_many_random_values_are_told_apart():
    draw = random.Random(0)
    for _ in range(300):
        size = 10 ** draw.uniform(-9, 9)
        values = [draw.gauss(0, 1) * size for _ in range(draw.randint(1, 30))]
        largest = max(map(abs, values))
        shown = written(*values)
        for (one, a), (other, b) in itertools.combinations(zip(values, shown, strict=True), 2):
            assert a != b or equal(one, other, largest)
        for value, text in zip(values, shown, strict=True):
            assert float(text.replace(",", "")) == pytest.approx(value, rel=0.01, abs=largest * 1e-2)


@pytest.mark.parametrize(
    "value",
    [
        None,
        math.nan,
        math.inf,
        0.0,
        -0.0,
        5e-324,
        1e-5,
        9.9e-5,
        1e-4,
        0.5,
        -0.99996,
        1.0,
        999.9,
        1e3,
        1e9,
        1e300,
        1e305,
    ],
)
@pytest.mark.parametrize("significant", [3, 4])
def test_a_figure_alone_is_written_as_one_of_a_column_of_one(value, significant):
    assert figure_alone(value, significant=significant) == notation([value], significant=significant).write(value)
