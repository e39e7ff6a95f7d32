"""`vdb gate` and `vdb baseline`, as a user types them: the same answers as in a session, and exit codes that tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from written_runs import sharpness, write_run

from pytest_vdb.cli import main

ITSELF = "reports/runs/20260101-000000-abcdef"
SHARP = ("--fail-on", "sharpness:-2%")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(day: int, factor: float = 1.0, *, prompts: int = 6, finished: bool = True, branch: str = "main") -> str:
    """A run of that day in `reports/`."""
    tests = [(f"p{index}", index, (sharpness((0.5 + 0.01 * index) * factor),)) for index in range(prompts)]
    return str(write_run(day, tests, finished=finished, git_branch=branch))


def gate(*arguments: str) -> int:
    return main(["gate", *arguments])


def test_the_exit_code_tells_a_regression_from_nothing_measured_from_incomparable(capsys):
    before, same, worse, few = run(1), run(2), run(3, 0.9), run(4, prompts=3)
    assert gate(same, "--baseline", before, *SHARP) == 0
    assert gate(worse, "--baseline", before, *SHARP) == 1
    assert gate(few, "--baseline", before, *SHARP) == 12
    assert gate(few, "--baseline", before, "--fail-on", "sharpness:+2%") == 13
    assert gate(worse, "--baseline", few, *SHARP) == 0
    assert gate(worse, "--baseline", few, *SHARP, "--strict") == 14
    assert "1 inconclusive" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--baseline", "nowhere.json", *SHARP), "there is no such baseline"),
        (("--baseline", "branch:dev", *SHARP), "no finished run of the branch dev lies there"),
        (("--baseline", "latest", *SHARP), "no finished run lies there"),
        (
            ("--baseline", "reports/runs/20260101-000000-abcdef", "--fail-on", "sharpnes:-2%"),
            "did you mean 'sharpness'",
        ),
        (("--baseline", "reports/runs/20260101-000000-abcdef", "--fail-on", "sharpness"), "is no rule"),
        (("--baseline", "reports/runs/20260101-000000-abcdef"), "no gate says what may not get worse"),
    ],
)
def test_what_is_not_asked_rightly_is_no_regression(capsys, arguments, said):
    assert gate(run(1), *arguments) == 2
    assert said in capsys.readouterr().err


def test_programs_get_every_verdict_with_its_figures(capsys):
    before, worse = run(1), run(2, 0.9)
    assert gate(worse, "--baseline", before, *SHARP, "--json") == 1
    (verdict,) = json.loads(capsys.readouterr().out)
    assert {key: verdict[key] for key in ("model", "metric", "verdict", "n", "failed", "benchmark")} == {
        "model": "a",
        "metric": "sharpness",
        "verdict": "regressed",
        "n": 6,
        "failed": True,
        "benchmark": "t.py::test_generation",
    }
    assert verdict["p"] == 1 / 64
    assert verdict["reason"].startswith("sharpness of a: 0.5250 -> 0.4725 (-10.0%; allowed -2%)")


def test_the_rules_of_the_project_apply_and_markdown_is_written(place, capsys):
    (place / "pyproject.toml").write_text('[tool.vdb.gate]\nsharpness = "-2%"\n')
    assert gate(run(2, 0.9), "--baseline", run(1), "-o", "gate.md") == 1
    assert (place / "gate.md").read_text().startswith("# Gate: failed")


def test_earlier_runs_are_found_by_their_time_and_branch(capsys):
    run(1)
    run(2, 0.7, branch="dev")
    tonight = run(3, 0.9)
    run(4, finished=False)
    run(5)
    assert gate(tonight, "--baseline", "branch:main", *SHARP) == 1
    assert gate(tonight, "--baseline", "branch:dev", *SHARP) == 0
    assert gate(tonight, "--baseline", "latest", *SHARP) == 0
    assert gate(tonight, "--baseline", "history:9", *SHARP) == 0
    assert "improved" in capsys.readouterr().out


def test_what_there_is_to_compare_with_is_listed_and_shown(place, capsys):
    assert main(["baseline", "list"]) == 0
    assert "run the benchmarks once" in capsys.readouterr().out
    tonight = run(3)
    assert main(["baseline", "save", tonight]) == 0
    (place / "fixtures" / "baselines" / "other.json").write_text("{}")
    capsys.readouterr()
    assert main(["baseline", "list"]) == 0
    told = capsys.readouterr()
    assert "fixtures/baselines/main.json" in told.out
    assert "main" in told.out
    assert "0123456789" in told.out
    assert "other.json" in told.err
    assert main(["baseline", "list", "--json"]) == 0
    assert [row["branch"] for row in json.loads(capsys.readouterr().out)] == ["main", "main"]
    assert main(["baseline", "show", "fixtures/baselines/main.json"]) == 0
    assert "6/6" in capsys.readouterr().out
    assert main(["baseline", "show", tonight, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["models"][0]["metrics"] == "sharpness 1"
