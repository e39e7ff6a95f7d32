"""The table of what is particular to a class: every entry is of a class that there is, and no other file has one."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import pytest

from pytest_vdb import models
from pytest_vdb.models.pipelines import caches, calls, quirks
from pytest_vdb.models.registry import Registry
from pytest_vdb.records import Recipe

CLASSES = {card.pipeline for card in Registry.from_catalog().select("all")} - {None}
ROOM = Path(models.__file__).parent
SOURCES = [path.relative_to(ROOM).as_posix() for path in sorted(ROOM.rglob("*.py"))]
SETTINGS = {field.name for field in dataclasses.fields(Recipe)}


@pytest.mark.parametrize("name", sorted(quirks.QUIRKS))
def test_an_entry_is_of_a_class_with_a_card_or_says_why_there_is_none(name):
    entry = quirks.of(name)
    assert entry != quirks.NONE
    assert (name in CLASSES) is (entry.why_no_card is None)


@pytest.mark.parametrize("name", sorted(quirks.QUIRKS))
def test_an_entry_names_settings_and_caches_that_there_are(name):
    entry = quirks.of(name)
    assert set(entry.unfit) | set(entry.unfit_on_cpu) <= SETTINGS
    assert set(entry.follows) <= set(calls.NAMES)
    assert set(entry.unfit_caches) <= set(caches.CACHES)


def test_the_classes_stand_in_the_order_of_their_names():
    assert list(quirks.QUIRKS) == sorted(quirks.QUIRKS)


@pytest.mark.parametrize("source", [source for source in SOURCES if source != "pipelines/quirks.py"])
def test_no_other_file_knows_a_class_by_name(source):
    tree = ast.parse((ROOM / source).read_text(encoding="utf-8"))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    known = texts & (CLASSES | set(quirks.QUIRKS))
    assert not known, f"{source} knows {', '.join(sorted(known))}: say it in the class's entry in pipelines/quirks.py"


def test_a_class_without_an_entry_has_no_quirks():
    assert quirks.of("WanPipeline") is quirks.NONE
