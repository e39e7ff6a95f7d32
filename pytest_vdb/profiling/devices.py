"""The device a probe looks at, without waking it: torch is only asked when something else imported it already."""

from __future__ import annotations

import sys
from typing import Any


def cuda_in_use(device: str) -> Any:
    """`torch.cuda` if the device is a CUDA device that this process has used; else None. Never initialises CUDA."""
    torch = sys.modules.get("torch")
    if device.partition(":")[0] != "cuda" or torch is None or not torch.cuda.is_initialized():
        return None
    return torch.cuda


def synchronise(device: str) -> None:
    """Wait until the device has done everything that it was asked to do; nothing to do for a processor."""
    cuda = cuda_in_use(device)
    if cuda is not None:
        cuda.synchronize(device)
    elif device == "mps" and "torch" in sys.modules:
        sys.modules["torch"].mps.synchronize()
