"""Days with one's own benchmark: run it, run it again, stop it, look, compare, gate."""

from __future__ import annotations

import json
import os
import signal
import time
from urllib.request import urlopen

import pytest

pytestmark = pytest.mark.slow  # whole days, in processes of their own

RUN = "pytest benchmarks/ --vdb-models=noise,dim --vdb-prompts=smoke:4 --vdb-metrics=spread"
SIX = RUN.replace("smoke:4", "smoke")
"""The fewest prompts that show what is plainly worse."""


def test_the_same_command_twice_then_compare(project):
    project.types(RUN).ends(0).shows("2 models, 4 prompts, 8 tests: 8 passed", "leaderboard: reports/leaderboard.html")
    project.types(RUN).ends(0).shows("8 clips reused from the cache", "not measured: the clip was reused from run")
    first, second = project.runs()
    project.types(f"vdb compare {first} {second}").ends(0).shows(
        "noise", "dim", "the same to the pixel", "Of 2 models A is better in 0"
    )
    project.types(f"vdb compare {first} {second} --model=noise --json").ends(0)
    few = "4 prompts: a test of means needs 5"
    project.types(f"vdb compare {second} dim noise --metrics=spread").ends(0).shows("spread", few)
    page = project.types(f"vdb compare {second} dim noise --markdown --html=out/page.html").ends(0)
    page.shows("Prompts that changed most", "page.html")
    assert "<video" in (project.folder / "out" / "page.html").read_text()
    project.types("vdb report reports/runs/*").ends(0).shows("reports/leaderboard.html")
    project.types(f"vdb report {second} --formats=pdf").ends(0).shows("reports/leaderboard.pdf")
    assert (project.folder / "reports" / "leaderboard.pdf").read_bytes().startswith(b"%PDF-")


def test_somebody_looks_on_in_a_browser(project):
    watching = project.begins("vdb watch --port 0")
    address = watching.stdout.readline().split()[0]
    with urlopen(address, timeout=30) as before:
        assert "No test has ended yet" in before.read().decode()
    project.types(RUN).ends(0)
    with urlopen(address, timeout=30) as after:
        page = after.read().decode()
        assert after.headers["Refresh"] is None, "the run has ended"
    assert "noise" in page
    assert "running:" not in page
    (run,) = project.runs()
    with urlopen(f"{address}{run.removeprefix('reports/')}/records.jsonl", timeout=30) as records:
        assert records.read().decode() == project.reads(f"{run}/records.jsonl")
    watching.send_signal(signal.SIGINT)
    assert "stopped" in watching.communicate(timeout=60)[0]


def test_two_workers_on_a_cpu_then_compare_gate_and_report(project):
    project.types(f"{RUN} -n 2").ends(0).shows("8 passed", "withheld: 2 workers share this CPU")
    (first,) = project.runs()
    project.types(f"vdb baseline save {first} -o base.json").ends(0).shows("8 records")
    again = f"{RUN} -n 2 --vdb-cache=always --vdb-baseline=base.json --vdb-fail-on='spread:-1%'"
    project.types(again).ends(0).shows("2 equivalent")
    project.types(f"vdb compare {first} {project.runs()[1]}").ends(0).shows("the same to the pixel")
    project.types(f"vdb report {first} {project.runs()[1]} -o merged --formats=html,csv").ends(0)
    assert "noise" in project.reads("merged/leaderboard.csv")


