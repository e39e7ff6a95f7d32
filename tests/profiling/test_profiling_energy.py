"""Joules from looks at a counter or at the power; what cannot be told is None with the reason."""

import math

import pytest

from pytest_vdb.profiling.energy import Look, calls_to_fill, counted, integrated, joules, why_too_short


def counter(*readings_mj, every_s=1.0):
    return [Look(at * every_s, counter_mj=value) for at, value in enumerate(readings_mj)]


def test_energy_is_the_difference_of_the_counter_in_joules():
    assert counted(counter(1_000_000, 1_200_000, 1_700_500), 700.0) == (700.5, None)


@pytest.mark.parametrize("bits", [32, 64])
def test_a_counter_that_wraps_around_goes_on(bits):
    looks = counter(2**bits - 300_000, 2**bits - 100_000, 100_000, 300_000)
    assert counted(looks, 700.0) == (600.0, None)


def test_a_counter_that_was_set_to_zero_is_no_wrap():
    value, reason = counted(counter(100, 50), 700.0)
    assert value is None
    assert "went backwards" in reason


def test_power_that_changes_is_integrated():
    looks = [Look(0.1 * at, power_w=300 + 200 * math.sin(0.1 * at)) for at in range(101)]
    value, reason = integrated(looks)
    assert value == pytest.approx(3000 + 200 * (1 - math.cos(10)), rel=0.001)
    assert reason is None


def test_a_gap_between_looks_is_no_guess():
    value, reason = integrated([Look(0.0, power_w=300.0), Look(3.0, power_w=300.0)])
    assert value is None
    assert "nobody looked at the power for 3 s" in reason


@pytest.mark.parametrize(("seconds", "reason"), [(4.9, "window_too_short"), (None, "device failed"), (5.0, None)])
def test_short_windows_have_no_figure(seconds, reason):
    said = why_too_short(seconds)
    assert said is None if reason is None else reason in said


@pytest.mark.parametrize("looks", [[], [Look(0.0, counter_mj=1)], [Look(0.0), Look(1.0)]])
def test_without_two_looks_or_any_sensor_there_is_no_energy(looks):
    value, reason, _ = joules(looks, None)
    assert value is None
    assert reason


@pytest.mark.parametrize(("seconds", "calls"), [(0.4, 13), (5.0, 1), (90.0, 1), (0.0, 1)])
def test_short_calls_are_repeated_until_they_fill_a_window(seconds, calls):
    assert calls_to_fill(seconds) == calls
