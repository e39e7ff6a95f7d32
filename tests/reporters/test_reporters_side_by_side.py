"""Clips of one prompt beside each other: which pages there are, and what they link to."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import example_run as example
import pytest

from pytest_vdb.analysis import build
from pytest_vdb.records import ClipFiles, Record, digest
from pytest_vdb.reporters import write_all
from pytest_vdb.reporters.pages import UP, Files, policy
from pytest_vdb.reporters.side_by_side import INDEX, PROMPTS, SideBySide

RUN = example.example_run()
HOSTILE = "</title><script>alert(1)</script>\u202e../../x"


class Links(HTMLParser):
    """The ways that a page leads, and what its elements say of themselves."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.clips: dict[str, str] = {}
        self.others: list[str] = []
        self.scripts = 0
        self._items = False
        self._href: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep links; those in the list of clips apart."""
        told = dict(attrs)
        self.scripts += tag == "script"
        self._items = self._items or told.get("id") == "clips"
        if tag == "a":
            self._href = told.get("href")
            if not self._items:
                self.others.append(str(self._href))

    def handle_endtag(self, tag: str) -> None:
        """The list ends."""
        if tag == "ul":
            self._items = False
        self._href = None if tag == "a" else self._href

    def handle_data(self, data: str) -> None:
        """What a link to a clip is called."""
        if self._items and self._href:
            self.clips[data] = self._href


def answered(root: Path, model: str, prompt: str, *, clip: str | None = "", **more) -> Record:
    """With a clip that lies in the run's folder."""
    name = f"clips/{digest([model, prompt])}.mp4" if clip == "" else clip
    if name is not None:
        (root / "runs" / RUN.id / "clips").mkdir(parents=True, exist_ok=True)
        (root / "runs" / RUN.id / name).write_bytes(b"a clip")
    files = ClipFiles(digest=f"{model} {prompt} {more}", frames=9, height=64, width=96, fps=8.0, preview=name)
    return example.answer(RUN, model, prompt, **{"weights": "hub", "clip": files, "measurements": ()} | more)


def pages_of(root: Path, *records: Record) -> SideBySide:
    return SideBySide(build(RUN, records), Files(root, up=UP))


def test_a_prompt_has_a_page_where_two_models_have_clips_that_are_there(tmp_path):
    both = [answered(tmp_path, model, "p1") for model in ("a", "b")]
    alone = answered(tmp_path, "a", "p2")
    gone = answered(tmp_path, "b", "p2")
    (tmp_path / "runs" / RUN.id / gone.clip.preview).unlink()
    lost = example.lost(RUN, "b", "p3", "failed", "BadClip", "black", weights="hub")
    pages = pages_of(tmp_path, *both, alone, gone, lost)
    assert list(pages.paths) == [f"{PROMPTS}/p1.html", INDEX]
    links = Links(pages.page(f"{PROMPTS}/p1.html"))
    assert set(links.clips) == {"a", "b"}
    for url in links.clips.values():
        assert (tmp_path / PROMPTS / url).resolve().is_file()
    assert pages.are_there
    rows = dict(pages.lines)
    assert pages.link_of(rows["b"], both[1]) == f"{UP}{PROMPTS}/p1.html#compare=b"
    assert pages.link_of(rows["a"], alone) is None


def test_without_clips_there_is_no_page(tmp_path):
    without = (example.answer(RUN, model, "p1", clip=None) for model in "ab")
    for pages in (pages_of(tmp_path, *without), pages_of(tmp_path), pages_of(tmp_path, answered(tmp_path, "a", "p1"))):
        assert not pages.paths
        assert not pages.are_there


def test_the_page_of_the_leaderboard_leads_to_the_list_only_where_there_is_one(tmp_path):
    write_all(build(RUN, [answered(tmp_path, model, "p1") for model in "ab"]), tmp_path, ["html"])
    assert f'href="{INDEX}"' in (tmp_path / "leaderboard.html").read_text(encoding="utf-8")
    assert Links((tmp_path / INDEX).read_text(encoding="utf-8")).others == ["../../leaderboard.html", "p1.html"]
    other = tmp_path / "other"
    write_all(build(RUN, [example.answer(RUN, "a", "p1", clip=None)]), other, ["html"])
    assert not (other / PROMPTS).exists()
    assert INDEX not in (other / "leaderboard.html").read_text(encoding="utf-8")


