"""The normal law and Student's t of Python's own mathematics, against scipy."""

import numpy as np
import pytest
from scipy import stats

from pytest_vdb.statistics import normal
from pytest_vdb.statistics.contenders import LEAST_PROMPTS_FOR_T


def test_the_normal_law_is_scipys():
    values = np.concatenate([np.linspace(-8, 37, 200), [0.0, np.inf]])
    assert normal.tails(values) == pytest.approx(stats.norm.sf(values), rel=1e-12, abs=0)
    chances = np.concatenate([np.geomspace(1e-300, 0.5, 100), [0.975, 1 - 1e-15]])
    assert normal.quantiles(chances) == pytest.approx(stats.norm.ppf(chances), rel=1e-12, abs=1e-15)
    assert normal.quantile(0.975) == pytest.approx(1.959963984540054, rel=1e-15)


@pytest.mark.parametrize("degrees", [normal.LEAST_DEGREES, 500, 999, 100_000])
def test_students_t_is_exceeded_as_often_as_its_normal_value(degrees):
    t = np.linspace(0, 10, 101)
    assert normal.tails(normal.value_of_t(t, degrees)) == pytest.approx(stats.t.sf(t, degrees), rel=1e-9, abs=0)
    far = np.array([15.0, 30.0])
    assert normal.tails(normal.value_of_t(far, degrees)) == pytest.approx(stats.t.sf(far, degrees), rel=1e-5, abs=0)
    assert normal.value_of_t(np.array([np.inf]), degrees) == [np.inf]


def test_students_t_is_asked_of_no_fewer_prompts_than_it_is_right_for():
    assert LEAST_PROMPTS_FOR_T > normal.LEAST_DEGREES
