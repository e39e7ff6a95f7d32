"""Test ids and slugs."""

from __future__ import annotations

from pytest_vdb.plugin.cases import Case, case_ids, cases, grouped, model_of, slug
from pytest_vdb.records import Prompt


def test_ids_name_model_prompt_and_further_samples():
    listed = cases(["wan"], [Prompt(id="p001", text="a cat")], samples=2)
    assert case_ids(listed) == ["wan-p001", "wan-p001-s1"]


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


def test_the_longest_known_model_owns_a_test():
    slugs = ["wan-large", "wan"]
    assert model_of("a.py::test[wan-large-p001]", slugs) == "wan-large"
    assert model_of("a.py::test[wan-p001]", slugs) == "wan"
    assert model_of("a.py::test[wander-p001]", slugs) is None
    assert model_of("a.py::test", slugs) is None
