"""The engine: one look per clip and network, and a reason for whatever is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pytest_vdb.backbones.contract import backbone
from pytest_vdb.errors import CannotMeasure, MetricError, WeightsBroken
from pytest_vdb.metrics.contract import ReferenceFeatures, Score, metric
from pytest_vdb.metrics.engine import Engine, Scores, left_out
from pytest_vdb.metrics.registry import MetricRegistry
from pytest_vdb.records import Clip, Measurement, Prompt, from_json, to_json

PROMPT = Prompt(id="p", text="a red ball rolls over a table")
NETWORK_METRICS = "clip_similarity,clip_consistency"


def noise(frames=5, height=40, width=56, seed=0) -> Clip:
    return Clip(np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), np.uint8), 8.0)


def engine(expression="default", **options) -> Engine:
    options = {"tiny": True, "cache_dir": Path(), "offline": True} | options
    return Engine(MetricRegistry.builtin().select(expression), **options)


def one(measure, *, clip=None, **options) -> Measurement:
    """What the engine makes of one metric of our own."""
    (measurement,) = Engine([measure], cache_dir=Path(), **options).measure(clip or noise(), PROMPT).measurements
    return measurement


@pytest.fixture(scope="module")
def scores():
    return engine(NETWORK_METRICS).measure(noise(), PROMPT)


@pytest.mark.slow
def test_an_engine_is_constructed_without_torch():
    script = (
        "import sys; from pathlib import Path; from pytest_vdb.metrics.engine import Engine;"
        "from pytest_vdb.metrics.registry import MetricRegistry;"
        "Engine(MetricRegistry.builtin(), cache_dir=Path()); print('torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"


def test_every_measurement_survives_json():
    for measurement in engine("default").measure(noise(), PROMPT).measurements:
        assert from_json(to_json(measurement), Measurement) == measurement


def test_values_seen_through_random_weights_are_marked_as_wiring(scores):
    assert all(m.wiring and m.version.endswith("+tiny") for m in scores.measurements)


def test_values_that_need_no_network_are_not_wiring():
    (measurement,) = engine("sharpness").measure(noise()).measurements
    assert not measurement.wiring
    assert measurement.version == "1"


def test_features_are_recorded_per_frame_as_unit_vectors(scores):
    assert scores.features["clip_image"].shape == (5, 32)
    assert scores.features["clip_image"].dtype == np.float32
    assert np.linalg.norm(scores.features["clip_image"], axis=1) == pytest.approx(1, abs=1e-6)
    assert scores.identities == {"clip_image": "tiny", "clip_text": "tiny"}


def test_absent_weights_are_a_reason_with_the_mend():
    for measurement in engine(NETWORK_METRICS, tiny=False).measure(noise(), PROMPT).measurements:
        if measurement.value is None:
            assert "hf download timm/vit_base_patch32_clip_224.openai" in measurement.reason
            assert "578 MiB" in measurement.reason
            assert not measurement.wiring


def test_a_path_that_does_not_exist_is_named(tmp_path):
    bench = engine(NETWORK_METRICS, tiny=False, backbone_paths={"clip": tmp_path / "nowhere.safetensors"})
    assert "nowhere.safetensors" in bench.measure(noise(), PROMPT).measurements[0].reason


@pytest.mark.slow
def test_a_file_that_is_no_network_is_an_error(tmp_path):
    path = tmp_path / "ViT-B-32-mine.safetensors"
    path.write_bytes(b"not weights")
    with pytest.raises(WeightsBroken, match="cannot be read as CLIP ViT-B-32"):
        engine(NETWORK_METRICS, tiny=False, backbone_paths={"clip": path}).measure(noise(), PROMPT)


def test_without_a_prompt_the_reason_says_so():
    similarity, consistency = engine(NETWORK_METRICS).measure(noise()).measurements
    assert similarity.value is None
    assert similarity.reason == "needs a prompt"
    assert consistency.value is not None


def test_a_clip_that_is_too_short_is_a_reason():
    (flicker,) = engine("temporal_flicker").measure(noise(frames=1)).measurements
    assert (flicker.value, flicker.reason) == (None, "needs 2 frames, got 1")


def test_what_a_metric_cannot_measure_is_its_reason():
    @metric("m", unit="1", better="higher")
    def refuses(clip):
        raise CannotMeasure("too grey", mend="colour it")

    assert one(refuses).reason == "too grey; colour it"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_none(value):
    measurement = one(metric("m", unit="1", better="higher")(lambda clip: value))
    assert measurement.value is None
    assert "not a finite number" in measurement.reason


def test_a_series_that_is_not_finite_is_left_out_and_said():
    measurement = one(metric("m", unit="dB", better="higher")(lambda clip: Score(3.0, [3.0, float("inf")])))
    assert measurement.value == 3
    assert measurement.series is None
    assert "not finite" in measurement.reason


def test_features_that_are_not_finite_make_no_number():
    class Plugin:
        @backbone("overflowing", features="overflow")
        class Overflowing:
            identity = "overflowing"

            def __init__(self, source): ...

            def features(self, name, subject):
                return np.full(3, np.nan, np.float32)

        largest = metric("largest", unit="1", better="higher")(lambda overflow: float(overflow.max()))

    (spec,) = MetricRegistry.builtin().add_from(Plugin)
    (measurement,) = Engine([spec], cache_dir=Path()).measure(noise()).measurements
    assert measurement.value is None
    assert "not finite" in measurement.reason


def test_a_broken_metric_is_an_error_that_names_it():
    broken = metric("mine", unit="1", better="higher")(lambda clip: 1 / 0)
    with pytest.raises(ZeroDivisionError) as caught:
        one(broken)
    assert caught.value.__notes__ == ["while measuring 'mine'"]


def test_parts_are_measurements_of_their_own():
    parted = metric("m", unit="1", better="higher", parts=("", "x"))(lambda clip: {"": 1.0, "x": Score(2.0)})
    measurements = Engine([parted], cache_dir=Path()).measure(noise()).measurements
    assert [(m.name, m.value) for m in measurements] == [("m", 1), ("m.x", 2)]


def test_missing_parts_are_each_none():
    parted = metric("m", unit="1", better="higher", parts=("", "x"))(lambda clip, reference: 0)
    measurements = Engine([parted], cache_dir=Path()).measure(noise()).measurements
    assert [(m.name, m.value) for m in measurements] == [("m", None), ("m.x", None)]
    assert "reference clip" in measurements[0].reason


def test_undeclared_parts_are_refused():
    parted = metric("m", unit="1", better="higher")(lambda clip: {"y": 1.0})
    with pytest.raises(MetricError, match="declare them"):
        one(parted)


def test_something_untagged_is_no_metric():
    with pytest.raises(MetricError, match="tag it with @metric"):
        Engine([print], cache_dir=Path())


def test_a_set_metric_sees_all_samples_and_their_number():
    @metric("spread", unit="1", better="higher")
    def spread(clip_image_set):
        return Score(float(np.std([f.mean(axis=0) for f in clip_image_set])), n=len(clip_image_set))

    bench = Engine([spread], tiny=True, cache_dir=Path())
    samples = [bench.measure(noise(seed=seed)) for seed in range(3)]
    (measurement,) = bench.measure_set(samples)
    assert measurement.n == 3
    assert measurement.value > 0
    assert measurement.wiring
    assert samples[0].measurements == ()


def test_a_set_metric_without_a_reference_is_none():
    @metric("distance", unit="1", better="lower")
    def distance(clip_image_set, clip_image_reference):
        return float(clip_image_reference.features.mean())

    bench = Engine([distance], tiny=True, cache_dir=Path())
    samples = [bench.measure(noise())]
    (absent,) = bench.measure_set(samples)
    assert "needs a reference set" in absent.reason
    reference = ReferenceFeatures(source="here", features=np.ones((4, 32), np.float32))
    (present,) = bench.measure_set(samples, references={"clip_image": reference})
    assert present.value == 1


def test_a_sample_without_a_feature_is_left_out_with_its_prompt():
    @metric("paired", unit="1", better="higher")
    def paired(clip_text_set, prompts):
        assert [prompt.id for prompt in prompts] == ["0", "2"]
        return Score(1.0, n=len(clip_text_set))

    bench = Engine([paired], tiny=True, cache_dir=Path())
    prompts = [Prompt(id=str(i), text=f"prompt {i}") for i in range(3)]
    samples = [bench.measure(noise(), prompt if prompt.id != "1" else None) for prompt in prompts]
    (measurement,) = bench.measure_set(samples, prompts=prompts)
    assert (measurement.value, measurement.n) == (1, 2)


def lengths(*frames: int) -> list[Scores]:
    bench = Engine(MetricRegistry.builtin().select("fvd"), tiny=True, cache_dir=Path())
    return [bench.measure(noise(frames=n, seed=n)) for n in frames]


def fvd_of(samples, names=None) -> Measurement:
    reference = ReferenceFeatures(source="real/", features=np.random.default_rng(0).normal(size=(9, 400)))
    bench = Engine(MetricRegistry.builtin().select("fvd"), tiny=True, cache_dir=Path())
    (measurement,) = bench.measure_set(samples, references={"i3d": reference}, names=names)
    return measurement


def test_one_short_clip_among_others_is_said_beside_the_value():
    measurement = fvd_of(lengths(16, 7, 9), names=["a.mp4", "x.mp4", "c.mp4"])
    assert measurement.value > 0
    assert measurement.n == 2
    assert measurement.reason.startswith("of 2 of 3 clips: x.mp4: i3d needs 9 frames, got 7; N = 2 clips")


def test_clips_that_are_all_too_short_have_no_value_and_that_reason():
    measurement = fvd_of(lengths(7, 7, 8))
    assert measurement.value is None
    assert measurement.reason == (
        "of 0 of 3 clips: number 1, number 2: i3d needs 9 frames, got 7; number 3: i3d needs 9 frames, got 8"
    )


def test_a_reason_names_a_few_of_many_samples():
    said = left_out([Scores((), absent={"i3d": "too short"})] * 9 + [Scores((), {"i3d": np.zeros(1)})], ["i3d"])
    assert said == "of 1 of 10 clips: number 1, number 2, number 3 and 6 more: too short"
    assert left_out([Scores(())] * 2, ["i3d"]) == "of 0 of 2 clips: all: i3d was not measured"


def test_features_seen_through_different_weights_are_not_mixed():
    spread = metric("spread", unit="1", better="higher")(lambda clip_image_set: float(np.std(clip_image_set)))
    distance = metric("distance", unit="1", better="higher")(lambda clip_image_set, clip_image_reference: 1.0)
    bench = Engine([spread, distance], tiny=True, cache_dir=Path())
    first = bench.measure(noise())
    second = Scores((), first.features, {"clip_image": "other"})
    for measurement in bench.measure_set([first, second]):
        assert "through different weights: other, tiny" in measurement.reason
    reference = ReferenceFeatures(source="here.npz", features=np.ones((4, 32), np.float32), identity="other")
    _, measurement = bench.measure_set([first], references={"clip_image": reference})
    assert "(here.npz) was seen through other, that of the samples through tiny" in measurement.reason


def test_looking_aside_changes_nothing():
    bench, aside = engine(), engine(aside=True)
    assert bench.measure(noise(), PROMPT).measurements == aside.measure(noise(), PROMPT).measurements


def test_a_set_of_nothing_is_none():
    bench = Engine([metric("m", unit="1", better="higher")(lambda dino_set: 1.0)], tiny=True, cache_dir=Path())
    (measurement,) = bench.measure_set([])
    assert measurement.value is None


@pytest.mark.slow
def test_values_are_the_same_in_every_process(scores):
    script = (
        "import sys; sys.path.insert(0, 'tests/metrics'); from test_metrics_engine import *;"
        "print([m.value for m in engine(NETWORK_METRICS).measure(noise(), PROMPT).measurements])"
    )
    root = Path(__file__).parents[2]
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root)
    assert answer.stdout.strip() == str([m.value for m in scores.measurements])
