"""The page as a reader has it: in Chromium, from a file, with a keyboard, on a telephone, without any request."""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import example_run as example
import numpy as np
import pytest

from pytest_vdb import reporters
from pytest_vdb.analysis import build
from pytest_vdb.records import CardFacts, Measurement, Record
from pytest_vdb.reporters.formats import html

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.slow
RUN = dataclasses.replace(
    example.example_run(),
    models={
        "swift": CardFacts(family="Wan", licence="apache-2.0", repository="wan/swift"),
        "large": CardFacts(family="Hunyuan", licence="tencent"),
    },
)
LEVELS = {"swift": (0.20, 12.0, 16.0), "middling": (0.24, 90.0, 24.0), "large": (0.31, 400.0, 80.0)}
"""Of each model: clip similarity, seconds, GB."""


def measured(level: float, seconds: float, size: float, noise: float) -> tuple[Measurement, ...]:
    cost = {"better": "lower", "kind": "performance"}
    return (
        Measurement(name="sharpness", value=1 - level + noise, unit="1", better="higher"),
        Measurement(name="clip_similarity", value=level + noise, unit="1", better="higher"),
        Measurement(name="latency", value=seconds * (1 + noise), unit="s", **cost),
        Measurement(name="energy", value=1000 / seconds, unit="J", **cost),
        Measurement(name="fits_on", value=size, unit="GB", **cost),
    )


def records() -> list[Record]:
    made = []
    for at, (model, figures) in enumerate(LEVELS.items()):
        for n, noise in enumerate(np.random.default_rng(at).normal(0, 0.002, 8)):
            found = measured(*figures, noise=float(noise))
            made.append(example.answer(RUN, model, f"p{n}", weights="hub", clip=None, measurements=found))
    return [*made, example.lost(RUN, "swift", "p9", "failed", "BadClip", "black", weights="hub")]


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> str:
    folder: Path = tmp_path_factory.mktemp("page")
    (file,) = reporters.write_all(build(RUN, records()), folder, ["html"])
    return file.as_uri()


@pytest.fixture(params=["light", "dark"])
def page(browser, address, request):
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=request.param)
    page = context.new_page()
    page.set_default_timeout(30_000)
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "request",
        lambda asked: (
            None if asked.url.startswith(address.removesuffix("leaderboard.html")) else wrong.append(asked.url)
        ),
    )
    page.goto(address)
    yield page
    assert wrong == []
    context.close()


def names(page) -> list[str]:
    return page.eval_on_selector_all("#s0 tbody tr:not([hidden]) th a", "all => all.map((one) => one.textContent)")


def column(page, at: int) -> list[str]:
    return page.eval_on_selector_all("#s0 tbody tr", f"all => all.map((one) => one.cells[{at}].innerText.trim())")


def test_the_first_screen_says_which_model_and_shows_why(page):
    answer = page.locator(".answer")
    assert answer.inner_text().startswith("Of 3 models large is best in clip similarity (0.31")
    assert names(page) == ["large", "middling", "swift"]
    assert column(page, 1) == ["1", "2", "3"]
    for shown in (answer, page.locator("svg.scatter"), page.locator("#s0 thead")):
        assert shown.bounding_box()["y"] < 900


def test_another_metric_ranks_anew_and_is_drawn(page):
    page.get_by_label("Quality, upwards").select_option(label="sharpness")
    assert names(page) == ["swift", "middling", "large"]
    assert column(page, 1) == ["1", "2", "3"]
    assert page.locator("#s0 .by").inner_text() == "sharpness"
    assert "sharpness, higher is better" in page.locator("svg.scatter").text_content()
    assert page.locator("#said").inner_text() == "Ranked by sharpness"


def test_another_cost_is_drawn_with_those_that_nobody_beats(page):
    def beaten() -> int:
        return page.locator("svg.scatter circle.beaten").count()

    assert (page.locator("svg.scatter circle").count(), beaten()) == (3, 0)
    page.get_by_label("Cost, across").select_option(label="energy")
    assert "energy in J, lower is better" in page.locator("svg.scatter").text_content()
    assert (page.locator("svg.scatter circle").count(), beaten()) == (3, 2)  # the best one now costs least as well


def test_lines_are_narrowed_by_card_and_outcome_and_words_together(page):
    page.get_by_label("Card that it fits on").select_option(label="Fits on 24 GB")
    assert names(page) == ["middling", "swift"]
    page.get_by_label("Outcome of the tests").select_option(label="All passed")
    assert names(page) == ["middling"]
    page.get_by_label("Filter the models of Text to video").fill("swift")
    assert names(page) == []
    assert page.locator("#said").inner_text() == "0 of 3 rows"


def test_lines_are_narrowed_by_family_and_licence(page):
    page.get_by_label("Family of the model").select_option(label="not known")
    assert names(page) == ["middling"]
    page.get_by_label("Family of the model").select_option(label="Any family")
    page.get_by_label("Licence of the weights").select_option(label="apache-2.0")
    assert names(page) == ["swift"]


def test_what_was_chosen_stands_in_the_address_and_comes_back_with_it(page):
    page.get_by_label("Licence of the weights").select_option(label="tencent")
    page.get_by_label("Filter the models of Text to video").fill("l")
    page.get_by_role("button", name="Model", exact=True).first.click()
    address = page.evaluate("location.href")
    assert address.endswith("#q=l&licence=tencent&sort=model%3Aascending")
    page.goto("about:blank")
    page.goto(address)
    assert names(page) == ["large"]
    assert page.locator("#s0 th[aria-sort]").get_attribute("aria-sort") == "ascending"
    page.evaluate("location.hash = 'sort=latency%3Aascending'")
    playwright.expect(page.locator("#s0 tbody tr:not([hidden])")).to_have_count(3)
    assert names(page) == ["swift", "middling", "large"]


