"""`--vdb-sweep`: every model by every point, a test and a row each; what cannot be followed stops nothing."""

from __future__ import annotations

import json

import pytest

from pytest_vdb.cli import main
from pytest_vdb.results import journal

pytestmark = pytest.mark.slow  # whole sessions

MODELS = """
    import numpy as np
    from pytest_vdb import Clip, metric, model

    @model("noise", frames=8, height=32, width=32, fps=8.0, steps=4, frame_rule="4k", size_multiple=16)
    class Noise:
        def __init__(self):
            with open("loads.txt", "a") as loads:
                loads.write("load\\n")

        def generate(self, prompt, recipe, seed):
            rng = np.random.default_rng(seed)
            shape = (recipe.frames, recipe.height, recipe.width, 3)
            return Clip(rng.integers(0, 256 - recipe.steps, shape, np.uint8), recipe.fps)

    @metric("brightness", unit="1", better="higher")
    def brightness(clip: Clip) -> float:
        return float(clip.frames.mean() / 255)

    @metric("variety", unit="1", better="higher")
    def variety(clips: list[Clip]) -> float:
        return float(np.std([clip.frames.mean() for clip in clips]))
"""
EFFICIENCY = """
    def test_efficiency(vdb, vdb_model, vdb_seed, benchmark):
        vdb.time(benchmark, vdb_model, vdb.prompts[0], vdb_seed)
"""


@pytest.fixture
def sweeping(project, monkeypatch):
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    project.pytester.makeconftest(MODELS)
    return project


def points(record):
    return record.recipe["steps"], record.recipe.get("batch", 1)


def test_every_point_is_a_test_with_an_id_that_says_what_differs(sweeping):
    sweeping.pytester.makepyfile(test_efficiency=EFFICIENCY)
    options = ("--vdb-metrics=none", "--vdb-sweep=steps=2,3", "--vdb-sweep=batch=1,4")
    outcome = sweeping.run("noise", "test_efficiency.py", "-v", *options)
    outcome.assert_outcomes(passed=4)
    outcome.stdout.fnmatch_lines(["*test_efficiency[[]noise--steps-3--batch-4[]] PASSED*"])
    outcome.stdout.fnmatch_lines(["*noise (steps=2, batch=1) *", "*noise (steps=3, batch=4) *"])
    run, records = sweeping.read()
    assert [points(record) for record in records] == [(2, 1), (2, 4), (3, 1), (3, 4)]
    assert len({record.recipe_digest for record in records}) == 4
    assert len({record.seed for record in records}) == 1, "the same clip at each point"
    assert "--vdb-sweep=steps=2,3 --vdb-sweep=batch=1,4" in run.options["command"]
    assert (sweeping.path / "loads.txt").read_text().split() == ["load"]


def test_a_point_that_cannot_be_followed_is_skipped_with_the_reason_and_the_others_run(sweeping):
    options = ("--vdb-sweep=frames=8,9", "--vdb-sweep=size=16,24,native", "-rs")
    outcome = sweeping.run("noise", "test_generation.py", *options)
    outcome.assert_outcomes(passed=2 * 3, skipped=4 * 3)
    outcome.stdout.fnmatch_lines(["*cannot follow frames=9: its frame counts are 4k; nearest: 8 or 12*"])
    outcome.stdout.fnmatch_lines(["*cannot follow height=24: height must be a multiple of 16; nearest: 16 or 32*"])
    passed = [record for record in sweeping.records() if record.status == "passed"]
    assert {(record.clip.frames, record.clip.height) for record in passed} == {(8, 16), (8, 32)}
    skipped = [record for record in sweeping.records() if record.status == "skipped"]
    assert len({record.recipe_digest for record in sweeping.records()}) == 6, "a row of its own"
    assert {record.recipe["frames"] for record in skipped} == {8, 9}


def test_set_metrics_are_of_each_point(sweeping):
    options = ("test_generation.py", "--vdb-metrics=variety", "--vdb-sweep=steps=2,100")
    sweeping.run("noise", *options).assert_outcomes(passed=6)
    of_sets = {record.recipe["steps"]: record for record in sweeping.records() if record.prompt is None}
    assert of_sets.keys() == {2, 100}
    assert [of_sets[steps].nodeid.rpartition("[")[2] for steps in (2, 100)] == ["noise, steps=2]", "noise, steps=100]"]
    assert of_sets[2].measurement("variety").value != of_sets[100].measurement("variety").value


