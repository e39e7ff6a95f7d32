"""First days: the README's commands, a project of one's own, a model of one's own, and no network."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.slow  # whole days, in processes of their own

README_MODEL = '''
import numpy as np
from pytest_vdb import Clip, metric, model


@model("noise", task="t2v")
class Noise:
    """Uniform noise: the floor every metric must recognise."""

    def generate(self, prompt, recipe, seed):
        rng = np.random.default_rng(seed)
        return Clip(rng.integers(0, 256, (recipe.frames, recipe.height, recipe.width, 3), np.uint8), recipe.fps)


@metric("spread", unit="1", better="higher")
def spread(clip: Clip) -> float:
    """Standard deviation of all pixels in [0, 1]."""
    return float(clip.frames.std() / 255)
'''


def test_the_first_command_of_the_readme_and_a_look_at_the_page(clone):
    seen = clone.types("pytest benchmarks/").ends(0)
    seen.shows("7 models, 6 prompts", "test_conformance", "leaderboard: reports/leaderboard.html", "passed")
    assert seen.out.rstrip().splitlines()[-1].count("failed") == 0
    page = clone.reads("reports/leaderboard.html")
    assert "tiny random weights" in page
    assert str(clone.folder) not in page
    clone.types("vdb baseline save reports/runs/* -o fixtures/baselines/main.json").ends(0)
    gate = "--vdb-fail-on='sharpness:-2%,steady_latency:+10%'"
    again = f"pytest benchmarks/test_generation.py --vdb-baseline=fixtures/baselines/main.json {gate}"
    clone.types(again).shows("vdb gates", "sharpness of ltx-video: 0.04459 -> 0.04459 (+0.0%")


def test_run_in_an_empty_folder_takes_the_shipped_suite(with_tiny_weights):
    user = with_tiny_weights
    few = "--vdb-models=calibration-shapes,calibration-noisy --vdb-prompts=smoke:2 --vdb-metrics=sharpness"
    user.types(f"vdb run {few}").ends(0).shows("leaderboard: reports/leaderboard.html")
    user.types(f"vdb run {few} --vdb-output ../elsewhere").ends(0).shows("../elsewhere/leaderboard.html")
    user.types(f"vdb run --collect-only -q {few} --vdb-output reports").ends(0).shows("tests collected")
    assert [path.name for path in user.folder.iterdir() if not path.name.startswith(".")] == ["reports"]
    user.types(f"vdb compare {user.runs()[0]} calibration-shapes calibration-noisy").ends(0).shows("sharpness")


def test_init_then_run_twice_with_two_workers_then_compare(user):
    user.types("vdb init").ends(0).shows("benchmarks/test_generation.py", "next: pytest benchmarks/")
    user.types("vdb init").ends(0).shows("kept")
    few = "pytest benchmarks/test_generation.py --vdb-models=noise --vdb-prompts=smoke:2 --vdb-metrics=spread"
    user.types(few).ends(0).shows("2 passed")
    user.types(f"{few} -n 2").ends(0).shows("2 clips reused")
    user.types(f"pytest -n 2 {few.removeprefix('pytest ')} --vdb-cache=always").ends(0)
    first, _, last = user.runs()
    user.types(f"vdb compare {first} {last}").ends(0).shows("the same to the pixel")


def test_init_beside_the_readmes_example(user):
    user.writes("conftest.py", README_MODEL)
    user.types("vdb init").ends(0)
    ran = user.types("pytest benchmarks/test_generation.py --vdb-models=noise --vdb-prompts=smoke:1")
    if ran.status:
        ran.shows("two models named 'noise'", "conftest.py:7", "benchmarks/conftest.py:8", "rename one of them")
    else:
        ran.shows("1 passed")


def test_a_model_author_checks_the_model_and_attaches_the_report(user):
    user.writes("mine.py", README_MODEL)
    user.types("vdb check noise --from mine.py --output=report.md").ends(1).shows("prompt", "report: report.md")
    assert "another prompt" in user.reads("report.md")
    user.changes("mine.py", "np.random.default_rng(seed)", "np.random.default_rng([seed, *prompt.text.encode()])")
    user.types("vdb check noise --from mine.py --output=report.md").ends(0).shows("passed")
    user.types("vdb check noise --from mine.py --recipe=frames=9 --json").ends(0)
    user.types("vdb check nois --from mine.py").ends(1).shows("did you mean 'noise'?")
    user.types("vdb check noise --from mine.py --output=/proc/report.md").ends(1).shows("/proc/report.md")


def test_looking_around(user):
    user.types("vdb --version").ends(0).shows("pytest-vdb")
    user.types("vdb models").ends(0).shows("wan2.1-t2v-1.3b")
    user.types("vdb models wan2.1-t2v-1.3b").ends(0).shows("pytest", "--vdb-models=wan2.1-t2v-1.3b")
    user.types("vdb models --check animatediff").ends(0)
    user.types("vdb models 'wan*,tag:i2v' --json | head -2").ends(0)
    user.types("vdb prompts").ends(0).shows("smoke", "standard-100")
    user.types("vdb prompts standard-100:physics").ends(0)
    user.types("vdb metrics").ends(0).shows("fvd", "clip_similarity")
    user.types("vdb backbones").ends(0).shows("i3d", "vdb fetch NAME")
    user.types("vdb fetch clip --dry-run").ends(0).shows("MiB")
    user.types("vdb fetch clip").ends(1).shows("offline")
    user.types("vdb score --help").ends(0).shows("vdb score clips/")
    user.types("vdb modells").ends(2).shows("invalid choice")


def test_weights_that_are_not_here_are_skipped_with_the_reason(clone):
    seen = clone.types("pytest benchmarks/test_generation.py --vdb-models=wan2.1-t2v-1.3b --vdb-prompts=smoke:1")
    seen.ends(0).shows("1 skipped", "wan2.1-t2v-1.3b", "offline")
    many = (
        "pytest benchmarks/test_generation.py --vdb-models='wan*,tag:i2v' --vdb-prompts=standard-100 --collect-only -q"
    )
    clone.types(many).ends(0).shows("tests collected")
    clone.types("pytest benchmarks/test_generation.py --vdb-models=tag:t2v -n auto --vdb-prompts=smoke:1").ends(0)


def test_a_pipeline_with_tiny_weights_on_two_workers(clone):
    few = "--vdb-models=ltx-video,svd-xt --vdb-prompts=smoke:2"
    wired = f"pytest benchmarks/test_generation.py {few} --vdb-weights=tiny -n 2"
    clone.types(wired).ends(0).shows("4 passed", "tiny random weights")
    clone.types(wired).ends(0).shows("4 clips reused")


def test_a_part_for_another_runtime(with_tiny_weights):
    pytest.importorskip("onnx")
    user = with_tiny_weights
    user.types("vdb export ltx-video --parts vae-decoder --output exports/ltx").ends(0).shows("vae-decoder")
    user.types("vdb export ltx-video --to tensorrt --parts vae-decoder").ends(1).shows("unverified")


def test_without_any_network(project):
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rn", "true"], check=False).returncode:
        pytest.skip("needs the right to make a network namespace (unshare -rn)")
    del project.environment["HF_HUB_OFFLINE"]
    run = "pytest benchmarks/ --vdb-models=noise --vdb-prompts=smoke:2"
    project.types(f"unshare -rn {run}").ends(0).shows("2 passed")
    # pytest-rerunfailures asks its own server over the loopback, which is down, too
    project.types(f"unshare -rn {run} -n 2 -p no:rerunfailures").ends(0).shows("2 clips reused")
    project.types(f"unshare -rn vdb compare {' '.join(project.runs())}").ends(0).shows("noise")


def test_runs_of_two_machines_in_one_report(project):
    here, there = project, project.goes("../other-machine")
    shutil.copytree(here.folder, there.folder, dirs_exist_ok=True)
    here.types("pytest --vdb-models=noise --vdb-prompts=smoke:3 --vdb-metrics=spread").ends(0)
    there.types("pytest --vdb-models=dim --vdb-prompts=smoke:3 --vdb-metrics=spread").ends(0)
    (run,) = there.runs()
    about = json.loads(there.reads(f"{run}/run.json"))
    about["environment"]["hardware"] = "NVIDIA H100 80GB HBM3"
    there.writes(f"{run}/run.json", json.dumps(about))
    shutil.copytree(there.folder / run, here.folder / run)
    (here.folder / "reports" / "runs" / "20200101-000000-killed").mkdir()
    here.types("vdb report reports/runs/*").ends(0).shows("2 models, 3 prompts, 6 tests", "noise", "dim", "killed")


OWN_NETWORK = '''
from pytest_vdb import backbone, metric


@backbone("colours", features="mean_colours")
class Colours:
    """The mean colour of each frame, in place of a network."""

    def __init__(self, source):
        self.identity = "mean"

    def features(self, name, subject):
        return subject.clip.frames.mean(axis=(1, 2))


@metric("colour_drift", unit="levels", better="lower")
def colour_drift(mean_colours) -> float:
    """How far the mean colour moves from the first frame to the last."""
    return float(abs(mean_colours[-1] - mean_colours[0]).max())
'''


def test_a_network_of_ones_own_and_a_metric_that_looks_through_it(project):
    project.writes("looking/conftest.py", OWN_NETWORK + project.reads("conftest.py"))
    project.writes("looking/test_generation.py", project.reads("benchmarks/test_generation.py"))
    own = project.goes("looking")
    own.types("vdb backbones --from conftest.py").ends(0).shows("colours", "The mean colour of each frame")
    run = "pytest . --vdb-models=noise --vdb-prompts=smoke:2 --vdb-metrics=colour_drift"
    own.types(run).ends(0).shows("2 passed", "levels ↓", "5.30")
    own.types(f"{run} -n 2").ends(0).shows("2 clips reused")
    own.types(f"vdb compare {' '.join(own.runs())}").ends(0).shows("colour_drift", "the same to the pixel")


def test_a_user_asks_what_the_machine_is_and_measures_it(user):
    user.types("vdb hardware").ends(0).shows("h100", "here: cpu", "not measured")
    user.types("vdb hardware --measure").ends(0).shows("measured: float32")
    assert json.loads(user.types("vdb hardware --json").ends(0).out)["here"][-1]["measured"]["source"]


def test_a_user_asks_what_a_model_needs_before_a_download(user):
    asked = "vdb estimate wan2.1-t2v-1.3b,hunyuanvideo --gpu h100,rtx4090 --price 2.5"
    user.types(asked).ends(0).shows("95.4 (", "offload=", "published for this model on this device")
    user.types("vdb estimate nosuch --gpu h100").ends(1).shows("unknown model 'nosuch'")
    user.types("vdb models fits:24GB").ends(0).shows("wan2.1-t2v-1.3b").hides("hunyuanvideo ")