def test_what_was_chosen_stays_while_a_run_goes_on_and_its_page_is_asked_for_again(browser):
    text = html.render(build(RUN, records()), running="running: 25 of 90 tests")
    page = browser.new_context().new_page()
    page.set_default_timeout(30_000)
    page.route("http://127.0.0.1:1/", lambda asked: asked.fulfill(body=text, content_type="text/html"))
    for chosen in ("", "swift"):
        page.goto("http://127.0.0.1:1/")  # as a browser refreshes it: without what stands behind the #
        assert page.get_by_label("Filter the models of Text to video").input_value() == chosen
        page.get_by_label("Filter the models of Text to video").fill("swift")
        assert names(page) == ["swift"]
    page.context.close()


def test_a_line_leads_to_the_page_of_its_model_with_the_keyboard_alone(page):
    page.locator("#s0 tbody a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/leaderboard-files/models/large.html")
    assert page.get_by_role("heading", level=1).inner_text() == "large"
    assert "1 of 3" in page.locator(".places").inner_text()
    page.get_by_role("link", name="Leaderboard").press("Enter")
    page.wait_for_url("**/leaderboard.html")


def test_a_figure_says_its_interval_rank_and_count_where_the_focus_is(page):
    page.locator("#s0 tbody a").first.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    told = page.locator("#tip").inner_text().splitlines()
    assert told[0] == "clip similarity"
    shown = page.locator("#s0 tbody tr").first.locator("td i").first.inner_text()
    assert told[2] == f"95% interval {shown[1:-1].replace(', ', ' to ')}"
    assert told[3:] == ["rank 1", "8 prompts"]
    page.keyboard.press("ArrowDown")
    assert page.locator("#tip").inner_text().splitlines()[3] == "rank 2"
    page.keyboard.press("Escape")
    assert not page.locator("#tip").is_visible()


def test_columns_and_kinds_are_shown_and_hidden(page):
    heads = page.locator("#s0 thead th:not([hidden])")
    before = heads.count()
    page.locator('.kinds[data-of="s0"] button', has_text="Cost").click()
    shown = heads.all_inner_texts()
    assert len(shown) < before
    assert [text.split()[0] for text in shown[:3]] == ["Model", "Rank", "Passed"]


def test_nothing_is_wider_than_a_telephone(browser, address):
    page = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
    page.goto(address)
    playwright.expect(page.locator("svg.scatter").first).to_have_attribute("width", re.compile(r"^[1-3]\d\d(\.|$)"))
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.locator(".answer").bounding_box()["y"] < 844


def test_without_script_the_page_has_the_answer_the_plot_and_the_table(browser, address):
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(address)
    for shown in (".answer", "svg.scatter", "#s0"):
        assert page.locator(shown).is_visible()
    assert page.locator("svg.scatter text.name").all_text_contents() == ["large", "middling", "swift"]
    assert not page.locator(".axes").is_visible()


@pytest.fixture(scope="module")
def long_address(tmp_path_factory) -> str:
    """Of a table of so many cells that its lines are compact."""
    folder: Path = tmp_path_factory.mktemp("long")
    (file,) = reporters.write_all(build(RUN, many_records()), folder, ["html"])
    return file.as_uri()


def many_records() -> list[Record]:
    measured = [
        [Measurement(name=f"m{at:02}", value=value, unit="1", better="higher") for at, value in enumerate(values)]
        for values in np.random.default_rng(0).random((90 * 2, 20)).tolist()
    ]
    return [
        example.answer(RUN, f"model-{at // 2:02}", f"p{at % 2}", weights="hub", clip=None, measurements=tuple(own))
        for at, own in enumerate(measured)
    ]


@pytest.mark.parametrize("script", [True, False])
def test_every_line_of_a_long_table_is_there_with_a_script_and_without(browser, long_address, script):
    context = browser.new_context(viewport={"width": 1280, "height": 900}, java_script_enabled=script)
    page = context.new_page()
    page.goto(long_address)
    playwright.expect(page.locator("table.compact tbody tr").last).to_be_visible()
    playwright.expect(page.locator("table.compact tbody tr:visible")).to_have_count(90)
    context.close()


def test_how_values_lie_over_the_prompts_is_drawn_and_said(browser, tmp_path):
    shares = {"even": [at / 40 for at in range(41)], "high": [1.0] * 30 + [0.0] * 11}
    records = [
        example.answer(RUN, model, f"p{at:02}", weights="hub", clip=None, measurements=measured(value, 1.0, 1.0, 0.0))
        for model, values in shares.items()
        for at, value in enumerate(values)
    ]
    (file,) = reporters.write_all(build(RUN, records), tmp_path, ["html"])
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(file.as_uri())
    drawn = page.locator("#s0 tbody tr td svg.distribution")
    playwright.expect(drawn).to_have_count(4)  # of two models the metrics of quality; costs have none
    assert page.get_by_text("Small bars:").is_visible()
    bars = {name: page.locator("tr", has_text=name).locator("svg path").first.get_attribute("d") for name in shares}
    assert (bars["even"].count("M"), bars["high"].count("M")) == (10, 2)
    said = []
    for name in shares:
        page.locator("#s0 tbody tr", has_text=name).locator("td:has(svg.distribution)").first.hover()
        said.append(page.locator("#tip span").last.inner_text())
    between = "half of the prompts lie between about {} and {}".format
    assert said == [between("0.2", "0.8"), between("0.0", "1.0")]
    page.context.close()
