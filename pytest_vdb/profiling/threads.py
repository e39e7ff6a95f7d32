"""How many threads torch computes with: part of a result's identity, since a sum's last bits depend on it."""

from __future__ import annotations

from pytest_vdb.garbage import without_collections


def use_one_thread() -> None:
    """Compute with one thread from now on, on every machine and beside any number of xdist workers."""
    with without_collections():
        import torch

    torch.set_num_threads(1)
