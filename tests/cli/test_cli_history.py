"""`vdb history`, as a user types it."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from written_runs import sharpness, write_run

from pytest_vdb.cli import main


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(day: int, value: float, *, branch: str = "main", output: str = "reports") -> Path:
    tests = [(prompt, 1, (sharpness(value),)) for prompt in ("a", "b")]
    return write_run(day, tests, output=output, model="m", git_branch=branch, git_commit=f"{day:02}" * 20)


@pytest.fixture
def nights() -> None:
    for day in range(1, 17):
        run(day, 0.5 if day < 10 else 0.4, output="one" if day % 2 else "two")


def history(*arguments: str) -> int:
    return main(["history", *arguments])


@pytest.mark.usefixtures("nights")
def test_runs_of_two_machines_show_the_first_bad_commit(capsys):
    for _ in range(2):  # without an index, and with it
        assert history("--output", "one", "two") == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert "m sharpness 16 █████████▁▁▁▁▁▁▁ 0.4000 -20.0% worse" in shown
        assert "from run 20260110-000000-abcdef (commit 1010101010) on" in shown
        assert "the last before: run 20260109-000000-abcdef (commit 0909090909)" in shown


@pytest.mark.usefixtures("nights")
def test_programs_get_every_point_and_change(capsys):
    assert history("m", "--metrics=sharp*", "--output", "one", "two", "--json") == 0
    (series,) = json.loads(capsys.readouterr().out)
    assert {key: series[key] for key in ("model", "metric", "standing", "latest", "reason", "runs")} == {
        "model": "m",
        "metric": "sharpness",
        "standing": "worse",
        "latest": 0.4,
        "reason": None,
        "runs": 16,
    }
    (change,) = series["changes"]
    assert (change["worse"], change["before"], change["after"]) == (True, 0.5, 0.4)
    assert change["first"]["commit"] == "10" * 20
    assert series["points"][0]["n"] == 2


@pytest.mark.usefixtures("nights")
def test_last_and_branch_choose_runs(capsys):
    run(20, 0.1, branch="dev", output="one")
    assert history("--output", "one", "two", "--branch=dev", "--json") == 0
    assert [point["value"] for point in json.loads(capsys.readouterr().out)[0]["points"]] == [0.1]
    assert history("--output", "one", "two", "--last=3", "--json") == 0
    assert [point["value"] for point in json.loads(capsys.readouterr().out)[0]["points"]] == [0.4, 0.4, 0.1]


def test_a_run_that_cannot_be_read_is_said_and_stops_nothing(capsys):
    run(1, 0.5)
    (run(2, 0.5) / "run.json").write_text("{")
    assert history("--json") == 0
    said = capsys.readouterr()
    assert len(json.loads(said.out)[0]["points"]) == 1
    assert "left out: reports/runs/20260102-000000-abcdef/run.json" in said.err.replace("\\", "/")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--output", "nowhere"), "there are no runs here"),
        (("--branch=dev",), "no finished run of the branch dev"),
        (("wan",), "unknown model 'wan'"),
        (("--metrics=sharpnes",), "did you mean 'sharpness'"),
        (("--last=0",), "at least 1"),
    ],
)
def test_what_is_not_asked_rightly_is_said(capsys, arguments, said):
    run(1, 0.5)
    assert history(*arguments) != 0
    assert said in capsys.readouterr().err


def test_a_terminal_without_blocks_gets_plain_bars(monkeypatch):
    for day in range(1, 5):
        run(day, 0.1 * day)
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii", errors="replace"))
    assert history() == 0
    assert b"_:+#" in written.getvalue()


def test_a_page_is_written_beside_what_is_printed(nights, capsys, place):
    assert history("--output", "one", "two", "--html", "trend.html") == 0
    page = (place / "trend.html").read_text(encoding="utf-8")
    assert page.count("<circle") == 16
    assert "default-src &#39;none" in page
    assert "sharpness" in capsys.readouterr().out


def test_a_page_that_cannot_be_written_is_said_before_anything_is_read(nights, capsys, place):
    (place / "there").write_text("")
    assert history("--output", "one", "two", "--html", "there/trend.html") == 1
    assert "there" in capsys.readouterr().err
