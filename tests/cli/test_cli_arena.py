"""`vdb arena`: from a run's clips to a column of what people prefer."""

from __future__ import annotations

import dataclasses
import itertools
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from written_runs import sharpness, write_run

from pytest_vdb import video
from pytest_vdb.arena import folder
from pytest_vdb.cli import main
from pytest_vdb.records import Clip, ClipFiles
from pytest_vdb.results import journal
from pytest_vdb.results.journal import Journal
from pytest_vdb.shapes import moving_shapes

MODELS = {"wan": 3.0, "cog": 2.0, "ltx": 1.0, "calibration-shapes": 9.0}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Three models and a yardstick that answered three prompts, with clips to watch; one test has none."""
    monkeypatch.chdir(tmp_path)
    together = Journal.create(Path("together"), dataclasses.replace(journal.read_run(write_run(9, [])), id="r"))
    for day, (model, value) in enumerate(MODELS.items(), 1):
        own = write_run(day, [(f"p{at}", at, (sharpness(value),)) for at in range(3)], model=model)
        for record in journal.read(own)[1]:
            preview = f"clips/{model}-{record.prompt}.mp4"
            (together.folder / "clips").mkdir(exist_ok=True)
            pixels = moving_shapes(model + str(record.prompt), frames=4, height=32, width=32)
            video.write_preview(Clip(pixels, 8.0), together.folder / preview)
            clip = ClipFiles(digest="d", frames=4, height=32, width=32, fps=8.0, preview=preview)
            lacks = (model, record.prompt) == ("ltx", "p2")
            together.append(dataclasses.replace(record, run="r", clip=None if lacks else clip, prompt_text="a kite"))
    together.finish(journal.read_run(together.folder))
    return str(together.folder)


def voted(arena: Path, raters: int = 6) -> Path:
    """Everyone prefers the sharper one, but for every fifth vote."""
    told = folder.read(arena)
    count = itertools.count()
    lines = []
    for rater in range(raters):
        for at, (left, right) in enumerate(told.pairs):
            sides = [MODELS[told.shown[token].model] - 9 * told.shown[token].is_degraded for token in (left, right)]
            is_left = (sides[0] > sides[1]) != (at not in told.checks and next(count) % 5 == 0)
            choice = "left" if is_left else "right"
            lines.append({"pair": at, "left": left, "right": right, "choice": choice, "rater": f"r{rater}"})
    path = arena / "votes.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_page_is_built_from_the_clips_of_a_run_without_its_yardsticks(run, capsys):
    assert main(["arena", "build", run, "-o", "arena"]) == 0
    out, err = capsys.readouterr()
    assert "7 pairs of 3 models and 1 checks: arena" in out
    assert "1 records have no clip that a browser plays" in err
    assert {shown.model for shown in folder.read(Path("arena")).shown.values()} == {"wan", "cog", "ltx"}


def test_models_may_be_named(run, capsys):
    assert (
        main(["arena", "build", run, "-o", "arena", "--models", "wan,calibration-*", "--pairs", "2", "--checks", "0"])
        == 0
    )
    assert "2 pairs of 2 models and 0 checks" in capsys.readouterr().out


def test_an_arena_is_not_built_over_another(run, capsys):
    assert main(["arena", "build", run, "-o", "arena"]) == 0
    assert main(["arena", "build", run, "-o", "arena"]) == 1
    assert "there is an arena already" in capsys.readouterr().err


def test_votes_become_strengths_and_a_column_of_the_leaderboard(run, capsys):
    main(["arena", "build", run, "-o", "arena"])
    path = voted(Path("arena"))
    asked = ["arena", "count", str(path), "--arena", "arena", "--runs", run, "--output", "preference.jsonl"]
    assert main([*asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out.partition("\n{")[2].join(["{", ""]))
    assert [one["model"] for one in found["models"]] == ["wan", "cog", "ltx"]
    assert found["models"][0]["interval"][0] < found["models"][0]["elo"]
    assert found["metrics"][0]["metric"] == "sharpness"
    assert found["metrics"][0]["agreeing"] == pytest.approx(0.8, abs=0.03)
    assert main(["report", run, "preference.jsonl", "-o", "both"]) == 0
    page = Path("both/leaderboard.md").read_text()
    assert "preference" in page
    assert "Elo" in page


def test_what_was_sent_and_saved_is_one_vote(run, capsys):
    main(["arena", "build", run, "-o", "arena"])
    path = voted(Path("arena"))
    shutil.copy(path, "saved.jsonl")
    assert main(["arena", "count", str(path), "saved.jsonl", "--arena", "arena"]) == 0
    assert "42 votes of 6 raters count" in capsys.readouterr().out


def test_a_rater_is_left_out_by_name_and_a_typo_is_told(run, capsys):
    main(["arena", "build", run, "-o", "arena"])
    path = str(voted(Path("arena")))
    assert main(["arena", "count", path, "--arena", "arena", "--without", "r1"]) == 0
    out = capsys.readouterr().out
    assert "35 votes of 5 raters count" in out
    assert "r1: left out by name (7 votes)" in out
    assert main(["arena", "count", path, "--arena", "arena", "--without", "r11"]) == 1
    assert "unknown rater 'r11'" in capsys.readouterr().err


def test_earlier_votes_choose_the_pairs_of_the_next_page(run, capsys):
    main(["arena", "build", run, "-o", "arena"])
    path = str(voted(Path("arena")))
    later = ["arena", "build", run, "-o", "second", "--votes", path, "--arena", "arena", "--pairs", "3"]
    assert main(later) == 0
    assert "3 pairs" in capsys.readouterr().out


def test_a_file_without_votes_says_so(run, capsys):
    Path("none.csv").write_text("left,right,choice\na,b,\n")
    assert main(["arena", "count", "none.csv"]) == 1
    assert "there are no votes" in capsys.readouterr().err


@pytest.mark.slow  # opens a browser
def test_a_browser_shows_the_first_pair_from_the_disk(run):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    main(["arena", "build", run, "-o", "arena"])
    page = Path("arena/page/index.html").resolve().as_uri() + "?rater=anna"
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--enable-logging=stderr",
        "--virtual-time-budget=5000",
        "--dump-dom",
        page,
    ]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "1 of 8" in shown.stdout
    assert 'src="clips/' in shown.stdout
    assert "CONSOLE" not in shown.stderr, shown.stderr
