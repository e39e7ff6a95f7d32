"""Changes of a series: held to every order counted by hand, placed where they are, and as rarely wrong as said."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import rankdata

from pytest_vdb.statistics.changes import LEAST_RUNS, LEAST_SIDE, SHUFFLES, changed_p_values, changes


def by_hand(values, orders) -> float:
    """The share of orders with as large a step of values or ranks as the first."""
    both = []
    for scores in (np.asarray(values, dtype=float), rankdata(values)):
        n, orders_of_scores = len(scores), scores[orders]
        sides = [
            np.abs(orders_of_scores[:, :k].mean(axis=1) - orders_of_scores[:, k:].mean(axis=1))
            * np.sqrt(k * (n - k) / n)
            for k in range(LEAST_SIDE, n - LEAST_SIDE + 1)
        ]
        largest = np.max(sides, axis=0)
        both.append(largest / np.quantile(largest, 0.95))
    either = np.max(both, axis=0)
    return float(np.mean(either >= either[0] - 1e-6))


@pytest.mark.parametrize(
    "values", [[1, 2, 1.5, 1.2, 3, 4, 3.5, 2.8], [0, 0, 0, 0, 0, 1, 1, 0], [3, 1, 4, 1, 5, 9, 2, 6]]
)
def test_the_p_value_is_the_share_of_all_orders_with_as_large_a_step(values):
    every = by_hand(values, np.array(list(itertools.permutations(range(len(values))))))
    found = float(changed_p_values(np.array(values)[:, None])[0])
    assert found == pytest.approx(every, abs=4 * np.sqrt(0.25 / SHUFFLES))


def test_a_change_is_placed_at_its_first_run_with_both_levels():
    table = np.array([[1.0] * 12 + [1.2] * 4, [5.0] * 16]).T
    (change,), none = changes(table)
    assert (change.at, change.before, change.after) == (12, 1.0, 1.2)
    assert none == ()


def test_what_got_worse_and_recovered_are_two_changes():
    rng = np.random.default_rng(1)
    series = np.array([0.0] * 15 + [5.0] * 15 + [0.0] * 15) + rng.normal(0, 0.1, 45)
    (found,) = changes(series[:, None])
    assert [change.at for change in found] == [15, 30]
    assert found[0].after == found[1].before == pytest.approx(5, abs=0.5)


def test_rows_are_counted_in_the_table_where_a_series_has_gaps():
    series = np.array([1.0] * 10 + [2.0] * 10)
    series[[1, 5, 10]] = np.nan
    ((change,), none) = changes(np.column_stack([series, np.ones(20)]))
    assert change.at == 11
    assert none == ()


def test_few_runs_equal_values_and_rounding_change_nothing():
    assert changes(np.arange(LEAST_RUNS - 1.0)[:, None]) == ((),)
    assert changes(np.full((20, 1), 0.3)) == ((),)
    rounding = 0.1 + 1e-13 * np.arange(30)
    assert changes(rounding[:, None]) == ((),)
    assert changes(np.full((20, 2), np.nan)) == ((), ())
    assert changes(np.empty((20, 0))) == ()


def test_the_fewest_runs_can_show_a_change():
    assert changes(np.array([1.0, 2, 3, 4, 11, 12, 13, 14])[:, None])[0][0].at == 4


def test_one_wild_night_makes_no_change_and_hides_none():
    series = np.random.default_rng(2).normal([1.0] * 10 + [1.3] * 10, 0.05)
    series[4] = 1e6
    (change,) = changes(series[:, None])[0]
    assert change.at == 10
    assert changes(np.array([1.0] * 19 + [1e6])[:, None]) == ((),)


def test_neither_unit_nor_sign_nor_the_order_of_series_matters():
    table = np.random.default_rng(3).normal(0, 1, (25, 6))
    table[12:, 2] += 2
    p = changed_p_values(table)
    assert p[2] < 0.05
    assert changed_p_values(table[:, ::-1] * [-1, 10, 1e-3, 7, 1, 1e4])[::-1] == pytest.approx(p)


def test_a_copy_of_a_series_costs_nothing():
    table = np.random.default_rng(4).normal(0, 1, (20, 1))
    table[10:] += 1.2
    assert changed_p_values(np.repeat(table, 30, axis=1)) == pytest.approx(changed_p_values(table)[0])


@pytest.mark.slow
@pytest.mark.parametrize(("runs", "series"), [(10, 1), (30, 1), (12, 5)])
def test_a_history_without_a_change_names_one_as_rarely_as_said(runs, series):
    """At most 5% of 200 histories, and four standard errors."""
    rng = np.random.default_rng(runs + series)
    alarms = [
        changed_p_values(rng.lognormal(size=(runs, series))).min() < 0.05 for _ in range(300 // (series + 1) + 100)
    ]
    assert np.mean(alarms) <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / len(alarms))
