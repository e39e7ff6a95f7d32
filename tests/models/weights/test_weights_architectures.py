"""Full-size architectures: the published sizes, real buffers, values that a model can compute with."""

from __future__ import annotations

import itertools
import math

import pytest

from pytest_vdb.errors import UnknownName
from pytest_vdb.models.weights import architectures, blueprints

torch = pytest.importorskip("torch")

FAST = ("wan2.1-t2v-1.3b", "cogvideox-2b", "svd-xt")
PUBLISHED = [name for name in architectures.names() if architectures.preset(name).published]


def sized(names):
    return [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in names]


@pytest.mark.slow
@pytest.mark.parametrize("name", sized(PUBLISHED))
def test_a_preset_has_the_published_number_of_parameters(name):
    published = dict(architectures.preset(name).published)
    assert published.pop("source")
    counted = architectures.count_parameters(name)
    assert {role: counted[role] for role in published} == pytest.approx(published, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in architectures.names() if name not in PUBLISHED])
def test_a_preset_without_a_published_figure_can_be_counted(name):
    counted = architectures.count_parameters(name)
    assert max(counted.values()) > 1e8


def test_at_least_twenty_families_are_held_to_a_published_figure():
    classes = {
        component["class"]
        for name in PUBLISHED
        for role, component in architectures.preset(name).components.items()
        if role in ("transformer", "unet")
    }
    assert len(PUBLISHED) >= 30
    assert len(classes) >= 20


def test_every_preset_names_a_pipeline_that_has_a_tiny_one_too():
    tiny = blueprints.blueprints("tiny")
    assert {architectures.preset(name).pipeline for name in architectures.names()} <= set(tiny)


def test_a_preset_gives_every_component_that_the_tiny_pipeline_of_its_class_has():
    for name in architectures.names():
        plan = architectures.preset(name)
        optional = {role for role, part in plan.components.items() if part == blueprints.NONE}
        tiny = {role for role, part in blueprints.blueprint("tiny", plan.pipeline).components.items() if part != "none"}
        assert tiny - set(plan.components) - optional <= {"feature_extractor"}, name


def test_a_pipeline_class_stands_for_its_first_preset():
    assert architectures.preset("WanPipeline") is architectures.preset("wan2.1-t2v-1.3b")


def test_an_unknown_preset_names_its_neighbours():
    with pytest.raises(UnknownName, match=r"did you mean 'wan2.1-t2v-1.3b'"):
        architectures.preset("wan2.1-t2v-1.3")


@pytest.fixture
def small():
    """The fast path through `build`: a plan of tiny parts."""
    return blueprints.blueprint("tiny", "CogVideoXPipeline")


def test_matrices_are_normal_and_nothing_stays_on_the_meta_device(small):
    parts = architectures.build(small, dtype=torch.float32, device="cpu")
    for role in ("transformer", "text_encoder", "vae"):
        assert not any(tensor.is_meta for tensor in itertools.chain(parts[role].parameters(), parts[role].buffers()))
    weight = parts["text_encoder"].encoder.block[0].layer[1].DenseReluDense.wi_0.weight
    assert weight.std().item() == pytest.approx(1 / math.sqrt(weight.shape[1]), rel=0.1)
    assert parts["tokenizer"]("a cat")["input_ids"]


@pytest.mark.slow
def test_buffers_are_what_the_constructor_computes(small):
    built = architectures.build(small, dtype=torch.float32, device="cpu", only=("transformer",))["transformer"]
    plain = blueprints.construct(blueprints.blueprint("tiny", "CogVideoXPipeline").components["transformer"])
    expected = dict(plain.named_buffers())
    assert expected
    assert all(torch.equal(expected[name], buffer) for name, buffer in built.named_buffers())


def test_tied_weights_stay_tied(small):
    encoder = architectures.build(small, dtype=torch.float32, device="cpu", only=("text_encoder",))["text_encoder"]
    assert encoder.shared.weight is encoder.encoder.embed_tokens.weight


@pytest.mark.slow
def test_two_builds_are_equal_and_leave_torch_as_it_was(small):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first, second = (architectures.build(small, dtype=torch.bfloat16, device="cpu") for _ in range(2))
    assert torch.equal(torch.rand(2), expected)
    assert torch.get_default_dtype() == torch.float32
    assert torch.nn.Linear(2, 2).weight.device.type == "cpu"
    for role in ("transformer", "text_encoder", "vae"):
        pairs = zip(first[role].parameters(), second[role].parameters(), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.slow
def test_no_two_rows_of_a_large_matrix_are_alike():
    from pytest_vdb.models.weights.random_weights import POOL_SIZE, Filler

    filler = Filler(torch.float32, torch.device("cpu"))
    layer = torch.nn.Linear(1024, 2 * POOL_SIZE // 1024, bias=False)
    layer.weight = torch.nn.Parameter(layer.weight.to("meta"))
    filler.fill(layer)
    assert len(torch.unique(layer.weight[:, 0])) > 0.99 * len(layer.weight)


def test_modules_that_a_model_keeps_in_float32_are_kept():
    plan = blueprints.blueprint("tiny", "WanPipeline")
    transformer = architectures.build(plan, dtype=torch.bfloat16, device="cpu", only=("transformer",))["transformer"]
    assert transformer.condition_embedder.time_embedder.linear_1.weight.dtype == torch.float32
    assert transformer.blocks[0].attn1.to_q.weight.dtype == torch.bfloat16


@pytest.mark.heavy  # bfloat16 on a CPU that cannot multiply it: 20 minutes; half a minute where it can
def test_wan_is_built_at_its_full_size_and_generates_finite_frames():
    # Without its text encoder, which would take another 11 GiB: the prompt comes as an embedding.
    import diffusers
    import numpy as np

    wan = architectures.preset("wan2.1-t2v-1.3b")
    parts = architectures.build(wan, dtype=torch.bfloat16, device="cpu", only=("transformer", "vae"))
    pipe = diffusers.WanPipeline(**parts | {"text_encoder": None, "tokenizer": None})
    pipe.set_progress_bar_config(disable=True)
    clips = [
        pipe(
            prompt_embeds=torch.randn(1, 16, 4096, dtype=torch.bfloat16, generator=torch.manual_seed(prompt)),
            generator=torch.Generator().manual_seed(0),
            height=64,
            width=64,
            num_frames=5,
            num_inference_steps=2,
            guidance_scale=1.0,
            output_type="np",
        ).frames[0]
        for prompt in (1, 2)
    ]
    assert clips[0].shape == (5, 64, 64, 3)
    assert np.isfinite(clips[0]).all()
    assert clips[0].std() > 0.05
    assert np.abs(clips[0] - clips[1]).mean() > 1 / 255
