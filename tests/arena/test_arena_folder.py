"""What an arena's folder shows, and what it does not."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from pytest_vdb import video
from pytest_vdb.arena import folder
from pytest_vdb.errors import OutputError, RecordError


def test_the_page_names_no_model_and_every_clip_has_a_name_that_tells_nothing(place):
    page = (place / "page" / "index.html").read_text()
    assert not re.search("wan|cog|ltx", page)
    names = [path.name for path in (place / "page" / "clips").iterdir()]
    assert len(names) == 6 + 2
    assert all(re.fullmatch("[0-9a-f]{16}[.]mp4", name) for name in names)


def test_a_prompt_is_text_and_never_markup(place):
    page = (place / "page" / "index.html").read_text()
    assert "<script>alert" not in page
    assert page.count("<script>") == 1


def test_the_key_says_what_every_pair_is(place):
    arena = folder.read(place)
    assert len(arena.pairs) == 6 + 2
    assert len(arena.checks) == 2
    for at, pair in enumerate(arena.pairs):
        first, second = (arena.shown[token] for token in pair)
        assert first.prompt == second.prompt
        assert (first.model == second.model) == (at in arena.checks)
    assert arena.models == {"wan": {"weights": "hub"}}


def test_a_check_is_a_clip_beside_itself_made_much_worse(place):
    arena = folder.read(place)
    for at in arena.checks:
        clips = [video.read(place / "page" / "clips" / f"{token}.mp4") for token in arena.pairs[at]]
        assert np.abs(clips[0].frames.astype(int) - clips[1].frames).mean() > 12


def test_an_arena_is_not_written_over(place):
    with pytest.raises(OutputError, match="there is an arena already"):
        folder.build(place, [], checks=0, per_rater=None, models={}, seed=0)


@pytest.mark.parametrize("damaged", ["{}", "[]", '{"id": 1, "shown": {"a": 3}, "pairs": [], "models": {}}', "{"])
def test_a_damaged_key_says_where(place, damaged):
    (place / "key.json").write_text(damaged)
    with pytest.raises(RecordError, match=re.escape("key.json")):
        folder.read(place)


def test_the_plan_in_the_page_is_all_that_the_page_needs(place):
    (plan,) = re.findall(r'data-plan="([^"]*)"', (place / "page" / "index.html").read_text())
    told = json.loads(
        plan.replace("&#34;", '"').replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">").replace("&#39;", "'")
    )
    assert {len(pair["of"]) for pair in told["pairs"]} == {2}
    assert told["asked"] == len(told["pairs"])
