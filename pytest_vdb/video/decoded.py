"""What reading a file gives: the clip, and what to know besides."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_vdb.records import Clip

UNTIMED_FPS = 8.0
"""Frame rate given to frames that carry none (folders, arrays): playback only, no metric of ours depends on it."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A clip that was read."""

    clip: Clip
    notes: tuple[str, ...] = ()
    """What the reader had to decide: unequal frame times, files that were left out."""
