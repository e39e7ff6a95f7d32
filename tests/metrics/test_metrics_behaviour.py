"""What holds for every metric of the registry: a number or a reason, and the same one whichever way it is computed."""

from __future__ import annotations

import inspect
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_vdb.backbones.contract import backbone, spec_of
from pytest_vdb.backbones.registry import BackboneRegistry
from pytest_vdb.metrics.contract import MetricSpec, ReferenceFeatures, Score, looking_through, metric
from pytest_vdb.metrics.engine import Engine, Scores
from pytest_vdb.metrics.moments import Moments
from pytest_vdb.metrics.registry import MetricRegistry
from pytest_vdb.records import Clip, Measurement, Prompt

pytestmark = pytest.mark.slow  # every metric on every odd clip

PROMPT = Prompt(id="p", text="a red ball rolls over a table")
ALL = list(MetricRegistry.builtin())
OF_A_CLIP = [spec for spec in ALL if spec.scope == "clip"]
OF_A_PAIR = [spec for spec in ALL if spec.scope == "pair"]
OF_A_SET = [spec for spec in ALL if spec.scope == "set" and "clips" not in spec.inputs]
"""Without those that hand the clips to another package."""
SPEC_OF = {name: spec for spec in ALL for name in spec.part_names()}
PLAIN = [spec for spec in OF_A_CLIP if not spec.features]

TOLERANCE = {"rel": 1e-4, "abs": 1e-5}
"""As docs/metrics.md states it."""


def noise(frames=5, height=40, width=56, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), np.uint8)


CLIPS = {
    "one frame": noise(1),
    "two frames": noise(2),
    "three frames": noise(3),
    "2x2 pixels": noise(5, 2, 2),
    "one pixel": noise(5, 1, 1),
    "odd sizes": noise(5, 33, 47),
    "a ribbon": noise(5, 4, 200),
    "black": np.zeros((5, 40, 56, 3), np.uint8),
    "white": np.full((5, 40, 56, 3), 255, np.uint8),
    "black, then white": np.repeat(np.array([0, 255], np.uint8), 3)[:, None, None, None]
    * np.ones((1, 9, 9, 3), np.uint8),
    "grey": np.repeat(noise()[..., :1], 3, axis=-1),
    "read-only": np.broadcast_to(noise(1), (5, 40, 56, 3)),
    "backwards in memory": noise()[::-1, ::-1, ::-1],
}


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine([*OF_A_CLIP, *OF_A_PAIR], tiny=True, cache_dir=Path())


def values(measurements: tuple[Measurement, ...]) -> dict[str, float]:
    return {m.name: m.value for m in measurements if m.value is not None}


# --- odd clips and references -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLIPS)
def test_an_odd_clip_gives_a_number_or_a_reason(engine, name):
    frames = CLIPS[name]
    scores = engine.measure(Clip(frames, 8.0), PROMPT, Clip(noise(*frames.shape[:3], seed=1), 8.0))
    for measurement in scores.measurements:
        if measurement.value is None:
            assert measurement.reason
            assert "not a finite number" not in measurement.reason, measurement
        else:
            assert math.isfinite(measurement.value)
            assert SPEC_OF[measurement.name].could_be(measurement.value), measurement
            assert measurement.series is None or all(map(math.isfinite, measurement.series))
            assert len(frames) >= SPEC_OF[measurement.name].least_frames, measurement


@pytest.mark.parametrize("frames", sorted({spec.least_frames for spec in OF_A_CLIP if spec.least_frames > 1}))
def test_a_metric_measures_the_fewest_frames_that_it_declares_and_not_one_less(frames):
    bench = Engine([spec for spec in OF_A_CLIP if spec.least_frames == frames], tiny=True, cache_dir=Path())
    enough, too_few = (bench.measure(Clip(noise(n, 130, 130), 8.0)).measurements for n in (frames, frames - 1))
    assert {m.name for m in enough if m.value is None} == set()
    assert {m.reason for m in too_few} == {f"needs {frames} frames, got {frames - 1}"}


@pytest.mark.parametrize(
    ("network", "feature"),
    [
        pytest.param(network.name, feature, id=feature.name)
        for network in BackboneRegistry.builtin()
        for feature in network.features
        if feature.frames > 1
    ],
)
def test_a_feature_has_the_fewest_frames_that_it_declares_and_not_one_less(network, feature):
    of_set = metric("all", unit="1", better="higher")(_asking_for(f"{feature.name}_set"))
    bench = Engine([of_set], tiny=True, cache_dir=Path())
    enough, too_few = (bench.measure(Clip(noise(n, 130, 130), 8.0)) for n in (feature.frames, feature.frames - 1))
    assert feature.name not in enough.absent
    assert too_few.absent == {feature.name: f"{network} needs {feature.frames} frames, got {feature.frames - 1}"}


