"""A thousand numbers written at once read as they do one by one."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_vdb.figures import Notation, notation
from pytest_vdb.reporters.decimals import lines_of_figures


def one_by_one(numbers: np.ndarray, notations: list[Notation]) -> list[str]:
    return ["".join(f"<{how.write(one)}>" for how, one in zip(notations, line, strict=True)) for line in numbers]


def at_once(numbers: np.ndarray, notations: list[Notation]) -> list[str]:
    return lines_of_figures(numbers, notations, before="<", after=">")


@pytest.mark.parametrize("seed", range(20))
def test_numbers_of_any_size_and_sign_read_alike(seed):
    generator = np.random.default_rng(seed)
    numbers = generator.standard_normal((40, 6)) * 10.0 ** generator.integers(-6, 9, 6)
    notations = [notation(column, significant=4) for column in numbers.T.tolist()]
    assert at_once(numbers, notations) == one_by_one(numbers, notations)


@pytest.mark.parametrize("places", range(10))
def test_a_half_is_rounded_as_its_exact_decimals_say(places):
    halves = (np.arange(-60, 60) + 0.5) / 10.0**places  # most are a little more or less than that
    numbers = np.stack([halves, np.nextafter(halves, 9), np.nextafter(halves, -9)], axis=1)
    notations = [Notation(places)] * 3
    assert at_once(numbers, notations) == one_by_one(numbers, notations)


def test_thousands_nothing_and_what_is_missing():
    numbers = np.array([[0.0, -0.001, 999.4], [1_000.0, 999_999.9, 9_999_999.96], [np.nan, 1e15, -10_000.0]])
    notations = [Notation(0), Notation(2), Notation(1)]
    assert at_once(numbers, notations) == [
        "<0><0.00><999.4>",
        "<1,000><999,999.90><10,000,000.0>",
        "<–><1,000,000,000,000,000.00><-10,000.0>",
    ]
    assert at_once(numbers, notations) == one_by_one(numbers, notations)


@pytest.mark.filterwarnings("error")
def test_numbers_as_large_and_small_as_they_can_be_warn_of_nothing():
    numbers = np.array([[1e308, 5e-324, 1e308], [np.nan, -0.0, 0.25]])
    notations = [Notation(3, scientific=True), Notation(4), Notation(2)]
    assert at_once(numbers, notations) == one_by_one(numbers, notations)


def test_there_may_be_no_line_or_no_column():
    assert at_once(np.empty((0, 2)), [Notation(1)] * 2) == []
    assert at_once(np.empty((2, 0)), []) == ["", ""]
