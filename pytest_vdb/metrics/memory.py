"""Keeping scratch memory between strips, where the C library would hand it back and fetch it again, page by page."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

LARGEST_MIB = 31
"""glibc learns from blocks up to 32 MiB."""


@lru_cache(maxsize=1)
def keep_freed_memory() -> None:
    """Let glibc keep up to twice 31 MiB of freed memory, from the first call on.

    It asks the kernel anew for every block that is larger than the largest one freed so far, and returns what is free
    at the heap's end beyond twice that. Filters that allocate and free a few MiB per strip then spend a seventh of
    their time on page faults. One block, freed untouched, raises both bounds; other C libraries do not notice.
    """
    np.empty(LARGEST_MIB * 2**20, np.uint8)
