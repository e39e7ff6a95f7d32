"""Joules from looks at a counter or at the power; what cannot be told is None with the reason."""

import math

import pytest

from pytest_vdb.profiling.energy import Look, calls_to_fill, counted, drawn, integrated, why_too_short


def counter(*readings_mj, every_s=1.0):
    return [Look(at * every_s, counter_mj=value) for at, value in enumerate(readings_mj)]


def test_energy_is_the_difference_of_the_counter_in_joules():
    assert counted(counter(1_000_000, 1_200_000, 1_700_500), 700.0) == ([0.0, 200.0, 700.5], None)


@pytest.mark.parametrize("bits", [32, 64])
def test_a_counter_that_wraps_around_goes_on(bits):
    looks = counter(2**bits - 300_000, 2**bits - 100_000, 100_000, 300_000)
    assert counted(looks, 700.0) == ([0.0, 200.0, 400.0, 600.0], None)


def test_a_counter_that_was_set_to_zero_is_no_wrap():
    found, reason = drawn(counter(100, 50), 700.0)
    assert found is None
    assert "went backwards" in reason


def test_power_that_changes_is_integrated():
    looks = [Look(0.1 * at, power_w=300 + 200 * math.sin(0.1 * at)) for at in range(101)]
    found, reason = integrated(looks)
    assert found[-1] == pytest.approx(3000 + 200 * (1 - math.cos(10)), rel=0.001)
    assert reason is None


def test_a_gap_between_looks_is_no_guess():
    found, reason = drawn([Look(0.0, power_w=300.0), Look(3.0, power_w=300.0)], None)
    assert found is None
    assert "nobody looked at the power for 3 s" in reason


@pytest.mark.parametrize(("seconds", "reason"), [(4.9, "window_too_short"), (None, "device failed"), (5.0, None)])
def test_short_windows_have_no_figure(seconds, reason):
    said = why_too_short(seconds)
    assert said is None if reason is None else reason in said


@pytest.mark.parametrize("looks", [[], [Look(0.0, counter_mj=1)], [Look(0.0), Look(1.0)]])
def test_without_two_looks_or_any_sensor_there_is_no_energy(looks):
    found, reason = drawn(looks, None)
    assert found is None
    assert reason


@pytest.mark.parametrize(("seconds", "calls"), [(0.4, 13), (5.0, 1), (90.0, 1), (0.0, 1)])
def test_short_calls_are_repeated_until_they_fill_a_window(seconds, calls):
    assert calls_to_fill(seconds) == calls


def test_a_part_of_the_time_has_its_part_of_the_energy():
    found, _ = drawn(counter(0, 100_000, 300_000, 600_000), 700.0)
    assert found.between(0.5, 2.5) == pytest.approx(50 + 200 + 150)
    assert found.between(-1.0, 9.0) == pytest.approx(600)
