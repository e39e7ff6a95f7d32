"""Whether a model fits is weights and the largest stage; the switches that make it fit are the least slowing ones."""

from __future__ import annotations

import dataclasses

import pytest

from pytest_vdb.errors import OptionError
from pytest_vdb.models import counts, fitting, recipes
from pytest_vdb.models.counts import Counts, PartCount, StageCount
from pytest_vdb.models.fitting import CONTEXT_GIB, GIB, LOST
from pytest_vdb.models.registry import Registry
from pytest_vdb.records import Recipe

REGISTRY = Registry.from_catalog()
CARD = dataclasses.replace(REGISTRY.get("wan2.1-t2v-1.3b"), minimum_memory_gib=None)
RECIPE = recipes.resolve(CARD, Recipe(), "random")


def part(gib: float) -> PartCount:
    return PartCount(parameters=int(gib * GIB / 2), bytes=int(gib * GIB), largest_bytes=GIB // 4)


def stage(name: str, of: str, peak_gib: float, tiled_gib: float | None = None) -> StageCount:
    tiled = None if tiled_gib is None else int(tiled_gib * GIB)
    return StageCount(
        stage=name,
        part=of,
        calls=1,
        products=1.0,
        attention=1.0,
        moved_bytes=1.0,
        peak_bytes=int(peak_gib * GIB),
        tiled_peak_bytes=tiled,
    )


COUNTED = Counts(
    key="k",
    steps=50,
    diffusers="0",
    parts={"text_encoder": part(10), "transformer": part(20), "vae": part(1)},
    stages=(
        stage("text", "text_encoder", 1),
        stage("denoise", "transformer", 2),
        stage("decode", "vae", 10, tiled_gib=1),
    ),
)


@pytest.mark.parametrize(
    ("switches", "gib"),
    [
        ({}, 31 + 10 * LOST),
        ({"vae_tiling": True}, 31 + 2 * LOST),
        ({"offload": "model"}, 20 + 2 * LOST),
        ({"offload": "model", "layerwise_casting": "float8_e4m3fn"}, 10 + 2 * LOST + 0),
        ({"offload": "sequential", "vae_tiling": True}, 0.25 + 2 * LOST),
        ({"quantization": "torchao-int8", "vae_tiling": True}, 21 + 2 * LOST),
        ({"quantization": "none"}, 31 + 10 * LOST),
        ({"batch": 3}, 31 + 30 * LOST),
        ({"batch": 3, "vae_slicing": True}, 31 + max(10, 3 * 2) * LOST),
    ],
)
def test_a_switch_takes_away_what_it_is_for(switches, gib):
    expected = gib if switches.get("layerwise_casting") is None else max(gib, 1 + 10 * LOST)
    found = fitting.needed_gib(COUNTED, dataclasses.replace(RECIPE, **switches))
    assert found == pytest.approx(expected + CONTEXT_GIB, abs=0.01)


@pytest.mark.parametrize(
    ("memory_gib", "fits", "switches"),
    [
        (80, True, {}),
        (40, False, {"vae_tiling": True}),
        (24, False, {"offload": "model"}),
        (14, False, {"vae_tiling": True, "offload": "model", "layerwise_casting": "float8_e4m3fn"}),
        (8, False, {"vae_tiling": True, "offload": "sequential"}),
        (2, False, None),
    ],
)
def test_the_least_slowing_switches_that_make_it_fit_are_named(memory_gib, fits, switches):
    found = fitting.fit(CARD, RECIPE, COUNTED, memory_gib)
    assert found.fits is fits
    assert (None if found.switches is None else found.switches.settings()) == switches


def test_a_published_figure_counts_more_than_ours_at_the_default_recipe_alone():
    card = dataclasses.replace(CARD, minimum_memory_gib=99.0, minimum_memory_source="its README")
    found = fitting.fit(card, RECIPE, COUNTED, 80)
    assert (found.fits, found.needed_gib, found.rests_on) == (False, 99.0, "published: its README")
    smaller = dataclasses.replace(RECIPE, frames=5)
    assert fitting.fit(card, smaller, COUNTED, 80).fits


def test_what_was_not_counted_is_not_known():
    lacking = counts.Uncounted(key="k", reason="it looks at values", diffusers="0")
    found = fitting.fit(CARD, RECIPE, lacking, 80)
    assert (found.fits, found.needed_gib) == (None, None)
    assert "it looks at values" in found.rests_on


def test_models_are_selected_by_the_memory_they_fit_into():
    small, large = ({card.name for card in REGISTRY.select(f"fits:{size}")} for size in ("24GB", "80gb"))
    assert small < large
    assert "wan2.1-t2v-1.3b" in small
    assert "hunyuanvideo" in large - small
    assert not any(name.startswith("calibration-") for name in large)
    assert REGISTRY.select("fits:24GB,hunyuanvideo")[-1].name == "hunyuanvideo"


@pytest.mark.parametrize("size", ["", "24 cats", "-1GB"])
def test_a_size_that_is_none_is_refused_with_how_to_write_it(size):
    with pytest.raises(OptionError, match="fits:24GB"):
        REGISTRY.select(f"fits:{size}")


def test_a_size_into_which_nothing_fits_is_refused():
    with pytest.raises(OptionError, match=r"no model is known to fit into 0\.1GB"):
        REGISTRY.select("fits:0.1GB")
