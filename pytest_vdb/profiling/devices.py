"""The device a probe looks at, without waking it: torch is only asked when something else imported it already."""

from __future__ import annotations

import sys
from typing import Any

from pytest_vdb.profiling.nvml import CannotTell


def is_cuda(device: str) -> bool:
    """Whether `cuda` or one of its cards is meant: `cuda:1`."""
    return device.partition(":")[0] == "cuda"


def cuda_in_use(device: str) -> Any:
    """`torch.cuda` if the device is a CUDA device that this process has used; else None. Never initialises CUDA."""
    torch = sys.modules.get("torch")
    if not is_cuda(device) or torch is None or not torch.cuda.is_initialized():
        return None
    return torch.cuda


def synchronise(device: str) -> None:
    """Wait until the device has done everything that it was asked to do; nothing to do for a processor."""
    cuda = cuda_in_use(device)
    if cuda is not None:
        cuda.synchronize(device)
    elif device == "mps" and "torch" in sys.modules:
        sys.modules["torch"].mps.synchronize()


def cards_in_use(device: str) -> list[str]:
    """The UUIDs of the CUDA devices on which this process holds memory, the session's own among them.

    Raises:
        CannotTell: CUDA was not used yet, so the card is not known; or this PyTorch tells no UUID.
    """
    cuda = cuda_in_use(device)
    if cuda is None:
        raise CannotTell("CUDA was not used by the beginning of the call, so the card is not known")
    try:
        return [str(cuda.get_device_properties(at).uuid) for at in _indices_in_use(cuda, device)]
    except (AttributeError, RuntimeError) as error:
        raise CannotTell(f"PyTorch does not tell which card it uses: {error}") from error


def gpus_in_use(device: str) -> int:
    """How many CUDA devices this process holds memory on, the session's own among them."""
    cuda = cuda_in_use(device)
    return 0 if cuda is None else len(_indices_in_use(cuda, device))


def _indices_in_use(cuda: Any, device: str) -> list[int]:
    own = cuda.current_device() if ":" not in device else int(device.partition(":")[2])
    return [at for at in range(cuda.device_count()) if at == own or cuda.memory_reserved(at)]
