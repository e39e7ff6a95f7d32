"""How long a call takes, the device's queue included, and how many frames that is per second."""

from __future__ import annotations

from pytest_vdb.profiling.probe import Reading, Window
from pytest_vdb.records import Measurement

LATENCY = Reading("latency", "s")
THROUGHPUT = Reading("throughput", "frames/s", better="higher")

FAILED = "the device failed and could not be waited for"


def latency(window: Window) -> Measurement:
    """Seconds from the call to the last pixel; writing a file is not part of it."""
    return LATENCY.of(window.seconds, reason=FAILED if window.seconds is None else None)


def throughput(window: Window) -> Measurement:
    """Frames made per second of latency."""
    if window.frames is None:
        reason = "nobody said how many frames were made"
    elif not window.seconds:
        reason = FAILED if window.seconds is None else "the call was too short for the clock"
    else:
        return THROUGHPUT.of(window.frames / window.seconds)
    return THROUGHPUT.of(None, reason=reason)
