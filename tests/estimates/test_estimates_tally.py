"""What a network does is counted on the meta device as it is on the CPU, and memory as tensors come and go."""

from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from pytest_vdb.errors import CannotCount
from pytest_vdb.estimates.tally import tallied
from pytest_vdb.models.weights import blueprints, random_weights

MIB = 2**20


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def test_a_product_and_attention_are_counted_apart():
    heads = meta(1, 2, 10, 4)
    with tallied() as tally:
        meta(8, 16) @ meta(16, 32)
        torch.nn.functional.scaled_dot_product_attention(heads, heads, value=heads)
    assert tally.products == 2 * 8 * 16 * 32
    assert tally.attention == 2 * (2 * 2 * 10 * 10 * 4)


def test_attention_holds_no_matrix_of_all_pairs():
    heads = meta(1, 1, 100_000, 64)
    with tallied() as tally:
        torch.nn.functional.scaled_dot_product_attention(heads, heads, heads)
    assert tally.peak_bytes == heads.numel() * 4


def test_memory_is_the_most_that_lived_at_once():
    with tallied() as tally:
        one = meta(MIB // 4) + 1
        two = one + 1
        del one
        three = two.view(4, -1) + 1  # a view is no memory
    assert three.shape == (4, MIB // 16)
    assert tally.peak_bytes == 2 * MIB
    assert tally.moved_bytes >= 6 * MIB


def test_what_does_not_meet_the_weights_keeps_its_values():
    mask, weight = torch.tensor([True, False]), meta(2)
    with tallied():
        assert mask.to("meta").any().item()
        assert (weight * mask).is_meta
        assert weight.to("cpu").is_meta


def test_a_network_may_ask_for_autocast_and_torch_is_left_as_it_was():
    before = torch.autocast.__init__
    with tallied() as tally, torch.autocast("meta", torch.float32):
        meta(8, 16) @ meta(16, 32)
    assert tally.products == 2 * 8 * 16 * 32
    assert torch.autocast.__init__ is before


def test_a_network_that_looks_at_values_is_refused():
    with pytest.raises(RuntimeError, match="item"), tallied():
        meta(2).sum().item()


def test_fewer_keys_and_values_of_another_width_are_counted():
    with tallied() as tally:
        torch.nn.functional.scaled_dot_product_attention(meta(3, 2, 10, 4), meta(3, 2, 7, 4), meta(3, 2, 7, 5))
    assert tally.attention == 3 * 2 * 2 * 10 * 7 * (4 + 5)


def test_a_product_without_a_formula_makes_no_count():
    whole = meta(32, 32, dtype=torch.int8)
    with pytest.raises(CannotCount, match=r"no formula for the operations of aten\._int_mm"), tallied():
        torch._int_mm(whole, whole)


def test_an_operator_of_another_library_makes_no_count():
    @torch.library.custom_op("vdb_tests::attend", mutates_args=())
    def attend(x: torch.Tensor) -> torch.Tensor:
        return x @ x

    attend.register_fake(torch.empty_like)
    with pytest.raises(CannotCount, match=r"vdb_tests\.attend"), tallied():
        attend(meta(4, 4))


def test_what_only_moves_and_adds_needs_no_formula():
    with tallied() as tally:
        larger = torch.nn.functional.interpolate(meta(1, 3, 8, 8), scale_factor=2, mode="bilinear")
        larger.cummax(0)[0].lgamma()
    assert tally.products == 0


def test_a_tiny_denoiser_counts_as_much_as_it_does_on_the_cpu():
    plan = blueprints.blueprint("tiny", "WanPipeline")
    with random_weights.seeded("counted"):
        network = blueprints.construct(plan.components["transformer"])
    config = network.config
    latents = torch.zeros(1, config.in_channels, 3, 4, 4)
    asked = {"timestep": torch.tensor([5]), "encoder_hidden_states": torch.zeros(1, 6, config.text_dim)}
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:  # in products, whose formulas PyTorch has
        network(hidden_states=latents, **asked)
    network.to("meta")
    with tallied() as tally:
        network(hidden_states=latents, **asked)
    assert tally.products + tally.attention == counter.get_total_flops()
    assert tally.attention > 0
