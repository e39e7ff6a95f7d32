import pytest

from pytest_vdb.profiling import flops


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_matrix_product_and_attention_are_counted_in_full(device):
    import torch

    a, b = torch.ones(8, 16, device=device), torch.ones(16, 32, device=device)
    assert flops.count(lambda: a @ b) == 2 * 8 * 16 * 32
    heads = torch.ones(1, 2, 10, 4, device=device)
    products = 2 * (2 * 2 * 10 * 10 * 4)  # two products for each of two heads
    assert flops.count(lambda: torch.nn.functional.scaled_dot_product_attention(heads, heads, heads)) == products


def test_utilisation_is_the_share_of_the_peak():
    assert flops.utilisation(283e12, 1.0, 989.4e12) == (pytest.approx(0.286, abs=0.001), None)


def test_a_latency_below_the_possible_is_refused():
    share, reason = flops.utilisation(2000e12, 1.0, 989.4e12)
    assert share is None
    assert "impossible" in reason
