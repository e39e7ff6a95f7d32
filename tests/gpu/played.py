"""Plays a card: torch's counters, events and queue, NVIDIA's library and `nvidia-smi`; checks the probes against it.

    python played.py STAND_IN_NVML STATE FAULT

A process of its own: it patches torch. The card is asynchronous, as a real one is: work is queued, an event is reached
when what was queued before it is done. FAULT is what the probes must be caught at: `none`, or a counter that lies.
"""

import ctypes
import dataclasses
import json
import os
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import torch

from benchmarks.gpu import probes, sensors
from benchmarks.gpu.plan import REHEARSAL
from pytest_vdb.records import to_plain

MIB = 2**20
NAME = "NVIDIA H100 80GB HBM3"
UUID = "11111111-2222-3333-4444-555555555550"
WATTS, MHZ, CELSIUS, PERCENT = 500, 1755, 64, 97
TOTAL_MIB, CONTEXT_MIB, KEPT_BY_DRIVER_MIB = 81559, 500, 480


class Device:
    """A queue, an allocator that keeps what it once had, and what others see of both."""

    def __init__(self, library, state, fault):
        self.library, self.state, self.fault = library, state, fault
        self.busy_until = 0.0
        self.allocated = self.reserved = self.peak_allocated = self.peak_reserved = 0

    def queue(self, seconds):
        self.busy_until = max(self.busy_until, time.perf_counter()) + seconds

    def wait(self, *_):
        time.sleep(max(0.0, self.busy_until - time.perf_counter()))

    def take(self, mib):
        self.allocated += mib
        self.reserved = max(self.reserved, self.allocated)
        self._show()

    def give(self, mib):
        self.allocated -= mib

    def give_back(self):
        self.reserved = self.allocated
        self._show()

    def reset(self, *_):
        if self.fault != "lies":
            self.peak_allocated, self.peak_reserved = self.allocated, self.reserved

    def _show(self):
        self.peak_allocated = max(self.peak_allocated, self.allocated)
        self.peak_reserved = max(self.peak_reserved, self.reserved)
        used = CONTEXT_MIB + self.reserved
        self.library.stand_in_uses((used + KEPT_BY_DRIVER_MIB) * MIB)
        (self.state / "memory.used").write_text(f"{used}")
        (self.state / "apps").write_text(f"{os.getpid()}, 9216\n")


class Event:
    """Reached when what was queued before it is done."""

    device = None

    def __init__(self, enable_timing=False):
        self.at = None

    def record(self, stream=None):
        self.at = max(Event.device.busy_until, time.perf_counter())

    def elapsed_time(self, other):
        return 1000 * (other.at - self.at)


class PlayedCard:
    """What `benchmarks.gpu.cards.CudaCard` is on a real one."""

    device, name = "cuda", NAME

    def __init__(self, device):
        self._device = device
        self.synchronise, self.work, self.give_back = device.wait, device.queue, device.give_back

    def moment(self):
        event = Event()
        event.record()
        return event

    def seconds(self, start, end):
        return start.elapsed_time(end) / 1000

    def hold(self, mib):
        device = self._device
        device.take(mib)
        return Block(device, mib)

    def allocated_mib(self):
        return float(self._device.allocated)

    def free_mib(self):
        return None

    def total_mib(self):
        return float(TOTAL_MIB - KEPT_BY_DRIVER_MIB)

    def held_mib(self):
        return float(self._device.reserved)

    def rate(self):
        return None


class Block:
    def __init__(self, device, mib):
        self._device, self._mib = device, mib

    def __del__(self):
        self._device.give(self._mib)


def play_torch(device):
    """What the probes ask of `torch.cuda`."""
    Event.device = device
    told = {
        "is_initialized": lambda: True,
        "current_device": lambda: 0,
        "device_count": lambda: 1,
        "get_device_properties": lambda at: SimpleNamespace(uuid=UUID),
        "current_stream": lambda at: None,
        "synchronize": device.wait,
        "Event": Event,
        "reset_peak_memory_stats": device.reset,
        "memory_allocated": lambda *_: device.allocated * MIB,
        "memory_reserved": lambda *_: device.reserved * MIB,
        "max_memory_allocated": lambda *_: device.peak_allocated * MIB,
        "max_memory_reserved": lambda *_: device.peak_reserved * MIB,
        "mem_get_info": lambda *_: (
            (TOTAL_MIB - KEPT_BY_DRIVER_MIB - CONTEXT_MIB - device.reserved) * MIB,
            (TOTAL_MIB - KEPT_BY_DRIVER_MIB) * MIB,
        ),
    }
    for name, does in told.items():
        assert hasattr(torch.cuda, name), name
        setattr(torch.cuda, name, does)


def play_nvml(library, fault):
    """A minute of a steady load; the counter moves every 100 ms."""
    library.stand_in_reset(0)
    library.stand_in_shows_us(0)
    watts = WATTS * (2 if fault == "lies" else 1)
    for at in range(600):
        t = at / 10
        library.stand_in_row(0, t, int(1000 * watts * t), 1000 * WATTS, CELSIUS, MHZ, PERCENT, 0x04)
    began = time.perf_counter()

    def go():
        while True:
            library.stand_in_time(time.perf_counter() - began)
            time.sleep(0.005)

    threading.Thread(target=go, daemon=True).start()


def play_smi(state):
    """The fields that an older driver knows: none is called `clocks_event_reasons.active`."""
    told = {
        "uuid": f"GPU-{UUID}",
        "name": NAME,
        "memory.total": 81920,  # what the stand-in's memory is: 80 GiB
        "driver_version": "550.54.15",
        "mig.mode.current": "[N/A]",
        "power.draw": WATTS,
        "clocks.sm": MHZ,
        "temperature.gpu": CELSIUS,
        "utilization.gpu": PERCENT,
        "enforced.power.limit": 700,
        "clocks_throttle_reasons.active": "0x0000000000000004",
    }
    for name, value in told.items():
        (state / name).write_text(f"{value}\n")


def main():
    library, state, fault = ctypes.CDLL(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    number, wide, real = ctypes.c_uint, ctypes.c_ulonglong, ctypes.c_double
    library.stand_in_row.argtypes = [ctypes.c_int, real, wide, number, number, number, number, wide]
    library.stand_in_time.argtypes, library.stand_in_uses.argtypes = [real], [wide]
    device = Device(library, state, fault)
    play_smi(state)
    play_nvml(library, fault)
    play_torch(device)
    device.take(0)
    card, plan = PlayedCard(device), dataclasses.replace(REHEARSAL, slack_s=0.02, window_s=5.5, block_mib=256)
    rows = [*probes.of_identity(card), *probes.of_time(plan, card), *probes.of_memory(plan, card)]
    rows += [*probes.of_stages(plan, card), *sensors.rows(plan, card, lambda: 100.0)]
    print(json.dumps([to_plain(row) for row in rows]))


main()
