"""A regression is a failed test, in exit code, terminal and JUnit, alone and under xdist; silence never passes."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

pytestmark = pytest.mark.slow  # whole sessions

DIMMER = """
    import numpy as np
    from pytest_vdb import Clip, metric, model

    @model("good", frames=4, height=16, width=16, fps=8.0)
    def good(prompt, recipe, seed):
        rng = np.random.default_rng(seed)
        return Clip(rng.integers(0, {top}, (recipe.frames, recipe.height, recipe.width, 3), np.uint8), recipe.fps)

    @metric("brightness", unit="1", better="higher", version="{version}")
    def brightness(clip: Clip) -> float:
        return float(clip.frames.mean() / 255)
"""


SIX = "--vdb-prompts=six.txt"
"""The fewest prompts that show what is plainly broken, whatever else is asked."""


@pytest.fixture
def baseline(project):
    """A run of the unchanged project."""
    (project.path / "six.txt").write_text("one\ntwo\nthree\nfour\nfive\nsix\n")
    project.run_in_subprocess("good", SIX).assert_outcomes(passed=6)
    return project.runs()[-1]


def change(project, *, top: int = 256, version: str = "1") -> None:
    project.pytester.makeconftest(DIMMER.format(top=top, version=version))


@pytest.mark.parametrize("more", [(), ("-n2",)], ids=["alone", "xdist"])
def test_a_regression_fails_the_session(project, baseline, more):
    change(project, top=200)
    junit = project.path / "junit.xml"
    gate = (f"--vdb-baseline={baseline}", "--vdb-fail-on=brightness:-2%", f"--junit-xml={junit}")
    result = project.run_in_subprocess("good", SIX, *gate, *more)
    result.assert_outcomes(passed=6, failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*regressed*brightness*"])
    cases = {case.get("name"): case for case in ElementTree.parse(junit).iter("testcase")}
    failed = [name for name, case in cases.items() if case.find("failure") is not None]
    assert failed == ["brightness[test_generation--good]"]


def test_what_did_not_change_passes(project, baseline):
    result = project.run_in_subprocess("good", SIX, f"--vdb-baseline={baseline}", "--vdb-fail-on=brightness:-2%")
    result.assert_outcomes(passed=7)
    assert result.ret == pytest.ExitCode.OK


def test_a_metric_that_the_baseline_never_measured_is_refused_at_the_door(project, baseline):
    result = project.run_in_subprocess("good", SIX, f"--vdb-baseline={baseline}", "--vdb-fail-on=brightnes:-2%")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*unknown metric 'brightnes'*", "*did you mean 'brightness'*"])
    assert len(project.runs()) == 1


def test_another_recipe_is_incomparable_and_named(project, baseline):
    gate = (f"--vdb-baseline={baseline}", "--vdb-fail-on=brightness:-2%", "--vdb-recipe=frames=5")
    result = project.run_in_subprocess("good", SIX, *gate)
    result.assert_outcomes(passed=6, failed=1)
    result.stdout.fnmatch_lines(["*incomparable*frames*"])
    assert result.ret == 13


def test_another_metric_version_is_incomparable(project, baseline):
    change(project, version="2")
    result = project.run_in_subprocess("good", SIX, f"--vdb-baseline={baseline}", "--vdb-fail-on=brightness:-2%")
    result.assert_outcomes(passed=6, failed=1)
    result.stdout.fnmatch_lines(["*incomparable*version*"])


def test_a_saved_baseline_gates_like_its_run(project, baseline):
    from pytest_vdb.cli import main

    saved = project.path / "fixtures" / "baselines" / "main.json"
    assert main(["baseline", "save", str(baseline), "-o", str(saved)]) == 0
    change(project, top=200)
    result = project.run_in_subprocess("good", SIX, f"--vdb-baseline={saved}", "--vdb-fail-on=brightness:-2%")
    result.assert_outcomes(passed=6, failed=1)


def test_too_few_prompts_pass_unless_the_user_is_strict(project):
    project.run_in_subprocess("good").assert_outcomes(passed=3)
    gate = (f"--vdb-baseline={project.runs()[-1]}", "--vdb-fail-on=brightness:-2%")
    change(project, top=150)
    result = project.run_in_subprocess("good", *gate)
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["ok     inconclusive brightness of good: *", "*6 could*"])
    result = project.run_in_subprocess("good", *gate, "--vdb-strict")
    result.assert_outcomes(passed=3, failed=1)
    assert result.ret == 14


def test_what_an_ordinary_test_failed_for_is_no_verdict(project, baseline):
    result = project.run_in_subprocess("good,raises", SIX, f"--vdb-baseline={baseline}", "--vdb-fail-on=brightness:-2%")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("which", ["latest", "history:5"])
def test_an_earlier_run_of_the_output_folder_is_the_baseline(project, baseline, which):
    change(project, top=200)
    result = project.run_in_subprocess("good", SIX, f"--vdb-baseline={which}", "--vdb-fail-on=brightness:-2%")
    result.assert_outcomes(passed=6, failed=1)
    assert result.ret == 1
    again = project.run_in_subprocess("good", SIX, f"--vdb-baseline={which}", "--vdb-fail-on=brightness:-2%")
    again.assert_outcomes(passed=7)


def test_a_branch_without_a_run_is_refused_before_anything_runs(project, baseline):
    result = project.run_in_subprocess("good", SIX, "--vdb-baseline=branch:main", "--vdb-fail-on=brightness:-2%")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*no finished run of the branch main lies there*"])


def test_gates_of_the_project_file_apply(project, baseline):
    (project.path / "pyproject.toml").write_text('[tool.pytest.ini_options]\n[tool.vdb.gate]\nbrightness = "-2%"\n')
    change(project, top=200)
    project.run_in_subprocess("good", SIX, f"--vdb-baseline={baseline}").assert_outcomes(passed=6, failed=1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--vdb-baseline=nowhere.json", "--vdb-fail-on=brightness:-2%"], "*nowhere.json*"),
        (["--vdb-fail-on=brightness:-2%"], "*--vdb-fail-on: there is nothing to compare with*"),
        (["--vdb-noise=noise.json"], "*--vdb-noise: there is nothing to compare with*"),
    ],
)
def test_a_gate_that_cannot_judge_is_refused_before_anything_runs(project, arguments, said):
    result = project.run("good", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([said])


def test_a_baseline_without_rules_is_refused(project, baseline):
    result = project.run("good", f"--vdb-baseline={baseline}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*no gate says what may not get worse*"])


def test_a_margin_below_its_noise_floor_is_said_before_the_night(project, baseline):
    from pytest_vdb.cli import main

    project.run_in_subprocess("good", SIX, "--vdb-cache=never").assert_outcomes(passed=6)
    kept = project.path / "noise.json"
    assert main(["noise", "--runs", *map(str, project.runs()), "--save", str(kept)]) == 0
    gate = (f"--vdb-baseline={baseline}", "--vdb-fail-on=brightness:-2%,throughput:-1%", f"--vdb-noise={kept}")
    said = "throughput:-1% of good lies below its noise floor (*this gate can catch *"
    for more in ([], ["-q"], ["-n2"]):
        result = project.run_in_subprocess("good", SIX, *gate, *more)
        result.stdout.fnmatch_lines([said])
        if not more:
            result.stdout.fnmatch_lines([f"vdb gate: {said}", "collected 6 items", "*vdb gates*", said])
    before = len(project.runs())
    strict = project.run_in_subprocess("good", SIX, *gate, "--vdb-strict")
    assert strict.ret == pytest.ExitCode.USAGE_ERROR
    strict.stderr.fnmatch_lines([f"*--vdb-noise: {said}"])
    assert len(project.runs()) == before


def test_a_noise_floor_that_cannot_be_read_is_refused_before_anything_runs(project, baseline):
    (project.path / "noise.json").write_text('{"format": "pytest-vdb noise", "sess')
    gate = (f"--vdb-baseline={baseline}", "--vdb-fail-on=brightness:-2%", "--vdb-noise=noise.json")
    result = project.run("good", *gate)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*noise.json: not JSON*"])
