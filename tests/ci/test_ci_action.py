"""The steps of `action.yml`, run by bash in a project; only the actions of GitHub's own and pip are stood in for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.slow  # whole sessions

TOP = Path(__file__).parent.parent.parent
EVENTS = Path(__file__).parent / "events"
ACTION: dict[str, Any] = yaml.safe_load((TOP / "action.yml").read_text(encoding="utf-8"))

CONFTEST = '''
import numpy as np
from pytest_vdb import Clip, metric, model

@model("noise", frames=4, height=32, width=32, fps=8.0)
def noise(prompt, recipe, seed):
    """Uniform noise."""
    rng = np.random.default_rng(seed)
    return Clip(rng.integers(0, 256, (recipe.frames, recipe.height, recipe.width, 3), np.uint8), recipe.fps)

@metric("spread", unit="1", better="higher")
def spread(clip: Clip) -> float:
    """Standard deviation of all pixels in [0, 1]."""
    return float(clip.frames.std() / 255)
'''
BENCHMARK = """
def test_generation(vdb, vdb_model, vdb_prompt, vdb_seed):
    vdb.measure(vdb.generate(vdb_model, vdb_prompt, vdb_seed))
"""
KILLED = """
    noise.calls = getattr(noise, "calls", 0) + 1
    if noise.calls == 4:  # the first one is asked for twice: what is timed is warm
        __import__("os").kill(__import__("os").getpid(), __import__("signal").SIGKILL)
"""
PLUGINS_OF_OUR_TESTS = ("randomly", "html", "html_fixtures", "metadata", "anyio", "pytest_cov")


@dataclass
class Job:
    """What GitHub's runner made of the action."""

    outputs: dict[str, str] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    """Names of the steps that were not skipped."""
    failed: list[str] = field(default_factory=list)
    """Of those, the ones that ended with another exit code than 0."""
    status: int = 0
    """The exit code of the last step that failed, and may not."""
    log: str = ""
    summary: str = ""
    given: dict[str, dict[str, str]] = field(default_factory=dict)
    """`with` of the actions that are stood in for."""


