"""`vdb noise`, as a user types it: over runs that exist, and over sessions that it starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest
from written_runs import ENVIRONMENT, sharpness, write_run

from pytest_vdb.cli import main
from pytest_vdb.records import Measurement, Run, to_json
from pytest_vdb.results import journal
from pytest_vdb.results.journal import Journal
from pytest_vdb.results.noise import load_noise

FIRST, SECOND, THIRD = (f"reports/runs/2026010{day}-000000-abcdef" for day in (1, 2, 3))
VDB = [sys.executable, "-m", "pytest_vdb"]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(number: int, latency: float = 1.0, *, value: float = 0.5, prompts: int = 6, **environment: str) -> str:
    """A run in `reports/`."""
    cost = Measurement(name="latency", value=latency, unit="s", better="lower", kind="performance")
    tests = [(f"p{index}", index, (sharpness(value + 0.01 * index), cost)) for index in range(prompts)]
    return str(write_run(number, tests, **environment))


def noise(*arguments: str) -> int:
    return main(["noise", *arguments])


def test_runs_that_exist_are_told_kept_and_judged_by(capsys):
    runs = [run(number, latency) for number, latency in enumerate((1.0, 1.04, 0.98), start=1)]
    assert noise("--runs", *runs, "--fail-on", "sharpness:-2%,latency:+10%", "--save", "noise.json") == 0
    said = capsys.readouterr()
    shown = " ".join(said.out.split())
    assert "3 sessions of commit 0123456789 on CPU" in shown
    assert "the very same in all sessions, no noise at all: sharpness of a" in shown
    assert "rules: 1 of 2 margins lie above their noise floor" in shown
    assert "latency:+10% of a lies below its noise floor (±3.0% between sessions, and 3 earlier sessions" in shown
    assert "--vdb-noise=noise.json" in said.err
    assert load_noise(Path("noise.json")).sessions == (
        "20260101-000000-abcdef",
        "20260102-000000-abcdef",
        "20260103-000000-abcdef",
    )
    gate = ["gate", runs[2], "--baseline", runs[0], "--fail-on", "sharpness:-2%,latency:+10%", "--noise", "noise.json"]
    assert main(gate) == 0
    assert "latency:+10% of a lies below its noise floor" in capsys.readouterr().err
    assert main([*gate, "--strict"]) == 2
    assert "do not be strict" in capsys.readouterr().err
    assert noise("--runs", *runs, "--fail-on", "latency:+10%", "--strict") == 14
    assert noise("--runs", *runs, "--fail-on", "sharpness:-2%", "--strict") == 0


def test_json_has_every_floor_and_every_rule(capsys):
    runs = [run(1), run(2, 1.1)]
    assert noise("--runs", *runs, "--fail-on", "latency:+1%", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [floor["metric"] for floor in told["floors"]] == ["sharpness", "latency"]
    assert told["floors"][0]["between"] == 0
    (rule,) = told["rules"]
    assert rule["below"] is True
    assert rule["margin"] == pytest.approx(0.0105)
    assert rule["catches"] > rule["margin"]
    assert "noise floor" in rule["reason"]


def test_markdown_has_a_row_for_what_never_differs_too(capsys):
    assert noise("--runs", run(1), run(2, 1.1), "--markdown") == 0
    shown = capsys.readouterr().out
    assert shown.startswith("# Noise floor")
    assert "| `a` | `sharpness` | 6 x 2 | 0.5250 | ±0.019 | 0 | any |" in shown
    assert "| `a` | `latency` |" in shown


def test_the_gate_of_the_project_is_asked_where_no_rule_is_given(capsys):
    Path("pyproject.toml").write_text('[tool.vdb.gate]\nlatency = "+1%"\nsteady_latency = "+1%"\n')
    assert noise("--runs", run(1), run(2, 1.1)) == 0
    said = capsys.readouterr()
    assert "latency:+1% of a lies below" in " ".join(said.out.split())
    assert "measured nothing that these rules name: steady_latency:+1%" in said.err


def test_runs_of_other_models_share_nothing(capsys):
    folder = Path(run(2))
    records = (folder / "records.jsonl").read_text()
    (folder / "records.jsonl").write_text(records.replace('"model":"a"', '"model":"b"'))
    assert noise("--runs", run(1), str(folder)) == 1
    assert "one session measured it, and two can differ; the others have no value: it was not run there" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("shape", [[], ["--markdown"], ["--json"]])
def test_a_name_from_outside_is_shown_and_not_obeyed(capsys, shape):
    runs = [run(1), run(2, 1.1)]
    for folder in runs:
        path = Path(folder) / "records.jsonl"
        hostile = json.dumps("::error::\x1b[31m\u202ea|b\n::error::c")
        path.write_text(path.read_text().replace('"model":"a"', f'"model":{hostile}'))
    assert noise("--runs", *runs, "--fail-on", "latency:+1%", "--save", "noise.json", *shape) == 0
    assert main(["gate", runs[1], "--baseline", runs[0], "--fail-on", "latency:+1%", "--noise", "noise.json"]) == 0
    said = capsys.readouterr()
    for line in (said.out + said.err).splitlines():
        assert not line.startswith("::")
        assert "\x1b" not in line
        assert "\u202e" not in line


def test_what_no_noise_is_known_of_is_counted_apart(capsys):
    assert noise("--runs", run(1), run(2, hardware="H100"), "--fail-on", "latency:+1%,sharpness:-1%") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "rules: 1 of 1 margins lie above their noise floor; no noise floor is known of 1" in shown


def test_runs_of_other_commits_or_libraries_are_told(capsys):
    assert noise("--runs", run(1), run(2, 1.1, git_commit="fedcba9876543210")) == 0
    assert "2 commits (0123456789, fedcba9876)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--runs", FIRST], "one session shows no difference"),
        (["--runs", *[FIRST] * 2], "the same session 2 times"),
        (
            ["--runs", *[FIRST] * 2, SECOND],
            "20260101-000000-abcdef was given twice",
        ),
        (["--runs", FIRST, "nowhere"], "there is no such baseline"),
        (
            ["--runs", FIRST, THIRD],
            "nothing was measured twice",
        ),
        (
            ["--runs", FIRST, SECOND, "--workers=0"],
            "'--workers' is for sessions",
        ),
        (
            ["--runs", FIRST, SECOND, "-k", "x"],
            "'-k' is for sessions",
        ),
        (
            [
                "--runs",
                FIRST,
                SECOND,
                "--fail-on=sharp:-1%",
            ],
            "did you mean 'sharpness'?",
        ),
        (["--fail-on=sharpness"], "is no rule"),
        (["--sessions=1"], "at least 2"),
        (["--workers=0,x"], "a whole number"),
        (["--workers=0,2", "--seeds=0,1", "--sessions=3"], "3 sessions cannot take 4 turns"),
        (["--save=."], "a folder"),
    ],
)
def test_what_cannot_be_done_is_said_before_any_work(capsys, arguments, said):
    run(1)
    run(2)
    Journal.create(
        Path("reports"),
        Run(id="20260103-000000-abcdef", started_at="2026", environment=ENVIRONMENT, finished_at="2026"),
    )
    assert noise(*arguments) == 1
    assert said in capsys.readouterr().err


def test_runs_of_other_machines_alone_are_no_noise(capsys):
    """Nothing but a cost, on two machines."""
    Path("a").mkdir()
    runs = [run(1, prompts=1), run(2, prompts=1, hardware="H100")]
    for folder in runs:
        path = Path(folder) / "records.jsonl"
        (record,) = journal.read_records(path)[0]
        path.write_text(to_json(replace(record, measurements=record.measurements[1:])) + "\n")
    assert noise("--runs", *runs) == 1
    assert "measured on CPU and H100: not the same thing twice" in capsys.readouterr().err


def test_another_command_takes_no_foreign_arguments(capsys):
    with pytest.raises(SystemExit) as refused:
        main(["gate", "x", "--baseline", "y", "--vdb-models=z"])
    assert refused.value.code == 2
    assert "unrecognized arguments: --vdb-models=z" in capsys.readouterr().err


# sessions that it starts

CONFTEST = """
    import os, time
    import numpy as np
    from pathlib import Path
    from pytest_vdb import Clip, metric, model

    with open("started", "a") as started:  # once a session
        started.write("x")

    @model("good", frames=4, height=16, width=16, fps=8.0)
    def good(prompt, recipe, seed):
        rng = np.random.default_rng(seed)
        return Clip(rng.integers(0, 256, (4, 16, 16, 3), np.uint8), 8.0)

    @model("waits", frames=4, height=16, width=16, fps=8.0)
    def waits(prompt, recipe, seed):
        if len(Path("started").read_text()) == 2:
            Path("began").touch()
            time.sleep(60)
        return good(prompt, recipe, seed)

    @model("random", frames=4, height=16, width=16, fps=8.0)
    def random(prompt, recipe, seed):
        rng = np.random.default_rng()
        return Clip(rng.integers(0, 256, (4, 16, 16, 3), np.uint8), 8.0)

    @metric("brightness", unit="1", better="higher")
    def brightness(clip: Clip) -> float:
        return float(clip.frames.mean() / 255)