def _asking_for(parameter: str):
    """A function with that parameter: its name says what the engine hands it."""

    def function(**features):
        return 1.0

    function.__signature__ = inspect.Signature([inspect.Parameter(parameter, inspect.Parameter.KEYWORD_ONLY)])
    return function


@pytest.mark.parametrize(
    ("clip", "reference", "message"),
    [
        pytest.param(noise(5), noise(4), "5 frames and its reference 4", id="another length"),
        pytest.param(noise(1), noise(4), "1 frames and its reference 4", id="one frame"),
        pytest.param(noise(3), noise(3, 56, 40), "56x40 and of 40x56", id="another shape"),
        pytest.param(noise(2, 280, 300), noise(2, 270, 300), "300x280 and of 300x270", id="another resolution"),
    ],
)
def test_a_reference_that_does_not_fit_gives_no_number(engine, clip, reference, message):
    measured = engine.measure(Clip(clip, 8.0), PROMPT, Clip(reference, 8.0)).measurements
    of_pairs = [m for m in measured if any(m.name in spec.part_names() for spec in OF_A_PAIR)]
    assert {m.value for m in of_pairs} == {None}
    assert all(message in m.reason for m in of_pairs if m.name.count(".") == 0 and "ffmpeg" not in m.reason)


# --- features that cannot be trusted, and sets that cannot be compared ------------------------------------------------


@pytest.fixture(scope="module")
def seen() -> Scores:
    """Every feature that any metric looks at, of one pair of clips."""
    everything = Engine(ALL, tiny=True, cache_dir=Path())
    return everything.measure(Clip(noise(16, 40, 40), 8.0), PROMPT, Clip(noise(16, 40, 40, seed=1), 8.0))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("spec", [spec for spec in ALL if spec.features], ids=lambda spec: spec.name)
def test_features_that_are_not_finite_make_no_number(seen, spec, bad):
    for name in {feature for feature in spec.features if feature in seen.features}:
        spoilt = dict(seen.features)
        spoilt[name] = spoilt[name].copy()
        spoilt[name].flat[0] = bad
        if spec.scope == "set":
            samples = [seen, Scores((), spoilt, seen.identities)] * 10
            bench = Engine([spec], tiny=True, cache_dir=Path())
            measured = bench.measure_set(samples, prompts=[PROMPT] * 20, references=references(samples[:1] * 20))
        else:
            bench = Engine([looking_through(giving(spoilt), spec)], cache_dir=Path())
            measured = bench.measure(Clip(noise(16), 8.0), PROMPT, Clip(noise(16, seed=1), 8.0)).measurements
        for measurement in measured:
            assert measurement.value is None
            assert "not finite" in measurement.reason


def giving(features: dict[str, np.ndarray]) -> BackboneRegistry:
    """A network that gives these, whatever it looks at."""
    known = BackboneRegistry.builtin().givers

    @backbone("told", features=tuple(known[name].feature(name) for name in features))
    class Told:
        identity = "told"

        def __init__(self, source): ...

        def features(self, name, subject):
            return features[name]

    return BackboneRegistry([spec_of(Told)])


def references(samples: list[Scores]) -> dict[str, ReferenceFeatures]:
    flat = {name for name, value in samples[0].features.items() if value.ndim == 1}
    return {
        name: ReferenceFeatures(source="real/", features=np.stack([s.features[name] for s in samples])) for name in flat
    }


def drawn(n: int, seed: int, dimensions=6) -> list[Scores]:
    """Samples with every set metric's features, made up."""
    rng = np.random.default_rng(seed)
    flat = [name for spec in OF_A_SET for name in spec.features if name != "clip_image"]
    return [
        Scores(
            (),
            {name: rng.standard_normal(dimensions).astype(np.float32) for name in flat}
            | {"clip_image": rng.standard_normal((3, dimensions)).astype(np.float32)},
        )
        for _ in range(n)
    ]


