"""Every name is settled once everything that can tag is imported, on every process, before anything is generated."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow  # sessions in processes of their own, most of them with workers

MODEL = """
import numpy as np
from pytest_vdb import Clip, model

@model("{name}", frames=4, height=16, width=16, fps=8.0)
def made(prompt, recipe, seed):
    rng = np.random.default_rng(seed)
    return Clip(rng.integers(0, 256, (recipe.frames, recipe.height, recipe.width, 3), np.uint8), recipe.fps)
"""
BOTH = pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])


@pytest.fixture
def nested(project):
    """A project with models in the conftests of two folders and in a test module."""
    generation = (project.path / "test_generation.py").read_text()
    (project.path / "test_generation.py").unlink()
    for folder, name in (("a", "hazy"), ("b", "foggy")):
        (project.path / folder).mkdir()
        (project.path / folder / "__init__.py").touch()
        (project.path / folder / "conftest.py").write_text(MODEL.format(name=name))
        (project.path / folder / "test_generation.py").write_text(generation)
    (project.path / "b" / "test_own.py").write_text(MODEL.format(name="misty") + "\n\n" + generation)
    return project


@BOTH
def test_models_of_every_conftest_and_module_answer_in_every_folder(nested, workers):
    result = nested.run_in_subprocess("hazy,foggy,misty", *workers)
    result.assert_outcomes(passed=27)
    found = {(record.benchmark, record.model) for record in nested.records()}
    files = ("a/test_generation.py", "b/test_generation.py", "b/test_own.py")
    assert found == {(f"{file}::test_generation", name) for file in files for name in ("hazy", "foggy", "misty")}


def test_all_means_all_also_of_what_is_imported_later(nested):
    listed = nested.run_in_subprocess("*y", "--collect-only", "-q").stdout.str()
    assert "a/test_generation.py::test_generation[misty--" in listed


@BOTH
@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--vdb-models=hazzy", "unknown model 'hazzy'"),
        ("--vdb-metrics=brightnes", "unknown metric 'brightnes'"),
        ("--vdb-device=cudo", "--vdb-device: unknown device 'cudo'"),
        ("--vdb-device=cuda:99", "'cuda:99': this process sees"),
        ("--vdb-backbone=clop=conftest.py", "--vdb-backbone: unknown network 'clop'"),
        ("--vdb-prompts=smokee", "unknown prompt suite 'smokee'"),
        ("--vdb-report=htlm", "--vdb-report: unknown value 'htlm'"),
    ],
)
def test_a_typo_ends_the_session_before_anything_is_generated(nested, option, said, workers):
    arguments = [*nested.arguments("hazy"), option, *workers]
    result = nested.pytester.runpytest_subprocess(*arguments)
    assert result.ret != 0
    assert said in result.stdout.str() + result.stderr.str()
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()
    assert not (nested.path / "reports").exists()


@pytest.mark.parametrize("place", ["conftest.py", "test_generation.py"])
def test_a_set_metric_is_computed_wherever_its_tag_stands(nested, place):
    metric = '\n\nfrom pytest_vdb import metric\n\n@metric("clips_seen", unit="1", better="neutral")\n'
    metric += "def clips_seen(clips) -> float:\n    return float(len(clips))\n"
    (nested.path / "a" / place).open("a").write(metric)
    result = nested.run_in_subprocess("hazy", "-n2", "--vdb-metrics=clips_seen", "a")
    result.assert_outcomes(passed=3)
    (value,) = [m.value for record in nested.records() for m in record.measurements if m.name == "clips_seen"]
    assert value == 3
