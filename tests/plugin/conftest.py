"""A small project with models of its own: plain numpy, so that its sessions take a fraction of a second."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vdb.records import Record, Run
from pytest_vdb.results import journal

CONFTEST = """
    import os, signal
    import numpy as np
    from pytest_vdb import Clip, metric, model

    def noise(recipe, seed):
        rng = np.random.default_rng(seed)
        return Clip(rng.integers(0, 256, (recipe.frames, recipe.height, recipe.width, 3), np.uint8), recipe.fps)

    @model("good", frames=4, height=16, width=16, fps=8.0)
    def good(prompt, recipe, seed):
        return noise(recipe, seed)

    @model("also-good", frames=4, height=16, width=16, fps=8.0)
    def also_good(prompt, recipe, seed):
        return noise(recipe, seed + 1)

    @model("constant", frames=4, height=16, width=16, fps=8.0)
    def constant(prompt, recipe, seed):
        return Clip(np.zeros((recipe.frames, recipe.height, recipe.width, 3), np.uint8), recipe.fps)

    @model("short", frames=4, height=16, width=16, fps=8.0)
    def short(prompt, recipe, seed):
        return Clip(noise(recipe, seed).frames[:3], recipe.fps)

    @model("raises", frames=4, height=16, width=16, fps=8.0)
    def raises(prompt, recipe, seed):
        raise RuntimeError("the sampler diverged")

    @model("no-load", frames=4, height=16, width=16, fps=8.0)
    class NoLoad:
        def __init__(self):
            raise OSError("the checkpoint is truncated")

        def generate(self, prompt, recipe, seed):
            raise AssertionError("never reached")

    @model("out-of-memory", frames=4, height=16, width=16, fps=8.0)
    def out_of_memory(prompt, recipe, seed):
        raise MemoryError("tried to allocate 80 GiB")

    @model("kills-its-worker", frames=4, height=16, width=16, fps=8.0)
    def kills_its_worker(prompt, recipe, seed):
        os.kill(os.getpid(), signal.SIGKILL)

    @model("dies-once", frames=4, height=16, width=16, fps=8.0)
    def dies_once(prompt, recipe, seed):
        if prompt.text == "two":
            os._exit(3)
        return noise(recipe, seed)

    @metric("brightness", unit="1", better="higher")
    def brightness(clip: Clip) -> float:
        return float(clip.frames.mean() / 255)
"""

GENERATION = """
    def test_generation(vdb, vdb_model, vdb_prompt, vdb_seed):
        sample = vdb.generate(vdb_model, vdb_prompt, vdb_seed)
        vdb.check(sample)
        vdb.measure(sample)
"""


class Project:
    """Runs sessions of the small project and reads what they left."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path = pytester.path
        pytester.makeconftest(CONFTEST)
        pytester.makepyfile(test_generation=GENERATION)
        (pytester.path / "three.txt").write_text("one\ntwo\nthree\n")

    def arguments(self, models: str, *more: str) -> list[str]:
        return [
            *("-p", "no:randomly", "-p", "no:cacheprovider", f"--vdb-models={models}", "--vdb-prompts=three.txt"),
            *("--vdb-metrics=brightness", "--vdb-report=none", f"--vdb-cache-dir={self.path / 'cache'}", *more),
        ]

    def run(self, models: str, *more: str) -> pytest.RunResult:
        """In this process: fast."""
        return self.pytester.runpytest_inprocess(*self.arguments(models, *more))

    def run_in_subprocess(self, models: str, *more: str) -> pytest.RunResult:
        """In a process of its own: for what may kill it."""
        return self.pytester.runpytest_subprocess(*self.arguments(models, *more))

    def runs(self) -> list[Path]:
        """The runs' folders, the oldest first."""
        return sorted((self.path / "reports" / "runs").glob("*"))

    def records(self) -> list[Record]:
        """Of the newest run."""
        return self.read()[1]

    def read(self) -> tuple[Run, list[Record]]:
        """The newest run."""
        run, records, warnings = journal.read(self.runs()[-1])
        assert not warnings
        return run, records


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    return Project(pytester)
