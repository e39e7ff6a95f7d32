"""What a device holds and draws at this moment: for people who look on, not for records."""

from __future__ import annotations

from pytest_vdb.profiling.devices import cards_in_use, cuda_in_use
from pytest_vdb.profiling.nvml import CannotTell, Cards
from pytest_vdb.profiling.process_memory import resident_mib


class Instruments:
    """Of one process; whatever cannot be told is None.

    Args:
        device: `cpu`, `cuda`, `cuda:1` or `mps`.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._cards: Cards | None = None
        self._tells_power = True

    def memory_mib(self) -> float | None:
        """What CUDA's allocator holds for tensors on all cards that are used; on a processor what is resident."""
        cuda = cuda_in_use(self._device)
        if cuda is not None:
            return sum(float(cuda.memory_allocated(at)) for at in range(cuda.device_count())) / 2**20
        return resident_mib()

    def power_w(self) -> float | None:
        """What the cards that are used draw, all their users together."""
        if not self._tells_power or cuda_in_use(self._device) is None:
            return None
        try:
            if self._cards is None:
                self._cards = Cards(cards_in_use(self._device))
            return sum(self._cards.power_w())
        except CannotTell:
            self.close()
            self._tells_power = False
            return None

    def close(self) -> None:
        """Nobody looks any more."""
        if self._cards is not None:
            self._cards.close()
            self._cards = None
