"""Several calls are one statement: medians of times, the highest of peaks, sums over sums for rates."""

from dataclasses import replace

import pytest

from pytest_vdb.profiling.cuda_memory import ALLOCATED
from pytest_vdb.profiling.probe import Reading
from pytest_vdb.profiling.rounds import of_rounds, over_rounds, rounds_for

TIME = Reading("stage_time", "s")


def test_rates_are_sums_over_sums():
    found = {measured.name: measured for measured in of_rounds([1.0, 1.0, 1.0, 1.0, 6.0], frames=20, fps=10.0)}
    assert {name: measured.value for name, measured in found.items() if name != "latency_variation"} == pytest.approx(
        {
            "steady_latency": 1.0,
            "clip_time": 1.0,
            "steady_throughput": 5 * 20 / 10,  # the mean of five ratios would be 16.7
            "videos_per_minute": 60 * 5 / 10,
            "real_time_factor": 5 * 2 / 10,
        }
    )
    assert found["steady_latency"].interval == (1.0, 6.0)
    assert found["latency_variation"].value == pytest.approx(5**0.5 / 2)
    assert {measured.n for measured in found.values()} == {5}


def test_every_clip_of_a_batch_counts_and_its_time_is_told_from_the_calls():
    found = {measured.name: measured for measured in of_rounds([2.0, 4.0, 6.0], frames=20, fps=10.0, clips=4)}
    assert found["steady_latency"].value == 4.0
    assert (found["clip_time"].value, found["clip_time"].interval) == (1.0, (0.5, 1.5))
    assert found["steady_throughput"].value == pytest.approx(3 * 4 * 20 / 12)
    assert found["videos_per_minute"].value == pytest.approx(60 * 3 * 4 / 12)
    assert found["real_time_factor"].value == pytest.approx(3 * 4 * 2 / 12)


def test_one_call_does_not_vary_and_nobody_guesses_how_fast_it_plays():
    found = {measured.name: measured for measured in of_rounds([2.0], frames=8)}
    assert found["steady_throughput"].value == 4.0
    for name in ("latency_variation", "real_time_factor"):
        assert found[name].value is None


def test_calls_that_no_clock_sees_have_no_rate():
    found = {measured.name: measured for measured in of_rounds([0.0, 0.0], frames=8, fps=8.0)}
    assert found["steady_latency"].value == 0.0
    assert "too short for the clock" in found["videos_per_minute"].reason


@pytest.mark.parametrize(("first_call_s", "rounds"), [(None, 5), (299.0, 5), (301.0, 3)])
def test_calls_of_minutes_are_timed_three_times(first_call_s, rounds):
    assert rounds_for(first_call_s) == rounds


def test_of_several_calls_the_median_time_and_the_highest_peak_are_told():
    rounds = [(replace(TIME.of(t), series=(t, t)), ALLOCATED.of(100 * t)) for t in (3.0, 1.0, 2.0)]
    time, peak = over_rounds(rounds)
    assert (time.value, time.n, time.interval, time.series) == (2.0, 3, (1.0, 3.0), (2.0, 2.0))
    assert (peak.value, peak.interval) == (300.0, (100.0, 300.0))


def test_a_call_without_a_reading_is_no_zero():
    time, peak = over_rounds([(TIME.of(2.0), ALLOCATED.of(None, reason="no CUDA")), (TIME.of(None, reason="lost"),)])
    assert (time.value, time.n) == (2.0, 1)
    assert (peak.value, peak.reason) == (None, "no CUDA")


def test_a_remark_on_one_call_stays():
    (throttled,) = over_rounds([(TIME.of(1.0),), (TIME.of(2.0, reason="throttled: power brake"),), (TIME.of(3.0),)])
    assert (throttled.value, throttled.reason) == (2.0, "throttled: power brake")