def test_a_baseline_a_change_that_makes_it_worse_and_a_gate_that_sees_it(project):
    project.types(SIX).ends(0)
    project.types("vdb baseline save reports/runs/* -o fixtures/baselines/main.json").ends(0)
    project.types("vdb baseline list").ends(0).shows("fixtures/baselines/main.json", "reports/runs/")
    project.types("vdb baseline show fixtures/baselines/main.json").ends(0).shows("spread 1", "6/6")
    of_dim = "--vdb-models=dim --vdb-prompts=smoke --vdb-metrics=spread"
    told = project.types(f"vdb noise --sessions=2 {of_dim} --save=fixtures/noise.json").ends(0)
    told.shows("session 2 of 2", "no noise at all: spread of dim", "2 sessions", "throughput")
    told = project.types("vdb noise --runs reports/noise/runs/* --fail-on 'spread:-2%,throughput:-1%' --strict").ends(
        14
    )
    told.shows("rules: 1 of 2 margins lie above", "spread of dim -2.0%", "throughput:-1% of dim lies below its noise")
    project.changes("conftest.py", "spread=128", "spread=96")
    gated = f"{SIX} --vdb-baseline=fixtures/baselines/main.json --vdb-fail-on='spread:-2%'"
    seen = project.types(gated).ends(1).shows("regressed", "spread of dim", "1 regressed, 1 equivalent")
    seen.shows("FAILED vdb-gates::spread[test_generation--dim]")
    judged = f"vdb gate {project.runs()[-1]} --baseline fixtures/baselines/main.json --fail-on"
    project.types(f"{judged} 'spread:-2%' --json").ends(1).shows('"verdict": "regressed"')
    judged_beside_noise = f"{judged} 'spread:-50%' --noise fixtures/noise.json"
    project.types(judged_beside_noise).ends(0).shows("2 equivalent", "no noise floor of spread of noise")
    project.types(f"{judged} 'spred:-2%'").ends(2).shows("did you mean 'spread'?")
    project.changes("conftest.py", "spread=96", "spread=128")
    beside_noise = f"{gated} --vdb-noise=fixtures/noise.json"
    project.types(f"{beside_noise} --vdb-strict").ends(0).shows("2 equivalent", "no noise floor of spread of noise")
    misspelt = f"pytest benchmarks/ {of_dim} --vdb-baseline=fixtures/baselines/main.json --vdb-fail-on='spred:-2%'"
    project.types(f"{misspelt} --vdb-noise=fixtures/noise.json").ends(4).shows("did you mean 'spread'?")


def test_a_night_that_ends_when_its_gate_is_decided(project):
    project.writes("thirty.txt", "".join(f"word {number}\n" for number in range(31)))
    thirty = "pytest benchmarks/ --vdb-models=noise,dim --vdb-prompts=thirty.txt --vdb-metrics=spread --vdb-report=none"
    project.types(thirty).ends(0).shows("62 passed")
    project.changes("conftest.py", "spread=128", "spread=96")
    deciding = f"{thirty} --vdb-baseline=latest --vdb-fail-on='spread:-2%' --vdb-stop-when-decided"
    seen = (
        project.types(deciding).ends(1).shows("1 regressed, 1 equivalent", "skipped: decided: spread of dim regressed")
    )
    seen.shows("spread of noise is equivalent after 29 of 31 prompts", "of 62 generations saved")


def test_is_what_lies_here_worse_than_the_branch_that_is_shipped(project):
    project.writes(".gitignore", "reports/")
    project.types(f"git init -q -b main && git add -A && git {COMMIT}")
    project.changes("conftest.py", "spread=128", "spread=96")
    rules = "--fail-on 'spread:-2%,latency:+10%'"
    dims = "benchmarks/ --vdb-models=dim --vdb-metrics=spread"
    project.types(f"vdb ab --ref mian {rules} -- {dims}").ends(2).shows("did you mean 'main'?")
    seen = project.types(f"vdb ab --ref main --blocks 1 {rules} -- {dims}").ends(1)
    seen.shows("base: main", "with 1 uncommitted change", "block 1 of 1, head: 6 tests", "regressed spread of dim")
    seen.shows("inconclusive latency of dim", "1 block: at least 3 are needed", "the blocks are in reports/ab/")


COMMIT = "-c user.name=me -c user.email=me@localhost commit -q -m first"


