"""The device that is checked: it can be kept busy, timed by a clock of its own, and its memory taken.

What has none of these, a processor, plays along in a rehearsal.
"""

from __future__ import annotations

import gc
import time
from typing import Any, Protocol

import numpy as np

SIDE = 8192
"""Of the matrices that keep a card busy: products of a millisecond or so, so that nobody waits for their launch."""
CANNOT = "a processor has none"


class Card(Protocol):
    """What the parts ask of a device."""

    device: str
    """As torch and our profiler call it."""
    name: str

    def synchronise(self) -> None:
        """Wait until it has done all that it was asked to."""

    def moment(self) -> Any:
        """Now, on the device's own clock; is not waited for."""

    def seconds(self, start: Any, end: Any) -> float:
        """Between two moments, after `synchronise`."""

    def work(self, seconds: float) -> None:
        """Give it work for about so long; is not waited for."""

    def hold(self, mib: int) -> Any:
        """Memory that is taken until the result is dropped."""

    def give_back(self) -> None:
        """All that it was given to work on, and what the allocator holds and no tensor needs."""

    def rate(self) -> float | None:
        """Operations per second of the products that keep it busy, by its own clock; None: there are none."""

    def allocated_mib(self) -> float | None:
        """What tensors take now; None: nobody tells."""

    def free_mib(self) -> float | None:
        """What nobody has taken yet; None: nobody tells."""

    def total_mib(self) -> float | None:
        """All that it ever gives out; None: nobody tells."""

    def held_mib(self) -> float | None:
        """What the allocator holds of the device, added up from its own map of it; None: nobody tells."""


class CudaCard:
    """The first CUDA device of this process."""

    device = "cuda"

    def __init__(self) -> None:
        import torch

        self._torch = torch
        self.name = str(torch.cuda.get_device_name())
        self._matrices: tuple[Any, ...] = ()
        self._product_s = self._seconds_of_a_product()

    def synchronise(self) -> None:
        self._torch.cuda.synchronize()

    def moment(self) -> Any:
        event = self._torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def seconds(self, start: Any, end: Any) -> float:
        return float(start.elapsed_time(end)) / 1000

    def work(self, seconds: float) -> None:
        if not self._matrices:
            # Random: a card that multiplies zeros draws less and is clocked higher than one that works.
            made = (self._torch.randn(SIDE, SIDE, device=self.device).bfloat16() for _ in range(2))
            self._matrices = (*made, self._torch.empty(SIDE, SIDE, device=self.device, dtype=self._torch.bfloat16))
        left, right, product = self._matrices
        for _ in range(max(1, round(seconds / self._product_s))):
            self._torch.matmul(left, right, out=product)

    def hold(self, mib: int) -> Any:
        return self._torch.empty(mib * 2**20, dtype=self._torch.uint8, device=self.device)

    def give_back(self) -> None:
        self._matrices = ()
        gc.collect()
        self._torch.cuda.empty_cache()

    def allocated_mib(self) -> float | None:
        return float(self._torch.cuda.memory_allocated()) / 2**20

    def free_mib(self) -> float | None:
        return float(self._torch.cuda.mem_get_info()[0]) / 2**20

    def total_mib(self) -> float | None:
        return float(self._torch.cuda.mem_get_info()[1]) / 2**20

    def held_mib(self) -> float | None:
        here = self._torch.cuda.current_device()
        segments = self._torch.cuda.memory_snapshot()
        return sum(float(one["total_size"]) for one in segments if one["device"] == here) / 2**20

    def rate(self) -> float | None:
        return 2 * SIDE**3 / self._product_s

    def _seconds_of_a_product(self) -> float:
        """A mean of products after others, which the clocks need to rise."""
        self._product_s = 1.0
        for _ in range(200):
            self.work(0)
        start = self.moment()
        for _ in range(100):
            self.work(0)
        end = self.moment()
        self.synchronise()
        return self.seconds(start, end) / 100


class Processor:
    """Plays along in a rehearsal."""

    device = "cpu"
    name = "a processor"

    def synchronise(self) -> None:
        pass

    def moment(self) -> float:
        return time.perf_counter()

    def seconds(self, start: float, end: float) -> float:
        return end - start

    def work(self, seconds: float) -> None:
        time.sleep(seconds)

    def hold(self, mib: int) -> Any:
        return np.ones(mib * 2**20, np.uint8)

    def rate(self) -> float | None:
        return None

    def give_back(self) -> None:
        pass

    def allocated_mib(self) -> float | None:
        return None

    def free_mib(self) -> float | None:
        return None

    def total_mib(self) -> float | None:
        return None

    def held_mib(self) -> float | None:
        return None


def card_here() -> tuple[CudaCard | None, str]:
    """The card; or None and why there is none that can be used."""
    from pytest_vdb.results.environment import graphics

    try:
        import torch
    except ImportError as error:
        return None, f"torch cannot be imported ({error})"
    cards, driver, _ = graphics()
    if torch.version.cuda is None and getattr(torch.version, "hip", None) is None:
        seen = f"{cards[0].name} is here, and " if cards else ""
        return None, f"{seen}this torch ({torch.__version__}) is built without CUDA"
    if not torch.cuda.is_available():
        seen = f"driver {driver} is here, and " if driver else "no NVIDIA driver is here: "
        return None, f"{seen}torch {torch.__version__} (CUDA {torch.version.cuda}) finds no card"
    try:
        return CudaCard(), ""
    except RuntimeError as error:  # a card that is full, lost, or of an architecture that this torch does not know
        return None, f"the card cannot be used: {str(error).splitlines()[0]}"
