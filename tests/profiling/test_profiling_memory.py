"""Memory by stage and over time; what a look costs."""

import mmap
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pytest_vdb.components import STAGES
from pytest_vdb.profiling import process_memory
from pytest_vdb.profiling.division import DECODE, DENOISE
from pytest_vdb.profiling.process_memory import resident_mib
from pytest_vdb.profiling.profiler import Profiler
from pytest_vdb.profiling.sampling import Sampler
from pytest_vdb.profiling.settings import Settings
from pytest_vdb.profiling.stage_memory import ProcessStageMemory
from pytest_vdb.profiling.timeline import MOST_LOOKS, Timeline, thinned

MIB = 2**20


def take(mib):
    """Straight from the kernel and back."""
    with mmap.mmap(-1, mib * MIB) as block:
        for _ in range(mib):
            block.write(b"\1" * MIB)


class Pipeline:
    """Decoding takes four times the memory of denoising."""

    class Network:
        def _call_impl(self):
            take(50)

        def __call__(self):
            return (self._compiled_call_impl or self._call_impl)()

        _compiled_call_impl = None

    class Vae:
        def decode(self):
            take(200)

    def __init__(self):
        self.unet, self.vae = self.Network(), self.Vae()

    def __call__(self):
        for _ in range(3):
            self.unet()
        self.vae.decode()


def read(readings):
    return {measured.name: measured for measured in readings.measurements}


@pytest.mark.slow
def test_each_stage_has_its_own_peak_and_the_call_has_the_highest():
    pipe = Pipeline()
    with Profiler("cpu").watch(pipe, memory_apart=True) as readings:
        pipe()
        take(20)
    found = read(readings)
    assert "peak_rss" not in found
    if found["denoising_added_rss"].value is None:
        pytest.skip(found["denoising_added_rss"].reason)
    assert 45 < found["denoising_added_rss"].value < 100
    assert found["decoding_added_rss"].value > 180
    assert found["added_rss"].value >= found["decoding_added_rss"].value - 1
    for stage in set(STAGES) - {DENOISE, DECODE}:
        assert found[f"{stage}_added_rss"].value is None


def test_a_kernel_that_forgets_no_peak_tells_no_stages(tmp_path):
    (tmp_path / "status").write_text("VmHWM:\t4096 kB\nVmRSS:\t1024 kB\n")
    (tmp_path / "clear_refs").mkdir()
    probe = ProcessStageMemory(lambda: None, tmp_path)
    probe.start()
    probe.entered(DENOISE)
    probe.stop()
    assert {found.value for found in probe.read(None)} == {None}
    assert all("nothing here forgets" in found.reason for found in probe.read(None))


def test_the_timeline_shows_what_came_and_went():
    profiler = Profiler("cpu", settings=Settings(memory_rate_hz=100))
    with profiler.watch() as readings:
        time.sleep(0.1)
    line = read(readings)["memory_timeline"]
    assert len(line.series) >= 4
    assert line.value == pytest.approx(max(line.series), abs=0.1)
    assert "100 looks per second" in line.reason


def test_what_is_timed_is_not_asked_what_it_adds():
    pipe = Pipeline()
    with Profiler("cpu").watch(pipe) as readings:
        pass
    assert not [name for name in read(readings) if name.endswith("added_rss")]


def test_no_timeline_is_kept_unless_it_is_asked_for():
    with Profiler("cpu").watch() as readings:
        pass
    assert "memory_timeline" not in read(readings)


def test_a_level_that_nobody_tells_is_none_with_the_reason():
    line = Timeline(100, lambda: None)
    line.start()
    line.stop()
    (found,) = line.read(None)
    assert (found.value, found.reason) == (None, "nobody tells how much is held")


def test_a_look_that_raises_ends_the_looking_and_is_told():
    looks = iter([100.0])
    line = Timeline(100, lambda: next(looks))
    line.start()
    line.stop()
    (found,) = line.read(None)
    assert (found.value, found.reason) == (None, "StopIteration: "), "what was seen before is not the whole call"


def test_thinning_keeps_the_peak_and_the_order():
    levels = [float(at % 100) for at in range(3000)]
    levels[1234] = 1e6
    kept = thinned(levels, MOST_LOOKS)
    assert len(kept) == MOST_LOOKS
    assert max(kept) == 1e6
    assert kept.index(1e6) == 1234 * MOST_LOOKS // 3000
    assert thinned(levels[:7], MOST_LOOKS) == levels[:7]


@pytest.mark.slow
def test_ten_looks_a_second_cost_less_than_a_hundredth_of_a_core():
    script = """
import time
from pytest_vdb.profiling.process_memory import resident_mib
from pytest_vdb.profiling.sampling import Sampler
sampler = Sampler(0.1, resident_mib)
before = time.process_time()
time.sleep(3)
spent = time.process_time() - before
sampler.stop()
assert sampler.failed is None
assert spent / 3 < 0.01, spent / 3
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_what_is_resident_is_what_psutil_tells(monkeypatch):
    told = resident_mib()
    assert told == pytest.approx(psutil.Process().memory_info().rss / 2**20, rel=0.05)
    monkeypatch.setattr(process_memory, "KERNEL", Path("no/such/folder"))
    assert resident_mib() == pytest.approx(told, rel=0.05), "also where no kernel tells of itself in files"


def test_a_sampler_looks_at_both_ends():
    looks = []
    sampler = Sampler(60.0, lambda: looks.append(1))
    sampler.stop()
    sampler.stop()
    assert len(looks) == 2