def test_neighbours_lead_to_each_other_and_names_that_are_no_files_become_some(tmp_path):
    names = ["../../x", "index", HOSTILE]
    pages = pages_of(tmp_path, *(answered(tmp_path, model, name) for model in "ab" for name in names))
    *files, last = pages.paths
    assert last == INDEX
    assert all(re.fullmatch(rf"{PROMPTS}/[\w.~+-]+\.html", path) for path in files)
    middle = Links(pages.page(files[1])).others
    assert middle == [
        "../../leaderboard.html",
        files[0].rpartition("/")[2],
        files[2].rpartition("/")[2],
        "index.html",
    ]
    for path in pages.paths:
        assert "<script>alert" not in pages.page(path)
        assert "\u202e" not in pages.page(path)
        assert Links(pages.page(path)).scripts == 1


def test_names_that_are_markup_stay_names_and_two_samples_are_two_clips(tmp_path):
    hostile = answered(tmp_path, HOSTILE, "p")
    first, second, third = (answered(tmp_path, "b", "p", seed=seed, sample_index=seed) for seed in range(3))
    third = replace(third, clip=first.clip)
    links = Links(pages_of(tmp_path, hostile, first, second, third).page(f"{PROMPTS}/p.html"))
    assert sorted(links.clips)[1:] == ["b", "b, clip 2"]
    assert len(links.clips) == 3


def test_one_id_with_two_texts_is_two_prompts(tmp_path):
    asked = [(model, text) for model in "ab" for text in ("one", "two")]
    every = [answered(tmp_path, model, "p", prompt_text=text, clip=f"clips/{model}{text}.mp4") for model, text in asked]
    pages = pages_of(tmp_path, *every)
    assert len(pages.paths) == 3
    assert {len(Links(pages.page(path)).clips) for path in pages.paths if path != INDEX} == {2}


@pytest.mark.parametrize("clip", ["../../../secret.mp4", "/etc/passwd", "clips/link.mp4", "clips"])
def test_no_link_leads_out_of_a_run(tmp_path, clip):
    inside = [answered(tmp_path, model, "p") for model in "ab"]
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    (tmp_path / "runs" / RUN.id / "clips" / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    led = replace(inside[0], model="c", clip=replace(inside[0].clip, preview=clip, digest="c"))
    assert set(Links(pages_of(tmp_path, *inside, led).page(f"{PROMPTS}/p.html")).clips) == {"a", "b"}


def test_a_link_that_stays_in_its_run_is_followed_and_odd_names_are_quoted(tmp_path):
    one = answered(tmp_path, "a", "p", clip="clips/50% #1.mp4")
    (tmp_path / "runs" / RUN.id / "clips" / "link.mp4").symlink_to("50% #1.mp4")
    two = replace(one, model="b", clip=replace(one.clip, preview="clips/link.mp4"))
    links = Links(pages_of(tmp_path, one, two).page(f"{PROMPTS}/p.html"))
    assert links.clips["a"].endswith("/clips/50%25%20%231.mp4")
    assert links.clips["b"].endswith("/clips/link.mp4")


def test_the_same_records_give_the_same_pages_under_a_policy_of_hashes(tmp_path):
    records = [answered(tmp_path, model, prompt) for model in "ab" for prompt in ("p1", "p2")]
    pages, again = pages_of(tmp_path, *records), pages_of(tmp_path, *reversed(records))
    for path in pages.paths:
        text = pages.page(path)
        assert text == again.page(path)
        (style,), (script,) = (re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL) for tag in ("style", "script"))
        assert policy(style, script).replace("'", "&#39;") in text


def test_how_fast_a_clip_plays_is_said_once_and_where_it_differs(tmp_path):
    usual = [answered(tmp_path, model, "p") for model in "ab"]
    slow = answered(tmp_path, "c", "p")
    slow = replace(slow, clip=replace(slow.clip, fps=12.5, frames=20))
    text = pages_of(tmp_path, *usual, slow).page(f"{PROMPTS}/p.html")
    assert re.findall(r"<(\w+)[^>]* data-fps=\"([\d.]+)\" data-frames=\"(\d+)\"", text) == [
        ("ul", "8", "9"),
        ("li", "12.5", "20"),
    ]
