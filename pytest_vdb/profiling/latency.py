"""How long a call takes, the device's queue included, and how many frames that is per second."""

from __future__ import annotations

from dataclasses import replace

from pytest_vdb.profiling.probe import DEVICE_FAILED, Reading, Window
from pytest_vdb.records import Measurement

LATENCY = Reading(
    "latency",
    "s",
    how="the device finishes, `perf_counter`, the call, the device finishes; the model was called before",
    misses="writing the clip to a file; how much calls differ: see `steady_latency`",
)
THROUGHPUT = Reading(
    "throughput",
    "frames/s",
    better="higher",
    how="frames of the clip over `latency`; of several clips all frames over all seconds",
    misses="how many clips a machine makes side by side",
)
LOAD_TIME = replace(
    LATENCY,
    name="load_time",
    window="one load",
    how="clock around loading the weights and setting every switch of the recipe",
    misses="downloads that were made before; the import of libraries; a warm file cache makes it short",
)
FIRST_CALL = replace(
    LATENCY,
    name="first_call",
    window="the first call after a load, of full shape",
    how="clock around it; its clip is thrown away",
    misses="nothing: compiling, autotuning and what libraries set up once per process are here, and nowhere else",
)

MFU = Reading(
    "mfu",
    "1",
    better="neutral",
    how="operations of the clip, counted on the meta device, over its seconds and the dense peak of the card in the "
    "recipe's dtype; the remark says what limits the call on the roofline",
    misses="attention that is sparse or cached counts as whole; clocks below those of the peak",
)
OPERATION_INTENSITY = Reading(
    "operation_intensity",
    "operations/byte",
    better="neutral",
    how="operations of the clip over the bytes that its tensors move, both counted on the meta device: with `mfu` and "
    "the card's peak the point on the roofline",
    misses="what kernels that are fused or compiled do not move",
)


def latency(window: Window) -> Measurement:
    """Seconds from the call to the last pixel; writing a file is not part of it."""
    seconds = None if window.seconds is None else window.seconds / window.calls
    return LATENCY.of(seconds, reason=DEVICE_FAILED if seconds is None else None)


def throughput(window: Window) -> Measurement:
    """Frames made per second of latency."""
    if window.frames is None:
        reason = "nobody said how many frames were made"
    elif not window.seconds:
        reason = DEVICE_FAILED if window.seconds is None else "the call was too short for the clock"
    else:
        return THROUGHPUT.of(window.frames / window.seconds)
    return THROUGHPUT.of(None, reason=reason)