def test_a_job_of_ci_on_a_machine_that_is_none(project):
    project.types("vdb init --ci=gitlab").ends(0).shows(".gitlab-ci.yml")
    options = "--models=noise,dim --metrics=spread --args='-k generation'"
    project.types(f"vdb ci run {options}").ends(0).shows("12 passed")
    project.types("vdb baseline save reports/runs/* -o base.json").ends(0)
    project.changes("conftest.py", "spread=128", "spread=96")
    gate = "--baseline=base.json --fail-on='spread:-2%'"
    project.types(f"vdb ci run {options} {gate}").ends(1).shows("1 regressed, 1 equivalent")
    assert "<testsuites" in project.reads("reports/junit.xml")
    last = project.runs()[-1]
    told = project.types(f"vdb ci annotate {last} {gate} --exit-code=1 -o reports/comment.md").ends(0)
    told.shows("title=vdb gate%3A regressed::spread of dim")
    assert project.reads("reports/comment.md").startswith("# Gate: failed")
    project.types("vdb ci comment reports/comment.md --name=benchmark").ends(0).shows("no comment: this is no job")


def test_nights_of_runs_on_two_machines_and_the_first_bad_one(project):
    nightly = RUN.replace("noise,dim", "dim").replace("smoke:4", "smoke:2") + " --vdb-cache=never"
    outputs = ["nightly-h100", "nightly-a100"]
    for night in range(8):  # the fewest that can show a change
        if night == 4:
            project.changes("conftest.py", "spread=128", "spread=96")
        project.types(f"{nightly} --vdb-output={outputs[night % 2]}").ends(0)
    runs = sorted(run.name for output in outputs for run in (project.folder / output / "runs").iterdir())
    history = "vdb history dim --metrics=spread --output nightly-h100 nightly-a100"
    seen = project.types(history).ends(0).shows("spread of dim: worse", f"from run {runs[4]}")
    seen.shows(f"the last before: run {runs[3]}")
    project.types(f"{history} --json --html=trend.html").ends(0).shows('"standing": "worse"')
    assert "spread of dim" in project.reads("trend.html")
    project.types("vdb history --output nightly-h100").ends(0).shows("too few runs")
    project.types("vdb history 'wan*' --metrics=sharpness --branch=main --last=30").ends(1).shows("no runs here")
    project.types("vdb history").ends(1).shows("no runs here")


def test_a_run_for_other_tools_and_back(project):
    project.types(f"{RUN} --junitxml=junit.xml").ends(0)
    assert '<property name="vdb.spread" value=' in project.reads("junit.xml")
    (run,) = project.runs()
    project.types("vdb convert --list").ends(0).shows("bencher", "writes and reads")
    project.types(f"vdb convert {run} --to bencher:bmf.json --json").ends(0)
    assert '"spread"' in project.reads("bmf.json")
    project.types(f"vdb convert {run} --to eval-results:hub --dataset bench/smoke").ends(0).shows("hub/noise/")
    project.types(f"vdb convert {run} --to pytest-benchmark:timings.json").ends(0).shows("left out:", "spread")
    project.types("vdb convert timings.json --to run:again").ends(0).shows("again/runs/")
    project.types("vdb report again/runs/* -o again").ends(0).shows("2 models, 4 prompts, 8 tests: 8 passed")
    project.types(f"vdb convert {run} --to benchr").ends(1).shows("did you mean 'bencher'?")


def test_a_benchmark_that_vanished_does_not_pass_its_gate(project):
    project.writes("benchmarks/test_slow.py", project.reads("benchmarks/test_generation.py"))
    project.types(RUN).ends(0)
    project.types("vdb baseline save reports/runs/* -o base.json").ends(0)
    half = RUN.replace("benchmarks/", "benchmarks/test_slow.py")
    project.types(f"{half} --vdb-baseline=base.json --vdb-fail-on='spread:-1%'").ends(12).shows("missing")


