"""Operations are counted in full, or not at all with the reason."""

import contextlib

import pytest
import torch

from pytest_vdb.profiling import flops

PRODUCTS = 2 * (2 * 2 * 10 * 10 * 4)
"""Two products for each of two heads, ten tokens of four numbers."""


def attention(heads: torch.Tensor, **options: object) -> torch.Tensor:
    return torch.nn.functional.scaled_dot_product_attention(heads, heads, heads, **options)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_matrix_product_and_attention_are_counted_in_full(device):
    a, b = torch.ones(8, 16, device=device), torch.ones(16, 32, device=device)
    assert flops.count(lambda: a @ b) == (2 * 8 * 16 * 32, None)
    heads = torch.ones(1, 2, 10, 4, device=device)
    assert flops.count(lambda: attention(heads)) == (PRODUCTS, None)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"attn_mask": torch.ones(10, 10, dtype=torch.bool)}])
def test_every_way_to_attention_counts_the_same(dtype, options):
    heads = torch.ones(1, 2, 10, 4, dtype=dtype)
    counts = {}
    for name, backend in torch.nn.attention.SDPBackend.__members__.items():
        with torch.nn.attention.sdpa_kernel(backend), contextlib.suppress(RuntimeError, AssertionError):
            attention(heads, **options)  # raises where this machine has no such way
            counts[name] = flops.count(lambda: attention(heads, **options))
    assert len(counts) >= 2
    assert set(counts.values()) == {(PRODUCTS, None)}, counts


def test_inference_counts_what_training_counts():
    layer = torch.nn.Linear(16, 32)
    with torch.inference_mode():
        assert flops.count(lambda: layer(torch.ones(8, 16))) == (2 * 8 * 16 * 32, None)
    assert flops.count(lambda: layer(torch.ones(8, 16))) == (2 * 8 * 16 * 32, None)


def test_fewer_keys_and_values_of_another_width_are_counted():
    query, key, value = torch.ones(3, 2, 10, 4), torch.ones(3, 2, 7, 4), torch.ones(3, 2, 7, 4)
    counted = flops.count(lambda: torch.nn.functional.scaled_dot_product_attention(query, key, value))
    assert counted == (3 * 2 * 2 * 10 * 7 * (4 + 4), None)


def test_a_product_without_a_formula_makes_no_count():
    a = torch.ones(32, 32, dtype=torch.int8)
    operations, reason = flops.count(lambda: (torch._int_mm(a, a), torch.ones(2, 32) @ torch.ones(32, 32)))
    if operations is not None:  # a PyTorch that has learnt it
        assert operations == 2 * 32**3 + 2 * 2 * 32**2
    else:
        assert "no formula for aten._int_mm" in reason


def test_an_operator_of_another_library_makes_no_count():
    @torch.library.custom_op("vdb_tests::attend", mutates_args=())
    def attend(x: torch.Tensor) -> torch.Tensor:
        return x @ x

    operations, reason = flops.count(lambda: attend(torch.ones(4, 4)))
    assert operations is None
    assert "vdb_tests.attend" in reason


def test_what_only_moves_and_adds_is_no_reason():
    x = torch.ones(1, 3, 8, 8)
    resized = torch.nn.functional.interpolate
    assert flops.count(lambda: resized(x, scale_factor=2, mode="bilinear").cummax(0)[0].lgamma() + 1) == (0, None)


def test_utilisation_is_the_share_of_the_peak():
    assert flops.utilisation(283e12, 1.0, 989.4e12) == (pytest.approx(0.286, abs=0.001), None)


def test_a_latency_below_the_possible_is_refused():
    share, reason = flops.utilisation(2000e12, 1.0, 989.4e12)
    assert share is None
    assert "impossible" in reason