def test_a_value_that_is_the_models_own_doubles_no_clip_of_a_set(sweeping):
    options = ("test_generation.py", "--vdb-metrics=variety", "--vdb-sweep=steps=4,native")
    outcome = sweeping.run("noise", *options)
    outcome.assert_outcomes(passed=6)
    of_sets = [record for record in sweeping.records() if record.prompt is None]
    assert [record.nodeid.rpartition("[")[2] for record in of_sets] == ["noise, steps=4]", "noise, steps=native]"]
    first, second = (record.measurement("variety").value for record in of_sets)
    assert first == second


def test_set_metrics_of_two_sweeps_are_compared_point_by_point(sweeping, capsys):
    sweep = ("test_generation.py", "--vdb-sweep=steps=2,100", "--vdb-cache=always")
    for _ in range(2):
        sweeping.run("noise", "--vdb-metrics=brightness,variety", *sweep).assert_outcomes(passed=6)
    capsys.readouterr()
    assert main(["compare", *map(str, sweeping.runs()), "--json"]) == 0
    found = {(one["benchmark"], one["metric"]) for one in json.loads(capsys.readouterr().out)[0]["metrics"]}
    for steps in (2, 100):
        for metric in ("brightness", "variety"):
            assert (f"test_generation.py::test_generation (steps={steps})", metric) in found


def test_workers_share_a_sweep_and_its_baseline_judges_each_point(sweeping):
    sweep = ("test_generation.py", "--vdb-sweep=steps=2,3,4", "-n", "2")
    sweeping.run_in_subprocess("noise", *sweep).assert_outcomes(passed=9)
    gate = ("--vdb-baseline=latest", "--vdb-fail-on=brightness:-1%", "--vdb-cache=always")
    outcome = sweeping.run_in_subprocess("noise", *sweep, *gate)
    outcome.assert_outcomes(passed=9 + 3)
    outcome.stdout.fnmatch_lines(["*3 equivalent*"])
    first, second = (journal.read(run)[1] for run in sweeping.runs())
    assert {record.nodeid: record.recipe_digest for record in first} == {r.nodeid: r.recipe_digest for r in second}


def test_without_a_sweep_ids_and_recipes_are_as_they_were(sweeping):
    outcome = sweeping.run("noise", "test_generation.py", "-v")
    outcome.stdout.fnmatch_lines(["*test_generation[[]noise--[!-]*[]] PASSED*"])
    assert "steps-" not in outcome.stdout.str()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--vdb-sweep=stpes=2",), "*--vdb-sweep: unknown setting of a sweep 'stpes'*"),
        (("--vdb-sweep=steps=2", "--vdb-stop-when-decided"), "*no test can be left out*"),
    ],
)
def test_what_cannot_be_swept_is_said_before_anything_runs(sweeping, options, said):
    outcome = sweeping.run("noise", "test_generation.py", *options)
    assert outcome.ret == pytest.ExitCode.USAGE_ERROR
    outcome.stderr.fnmatch_lines([said])


def test_a_pipeline_is_loaded_once_for_what_its_calls_are_asked_and_again_for_another_dtype(sweeping):
    sweeping.pytester.makepyfile(test_efficiency=EFFICIENCY)
    sweep = ("--vdb-sweep=steps=2,3", "--vdb-sweep=dtype=float32,bfloat16", "--vdb-sweep=batch=1,2")
    options = ("test_efficiency.py", "--vdb-metrics=none", "--vdb-weights=tiny", *sweep)
    sweeping.run("wan2.1-t2v-1.3b", *options).assert_outcomes(passed=8)
    records = sweeping.records()
    loaded = [record.recipe["dtype"] for record in records if record.measurement("load_time").value is not None]
    assert loaded == ["float32", "bfloat16"]
    assert all(record.measurement("first_call").value > 0 for record in records), "each shape is warmed up apart"
    others = [record.measurement("load_time") for record in records if record.measurement("load_time").value is None]
    assert {other.reason for other in others} == {
        "not loaded for this recipe: the model was open, by another one that needs no other load"
    }
