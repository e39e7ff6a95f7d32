"""`vdb ci run` and `vdb ci annotate`: what the steps of a job do with a project, and what they hand on."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vdb.cli import main
from pytest_vdb.records import Environment, Measurement, Record, Run
from pytest_vdb.results.journal import Journal

SHARP = "--fail-on=sharpness:-2%"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    """A project below the top of its repository."""
    project = tmp_path / "bench"
    project.mkdir()
    (project / "test_x.py").write_text("")
    monkeypatch.chdir(project)
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "outputs"))
    return project


def outputs() -> dict[str, str]:
    """What later steps can ask for."""
    lines = Path("../outputs").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def run(day: int, factor: float = 1.0, *, model: str = "a", models: int = 1) -> str:
    environment = Environment(
        python="3.12.1", platform="Linux", hardware="CPU", cpu="a CPU", cpu_count=2, memory_mib=8_000, packages={}
    )
    began = f"2026-01-{day:02}T00:00:00Z"
    made = Run(id=f"202601{day:02}-000000-abcdef", started_at=began, environment=environment, finished_at=began)
    journal = Journal.create(Path("reports"), made)
    for number in range(6 * models):
        value = (0.5 + 0.01 * (number % 6)) * factor
        journal.append(
            Record(
                run=made.id,
                nodeid=f"test_x.py::test_generation[{model}-{number}]",
                benchmark="test_x.py::test_generation",
                model=model if models == 1 else f"{model}{number // 6}",
                status="passed",
                prompt=f"p{number % 6}",
                seed=number % 6,
                weights="hub",
                recipe_digest="r",
                hardware="CPU",
                measurements=(Measurement(name="sharpness", value=value, unit="1", better="higher"),),
            )
        )
    journal.finish(made)
    return f"reports/runs/{made.id}"


def test_a_regression_is_an_annotation_at_its_file_and_a_page(capsys):
    before, worse = run(1), run(2, 0.9)
    asked = ["ci", "annotate", worse, f"--baseline={before}", SHARP, "--exit-code=1", "-o", "reports/comment.md"]
    assert main(asked) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("::error file=bench/test_x.py,title=vdb gate%3A regressed::sharpness of a: 0.5250 -> 0.4725")
    assert "(-10.0%25; allowed -2%25)" in line
    page = Path("reports/comment.md").read_text()
    assert page.startswith("# Gate: failed\n")
    assert "# Video benchmark" in page
    assert outputs() == {"verdict": "regressed"}


def test_what_passes_is_no_annotation(capsys):
    before, same = run(1), run(2)
    assert main(["ci", "annotate", same, f"--baseline={before}", SHARP]) == 0
    assert capsys.readouterr().out == ""
    assert outputs() == {"verdict": "passed"}


def test_thirty_regressions_are_ten_annotations(capsys):
    before, worse = run(1, models=30), run(2, 0.5, models=30)
    assert main(["ci", "annotate", worse, f"--baseline={before}", SHARP, "--exit-code=1"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 10


def test_tests_that_failed_without_a_gate_are_told(capsys):
    assert main(["ci", "annotate", run(1), "--baseline=", "--exit-code=1"]) == 0
    assert capsys.readouterr().out == "::error title=vdb benchmark::pytest ended with 1: 6 passed; see the log\n"
    assert outputs() == {"verdict": ""}


def test_a_session_that_left_no_run_is_told(capsys):
    assert main(["ci", "annotate", "", "--baseline=nowhere.json", "--exit-code=4", "-o", "comment.md"]) == 0
    assert "::error title=vdb benchmark::pytest ended with 4: it left no record" in capsys.readouterr().out
    assert "No test left a record: pytest ended with 4." in Path("comment.md").read_text()


def test_a_name_from_outside_is_one_value_of_one_line_and_no_command(capsys):
    before, worse = (
        run(1, model="a\n::set-output name=verdict::x"),
        run(2, 0.9, model="a\n::set-output name=verdict::x"),
    )
    assert main(["ci", "annotate", worse, f"--baseline={before}", SHARP, "--exit-code=1"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert outputs() == {"verdict": "regressed"}


def test_what_a_workflow_writes_wrongly_is_said(capsys):
    assert main(["ci", "run", "--args='-n 2"]) == 1
    assert '--args: "\'-n 2": No closing quotation' in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["ci", "run", "--strict=perhaps"])
    assert "'perhaps' is neither true nor false" in capsys.readouterr().err
