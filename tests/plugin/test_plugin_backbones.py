"""A network of the user's own, as docs/metrics.md shows it: with and without workers, with weights of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # sessions in processes of their own, most of them with workers

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
(EXAMPLE,) = (code for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "@backbone" in code)
MODEL = """
import numpy as np
from pytest_vdb import Clip, model

@model("good", frames=4, height=16, width=16, fps=8.0)
def good(prompt, recipe, seed):
    return Clip(np.random.default_rng(seed).integers(0, 256, (4, 16, 16, 3), np.uint8), recipe.fps)
"""
WORKERS = pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["one process", "two workers"])


@pytest.fixture
def own(project):
    (project.path / "conftest.py").write_text(EXAMPLE + MODEL)
    return project


def values(project, name: str) -> list[float | None]:
    return [record.measurement(name).value for record in project.records() if record.nodeid.startswith("test_")]


def test_the_example_of_the_page_takes_less_than_ten_lines():
    network, _ = EXAMPLE.split("@metric")
    assert len([line for line in network.partition("@backbone")[2].splitlines() if line.strip()]) < 10


@WORKERS
def test_a_metric_looks_through_a_network_of_the_users_own(own, workers):
    own.run_in_subprocess("good", "--vdb-metrics=colour_drift", *workers).assert_outcomes(passed=3)
    assert len(values(own, "colour_drift")) == 3
    assert all(value > 0 for value in values(own, "colour_drift"))
    assert {record.measurement("colour_drift").version for record in own.records()} == {"1+mean"}


@WORKERS
def test_a_set_metric_finds_the_network_that_another_file_tags(own, workers):
    (own.path / "test_generation.py").open("a").write(
        "\n\nfrom pytest_vdb import metric\n\n"
        "@metric('clips_seen', unit='clips', better='neutral')\n"
        "def clips_seen(mean_colours_set) -> float:\n"
        "    return float(len(mean_colours_set))\n"
    )
    own.run_in_subprocess("good", "--vdb-metrics=clips_seen", *workers).assert_outcomes(passed=3)
    assert [m.value for record in own.records() for m in record.measurements if m.name == "clips_seen"] == [3]


def test_weights_of_its_own_are_named_on_the_command_line(own):
    text = EXAMPLE.replace('"mean"', "source.path.read_text()")
    (own.path / "conftest.py").write_text(text + MODEL)
    (own.path / "weights.txt").write_text("trained")
    weights = "--vdb-backbone=colours=weights.txt"
    own.run_in_subprocess("good", "--vdb-metrics=colour_drift", weights).assert_outcomes(passed=3)
    assert {record.measurement("colour_drift").version for record in own.records()} == {"1+trained"}


@pytest.mark.parametrize(
    ("written", "option", "said"),
    [
        ("mean_colours", "--vdb-backbone=colors=conftest.py", "did you mean 'colours'"),
        ("mean_colour", "--vdb-metrics=colour_drift", "asks for 'mean_colour', which is nothing that is measured"),
    ],
)
def test_a_typo_ends_the_session_before_anything_is_generated(own, written, option, said):
    text = EXAMPLE.replace("def colour_drift(mean_colours)", f"def colour_drift({written})")
    (own.path / "conftest.py").write_text(text + MODEL)
    result = own.run_in_subprocess("good", option, "--vdb-metrics=colour_drift")
    shown = result.stdout.str() + result.stderr.str()
    assert result.ret != 0
    assert said in shown
    assert "INTERNALERROR" not in shown
    assert not own.runs()
