import importlib
import inspect
import mmap
import pkgutil
import shutil
import subprocess
import sys
import time

import pytest

from pytest_vdb import profiling
from pytest_vdb.profiling import probe, process_memory
from pytest_vdb.profiling.guarded import Guarded
from pytest_vdb.profiling.process_memory import AddedMemory, ProcessMemory
from pytest_vdb.profiling.profiler import Profiler

MIB = 2**20


def read(readings):
    return {measured.name: measured for measured in readings.measurements}


def test_latency_is_the_time_of_the_block():
    with Profiler("cpu").watch() as readings:
        time.sleep(0.05)
    latency = read(readings)["latency"]
    assert 0.05 <= latency.value < 0.5
    assert (latency.unit, latency.better, latency.kind) == ("s", "lower", "performance")


def test_throughput_is_frames_per_second_of_latency():
    with Profiler("cpu").watch() as readings:
        time.sleep(0.02)
        readings.frames = 9
    found = read(readings)
    assert found["throughput"].value == pytest.approx(9 / found["latency"].value)


def test_throughput_without_frames_is_missing_with_a_reason():
    with Profiler("cpu").watch() as readings:
        pass
    assert read(readings)["throughput"].value is None
    assert "how many frames" in read(readings)["throughput"].reason


def test_a_block_that_raises_is_read_too_and_its_error_passes():
    kept = []

    def watched():
        with Profiler("cpu").watch() as readings:
            kept.append(readings)
            time.sleep(0.01)
            raise MemoryError

    with pytest.raises(MemoryError):
        watched()
    assert read(kept[0])["latency"].value >= 0.01
    assert read(kept[0])["peak_rss"].value > 1
    assert kept[0].memory == (read(kept[0])["peak_rss"],)


class Sulky:
    """A probe that raises in one of its methods."""

    readings = (probe.Reading("mood", "1"), probe.Reading("temper", "1"))

    def __init__(self, refuses):
        self.refuses = refuses

    def does(self, what):
        if what == self.refuses:
            raise OSError(f"no {what} today")

    def start(self):
        self.does("start")

    def note(self):
        self.does("note")

    def stop(self):
        self.does("stop")

    def read(self, window):
        self.does("read")
        return tuple(one.of(1.0) for one in self.readings)


@pytest.mark.parametrize("refuses", ["start", "note", "stop", "read"])
def test_a_probe_that_raises_loses_its_own_readings_and_nothing_else(refuses):
    profiler = Profiler("cpu", lambda device: [Sulky(refuses), Sulky(None), ProcessMemory()])
    with profiler.watch() as outer:
        with Profiler("cpu").watch():
            pass
        with profiler.watch():
            pass
        outer.frames = 1
    sulky, fine = ([m for m in outer.measurements if m.name == name] for name in ("mood", "temper"))
    for failed, whole in (sulky, fine):
        assert (failed.value, failed.reason) == (None, f"the probe failed: OSError: no {refuses} today")
        assert whole.value == 1.0
    assert read(outer)["latency"].value > 0
    assert read(outer)["peak_rss"].value > 0


def test_what_several_calls_cost_is_told_of_one_and_their_throughput_of_all():
    with Profiler("cpu").watch() as readings:
        time.sleep(0.04)
        readings.frames, readings.calls = 20, 4
    found = read(readings)
    assert 0.01 <= found["latency"].value < 0.1
    assert found["throughput"].value == pytest.approx(20 / (4 * found["latency"].value))


@pytest.mark.slow
def test_a_block_within_a_block_takes_no_peak_from_it():
    script = """
import numpy as np
from pytest_vdb.profiling.profiler import Profiler

def peak(readings):
    return next(m.value for m in readings.measurements if m.name == "peak_rss")

profiler = Profiler("cpu")
with profiler.watch() as outer:
    np.ones(300 * 2**20, np.uint8)
    with profiler.watch() as inner:
        pass
assert peak(outer) - peak(inner) > 250
with profiler.watch() as outer, profiler.watch() as inner:
    np.ones(300 * 2**20, np.uint8)
assert peak(outer) >= peak(inner) - 1
"""
    subprocess.run(
        [sys.executable, "-c", script], check=True
    )  # a process of its own: nobody else's memory comes and goes


