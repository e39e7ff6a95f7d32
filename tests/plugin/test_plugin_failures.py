"""What pytest prints of a benchmark that failed is shown and not obeyed, wherever it is printed."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

pytestmark = pytest.mark.slow  # whole sessions

CONFTEST = """
    import pytest
    from pytest_vdb import Clip, metric, model
    import numpy as np

    @model("odd", frames=4, height=16, width=16, fps=8.0)
    def odd(prompt, recipe, seed):
        print("::error file=x::printed")
        print("\\x1b[32mgreen\\x1b[0m")
        raise RuntimeError("\\x1b[31mred\\u202e\\n::error::raised\\n  ##[error]again")

    @model("even", frames=4, height=16, width=16, fps=8.0)
    def even(prompt, recipe, seed):
        pytest.skip("\\x1b[31mred\\n::error::skipped")

    @model("good", frames=4, height=16, width=16, fps=8.0)
    def good(prompt, recipe, seed):
        rng = np.random.default_rng(seed)
        return Clip(rng.integers(0, 256, (recipe.frames, recipe.height, recipe.width, 3), np.uint8), recipe.fps)

    @metric("br\\u00adight", unit="\\x1b[31m", better="higher")
    def brightness(clip: Clip) -> float:
        return float(clip.frames.mean() / 255)
"""


@pytest.mark.parametrize(("style", "workers"), [("long", ("-n1",)), ("native", ())])
def test_no_failure_moves_the_cursor_or_gives_a_runner_orders(project, style, workers):
    project.pytester.makeconftest(CONFTEST)
    arguments = ["-p", "no:randomly", "-p", "no:cacheprovider", "-rA", "-v", f"--tb={style}", "--color=no", *workers]
    arguments += ["--vdb-models=odd,even,good", "--vdb-prompts=three.txt", "--vdb-report=none", "--junitxml=junit.xml"]
    arguments += ["--vdb-metrics=br*", f"--vdb-cache-dir={project.path / 'cache'}"]
    said = project.pytester.runpytest_subprocess(*arguments).stdout.str()
    assert "red" in said
    assert "\u202e" not in said
    assert "\u00ad" not in said
    assert not [line for line in said.splitlines() if line.lstrip().startswith(("::", "##["))]
    # What a program printed is its own: its colours stay.
    assert {line for line in said.splitlines() if "\x1b" in line} <= {"\x1b[32mgreen\x1b[0m"}
    failures = ElementTree.parse(project.path / "junit.xml").findall(".//failure")
    assert len(failures) == 3
    assert all("\u202e" not in f"{one.get('message')}{one.text}" for one in failures)
