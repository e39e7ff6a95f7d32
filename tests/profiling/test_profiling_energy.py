import pytest

from pytest_vdb.profiling.energy import joules


def test_energy_is_the_difference_of_the_counter_in_joules():
    assert joules(1_000_000, 1_700_500, 10.0) == (700.5, None)


@pytest.mark.parametrize(
    ("before", "after", "seconds", "reason"),
    [
        (0, 100_000, 4.9, "window_too_short"),
        (0, 100_000, None, "device failed"),
        (100, 50, 10.0, "went backwards"),
    ],
)
def test_what_the_counter_cannot_tell_is_none_with_the_reason(before, after, seconds, reason):
    value, said = joules(before, after, seconds)
    assert value is None
    assert reason in said