def test_killed_and_gone_on_with(project):
    project.changes("conftest.py", "return frames(recipe, seed, spread=128)", SLOW)
    session = project.begins(RUN)
    wait_for(project.folder / "began")
    os.killpg(session.pid, signal.SIGKILL)
    session.communicate()
    (killed,) = project.runs()
    assert len(project.reads(f"{killed}/records.jsonl").splitlines()) >= 4
    project.types(f"vdb baseline save {killed} -o base.json").shows("of 8")
    project.types(f"vdb report {killed}").shows("noise")
    (project.folder / "go-on").touch()
    project.types(RUN).ends(0).shows("8 passed", "reused from the cache")
    project.types("vdb report reports/runs/*").ends(0).shows("2 models")


CI_RUN = "vdb ci run --models=noise,dim --prompts=smoke:4 --metrics=spread"


@pytest.mark.parametrize(
    ("command", "number"),
    [(RUN, signal.SIGINT), (RUN, signal.SIGTERM), (CI_RUN, signal.SIGINT), (CI_RUN, signal.SIGTERM)],
)
def test_stopped_and_gone_on_with(project, command, number):
    project.changes("conftest.py", "return frames(recipe, seed, spread=128)", SLOW)
    session = project.begins(command)
    wait_for(project.folder / "began")
    session.send_signal(number)
    said, _ = session.communicate(timeout=60)
    assert session.returncode == 2
    assert "1 interrupted" in said
    assert " failed" not in said
    (run,) = project.runs()
    assert json.loads(project.reads(f"{run}/run.json"))["finished_at"]
    (project.folder / "go-on").touch()
    project.types(RUN).ends(0).shows("8 passed", "reused from the cache")


SLOW = """if not __import__("pathlib").Path("go-on").exists():
        __import__("pathlib").Path("began").touch()
        __import__("time").sleep(60)
    return frames(recipe, seed, spread=128)"""


def wait_for(path, seconds=60.0):
    until = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < until, f"{path} never came"
        time.sleep(0.05)


def test_typos_cost_a_second_and_not_a_night(project):
    for options, said in (
        ("--vdb-models=nois", "did you mean 'noise'?"),
        ("--vdb-models=nois -n 2", "did you mean 'noise'?"),
        ("--vdb-metrics=spred", "did you mean 'spread'?"),
        ("--vdb-metrics=spred -n 2", "did you mean 'spread'?"),
        ("--vdb-prompts=smok", "did you mean 'smoke'?"),
        ("--vdb-device=gpu -n 2", "One of: cpu, cuda, cuda:N, mps, auto."),
        ("--vdb-recipe=frame=9", "did you mean 'frames'?"),
        ("--vdb-report=htm", "did you mean 'html'?"),
        ("--vdb-budget=lots", "write one like 8GiB or 500M"),
    ):
        seen = project.types(f"{RUN} {options}").shows(said)
        assert seen.status != 0
    assert not (project.folder / "reports").exists()


def test_everything_that_can_happen_to_a_test_is_shown_as_what_it_is(project):
    project.writes("six.txt", "one\ntwo\nthree\nfour\nfive\nsix\n")
    project.writes(
        "benchmarks/test_generation.py",
        """
        import os
        from pathlib import Path

        import pytest

        @pytest.fixture
        def scratch(vdb_prompt):
            if vdb_prompt.text == "one":
                raise OSError("no scratch space")

        def test_generation(scratch, vdb, vdb_model, vdb_prompt, vdb_seed, subtests, request):
            if vdb_prompt.text == "two":
                pytest.skip("not tonight")
            if vdb_prompt.text == "three":
                request.applymarker(pytest.mark.xfail(reason="fp16 overflows"))
                raise ValueError("NaN in the latents")
            sample = vdb.generate(vdb_model, vdb_prompt, vdb_seed)
            vdb.measure(sample)
            if vdb_prompt.text == "four":
                with subtests.test("long enough"):
                    assert sample.clip.seconds > 10
            if vdb_prompt.text == "five":
                os._exit(9)
        """,
    )
    seen = project.types("pytest -n 1 --vdb-models=noise --vdb-prompts=six.txt --vdb-metrics=spread").ends(1)
    seen.shows("6 tests: 1 passed, 2 failed, 1 failed as expected, 1 crashed, 1 skipped")
    seen.shows("no scratch space", "not tonight", "fp16 overflows", "long enough")
    assert project.reads("reports/leaderboard.csv").count("fp16 overflows") >= 1


