"""What a process is busy with: noted only where somebody looks on, and nothing stays hooked."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pytest_vdb.bench.doing import Activity


class Scheduler:
    def __init__(self, planned: int) -> None:
        self.timesteps = list(range(planned))

    def step(self, value: int) -> int:
        return value + 1


@pytest.fixture
def activity() -> Activity:
    watched = Activity()
    watched.is_watched = True
    return watched


def test_each_step_is_counted_and_what_the_pipeline_gets_is_the_same(activity):
    pipeline = SimpleNamespace(scheduler=Scheduler(3))
    with activity.of("generates", "a", "p001", pipeline):
        assert (activity.now.step, activity.now.steps) == (0, None)
        assert [pipeline.scheduler.step(value) for value in (1, 5)] == [2, 6]
        assert (activity.now.step, activity.now.steps) == (2, 3)
        assert activity.now.step_s >= 0
        pipeline.scheduler.step(1)
        pipeline.scheduler.step(1)
        assert (activity.now.step, activity.now.steps) == (4, None)  # more than are planned: another pass
    assert activity.now is None
    assert "step" not in vars(pipeline.scheduler)


def test_after_an_error_nothing_is_hooked_and_the_work_around_it_goes_on(activity):
    pipeline = SimpleNamespace(scheduler=Scheduler(3))
    with activity.of("loads", "a"):
        with pytest.raises(ZeroDivisionError), activity.of("generates", "a", "p001", pipeline):
            raise ZeroDivisionError
        assert activity.now.work == "loads"
    assert "step" not in vars(pipeline.scheduler)


def test_a_model_without_steps_is_told_without_them(activity):
    with activity.of("generates", "a", "p001", None):
        assert (activity.now.model, activity.now.step, activity.now.steps) == ("a", 0, None)


def test_where_nobody_looks_on_nothing_is_noted_or_hooked():
    activity, pipeline = Activity(), SimpleNamespace(scheduler=Scheduler(3))
    with activity.of("generates", "a", "p001", pipeline):
        assert activity.now is None
        assert "step" not in vars(pipeline.scheduler)
