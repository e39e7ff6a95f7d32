"""`action.yml` and the ready workflows: their structure, and what linters say of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

TOP = Path(__file__).parent.parent.parent
ACTION = TOP / "action.yml"
TEXT = ACTION.read_text(encoding="utf-8")
GITHUB = [*sorted((TOP / ".github" / "workflows").glob("*.yml")), TOP / "pytest_vdb" / "templates" / "benchmark.yml"]
GITLAB = TOP / "pytest_vdb" / "templates" / "gitlab-ci.yml"
STEPS: list[dict[str, Any]] = yaml.safe_load(TEXT)["runs"]["steps"]
DECLARED: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["inputs"]


@pytest.mark.parametrize("name", DECLARED)
def test_every_input_is_used_has_a_default_and_a_row_in_the_docs(name):
    assert f"inputs.{name} " in TEXT
    assert isinstance(DECLARED[name]["default"], str), "GitHub's inputs are strings"
    page = (TOP / "docs" / "ci.md").read_text(encoding="utf-8")
    assert re.search(rf"^\| `{name}` \|", page, re.MULTILINE), f"docs/ci.md has no row for {name}"


def test_nothing_is_asked_for_that_is_not_declared():
    assert set(re.findall(r"inputs\.([\w-]+)", TEXT)) == set(DECLARED)
    named = {step["id"] for step in STEPS if "id" in step}
    assert {step for step, _ in re.findall(r"steps\.([\w-]+)\.(outputs)", TEXT)} <= named


@pytest.mark.parametrize("output", yaml.safe_load(TEXT)["outputs"])
def test_every_output_is_in_the_docs(output):
    assert f"`{output}`" in (TOP / "docs" / "ci.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step["name"])
def test_a_step_uses_what_is_pinned_or_runs_a_script_in_bash(step):
    if "uses" in step:
        assert re.fullmatch(r"actions/[\w/-]+@[0-9a-f]{40}", step["uses"])
    else:
        assert step["shell"] == "bash"
        assert "${{" not in step["run"], "a value in a script is a script: hand it over in `env`"
        for name in re.findall(r"\$\{?([A-Z_]+)", step["run"]):
            assert name in {*step["env"], "GITHUB_OUTPUT", "RUNNER_OS"}, f"{name} is set by nobody"


def test_the_token_goes_to_one_step_alone():
    assert [step["name"] for step in STEPS if "inputs.token" in str(step)] == ["Comment"]


@pytest.mark.parametrize("workflow", GITHUB, ids=lambda path: path.stem)
def test_actions_of_workflows_are_pinned_to_a_version(workflow):
    used = re.findall(r"uses: (\S+)", workflow.read_text(encoding="utf-8"))
    assert used
    assert all(one == "./" or re.search(r"@(v\d+|[0-9a-f]{40})$", one) for one in used)


def test_our_own_workflow_gives_the_action_only_inputs_that_it_has():
    jobs = yaml.safe_load((TOP / ".github" / "workflows" / "benchmark.yml").read_text(encoding="utf-8"))["jobs"]
    (through,) = (step for step in jobs["benchmark"]["steps"] if step["uses"] == "./")
    assert set(through["with"]) <= set(DECLARED)


def test_gitlab_keeps_what_a_failed_job_made():
    job = yaml.safe_load(GITLAB.read_text(encoding="utf-8"))["benchmark"]
    assert job["artifacts"]["when"] == job["cache"]["when"] == "always"
    assert job["artifacts"]["reports"]["junit"] == "reports/junit.xml"


LINTED = [("github-actions", ACTION), *(("github-workflows", path) for path in GITHUB), ("gitlab-ci", GITLAB)]


@pytest.mark.slow
@pytest.mark.parametrize(("schema", "file"), LINTED, ids=lambda value: getattr(value, "name", value))
def test_the_schema_of_the_forge_takes_it(schema, file):
    if shutil.which("check-jsonschema") is None:
        pytest.skip("check-jsonschema is not installed (pip install check-jsonschema)")
    command = ["check-jsonschema", "--builtin-schema", f"vendor.{schema}", str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("workflow", GITHUB, ids=lambda path: path.stem)
def test_actionlint_has_nothing_to_say(workflow):
    if shutil.which("actionlint") is None:
        pytest.skip("actionlint is not installed")
    done = subprocess.run(["actionlint", str(workflow)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("step", [step for step in STEPS if "run" in step], ids=lambda step: step["name"])
def test_shellcheck_has_nothing_to_say(step):
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(["shellcheck", "--shell=bash", "-"], input=step["run"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
