"""Tiny models, opened by name and closed after the test."""

from __future__ import annotations

import pytest

from pytest_vdb.models.recipes import resolve
from pytest_vdb.models.registry import Registry
from pytest_vdb.models.source import WeightsSource
from pytest_vdb.records import Recipe


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return WeightsSource(mode="tiny", device="cpu", cache_dir=tmp_path_factory.mktemp("weights"), offline=True)


@pytest.fixture
def opened(source):
    """Opens a model under some settings; returns it, and its whole recipe."""
    registry, models = Registry.from_catalog(), []

    def open_(name, **settings):
        card = registry.get(name)
        recipe = resolve(card, Recipe(**settings), "tiny")
        models.append(registry.open(card, recipe, source))
        return models[-1], recipe

    yield open_
    for model in models:
        model.close()
