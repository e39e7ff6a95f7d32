"""Every page of ours in Chromium under axe-core, light and dark: what it calls a violation nobody shall meet."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

import example_run as example
import pytest
from test_reporters_browser import RUN, many_records, records
from test_reporters_comparison import compared
from test_reporters_history import figure, night

from pytest_vdb import reporters
from pytest_vdb.analysis import build
from pytest_vdb.analysis.history import trends
from pytest_vdb.arena import folder
from pytest_vdb.arena.pairing import Candidate, pairs_of
from pytest_vdb.reporters import comparison_page, history_page
from pytest_vdb.reporters.formats import html
from pytest_vdb.reporters.side_by_side import INDEX, PROMPTS

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
pytestmark = pytest.mark.slow
DARK = "{ runOnly: ['color-contrast'] }"
"""What differs there; colours, nothing else."""


def written_pages(place: Path) -> dict[str, Path]:
    """Of each kind of page one file."""
    run = example.example_run()
    clips = place / "runs" / run.id
    board = build(run, example.example_records(run, folder=clips))
    reporters.write_all(board, place, ["html"])
    three = build(RUN, records())
    reporters.write_all(three, place / "trained", ["html"])
    reporters.write_all(build(RUN, many_records()), place / "many", ["html"])
    nights = [night(day, figure(2.0 if day < 8 else 3.0)) for day in range(1, 15)]
    made = {
        "watch": html.render(three, running="running: 25 of 90 tests, about 4 minutes left at this pace"),
        "history": history_page.render(trends(nights)),
        "comparison": comparison_page.render([compared(place / "compared")], beside=place),
    }
    for name, text in made.items():
        (place / f"{name}.html").write_text(text, encoding="utf-8")
    shown = [clips / "clips" / f"{model}-style-01.mp4" for model in example.CALIBRATION[:2]]
    sides = [Candidate(model=file.stem, prompt="style-01", text="a lighthouse", file=file) for file in shown]
    folder.build(place / "arena", pairs_of(sides, None, seed=0), checks=0, per_rater=None, models={}, seed=0)
    return {
        "leaderboard": place / "leaderboard.html",
        "model": place / "leaderboard-files" / "models" / "cogvideox-2b.html",
        "model that is ranked": place / "trained" / "leaderboard-files" / "models" / "middling.html",
        "leaderboard of many": place / "many" / "leaderboard.html",
        "benchmark": next((place / "many" / html.BENCHMARKS).iterdir()),
        "plots": place / "many" / html.PLOTS / "1.html",
        "clips side by side": place / PROMPTS / "style-01.html",
        "prompts": place / INDEX,
        "arena": place / "arena" / "page" / "index.html",
        **{name: place / f"{name}.html" for name in made},
    }


def test_no_page_has_a_violation_in_light_or_dark(tmp_path):
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    axe = resources.files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    pages = written_pages(tmp_path)
    found = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True).new_page()
        for name, file in pages.items():
            page.goto(file.as_uri())
            page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            page.evaluate(axe)
            for scheme, options in (("light", "{}"), ("dark", DARK)):
                page.emulate_media(color_scheme=scheme)
                for one in page.evaluate(f"axe.run(document, {options})")["violations"]:
                    nodes = [node["html"][:160] for node in one["nodes"][:3]]
                    found.append((name, scheme, one["id"], len(one["nodes"]), nodes))
        browser.close()
    assert found == []
