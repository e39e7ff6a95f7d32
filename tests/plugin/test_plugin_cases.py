"""Test ids and slugs."""

from __future__ import annotations

from pytest_vdb.plugin.cases import Case, case_ids, cases, grouped, slug
from pytest_vdb.records import Prompt


def test_ids_name_model_prompt_and_further_samples():
    listed = cases(["wan"], [Prompt(id="p001", text="a cat")], samples=2)
    assert case_ids(listed) == ["wan--p001", "wan--p001--s1"]


def test_a_test_that_asks_for_no_prompt_is_named_by_its_model():
    assert case_ids([Case("wan", None)]) == ["wan"]


def test_grouping_keeps_the_order_within_and_among_groups():
    assert grouped(["b1", "a1", "b2", "c1", "a2"], lambda name: name[0]) == ["b1", "b2", "a1", "a2", "c1"]


def test_a_slug_keeps_a_tame_name():
    assert slug("wan2.1-t2v-1.3b") == "wan2.1-t2v-1.3b"


def test_a_slug_of_a_wild_name_is_inert_and_unique():
    wild = ["../../x", "..\\..\\x", "<script>", "[script]", "a b", "a/b", "", ".", "-n", "ü"]
    slugs = [slug(name) for name in wild]
    assert len(set(slugs)) == len(wild)
    for made in slugs:
        assert not set(made) & set("/\\<>[]: &%$\"'")
        assert not made.startswith((".", "-"))


def test_model_and_prompt_are_told_apart_in_any_spelling():
    names = ["m", "m-x", "x", "x-p", "p", "m--x", "x--p", "-m", "m-", "s1", "m-s1"]
    pairs = [(model, prompt) for model in names for prompt in names]
    ids = case_ids([Case(model, Prompt(id=prompt, text="a"), sample) for model, prompt in pairs for sample in (0, 1)])
    assert len(set(ids)) == len(ids)
    assert [made.count("--") for made in ids] == [1, 2] * len(pairs)


def test_fifteen_thousand_strange_names_have_slugs_of_their_own():
    assert len({slug(f"\u6a21{chr(0x4E00 + number)}") for number in range(15_000)}) == 15_000