def test_a_test_that_needs_a_second_try_says_so(project):
    project.writes(
        "benchmarks/test_generation.py",
        """
        from pathlib import Path

        def test_generation(vdb, vdb_model, vdb_prompt, vdb_seed):
            vdb.measure(vdb.generate(vdb_model, vdb_prompt, vdb_seed))
            tried = Path(f"tried-{vdb_prompt.id}")
            if not tried.exists():
                tried.touch()
                raise OSError("the file system hiccuped")
        """,
    )
    seen = project.types("pytest --reruns 1 --vdb-models=noise --vdb-prompts=smoke:2 --vdb-metrics=spread").ends(0)
    seen.shows("2 rerun", "2 of 2 tests needed a second try")


def test_models_in_the_conftests_of_two_folders_with_two_workers(user):
    for folder in ("fast", "slow"):
        user.writes(f"{folder}/__init__.py", "")
        user.writes(f"{folder}/conftest.py", ONE_MODEL.format(name=folder))
        user.writes(f"{folder}/test_generation.py", GENERATION)
    asked = "--vdb-models=fast,slow --vdb-prompts=smoke:2 --vdb-metrics=sharpness"
    user.types(f"pytest {asked}").ends(0).shows("8 passed")
    user.types(f"pytest -n 2 {asked}").ends(0).shows("8 passed", "fast/test_generation.py", "slow/test_generation.py")
    user.types(f"vdb compare {' '.join(user.runs())}").ends(0)


ONE_MODEL = """
import numpy as np
from pytest_vdb import Clip, model

@model("{name}", frames=8, height=32, width=32, fps=8.0)
def made(prompt, recipe, seed):
    rng = np.random.default_rng(seed)
    return Clip(rng.integers(0, 256, (recipe.frames, recipe.height, recipe.width, 3), np.uint8), recipe.fps)
"""
GENERATION = """
def test_generation(vdb, vdb_model, vdb_prompt, vdb_seed):
    vdb.measure(vdb.generate(vdb_model, vdb_prompt, vdb_seed))
"""


def test_from_another_folder_and_with_an_ini_file(project):
    project.writes("pytest.ini", "[pytest]\nvdb_models = noise\nvdb_prompts = prompts/mine.txt\nvdb_metrics = spread\n")
    project.writes("prompts/mine.txt", "a red kite\n#1 dad mug\n")
    project.types("pytest").ends(0).shows("1 model, 2 prompts, 2 tests: 2 passed")
    beside = project.goes("../beside")
    beside.types("pytest ../project --vdb-output ../out").ends(0).shows("2 passed", "../out/leaderboard.html")
    beside.types("pytest ../project --vdb-output ../out").ends(0).shows("2 clips reused")
    beside.types(f"vdb compare ../project/{project.runs()[0]} ../out/runs/*-*").shows("noise")
    beside.types("vdb report ../out/runs/*").ends(0).shows("../out/leaderboard.html")


def test_the_disk_is_no_place_to_write(project):
    project.writes("taken", "a file")
    project.types(f"{RUN} --vdb-output=taken").ends(4).shows("a file is where the folder should be")
    project.types(RUN).ends(0)
    (run,) = project.runs()
    project.types(f"vdb report {run} -o taken").ends(1).shows("taken")
    project.types(f"vdb baseline save {run} -o taken/base.json").ends(1).shows("taken")
    project.types(f"vdb compare {run} noise dim -o taken/compared.md").ends(1).shows("taken")