class Runner:
    """Runs the action as GitHub does, as far as it goes: contexts, conditions, outputs, environments."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.workspace = folder / "films"
        self.environment = environment
        self.tools = folder / "tools"
        self.jobs = 0
        (self.workspace / "bench" / "benchmarks").mkdir(parents=True)
        self.tools.mkdir()
        self.writes("bench/conftest.py", CONFTEST)
        self.writes("bench/benchmarks/test_generation.py", BENCHMARK)
        self.stands_in("pip", f'printf "%s|" pip "$@" >> {folder}/pip.log; echo >> {folder}/pip.log')
        self.stands_in("nvidia-smi", "exit 9")

    def writes(self, path: str, text: str) -> None:
        """A file of the repository."""
        (self.workspace / path).write_text(text)

    def stands_in(self, tool: str, script: str) -> None:
        """A program of the machine."""
        path = self.tools / tool
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    def pip(self) -> list[str]:
        """What was installed since the last question."""
        log = self.folder / "pip.log"
        lines = log.read_text().splitlines()
        log.unlink()
        return lines

    def runs(self, event: str = "pull_request", **inputs: str) -> Job:
        """The action, with inputs whose names are written with `_` here."""
        self.jobs += 1
        job, place = Job(), self.folder / f"job-{self.jobs}"
        place.mkdir()
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        assert set(given) <= set(ACTION["inputs"])
        values = {f"inputs.{name}": given.get(name, about["default"]) for name, about in ACTION["inputs"].items()}
        values = {
            name: value.replace("${{ github.token }}", self.environment["GITHUB_TOKEN"])
            for name, value in values.items()
        }
        values |= {
            "github.action_path": str(TOP),
            "github.run_id": "4711",
            "github.run_attempt": "1",
            "runner.os": "Linux",
            "runner.arch": "X64",
            "runner.temp": str(self.folder / "temp"),
        }
        for step in ACTION["runs"]["steps"]:
            if self.is_wanted(step.get("if", ""), values, job):
                job.ran.append(step["name"])
                if "uses" in step:
                    job.given[step["name"]] = {k: self.filled(v, values) for k, v in step["with"].items()}
                else:
                    self.does(step, values, job, place, event)
        job.outputs = {name: self.filled(about["value"], values) for name, about in ACTION["outputs"].items()}
        summary = place / "summary.md"
        job.summary = summary.read_text() if summary.is_file() else ""
        return job

    def does(self, step: dict[str, Any], values: dict[str, str], job: Job, place: Path, event: str) -> None:
        """One script."""
        outputs = place / f"outputs-{len(job.ran)}"
        outputs.touch()
        token = {"GITHUB_TOKEN"}  # no step has it unless it is handed over
        environment = {name: value for name, value in self.environment.items() if name not in token} | {
            "GITHUB_OUTPUT": str(outputs),
            "GITHUB_STEP_SUMMARY": str(place / "summary.md"),
            "GITHUB_EVENT_PATH": str(EVENTS / f"{event}.json"),
            "GITHUB_WORKSPACE": str(self.workspace),
            "RUNNER_OS": "Linux",
            "PATH": os.pathsep.join([str(self.tools), str(Path(sys.executable).parent), "/usr/bin", "/bin"]),
            **{name: self.filled(value, values) for name, value in step.get("env", {}).items()},
        }
        script = place / f"script-{len(job.ran)}.sh"
        script.write_text(step["run"])
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)],  # GitHub's `shell: bash`
            cwd=self.workspace / self.filled(step.get("working-directory", "."), values),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        job.log += done.stdout + done.stderr
        assert "Traceback" not in job.log, job.log
        told = dict(line.split("=", 1) for line in outputs.read_text().splitlines())
        values |= {f"steps.{step.get('id')}.outputs.{name}": value for name, value in told.items()}
        if done.returncode:
            job.failed.append(step["name"])
            job.status = job.status if step.get("continue-on-error") else done.returncode

    def is_wanted(self, condition: str, values: dict[str, str], job: Job) -> bool:
        """`if`: terms joined by `&&`; without `always()` also that nothing failed."""
        terms = [term.strip() for term in condition.split("&&") if term.strip()]
        if "always()" not in terms and job.status:
            return False
        return all(self.is_true(term, values) for term in terms if term != "always()")

    def is_true(self, term: str, values: dict[str, str]) -> bool:
        """`A == 'B'` or `A != 'B'`."""
        name, relation, text = re.fullmatch(r"(\S+) (==|!=) '(.*)'", term).groups()
        return (values.get(name, "") == text) == (relation == "==")

    def filled(self, text: str, values: dict[str, str]) -> str:
        """With the values of its expressions; of what no step told, nothing."""
        return re.sub(r"\$\{\{ ([\w.-]+) \}\}", lambda found: values.get(found[1], ""), text)


@pytest.fixture
def runner(tmp_path, job) -> Runner:
    home = tmp_path / "home"
    home.mkdir()
    return Runner(
        tmp_path,
        {
            **job,
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_ADDOPTS": " ".join(f"-p no:{name}" for name in PLUGINS_OF_OUR_TESTS),
        },
    )


BENCH = {"working_directory": "bench", "models": "noise", "metrics": "spread", "args": "-q -k 'generation and not x'"}
GATED = {**BENCH, "baseline": "base.json", "fail_on": "spread:-2%"}


def test_a_pull_request_that_makes_it_worse_and_one_that_mends_it(runner, github, job):
    before = runner.runs("push", **BENCH)
    assert (before.status, before.outputs["exit-code"], before.outputs["verdict"]) == (0, "0", "")
    assert "no comment: the job's event is about no pull request" in before.log
    assert not github.asked
    save(runner, before.outputs["run"])

    runner.writes("bench/conftest.py", CONFTEST.replace("256", "200"))
    worse = runner.runs(**GATED)
    assert (worse.status, worse.outputs["exit-code"], worse.outputs["verdict"]) == (1, "1", "regressed")
    assert worse.failed == ["Verdict"], "the last step, after all was told and kept"
    assert worse.ran[-3:] == ["Save caches", "Upload", "Verdict"]
    (annotation,) = (line for line in worse.log.splitlines() if line.startswith("::"))
    assert annotation.startswith(
        "::error file=bench/benchmarks/test_generation.py,title=vdb gate%3A regressed::spread of noise"
    )
    assert worse.summary.startswith("# Gate: failed\n")
    (comment,) = github.comments
    assert "# Gate: failed" in comment["body"]
    assert job["GITHUB_TOKEN"] not in worse.log + worse.summary + comment["body"]
    assert (runner.workspace / "bench" / worse.outputs["report"]).is_file()
    kept = runner.workspace / worse.given["Upload"]["path"]
    assert {path.name for path in kept.iterdir()} >= {"runs", "leaderboard.html", "junit.xml", "comment.md"}

    runner.writes("bench/conftest.py", CONFTEST)
    mended = runner.runs(**GATED)
    assert (mended.status, mended.outputs["exit-code"], mended.outputs["verdict"]) == (0, "0", "passed")
    (comment,) = github.comments
    assert "# Gate: passed" in comment["body"]
    assert not [line for line in mended.log.splitlines() if line.startswith("::")]


def test_what_github_refuses_and_what_the_project_lacks(runner, github):
    github.refusal = 403, {}
    fork = runner.runs(**BENCH)
    assert (fork.status, fork.failed) == (0, ["Comment"]), "a fork's token may not write: no verdict changes by it"
    assert "pull-requests: write" in fork.log
    github.refusal = None
    lacking = runner.runs(**GATED)
    assert (lacking.status, lacking.outputs["exit-code"], lacking.outputs["run"]) == (4, "4", "")
    assert "there is no such baseline" in lacking.log
    assert "::error title=vdb benchmark::pytest ended with 4: it left no record" in lacking.log
    assert "No test left a record" in github.comments[0]["body"]
    assert lacking.ran[-2:] == ["Upload", "Verdict"]


def test_values_of_inputs_are_never_run(runner, github):
    planted = "$(touch hacked)`touch hacked`'; touch hacked; \""
    job = runner.runs(
        **{**BENCH, "models": planted, "args": "", "install": "$(touch hacked)", "comment_name": planted},
        baseline=planted,
    )
    assert job.outputs["exit-code"] == "4"
    assert not list(runner.folder.rglob("hacked*"))


def test_a_runner_without_a_gpu_gets_torch_for_cpus(runner):
    quiet = {"models": "nobody", "comment": "false", "cache": "false", "artifact": ""}
    job = runner.runs(**quiet, install="-r requirements.txt .[extra]")
    assert runner.pip() == [
        "pip|install|torch|torchvision|--index-url|https://download.pytorch.org/whl/cpu|",
        f"pip|install|{TOP}|-r|requirements.txt|.[extra]|",
    ]
    assert job.ran == ["Set up Python", "Install", "Benchmark", "Annotate", "Verdict"]
    runner.stands_in("nvidia-smi", "echo GPU 0")
    runner.stands_in("vdb", "exit 0")
    runner.runs(**quiet)
    assert runner.pip() == [f"pip|install|{TOP}|"]


def test_an_installation_that_fails_is_the_jobs_failure_and_nothing_is_pretended(runner, github):
    runner.stands_in("pip", "exit 3")
    job = runner.runs(**GATED)
    assert job.status == 3
    assert job.ran == ["Set up Python", "Restore caches", "Install", "Save caches", "Upload"]
    assert not github.asked


def test_a_session_that_is_killed_fails_the_job(runner, github):
    """Out of memory, say: nobody is there to say so but the shell; what was measured is told all the same."""
    runner.writes("bench/conftest.py", CONFTEST.replace("    rng =", KILLED + "    rng ="))
    job = runner.runs(**BENCH)
    assert (job.status, job.outputs["exit-code"]) == (137, "137")
    assert job.outputs["run"].startswith("reports/runs/")
    assert "::error title=vdb benchmark::pytest ended with 137: 2 passed" in job.log
    assert "The session was stopped: 4 of 6 tests left no record" in github.comments[0]["body"]


def save(runner: Runner, run: str) -> None:
    """As the baseline of what follows."""
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest_vdb",
            "baseline",
            "save",
            run,
            "-o",
            "base.json",
        ],
        cwd=runner.workspace / "bench",
        check=True,
        capture_output=True,
    )
