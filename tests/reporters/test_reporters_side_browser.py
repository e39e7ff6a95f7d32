"""Real clips beside each other in Chromium, from files: in step, frame by frame, by the keyboard, asking nobody."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import example_run as example
import pytest

from pytest_vdb import video
from pytest_vdb.analysis import build
from pytest_vdb.degradations import degraded
from pytest_vdb.records import Clip, ClipFiles
from pytest_vdb.reporters import write_all
from pytest_vdb.reporters.side_by_side import INDEX, PROMPTS
from pytest_vdb.shapes import moving_shapes

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.slow
RUN = example.example_run()
FRAMES, FPS = 48, 24.0
MOST_DRIFT_S = 0.02
DRIFTS = """async () => {
    const videos = [...document.querySelectorAll('#stage video')], found = [];
    const until = performance.now() + 900;
    while (performance.now() < until) {
        await new Promise((next) => requestAnimationFrame(next));
        if (videos.some((one) => one.paused || one.ended)) continue;
        found.push(Math.abs(videos[0].currentTime - videos[1].currentTime));
    }
    return found;
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Three models that answered two prompts; one of the prompts is no name for a file."""
    root: Path = tmp_path_factory.mktemp("site")
    clips = root / "runs" / RUN.id / "clips"
    clips.mkdir(parents=True)
    records = []
    for at, prompt in enumerate(("a/b", "p2")):
        clean = Clip(moving_shapes(prompt, frames=FRAMES, height=64, width=96), FPS)
        for model, clip in (("one", clean), ("two, three", degraded(clean, "blur", 3)), ("four", clean)):
            name = f"{model[:3]}{at}.mp4"
            video.write_preview(clip, clips / name)
            files = ClipFiles(
                digest=f"{model}{at}", frames=FRAMES, height=64, width=96, fps=FPS, preview=f"clips/{name}"
            )
            records.append(example.answer(RUN, model, prompt, weights="hub", clip=files, measurements=()))
    write_all(build(RUN, records), root, ["html"])
    return root


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser, site):
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    page = context.new_page()
    page.set_default_timeout(10_000)
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith(site.as_uri()) else wrong.append(asked.url))
    yield page
    assert wrong == []
    context.close()


def opened(page, site: Path, name: str):
    """The page of a prompt when its clips can be played."""
    page.goto(f"{(site / PROMPTS).as_uri()}/{name}")
    return ready(page)


def ready(page):
    playwright.expect(page.locator("#where")).to_have_text(re.compile("^frame"))  # its policy lets nobody evaluate text
    return page


def names_on_stage(page) -> list[str]:
    return page.eval_on_selector_all("#stage video", "all => all.map((one) => one.getAttribute('aria-label'))")


def test_two_clips_play_in_step_and_stop_together(page, site):
    opened(page, site, "p2.html#compare=one,two%2C%20three")
    assert names_on_stage(page) == ["one", "two, three"]
    page.keyboard.press("Space")
    drifts = sorted(page.evaluate(DRIFTS))
    assert len(drifts) > 10
    assert drifts[len(drifts) // 2] < MOST_DRIFT_S
    page.keyboard.press("Space")
    assert page.locator("#play").inner_text() == "Play"
    assert page.eval_on_selector_all("#stage video", "all => all.every((one) => one.paused)")


def test_frames_are_stepped_through_with_the_keyboard_and_told(page, site):
    opened(page, site, "p2.html")
    for key in "..,.":
        page.keyboard.press(key)
        page.wait_for_timeout(60)
    playwright.expect(page.locator("#said")).to_have_text(re.compile("^frame 3 of 48"))
    times = page.eval_on_selector_all("#stage video", "all => all.map((one) => one.currentTime)")
    assert times == pytest.approx([2.5 / FPS] * 2, abs=1e-3)


def test_what_is_chosen_stands_in_the_address_and_goes_along_to_the_next_prompt(page, site):
    opened(page, site, "a_b.html#compare=one,four")
    page.get_by_role("checkbox", name="two, three").check()
    page.locator("#view").select_option("wipe")
    page.locator("#wipe").fill("25")
    assert page.locator("#stage video").nth(1).evaluate("one => one.style.clipPath") == "inset(0px 0px 0px 25%)"
    before = names_on_stage(page)
    page.locator("a[rel=next]").click()
    page.wait_for_url("**/p2.html#*")
    assert page.url.partition("#")[2].endswith("&view=wipe")
    assert names_on_stage(ready(page)) == before
    page.locator("#view").select_option("difference")
    assert page.locator("#stage video").nth(1).evaluate("one => getComputedStyle(one).mixBlendMode") == "difference"
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_link_to_the_leaderboard_leads_to_the_page_of_its_prompt(page, site):
    page.goto(f"{site.as_uri()}/leaderboard.html#compare=four,one&prompt=a%2Fb&view=difference")
    page.wait_for_url("**/prompts/a_b*")
    assert names_on_stage(ready(page)) == ["four", "one"]
    page.goto(f"{(site / INDEX).as_uri()}#compare=four&prompt=nobody")
    assert "no prompt of this name" in page.locator("#said").inner_text()


def test_a_clip_that_cannot_be_played_is_named_and_stops_no_other(page, site):
    file = next((site / "runs" / RUN.id / "clips").glob("fou0.mp4"))
    whole = file.read_bytes()
    file.write_bytes(b"no video")
    try:
        opened(page, site, "a_b.html#compare=four,one")
        page.locator(".broken").wait_for()
        assert page.locator(".broken").inner_text() == "four: the clip cannot be played"
        page.keyboard.press("Space")
        playwright.expect(page.locator("#where")).not_to_have_text(re.compile("^frame 1 "))
        page.locator("#back").click()
        page.get_by_role("checkbox", name="one").uncheck()
        page.keyboard.press("Space")
        playwright.expect(page.locator("#play")).to_have_text("Play")
    finally:
        file.write_bytes(whole)


def test_without_script_every_clip_is_a_link(browser, site):
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(f"{(site / PROMPTS).as_uri()}/p2.html")
    assert sorted(page.locator("#clips a").all_inner_texts()) == ["four", "one", "two, three"]
    assert not page.locator("#play").is_visible()
