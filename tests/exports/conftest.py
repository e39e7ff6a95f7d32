"""What every target is given: the example run of the reports, and two models whose weights are published."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_vdb.analysis import Leaderboard, build
from pytest_vdb.exports.contract import Destination, Written
from pytest_vdb.exports.targets import targets

TESTS = Path(__file__).parent.parent
sys.path += [str(TESTS / "reporters"), str(TESTS / "models" / "weights")]  # the example run; the local Hub

import example_run as example  # noqa: E402 - its folder is named above


@pytest.fixture(scope="session")
def board() -> Leaderboard:
    """Seven models as in the example run, and two of published weights, one of which lacks a prompt's latency."""
    run = example.example_run()
    records = example.example_records(run)
    for model, reused in (("veo", None), ("sora", "style-01")):
        for prompt in example.PROMPTS:
            read = example.readings(model, prompt, reused=prompt == reused)
            measured = example.scores(prompt, model, tiny=False) + read
            known = {"weights": "hub", "reused": prompt == reused, "measurements": measured}
            records.append(example.answer(run, model, prompt, **known))
    return build(run, records)


@pytest.fixture
def written(board, tmp_path) -> Callable[..., Written]:
    """Writes the board by a target's name: `written("parquet", "values.parquet")` into this test's own folder."""

    def write(name: str, place: str, **more: str) -> Written:
        return targets()[name].write(board, Destination(place=str(tmp_path / place), **more))

    return write
