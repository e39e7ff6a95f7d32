"""Two sides as a page and as Markdown: the prompts that changed most, both clips where they lie, and no name obeyed."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html
import re
from pathlib import Path

import example_run as example
import pytest

from pytest_vdb.analysis.changes import most_changed
from pytest_vdb.analysis.comparison import Comparison, Side
from pytest_vdb.analysis.paired_sets import Swaps
from pytest_vdb.analysis.question import Question, answer
from pytest_vdb.metrics.registry import MetricRegistry
from pytest_vdb.reporters import comparison, comparison_page

SHARP, BLURRED = "calibration-shapes", "calibration-blurred"


def compared(folder: Path, *, keep: bool = True, **changed: object) -> Comparison:
    """Shapes against the same shapes blurred; with their clips in `folder` if they are kept."""
    run = example.example_run()
    records = [
        dataclasses.replace(example.answer(run, model, prompt, folder=folder if keep else None), **changed)
        for model in (SHARP, BLURRED)
        for prompt in example.PROMPTS
    ]
    sides = [
        Side(label=m, model=m, run=run, records=tuple(r for r in records if r.model == m), folder=folder)
        for m in (SHARP, BLURRED)
    ]
    asked = Question(
        metrics="all",
        registry=MetricRegistry.builtin(),
        reference=None,
        any_recipe=False,
        swaps=Swaps(permutations=99, seed=0),
        cache_dir=folder,
    )
    return answer(asked, *sides)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("runs") / "a run"


@pytest.fixture(scope="module")
def found(place) -> Comparison:
    return compared(place)


def attributes(page: str, name: str) -> list[str]:
    return [html.unescape(value) for value in re.findall(rf' {name}="([^"]*)"', page)]


def test_the_prompts_that_changed_most_come_first_each_in_the_metric_that_tells_it(found):
    changes = most_changed(found)
    assert {change.prompt for change in changes} == set(example.PROMPTS)
    assert [c.times_usual for c in changes] == sorted((c.times_usual for c in changes), reverse=True)
    for change in changes:
        values = [record.measurement(change.metric).value for record in change.pair]
        assert (change.first, change.second) == tuple(values)
        assert {record.prompt for record in change.pair} == {change.prompt}
    assert len(most_changed(found, most=2)) == 2


def test_the_page_plays_both_clips_of_each_prompt_where_they_lie(found, place):
    page = comparison_page.render([found], beside=place.parent / "pages")
    links = attributes(page, "src")
    assert len(links) == 2 * len(example.PROMPTS)
    assert links[0].startswith("../a%20run/clips/calibration-shapes-")
    assert links[1] == links[0].replace(SHARP, BLURRED)
    assert all((place.parent / "pages" / link.replace("%20", " ")).resolve().is_file() for link in links)
    assert len([poster for poster in attributes(page, "poster") if poster.startswith("data:image/jpeg")]) == len(links)


def test_clips_that_are_not_there_are_not_linked(tmp_path):
    gone = compared(tmp_path, keep=False)
    page = comparison_page.render([gone], beside=tmp_path)
    assert attributes(page, "src") == []
    assert page.count("clip not here") == 2 * len(example.PROMPTS)
    assert "](" not in comparison.render_markdown(gone, beside=tmp_path)


def test_no_link_leads_out_of_its_run(found, place):
    (place.parent / "secret.mp4").write_bytes(b"x")
    for escape in ("../secret.mp4", "clips/../../secret.mp4", str(place.parent / "secret.mp4")):
        away = [dataclasses.replace(c, pair=_with_preview(c.pair, escape)) for c in most_changed(found)]
        for change in away:
            assert comparison.link_to_preview(found.first, change.pair[0], place.parent) is None


def _with_preview(pair, preview):
    return tuple(dataclasses.replace(r, clip=dataclasses.replace(r.clip, preview=preview)) for r in pair)


def test_the_markdown_links_both_clips_relative_to_its_file(found, place):
    text = comparison.render_markdown(found, beside=place)
    assert "## Prompts that changed most" in text
    assert f"[A](clips/{SHARP}-" in text
    assert f"[B](clips/{BLURRED}-" in text
    assert "](" not in comparison.render_markdown(found)  # printed, it lies nowhere


def test_page_markdown_and_terminal_say_which_null_was_tested(found):
    null = "over prompts like these the mean difference is zero"
    texts = (comparison_page.render([found]), comparison.render_markdown(found), comparison.render_terminal(found))
    assert all(null in " ".join(text.split()) for text in texts)


def test_the_policy_allows_the_pages_own_style_and_nothing_else(found):
    page = comparison_page.render([found])
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = attributes(page, "content")[:1]
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "<script" not in page
    assert not re.search(r"https?://", page)


@pytest.mark.parametrize(
    "name",
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7*7 }}", "a | b `c` [e](http://f)", "\x1b[31m"],
)
def test_no_name_is_markup(name, tmp_path):
    plain, hostile = (compared(tmp_path, keep=False, prompt_text=text) for text in ("text", name))
    hostile = dataclasses.replace(hostile, first=dataclasses.replace(hostile.first, label=name))
    pages = [comparison_page.render([one]) for one in (plain, hostile)]
    assert re.findall(r"<(\w+)", pages[0]) == re.findall(r"<(\w+)", pages[1])
    outside_of_code = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", comparison.render_markdown(hostile))
    assert not re.search(r"(?<!\\)\]\(", outside_of_code)
    assert "\x1b" not in pages[1] + comparison.render_markdown(hostile) + comparison.render_terminal(hostile)


def test_an_overview_of_several_models_names_those_to_look_at_the_worse_first():
    same, better, worse, both = (
        comparison.Headline(model, better, worse)
        for model, better, worse in (
            ("same", [], []),
            ("better", ["latency"], []),
            ("worse", [], ["sharpness"]),
            ("\x1b[31mboth", ["latency"], ["sharpness", "niqe"]),
        )
    )
    told = comparison.overview([same, better, worse, both]).splitlines()
    assert told[:4] == [
        "Of 4 models A is better in 2, worse in 2 and neither in 1.",
        "  \\x1b[31mboth: worse in sharpness, niqe; better in latency",
        "  worse: worse in sharpness",
        "  better: better in latency",
    ]
    assert "by chance" in told[4]
    assert comparison.overview([same, same]) == "Of 2 models A is better in 0, worse in 0 and neither in 2."
    assert comparison.overview([both]) == "", "one model has its own line"
    assert "and 5 more" in comparison.overview([worse] * 25)


def test_a_headline_has_what_the_summary_names(found):
    headline = comparison.Headline.of(found)
    assert headline.model == SHARP
    for name in (*headline.better, *headline.worse):
        assert name in comparison.summary(found)
    assert headline.better