def measured_set(specs: list[MetricSpec], samples: list[Scores], given) -> tuple[Measurement, ...]:
    prompts = [Prompt(id=str(i // 2), text="two of each") for i in range(len(samples))]
    return Engine(specs, cache_dir=Path()).measure_set(samples, prompts=prompts, references=given)


def with_features(change):
    return {
        name: ReferenceFeatures(source="real/", features=change(given.features))
        for name, given in references(drawn(40, 1)).items()
    }


def with_moments(change):
    changed = {}
    for name, given in references(drawn(40, 1)).items():
        arrays = Moments.of(given.features).arrays()
        change(arrays)
        changed[name] = ReferenceFeatures(source="real.npz", moments=arrays)
    return changed


def test_a_healthy_set_has_every_value():
    measured = measured_set(OF_A_SET, drawn(40, 0), references(drawn(40, 1)))
    assert [m.name for m in measured if m.value is None] == []


@pytest.mark.parametrize("count", [0, 1])
def test_no_clips_or_one_are_no_set(count):
    for measurement in measured_set(OF_A_SET, drawn(count, 0), references(drawn(40, 1))):
        assert measurement.value is None
        assert "not a finite number" not in measurement.reason


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(None, id="none"),
        pytest.param(with_features(lambda real: real[:0]), id="an empty one"),
        pytest.param(with_features(lambda real: real[:1]), id="a single clip"),
        pytest.param(with_features(lambda real: real[:, :4]), id="of another network"),
        pytest.param(with_features(lambda real: np.where(real == real[3, 2], np.nan, real)), id="not finite"),
        pytest.param(with_moments(lambda arrays: arrays["products"].fill(np.nan)), id="moments not finite"),
        pytest.param(with_moments(lambda arrays: arrays.pop("total")), id="moments torn"),
        pytest.param(with_moments(lambda arrays: arrays.update(n=np.array(1.0))), id="moments of a single clip"),
    ],
)
def test_a_reference_set_that_cannot_be_compared_with_gives_no_number(given):
    comparing = [spec for spec in OF_A_SET if any(name.endswith("_reference") for name in spec.inputs)]
    for measurement in measured_set(comparing, drawn(40, 0), given):
        assert measurement.value is None, measurement
        assert "not a finite number" not in measurement.reason


def test_samples_of_different_networks_are_no_set():
    samples = [*drawn(20, 0), *drawn(20, 1, dimensions=5)]
    for measurement in measured_set([s for s in OF_A_SET if s.name != "diversity"], samples, references(drawn(40, 1))):
        assert "features of 5 and 6 numbers" in measurement.reason


# --- the same value, whichever way it is computed ---------------------------------------------------------------------


def test_the_number_of_threads_changes_no_value(engine):
    clip, reference = Clip(noise(3, 36, 44), 8.0), Clip(noise(3, 36, 44, seed=1), 8.0)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(values(engine.measure(clip, PROMPT, reference).measurements))
    finally:
        torch.set_num_threads(before)
    assert found[0] == pytest.approx(found[1], **TOLERANCE)
    assert len(found[0]) > 25


def test_the_size_of_a_batch_changes_no_value(engine):
    """A clip is longer and its frames larger than any batch, block or strip; each of its parts is smaller."""
    whole, others = noise(20, 96, 130), noise(20, 96, 130, seed=1)
    together = series(engine.measure(Clip(whole, 8.0), PROMPT, Clip(others, 8.0)).measurements, 20)
    parts = [slice(start, start + 4) for start in range(0, 20, 4)]
    apart = [series(engine.measure(Clip(whole[p], 8.0), PROMPT, Clip(others[p], 8.0)).measurements, 4) for p in parts]
    assert len(together) > 10
    for name, found in together.items():
        assert found == pytest.approx([value for part in apart for value in part[name]], **TOLERANCE), name


def series(measurements: tuple[Measurement, ...], frames: int) -> dict[str, tuple[float, ...]]:
    """Those with a value for every frame."""
    return {m.name: m.series for m in measurements if m.series is not None and len(m.series) == frames}


@pytest.mark.parametrize("spec", [spec for spec in ALL if spec.features], ids=lambda spec: spec.name)
def test_features_of_double_precision_change_no_value(seen, spec):
    if spec.scope != "set" and not set(spec.features) <= set(seen.features):
        pytest.skip("frames of 40x40 pixels are smaller than it looks at")
    found = []
    for precision in (np.float32, np.float64):
        if spec.scope == "set":
            cast = [Scores((), {n: v.astype(precision) for n, v in s.features.items()}) for s in drawn(40, 0)]
            found.append(values(measured_set([spec], cast, with_features(lambda real, to=precision: real.astype(to)))))
        else:
            given = {"prompt": PROMPT} | {name: seen.features[name].astype(precision) for name in spec.features}
            found.append(figures(spec.function(**{name: given[name] for name in spec.inputs})))
    assert found[0]
    assert found[0] == pytest.approx(found[1], **TOLERANCE)


def figures(result) -> dict[str, float]:
    parts = result if isinstance(result, dict) else {"": result}
    return {part: score.value if isinstance(score, Score) else score for part, score in parts.items()}


# --- what measuring leaves alone --------------------------------------------------------------------------------------


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
