"""A whole pipeline is counted at full size without its weights; what is shipped agrees with arithmetic."""

from __future__ import annotations

import pytest

from pytest_vdb.errors import RecordError
from pytest_vdb.estimates import counting
from pytest_vdb.models import counts, recipes
from pytest_vdb.models.registry import Registry
from pytest_vdb.records import Recipe

REGISTRY = Registry.from_catalog()
CARDS = [card for card in REGISTRY.select("all") if card.pipeline is not None]


def shipped(name: str, **settings: object) -> counts.Counts:
    card = REGISTRY.get(name)
    found = counts.shipped()[counts.key_of(card, recipes.resolve(card, Recipe(**settings), "random"))]
    assert isinstance(found, counts.Counts)
    return found


def found_of(card) -> counts.Counts | counts.Uncounted | None:
    return counts.shipped_of(card, recipes.resolve(card, Recipe(), "random"))


def test_most_cards_are_counted_at_their_default_recipes():
    """Else their cards have changed: python benchmarks/perf/count_models.py."""
    assert sum(found_of(card) is not None for card in CARDS) >= len(CARDS) * 3 // 4


@pytest.mark.parametrize("card", CARDS, ids=[card.name for card in CARDS])
def test_a_card_is_counted_at_its_default_recipe_or_says_why_not(card):
    if (found := found_of(card)) is None:
        pytest.skip("counted when it is first asked for")
    if isinstance(found, counts.Uncounted):
        assert found.reason
    else:
        assert found.operations > 1e12
        assert found.weights_bytes > 1e9
        assert {"denoise", "decode"} >= {stage.stage for stage in found.stages} - {"text", "encode"}


TEXT = 512
"""Tokens of a prompt that Wan sees."""


def of_wan(tokens: int, layers: int, width: int, inner: int) -> tuple[float, float]:
    """Products and attention of a call: both attentions with their projections, and the feed-forward part."""
    of_tokens = tokens * (6 * width**2 + 2 * width * inner) + TEXT * 2 * width**2
    return 2 * layers * of_tokens, 4 * layers * width * tokens * (tokens + TEXT)


def of_cogvideox(tokens: int, layers: int, width: int) -> tuple[float, float]:
    """The text's tokens are among the others."""
    return 2 * layers * tokens * 12 * width**2, 4 * layers * width * tokens**2


@pytest.mark.parametrize(
    ("name", "settings", "arithmetic"),
    [
        ("wan2.1-t2v-1.3b", {}, of_wan(21 * 30 * 52, 30, 12 * 128, 8960)),
        ("wan2.1-t2v-14b", {"height": 480, "width": 832}, of_wan(21 * 30 * 52, 40, 40 * 128, 13824)),
        ("cogvideox-2b", {}, of_cogvideox(13 * 30 * 45 + 226, 30, 30 * 64)),
    ],
)
def test_denoisers_do_what_arithmetic_says(name, settings, arithmetic):
    found = shipped(name, **settings)
    (denoise,) = found.of_stage("denoise")
    clips = 2 * found.steps  # with and without the prompt
    assert denoise.products / clips == pytest.approx(arithmetic[0], rel=0.02)
    assert denoise.attention / clips == pytest.approx(arithmetic[1], rel=0.001)


@pytest.mark.parametrize(
    ("name", "per_call"),
    [("wan2.1-t2v-1.3b", 283001787777024), ("wan2.1-t2v-14b", 1678370283192320)],
)
def test_wan_counts_what_another_counter_counted(name, per_call):
    """Of `FlopCounterMode` over the denoiser alone, attention taken apart."""
    found = shipped(name, height=480, width=832)
    (denoise,) = found.of_stage("denoise")
    assert denoise.calls == 100
    assert denoise.operations / denoise.calls == pytest.approx(per_call, rel=1e-3)


def test_more_steps_call_the_denoiser_more_often_and_nothing_else():
    few = shipped("wan2.1-t2v-1.3b")
    more = few.at_steps(2 * few.steps)
    assert more.of_stage("decode") == few.of_stage("decode")
    assert more.of_stage("denoise")[0].operations == 2 * few.of_stage("denoise")[0].operations
    assert more.of_stage("denoise")[0].peak_bytes == few.of_stage("denoise")[0].peak_bytes


def test_a_model_without_an_architecture_says_so(tmp_path):
    card = REGISTRY.get("calibration-shapes")
    found = counts.known(card, recipes.resolve(card, Recipe(), "none"), tmp_path)
    assert isinstance(found, counts.Uncounted)
    assert "no pipeline" in found.reason


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            NotImplementedError("The register_meta function for torch.nonzero() raises unimplemented by default. More"),
            "nonzero needs them",
        ),
        (NotImplementedError("Could not run 'aten::equal' from the 'Meta' backend.\nMore"), "equal needs them"),
        (NotImplementedError("Cannot copy out of meta tensor; no data!"), "Cannot copy out of meta tensor; no data!"),
        (RuntimeError("The KV cache is empty."), "RuntimeError: The KV cache is empty."),
    ],
)
def test_what_hinders_counting_is_said_in_a_sentence(error, said):
    assert counting.hindrance(error) == said


def test_what_was_counted_here_is_found_again(tmp_path):
    card = REGISTRY.get("wan2.1-t2v-1.3b")
    recipe = recipes.resolve(card, Recipe(frames=5, height=64, width=64), "random")
    key = counts.key_of(card, recipe)
    assert counts.known(card, recipe, tmp_path) is None
    counts.keep({key: shipped("wan2.1-t2v-1.3b")}, counts.place_of(key, tmp_path))
    assert counts.known(card, recipe, tmp_path) == shipped("wan2.1-t2v-1.3b")


def test_a_torn_file_of_counts_says_what_to_do(tmp_path):
    card = REGISTRY.get("wan2.1-t2v-1.3b")
    recipe = recipes.resolve(card, Recipe(frames=9), "random")
    path = counts.place_of(counts.key_of(card, recipe), tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text('{"a": {"key": 1}}', encoding="utf-8")
    with pytest.raises(RecordError, match="delete it"):
        counts.known(card, recipe, tmp_path)


@pytest.mark.slow  # imports diffusers and builds a pipeline with its text encoder
def test_counting_again_gives_what_is_shipped():
    card = REGISTRY.get("cogvideox-2b")
    recipe = recipes.resolve(card, Recipe(steps=2), "random")
    again, known = counting.count(card, recipe), shipped("cogvideox-2b").at_steps(2)
    assert isinstance(again, counts.Counts)
    assert again.parts == known.parts
    for now, before in zip(again.stages, known.stages, strict=True):
        assert (now.stage, now.part, now.calls) == (before.stage, before.part, before.calls)
        assert now.operations == pytest.approx(before.operations)
        if now.attention == before.attention:  # older versions of Transformers spell attention out, which takes memory
            assert now.peak_bytes == before.peak_bytes
    assert again.stages[-1].peak_bytes == known.stages[-1].peak_bytes
