"""Bad input is said before anything is generated: what, its value, where from, what to do."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow  # whole sessions


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--vdb-weights=tny", ["*--vdb-weights: unknown value 'tny'*", "*did you mean 'tiny'*"]),
        ("--vdb-cache=sometimes", ["*--vdb-cache: unknown value 'sometimes'*"]),
        ("--vdb-samples=0", ["*--vdb-samples: '0'*", "*at least 1*"]),
        ("--vdb-recipe=fames=4", ["*unknown recipe setting 'fames'*", "*did you mean 'frames'*"]),
        ("--vdb-recipe=frames=many", ["*--vdb-recipe: Expected `int*", "*"]),
        ("--vdb-backbone=clip", ["*--vdb-backbone: 'clip' has no '='*"]),
        ("--vdb-weights=local", ["*--vdb-weights-dir: not given*"]),
        ("--vdb-weights-dir=" + "a" * 300, ["*--vdb-weights-dir: 'aaaaaa*' is not a folder*"]),
        ("--vdb-backbone=clip=" + "a" * 300, ["*--vdb-backbone: *aaaaaa*, which does not exist*"]),
        ("--vdb-reference=nowhere.npz", ["*--vdb-reference: *nowhere.npz*"]),
        ("--vdb-memory-rate=0", ["*--vdb-memory-rate: '0'*", "*above 0, at most 1000*"]),
        ("--vdb-price-gpu-hour=cheap", ["*--vdb-price-gpu-hour: 'cheap' is no price*", "*2.5USD*"]),
        ("--vdb-grid-intensity=-3", ["*--vdb-grid-intensity: '-3'*"]),
        (
            "--vdb-overall=vbench.totl",
            ["*--vdb-overall: unknown score 'vbench.totl'*", "*did you mean 'vbench.total'*"],
        ),
        ("--vdb-report=htlm", ["*--vdb-report: unknown value 'htlm'*", "*did you mean 'html'*"]),
    ],
)
def test_an_option_that_cannot_be_used_is_refused_at_the_door(project, option, said):
    result = project.run("good", option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(said)
    assert not (project.path / "reports").exists()


def test_a_typo_in_a_model_lists_the_near_misses(project):
    result = project.run("goood")
    assert result.ret != 0
    result.stderr.fnmatch_lines(["*unknown model 'goood'*", "*did you mean 'good'*"])


def test_a_recipe_that_a_model_cannot_follow_is_refused_before_it_is_loaded(project):
    result = project.run("wan2.1-t2v-1.3b", "--vdb-weights=tiny", "--vdb-recipe=frames=8")
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*cannot follow frames=8*", "*nearest: 5 or 9*"])


def test_a_broken_line_of_a_prompt_file_is_named(project):
    (project.path / "broken.jsonl").write_text('{"id": "a", "text": "one"}\n{"id": "b", "text": \n')
    result = project.run("good", "--vdb-prompts=broken.jsonl")
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*broken.jsonl:2*"])


def test_an_output_folder_that_cannot_be_written_is_said_before_the_first_generation(project):
    (project.path / "taken").write_text("a file")
    result = project.run("good", "--vdb-output=taken")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*taken*"])


def test_ini_keys_are_typed_and_flags_win(project):
    project.pytester.makeini("[pytest]\nvdb_samples = 2\nvdb_recipe =\n    frames=6\n    height=8\n")
    project.run("good").assert_outcomes(passed=6)
    assert {record.recipe["frames"] for record in project.records()} == {6}
    project.run("good", "--vdb-samples=1", "--vdb-recipe=frames=5").assert_outcomes(passed=3)
    assert {record.recipe["frames"] for record in project.records()} == {5}


@pytest.mark.parametrize("arguments", [["--help"], ["test_unrelated.py"]])
def test_help_and_unrelated_sessions_import_neither_torch_nor_numpy_for_us(pytester, monkeypatch, arguments):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # other plugins import numpy and jinja2
    pytester.makepyfile(test_unrelated="def test_unrelated(): pass")
    asked = ["-p", "pytest_vdb.plugin.hooks", *arguments]
    heavy = ("torch", "numpy", "jinja2", "pytest_vdb.records", "pytest_vdb.reporters")
    code = f"import sys, pytest; pytest.main({asked!r}); sys.exit(str([m for m in {heavy!r} if m in sys.modules]))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "vdb-models" in told.stdout or "1 passed" in told.stdout
    assert told.stderr.strip() == "[]"


@pytest.mark.slow
def test_weights_that_are_not_here_are_missed_before_libraries_are_imported(pytester, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("HF_HOME", "HF_HUB_CACHE", "VDB_CACHE_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    pytester.makepyfile(
        test_generation="""
        def test_generation(vdb, vdb_model, vdb_prompt, vdb_seed):
            vdb.measure(vdb.generate(vdb_model, vdb_prompt, vdb_seed))
        """
    )
    asked = ["--vdb-models=wan2.1-t2v-1.3b,calibration-shapes", "--vdb-prompts=smoke:1", "-rs"]
    heavy = ("torch", "diffusers", "transformers", "open_clip")
    code = f"import sys, pytest; pytest.main({asked!r}); sys.exit(str([m for m in {heavy!r} if m in sys.modules]))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "1 passed, 1 skipped" in told.stdout
    assert "is not on this machine, and this run is offline" in told.stdout
    assert told.stderr.strip() == "[]"