def allocate(mib):
    """Straight from the kernel and back: `malloc` may take a block from the heap of earlier tests, and keep it.

    Held for a while: on a busy machine a thread that looks every few milliseconds may come late.
    """
    with mmap.mmap(-1, mib * MIB) as block:
        for _ in range(mib):
            block.write(b"\1" * MIB)
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["kernel", "sampled"])
def test_the_peak_of_a_call_is_seen_and_forgotten_by_the_next(tmp_path, method):
    kernel = process_memory.KERNEL if method == "kernel" else tmp_path / "missing"
    profiler = Profiler("cpu", lambda device: [ProcessMemory(kernel)])
    peaks = []
    for mib in (0, 300, 0):
        with profiler.watch() as readings:
            for _ in range(3):
                allocate(mib) if mib else time.sleep(0.02)
        peaks.append(read(readings)["peak_rss"])
    if method == "kernel" and peaks[0].reason:
        pytest.skip("this kernel does not reset the high-water mark")
    before, during, after = (peak.value for peak in peaks)
    assert during - before > 250
    assert during - after > 250
    assert {peak.version for peak in peaks} == {"1" if method == "kernel" else "1-sampled"}
    assert all(bool(peak.reason) == (method == "sampled") for peak in peaks)


def test_a_system_that_tells_nothing_reads_none(tmp_path):
    kernel = tmp_path / "self"
    kernel.mkdir()
    (kernel / "clear_refs").touch()
    for asked in (ProcessMemory(kernel), AddedMemory(kernel)):
        (kernel / "status").write_text("VmHWM:\t1024 kB\nVmRSS:\t1024 kB\n")
        asked.start()
        (kernel / "status").unlink()
        asked.stop()
        (found,) = asked.read(None)
        assert (found.value, bool(found.reason)) == (None, True)


def test_a_peak_that_could_not_be_looked_for_to_the_end_is_none_with_the_reason(tmp_path, monkeypatch):
    for kind in (ProcessMemory, AddedMemory):
        asked = kind(tmp_path / "missing")
        asked.start()
        with monkeypatch.context() as patch:
            patch.setattr(process_memory, "resident_mib", lambda: 1 / 0)
            asked.stop()
        (found,) = asked.read(None)
        assert (found.value, found.reason) == (None, "ZeroDivisionError: division by zero")


def test_a_cuda_profiler_without_cuda_reads_none_and_why():
    with Profiler("cuda:0").watch() as readings:
        readings.frames = 1
    found = read(readings)
    assert "peak_rss" not in found  # beside a GPU the process holds little of a model
    for name in ("peak_memory_allocated", "peak_memory_reserved", "energy"):
        assert found[name].value is None
        assert "CUDA was not used" in found[name].reason


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_what_is_read_is_what_the_probes_declare(device):
    profiler = Profiler(device)
    with profiler.watch() as readings:
        pass
    declared = [(one.name, one.unit, one.better) for one in profiler.readings]
    assert [(m.name, m.unit, m.better) for m in readings.measurements] == declared


def probes():
    """Every class of the room that can be started and read."""
    for found in pkgutil.iter_modules(profiling.__path__):
        module = importlib.import_module(f"{profiling.__name__}.{found.name}")
        for name, one in vars(module).items():
            own = isinstance(one, type) and one.__module__ == module.__name__ and one not in (probe.Probe, Guarded)
            if own and hasattr(one, "start") and hasattr(one, "read") and not inspect.isabstract(one):
                yield pytest.param(one, id=name)


@pytest.mark.parametrize("kind", list(probes()))
def test_every_probe_declares_its_readings(kind):
    declared = getattr(kind, "readings", ())
    assert declared, f"{kind.__module__}: give {kind.__name__} `readings`, all that it can tell"
    assert all(isinstance(one, probe.Reading) for one in declared)


def test_profiling_a_cpu_imports_no_torch():
    script = """
import sys
from pytest_vdb.profiling.profiler import Profiler
for device in ("cpu", "cuda"):
    with Profiler(device).watch():
        pass
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_a_clean_cuda_call_is_measured_on_a_card():
    if shutil.which("nvidia-smi") is None:
        pytest.skip("no CUDA device here: unverified on a GPU")
    torch = pytest.importorskip("torch")
    torch.zeros(1, device="cuda")
    with Profiler("cuda").watch() as readings:
        torch.ones(64 * MIB, dtype=torch.uint8, device="cuda").sum()
        readings.frames = 1
    found = read(readings)
    assert found["peak_memory_allocated"].value >= 64
    assert found["peak_memory_reserved"].value >= found["peak_memory_allocated"].value
