"""How long a session will still take: by what its own tests took, then by what others did, and never by nothing."""

from __future__ import annotations

from pytest_vdb.analysis.time_left import seconds_left

QUALITY, SPEED = "t.py::test_generation", "t.py::test_efficiency"


def test_a_test_takes_what_its_kind_took_in_this_session():
    finished = [((QUALITY, "a"), 10.0), ((QUALITY, "a"), 12.0), ((QUALITY, "a"), 100.0), ((SPEED, "a"), 60.0)]
    assert seconds_left([(QUALITY, "a")] * 3, finished) == 36.0
    assert seconds_left([(QUALITY, "a"), (SPEED, "a")], finished, workers=2) == 36.0


def test_else_what_it_took_the_last_time_else_what_the_models_others_take_else_the_mean_of_all():
    finished = [((QUALITY, "a"), 10.0)]
    earlier = [((QUALITY, "a"), 1.0), ((QUALITY, "b"), 30.0)]
    assert seconds_left([(QUALITY, "a"), (QUALITY, "b")], finished, earlier) == 40.0
    assert seconds_left([(SPEED, "a")], finished, earlier) == 10.0
    assert seconds_left([(QUALITY, "a"), (QUALITY, "b"), (QUALITY, "c")], finished, earlier) == 60.0


def test_nobody_knows_before_anything_has_ended_and_nothing_is_left_in_the_end():
    assert seconds_left([(QUALITY, "a")], []) is None
    assert seconds_left([], []) == 0.0
