"""The interval of a score's difference: shares of prompts that only some dimensions ask about."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pytest_vdb.analysis.aggregate_contrasts import contrast_aggregates
from pytest_vdb.analysis.aggregates import MLPERF, score_of
from pytest_vdb.analysis.bounds import KnownMetrics
from pytest_vdb.analysis.comparison import Contrast, Pairs
from pytest_vdb.records import Measurement, Record

PROMPTS = 24
ASKED = [range(0, 16), range(0, 12), range(4, 16), range(16, 24), range(12, 24), range(8, 24)]
"""The prompts that each of MLPerf's dimensions asks about."""


def record(prompt: int, values: dict[str, float], **about: object) -> Record:
    measured = tuple(Measurement(name=name, value=value, unit="1", better="higher") for name, value in values.items())
    whose = {"run": "r", "nodeid": f"n{prompt}", "benchmark": "b", "model": "m", "status": "passed", "weights": "hub"}
    return replace(Record(**whose, prompt=f"p{prompt}", measurements=measured), **about)


def score(first: list[dict[str, float]], second: list[dict[str, float]]) -> Contrast:
    pairs = tuple((record(at, a), record(at, b)) for at, (a, b) in enumerate(zip(first, second, strict=True)))
    named = MLPERF.name.__eq__
    (one,) = contrast_aggregates(
        Pairs(benchmark="b", pairs=pairs, left_out=()), KnownMetrics(), named=named, same_run=True, twice=False
    )
    return one


def drawn(chance: np.random.Generator, shift: float = 0.0) -> list[dict[str, float]]:
    """Values of which half is common to a prompt's dimensions."""
    values: list[dict[str, float]] = [{} for _ in range(PROMPTS)]
    common = chance.standard_normal(PROMPTS)
    for name, asked in zip(MLPERF.dimensions, ASKED, strict=True):
        for prompt in asked:
            values[prompt][name] = 0.5 + shift + 0.1 * (common[prompt] + chance.standard_normal()) / 2**0.5
    return values


def test_the_mean_of_the_shares_is_the_score_of_the_means():
    chance = np.random.default_rng(0)
    first, second = drawn(chance), drawn(chance, 0.1)
    one = score(first, second)
    for values, found in ((first, one.first), (second, one.second)):
        means = {name: np.mean([of[name] for of in values if name in of]) for name in MLPERF.dimensions}
        assert found == pytest.approx(score_of(MLPERF, means).value, rel=1e-12)
    assert one.n == PROMPTS
    assert one.difference == pytest.approx(one.first - one.second)


@pytest.mark.heavy
def test_the_interval_covers_the_difference_as_often_as_it_says():
    chance = np.random.default_rng(1)
    covered = 0
    for _ in range(600):
        low, high = score(drawn(chance, 0.05), drawn(chance)).interval
        covered += low <= 5 <= high
    assert 0.925 <= covered / 600 <= 0.985


def test_dimensions_of_another_version_make_another_score():
    first, second = drawn(np.random.default_rng(2)), drawn(np.random.default_rng(3))
    pairs = [(record(at, a), record(at, b)) for at, (a, b) in enumerate(zip(first, second, strict=True))]
    changed = tuple(
        (a, replace(b, measurements=tuple(replace(one, version="2") for one in b.measurements))) for a, b in pairs
    )
    (one,) = contrast_aggregates(
        Pairs(benchmark="b", pairs=changed, left_out=()),
        KnownMetrics(),
        twice=False,
        named=lambda _: False,
        same_run=True,
    )
    assert one.obstacle == "the metric's version is 1 in A, 2 in B"


def test_tiny_weights_have_no_score_that_counts():
    values = drawn(np.random.default_rng(4))
    pairs = tuple((record(at, one, weights="tiny"), record(at, one, weights="tiny")) for at, one in enumerate(values))
    (one,) = contrast_aggregates(
        Pairs(benchmark="b", pairs=pairs, left_out=()),
        KnownMetrics(),
        twice=False,
        named=lambda _: False,
        same_run=True,
    )
    assert one.obstacle == "tiny random weights prove the wiring only"
