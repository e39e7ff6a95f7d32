"""What a call costs by the user's own figures, and what a processor's counters tell."""

import pytest

from pytest_vdb.profiling.costs import cost_readings, costs
from pytest_vdb.profiling.cuda_memory import CARDS_MIB, KEPT_MIB, KEPT_SHARE, smallest_card
from pytest_vdb.profiling.gpus import ENERGY
from pytest_vdb.profiling.latency import LATENCY
from pytest_vdb.profiling.probe import Window
from pytest_vdb.profiling.profiler import Profiler
from pytest_vdb.profiling.rapl import CpuEnergy
from pytest_vdb.profiling.settings import NOTHING_CHOSEN, Price, Settings

PRICED = Settings(gpu_hour=Price(3.6, "USD"), kwh=Price(0.5, "EUR"), grid_g_per_kwh=400)


def test_hardware_energy_and_emissions_are_told_apart():
    found = {m.name: m for m in costs([LATENCY.of(100.0), ENERGY.of(72_000.0)], PRICED, lambda: 2)}
    assert (found["hardware_cost"].value, found["hardware_cost"].unit) == (pytest.approx(0.2), "USD")
    assert (found["energy_cost"].value, found["energy_cost"].unit) == (pytest.approx(0.01), "EUR")
    assert found["emissions"].value == pytest.approx(8.0)


def test_without_figures_of_the_users_there_are_no_costs():
    assert cost_readings(NOTHING_CHOSEN) == ()
    assert costs([LATENCY.of(1.0)], NOTHING_CHOSEN, lambda: 1) == ()


def test_what_was_not_measured_has_no_price():
    measured = [LATENCY.of(1.0), ENERGY.of(None, reason="window_too_short: 1 s")]
    found = {m.name: m for m in costs(measured, PRICED, lambda: 0)}
    assert {m.value for m in found.values()} == {None}
    assert "window_too_short" in found["energy_cost"].reason
    assert "no GPU" in found["hardware_cost"].reason


def test_the_profiler_declares_the_costs_that_it_tells():
    profiler = Profiler("cpu", lambda device: [], settings=PRICED)
    with profiler.watch() as readings:
        pass
    assert [(m.name, m.unit) for m in readings.measurements] == [(one.name, one.unit) for one in profiler.readings]


@pytest.mark.parametrize(
    ("needed_mib", "card"), [(100, 8), (7806, 8), (7807, 12), (23_900, 24), (24_019, 32), (142_034, None)]
)
def test_the_smallest_card_that_holds_it_is_named(needed_mib, card):
    assert smallest_card(needed_mib) == card
    assert list(CARDS_MIB.values()) == sorted(CARDS_MIB.values())


CUDA_GIVES_GIB = {8188: 7.80, 15360: 14.75, 23028: 21.99, 24564: 23.61, 32607: 31.36, 81559: 79.11, 81920: 79.25}
"""Total as nvidia-smi shows it, and what PyTorch names as the capacity when it runs out of memory on such a card."""


@pytest.mark.parametrize("total_mib", CUDA_GIVES_GIB)
def test_no_card_is_credited_with_what_its_driver_keeps(total_mib):
    most = total_mib - KEPT_MIB - KEPT_SHARE * total_mib
    assert 0.95 * total_mib < most <= CUDA_GIVES_GIB[total_mib] * 1024


def package(folder, name, energy_uj, most_uj=262_143_328_850):
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "energy_uj").write_text(f"{energy_uj}\n")
    (folder / name / "max_energy_range_uj").write_text(f"{most_uj}\n")


def test_the_processors_packages_are_added_up_and_wrap_around(tmp_path):
    package(tmp_path, "intel-rapl:0", 1_000_000)
    package(tmp_path, "intel-rapl:1", 900_000, most_uj=1_000_000)
    package(tmp_path, "intel-rapl:0:0", 5)  # a part of package 0, which counts it
    probe = CpuEnergy(tmp_path)
    probe.start()
    package(tmp_path, "intel-rapl:0", 9_000_000)
    package(tmp_path, "intel-rapl:1", 300_000, most_uj=1_000_000)
    probe.stop()
    (found,) = probe.read(Window(1.0, calls=2))
    assert found.value == pytest.approx((8.0 + 0.4) / 2)


def test_a_processor_without_counters_or_permission_is_none_with_the_reason(tmp_path):
    (tmp_path / "intel-rapl:0").mkdir()
    for folder, reason in ((tmp_path / "nothing", "unsupported"), (tmp_path, "may not be read")):
        probe = CpuEnergy(folder)
        probe.start()
        probe.stop()
        (found,) = probe.read(Window(1.0))
        assert found.value is None
        assert reason in found.reason
