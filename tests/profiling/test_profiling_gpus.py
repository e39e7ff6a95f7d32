"""Cards as a stand-in for NVIDIA's library tells of them: under pynvml, which is not told.

The library is compiled here. It is loaded under the driver's own name before pynvml asks for that, so pynvml gets it.
"""

import ctypes
import math
import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_vdb.profiling import hardware
from pytest_vdb.profiling.division import DENOISE, TEXT, Division
from pytest_vdb.profiling.gpus import Gpus, throttling_told
from pytest_vdb.profiling.nvml import CannotTell
from pytest_vdb.profiling.probe import Window
from pytest_vdb.records import Gpu
from pytest_vdb.results import environment

SECONDS = 12.0
NO_PERMISSION, NOT_SUPPORTED, NO_DRIVER = 4, 3, 9
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


NO_DRIVER = 9
"""What NVML says then: for all other tests of this process, which stays linked to the stand-in."""


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    if shutil.which("nvidia-smi"):
        pytest.skip("a driver is here: what it tells is checked on its own card")
    if COMPILER is None:
        pytest.skip("no C compiler here")
    target = tmp_path_factory.mktemp("nvml") / "stand-in.so"
    source = Path(__file__).with_name("stand_in_nvml.c")
    name = "-Wl,-soname,libnvidia-ml.so.1"
    subprocess.run([COMPILER, "-O1", "-Wall", "-Werror", "-shared", "-fPIC", name, source, "-o", target], check=True)
    loaded = ctypes.CDLL(str(target))
    number, wide, real = ctypes.c_uint, ctypes.c_ulonglong, ctypes.c_double
    loaded.stand_in_card.argtypes = [ctypes.c_int] * 5 + [real]
    loaded.stand_in_row.argtypes = [ctypes.c_int, real, wide, number, number, number, number, wide]
    loaded.stand_in_time.argtypes = [real]
    loaded.stand_in_reset(NO_DRIVER)
    return loaded


def watts(t, card):
    """A call of ten seconds with a second of idling before and after it: what one card draws."""
    return 90.0 if t < 1 or t > 11 else 520.0 + 40 * card + 120 * math.sin(2 * math.pi * t / 0.7)


def drawn_joules(card, until=SECONDS):
    """The same, added up by the millisecond."""
    return sum(watts(at / 1000, card) for at in range(int(1000 * until))) / 1000


class Player:
    """Plays the trace on as many cards as asked for; a counter moves every 100 ms, the power every 20 ms."""

    def __init__(self, library):
        self.library = library
        self.now = 0.0
        library.stand_in_reset(0)

    def card(self, card=0, *, counter=0, power=0, instant=1, mig=-1, lost_at=-1.0, start_mj=7_000_000, reasons=0):
        self.library.stand_in_card(card, counter, power, instant, mig, lost_at)
        spent_mj, shown = 0.0, start_mj
        for at in range(int(SECONDS / 0.02) + 1):
            t = at * 0.02
            if at % 5 == 0:
                shown = (start_mj + int(spent_mj)) % (2**32 if start_mj < 2**32 else 2**64)
            slow = reasons if 4 < t < 7 else 0x04
            percent, heat = (97, 60 + t) if 1 <= t <= 11 else (0, 41)
            self.library.stand_in_row(card, t, shown, int(1000 * watts(t, card)), int(heat), 1755, percent, slow)
            spent_mj += sum(watts(t + 0.001 * ms, card) for ms in range(20))

    def plays(self, *cards, seconds=SECONDS, calls=1, division=None):
        probe = Gpus(lambda: [f"GPU-{card}" for card in cards], period_s=None, clock=lambda: self.now)
        self.to(0.0)
        probe.start()
        for at in range(1, int(seconds / 0.1)):
            self.to(at * 0.1)
            probe.look()
        self.to(seconds)
        probe.stop()
        assert self.library.stand_in_opened() == 0, "NVML was left open"
        return {measured.name: measured for measured in probe.read(Window(seconds, calls=calls, division=division))}

    def to(self, t):
        self.now = t
        self.library.stand_in_time(t)


@pytest.fixture
def player(library):
    yield Player(library)
    library.stand_in_reset(NO_DRIVER)


def test_the_counter_gives_the_energy_the_power_and_that_of_one_call(player):
    player.card()
    found = player.plays(0, calls=4)
    assert found["energy"].value == pytest.approx(drawn_joules(0) / 4, rel=0.01)
    assert found["power"].value == pytest.approx(drawn_joules(0) / SECONDS, rel=0.01)
    assert (found["energy"].version, found["energy"].reason) == ("1", None)


@pytest.mark.parametrize("start_mj", [2**32 - 2_000_000, 2**64 - 2_000_000])
def test_a_counter_that_wraps_around_gives_the_same(player, start_mj):
    player.card(start_mj=start_mj)
    assert player.plays(0)["energy"].value == pytest.approx(drawn_joules(0), rel=0.01)


@pytest.mark.parametrize("instant", [0, 1])
@pytest.mark.parametrize("error", [NOT_SUPPORTED, NO_PERMISSION])
def test_without_a_counter_the_power_is_integrated_and_the_version_says_so(player, error, instant):
    player.card(counter=error, instant=instant)
    found = player.plays(0)
    assert found["energy"].value == pytest.approx(drawn_joules(0), rel=0.01)
    assert found["energy"].version == "1-power"
    assert "does not count" in found["energy"].reason


