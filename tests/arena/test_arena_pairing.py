"""Which pairs are shown."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pytest_vdb.arena.pairing import Candidate, pairs_of
from pytest_vdb.errors import OptionError

CLIPS = [
    Candidate(model=model, prompt=f"p{at}", text="", file=Path(f"{model}-{at}.mp4"))
    for model in "abcd"
    for at in range(5)
]


def models_of(pairs):
    return Counter("".join(sorted(clip.model for clip in pair)) for pair in pairs)


def test_all_pairs_of_one_prompt_are_shown_once():
    pairs = pairs_of(CLIPS, None, seed=0)
    assert len(pairs) == len(set(map(frozenset, pairs))) == 6 * 5
    assert all(first.prompt == second.prompt for first, second in pairs)


def test_some_of_them_are_of_all_models_and_prompts_alike():
    pairs = pairs_of(CLIPS, 12, seed=0)
    assert set(models_of(pairs).values()) == {2}
    assert max(Counter(pair[0].prompt for pair in pairs).values()) <= 4


def test_those_that_tell_more_come_more_often_and_the_unknown_as_often():
    telling = {frozenset("ab"): 0.1, frozenset("ac"): 1.0}
    shown = models_of(pairs_of(CLIPS, 10, seed=0, telling=telling))
    assert shown["ab"] < shown["ac"]
    assert shown["cd"] == shown["ac"]


def test_the_same_seed_chooses_the_same_and_another_others():
    assert pairs_of(CLIPS, 12, seed=1) == pairs_of(list(reversed(CLIPS)), 12, seed=1)
    assert pairs_of(CLIPS, 12, seed=1) != pairs_of(CLIPS, 12, seed=2)


def test_nothing_to_compare_says_so():
    with pytest.raises(OptionError, match="no prompt has clips of two models"):
        pairs_of([clip for clip in CLIPS if clip.model == "a"], None, seed=0)
