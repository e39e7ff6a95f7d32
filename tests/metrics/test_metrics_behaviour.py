"""What holds for every clip metric: an odd clip gives a finite number or a reason, and never anything else."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from pytest_vdb.metrics.contract import MetricSpec
from pytest_vdb.metrics.engine import Engine
from pytest_vdb.metrics.registry import MetricRegistry
from pytest_vdb.records import Clip, Prompt

PROMPT = Prompt(id="p", text="a red ball rolls over a table")
CLIP_METRICS = [spec for spec in MetricRegistry.builtin() if spec.scope == "clip"]
PLAIN = [spec for spec in CLIP_METRICS if not spec.features]


def noise(frames=5, height=40, width=56) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (frames, height, width, 3), np.uint8)


CLIPS = {
    "one frame": noise(1),
    "two frames": noise(2),
    "three frames": noise(3),
    "2x2 pixels": noise(5, 2, 2),
    "one pixel": noise(5, 1, 1),
    "odd sizes": noise(9, 33, 47),
    "a ribbon": noise(5, 4, 200),
    "black": np.zeros((9, 40, 56, 3), np.uint8),
    "white": np.full((9, 40, 56, 3), 255, np.uint8),
    "black, then white": np.repeat(np.array([0, 255], np.uint8), 5)[:, None, None, None]
    * np.ones((1, 9, 9, 3), np.uint8),
    "read-only": np.broadcast_to(noise(1), (5, 40, 56, 3)),
    "backwards in memory": noise()[::-1, ::-1, ::-1],
}


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(CLIP_METRICS, tiny=True, cache_dir=Path())


@pytest.mark.parametrize("name", CLIPS)
def test_an_odd_clip_gives_a_number_or_a_reason(engine, name):
    for measurement in engine.measure(Clip(CLIPS[name], 8.0), PROMPT).measurements:
        if measurement.value is None:
            assert measurement.reason
            assert "not a finite number" not in measurement.reason, measurement
        else:
            assert math.isfinite(measurement.value)
            assert measurement.series is None or all(map(math.isfinite, measurement.series))


@pytest.mark.parametrize("spec", PLAIN, ids=lambda spec: spec.name)
def test_measuring_leaves_the_clip_as_it_was(spec: MetricSpec):
    clip = Clip(noise(9), 8.0)
    before = clip.digest()
    spec.function(clip)
    assert clip.digest() == before


@pytest.mark.parametrize("spec", PLAIN, ids=lambda spec: spec.name)
def test_the_engine_gives_what_the_function_gives(spec: MetricSpec):
    clip = Clip(noise(9), 8.0)
    result = spec.function(clip)
    (measurement,) = Engine([spec], cache_dir=Path()).measure(clip).measurements
    assert measurement.value == getattr(result, "value", result)


def test_a_clip_changed_between_measurements_is_measured_anew():
    engine, clip = Engine(PLAIN, cache_dir=Path()), Clip(noise(9), 8.0)
    before = engine.measure(clip).measurements
    clip.frames[:] = 7
    after = engine.measure(clip).measurements
    assert next(m.value for m in after if m.name == "sharpness") == 0
    assert before != after


def test_the_number_of_threads_changes_no_value_by_more_than_a_hundred_thousandth(engine):
    import torch

    before, values = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            values.append({m.name: m.value for m in engine.measure(Clip(noise(4), 8.0), PROMPT).measurements})
    finally:
        torch.set_num_threads(before)
    first, second = ({name: value for name, value in some.items() if value is not None} for some in values)
    assert first == pytest.approx(second, rel=1e-4, abs=1e-5)