def test_two_cards_are_added_up(player):
    player.card(0)
    player.card(1)
    found = player.plays(0, 1)
    assert found["energy"].value == pytest.approx(drawn_joules(0) + drawn_joules(1), rel=0.01)
    assert found["gpu_power_limit"].value == 1400


def test_a_card_that_may_not_be_asked_at_all_is_none_with_the_reason(player):
    player.card(counter=NO_PERMISSION, power=NO_PERMISSION)
    found = player.plays(0)
    assert found["energy"].value is None
    assert "Insufficient Permissions" in found["energy"].reason


def test_a_card_that_disappears_costs_the_readings_and_says_when_it_was_asked(player):
    player.card(0)
    player.card(1, lost_at=6.0)
    found = player.plays(0, 1)
    assert {measured.value for measured in found.values()} == {None}
    assert "card GPU-1 counts no energy: GPU is lost" in found["energy"].reason


def test_a_card_that_mig_divides_tells_nothing_of_one_process(player):
    player.card(mig=1)
    found = player.plays(0)
    assert {measured.value for measured in found.values()} == {None}
    assert "whole_gpu_shared" in found["energy"].reason


def test_a_slice_is_found_by_the_uuid_that_cuda_tells_without_its_prefix(player):
    player.card(mig=2)
    probe = Gpus(lambda: ["11111111-2222-3333-4444-555555555550"], period_s=None, clock=lambda: player.now)
    probe.start()
    probe.stop()
    assert all("whole_gpu_shared" in measured.reason for measured in probe.read(Window(SECONDS)))


def test_of_a_card_that_mig_divides_programs_see_a_slice_with_its_own_name_and_memory(player, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    player.card(0, mig=1)
    player.card(1, mig=0)
    whole = Gpu(name="NVIDIA H100 80GB HBM3", uuid="GPU-11111111-2222-3333-4444-555555555551", memory_mib=81920)
    slice_of_it = Gpu(
        name="NVIDIA H100 80GB HBM3 MIG 1g.10gb", uuid="MIG-99999999-2222-3333-4444-555555555550", memory_mib=10240
    )
    assert environment.graphics()[0] == (slice_of_it, whole)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    assert environment.graphics()[0] == (whole, slice_of_it)
    assert hardware.find(slice_of_it.name) is None, "a slice is held to no whole card's peak"


def test_no_driver_and_no_such_card_are_reasons(player):
    assert "card GPU-1 is not found: Not Found" in player.plays(1)["energy"].reason
    player.library.stand_in_reset(NO_DRIVER)
    assert "NVML is not available: Driver Not Loaded" in player.plays(0)["energy"].reason


def test_a_process_that_does_not_know_its_card_says_so():
    def unknown():
        raise CannotTell("CUDA was not used")

    probe = Gpus(unknown)
    probe.start()
    probe.stop()
    assert {measured.reason for measured in probe.read(Window(10.0))} == {"CUDA was not used"}


def test_a_short_window_has_no_energy_but_a_temperature(player):
    player.card()
    found = player.plays(0, seconds=4.0)
    assert (found["energy"].value, found["power"].value) == (None, None)
    assert "window_too_short: 4 s" in found["energy"].reason
    assert found["gpu_temperature"].value > 41


def test_a_long_stage_has_its_energy_and_a_short_one_has_none(player):
    player.card()
    division = Division({}, 0.0, (), {TEXT: (0.2, 1.0), DENOISE: (1.0, 9.0)})
    found = player.plays(0, division=division)
    drawn = drawn_joules(0, until=9.0) - drawn_joules(0, until=1.0)
    assert found["denoising_energy"].value == pytest.approx(drawn, rel=0.02)
    assert "window_too_short" in found["text_encoding_energy"].reason
    assert "did not do this" in found["decoding_energy"].reason


def test_heat_clock_and_use_are_told_before_during_and_after(player):
    player.card()
    found = player.plays(0)
    assert found["gpu_temperature"].series == (41.0, 71.0, 41.0)
    assert found["gpu_clock"].value == 1755
    assert found["gpu_utilisation"].value == pytest.approx(0.97 * 11 / 13, abs=0.1)
    assert found["throttled"].value == 0, "the software's power cap is normal"
    assert throttling_told([*found.values()]) == ()


def test_what_the_process_holds_and_what_changed_are_told_apart(player):
    player.card()
    found = player.plays(0)
    assert found["gpu_memory_change"].value == 4096
    assert found["gpu_process_memory"].value is None
    assert "containers" in found["gpu_process_memory"].reason
    player.library.stand_in_shows_us(0)
    assert player.plays(0)["gpu_process_memory"].value == 9216


@pytest.mark.parametrize(("bits", "named"), [(0x40, "hardware thermal"), (0x20, "software thermal"), (0x80, "brake")])
def test_a_card_that_was_slowed_down_says_so(player, bits, named):
    player.card(reasons=bits | 0x04)
    found = player.plays(0)
    assert 0 < found["throttled"].value < 1
    (told,) = throttling_told([*found.values()])
    assert named in told


def test_a_thread_looks_by_itself(player):
    player.card()
    probe = Gpus(lambda: ["GPU-0"], period_s=0.005, clock=lambda: player.now)
    player.to(0.0)
    probe.start()
    for at in range(1, 121):
        player.to(at * 0.1)
    probe.stop()
    found = {measured.name: measured for measured in probe.read(Window(SECONDS))}
    assert found["energy"].value == pytest.approx(drawn_joules(0), rel=0.01)


def test_after_these_tests_there_is_no_driver(library):
    assert environment.graphics() == ((), None, None)