"""
TEST = """
    def test_generation(vdb, vdb_model, vdb_prompt, vdb_seed):
        vdb.measure(vdb.generate(vdb_model, vdb_prompt, vdb_seed))
"""


@pytest.fixture
def project(place) -> Path:
    (place / "conftest.py").write_text(textwrap.dedent(CONFTEST))
    (place / "test_generation.py").write_text(textwrap.dedent(TEST))
    return place


def typed(*arguments: str) -> subprocess.CompletedProcess[str]:
    options = ["--vdb-prompts=smoke", "--vdb-metrics=brightness", "-p", "no:randomly", "test_generation.py"]
    return subprocess.run([*VDB, "noise", *options, *arguments], capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_sessions_in_turns_each_in_a_folder_of_its_own(project):
    done = typed("--vdb-models=good,random", "--workers=0,2", "--json", "--save=noise.json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert len(told["sessions"]) == len(list((project / "reports/noise/runs").iterdir())) == 2
    by_name = {(floor["model"], floor["metric"]): floor for floor in told["floors"]}
    assert by_name["good", "brightness"]["between"] == 0
    assert by_name["random", "brightness"]["between"] > 0
    assert "withheld: 2 workers share this CPU" in by_name["good", "latency"]["reason"]
    assert not (project / "reports/leaderboard.html").exists()


@pytest.mark.slow
def test_a_typo_or_no_test_ends_with_what_pytest_ends_with(project):
    unknown = typed("--vdb-models=goood")
    assert unknown.returncode == 4
    assert "did you mean 'good'?" in unknown.stderr
    assert typed("--vdb-models=good", "-k", "nothing").returncode == 5
    late = typed("--vdb-models=good", "--fail-on=brightnes:-1%")
    assert late.returncode == 1
    assert "did you mean 'brightness'?" in late.stderr
    assert "session 2" not in late.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_its_second_session_it_ends_that_and_keeps_the_first(project, number):
    options = ["--vdb-models=waits", "--vdb-prompts=smoke:1", "--vdb-metrics=none", "test_generation.py"]
    command = [*VDB, "noise", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    until = time.monotonic() + 60
    while not (project / "began").exists() and time.monotonic() < until and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "1 of 2 sessions are finished: vdb noise --runs reports/noise/runs/" in said
    assert "Traceback" not in said
    newest = max((project / "reports/noise/runs").iterdir())
    assert json.loads((newest / "run.json").read_text())["finished_at"] is not None
