"""NIQE: the reference's values, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from scipy import ndimage

from pytest_vdb import video
from pytest_vdb.backbones.contract import BackboneSource, Subject
from pytest_vdb.backbones.networks.niqe import block_features, distance, grey, luma
from pytest_vdb.backbones.niqe import FEATURES, Niqe, read_model
from pytest_vdb.errors import CannotMeasure, WeightsBroken, WeightsMissing
from pytest_vdb.metrics.engine import Engine
from pytest_vdb.metrics.registry import MetricRegistry
from pytest_vdb.records import Clip

CLIPS = Path(__file__).parents[2] / "fixtures" / "clips"


def photograph(seed: int, height: int, width: int) -> np.ndarray:
    """Noise at three scales: statistics not unlike a photograph's."""
    rng = np.random.default_rng(seed)
    layers = (ndimage.gaussian_filter(rng.normal(0, 1, (height, width, 3)), (s, s, 0)) * s * 40 for s in (0.7, 2, 6))
    return np.clip(np.rint(sum(layers) + 110), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("seed", "height", "width", "expected"),
    [(0, 200, 300, 6.734344751886127), (1, 192, 192, 6.725026319088818), (2, 288, 480, 6.704292825872639)],
)
def test_the_distance_is_basicsrs(seed, height, width, expected):
    """BasicSR 8d56e3a, with a model of ones and the identity."""
    features = block_features(luma(photograph(seed, height, width)))
    assert distance(features, np.ones(FEATURES), np.eye(FEATURES)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("seed", "height", "width", "expected"),
    [(0, 200, 300, 6.698729151367357), (1, 192, 192, 6.693861170435351), (2, 288, 480, 6.674325684492567)],
)
def test_the_distance_is_that_of_rgb2gray(seed, height, width, expected):
    """BasicSR's fit of MATLAB's grey, with a model of ones and the identity."""
    features = block_features(grey(photograph(seed, height, width)))
    assert distance(features, np.ones(FEATURES), np.eye(FEATURES)) == pytest.approx(expected, rel=1e-5)


MATLAB = {"I03": 15.7536293917814, "I04": 3.6549215235377, "I06": 3.23547743716998, "I08": 3.18403333858339}
MATLAB |= {"I19": 8.63519663862637}
"""What the authors' release gives for five distorted images of TID2013, as IQA-PyTorch publishes it (dist_dir)."""
BASICSR = {"I03": 15.56596, "I04": 3.79315, "I06": 3.1884, "I08": 3.13986, "I19": 8.68502}
"""What BasicSR 8d56e3a gives for them."""


@pytest.mark.parametrize("name", MATLAB)
def test_the_published_images_have_their_published_values(shared, name):
    """The images may not be redistributed with this repository, nor the pristine model."""
    folder = shared / "niqe"
    if not (folder / f"{name}.bmp").is_file():
        pytest.skip(f"needs {folder}: I03.bmp to I19.bmp of IQA-PyTorch's dist_dir and BasicSR's niqe_pris_params.npz")
    image = np.asarray(PIL.Image.open(folder / f"{name}.bmp").convert("RGB"))
    model = read_model(folder / "niqe_pris_params.npz")
    assert distance(block_features(grey(image)), *model) == pytest.approx(MATLAB[name], rel=0.01)
    assert distance(block_features(luma(image)), *model) == pytest.approx(BASICSR[name], rel=0.003)


@pytest.mark.parametrize(
    ("clip", "expected"), [("clip-01", 7.246807), ("clip-02", 7.189441), ("clip-03", 7.629144), ("clip-04", 7.245623)]
)
def test_frames_of_real_clips_have_basicsrs_values(clip, expected):
    """BasicSR 8d56e3a of the middle frame, with a model of ones and the identity."""
    frames = video.read(CLIPS / f"{clip}.mp4").frames
    features = block_features(luma(frames[len(frames) // 2]))
    assert distance(features, np.ones(FEATURES), np.eye(FEATURES)) == pytest.approx(expected, rel=0.003)


@pytest.mark.parametrize("brightness", [grey, luma])
def test_the_order_of_sums_is_no_part_of_the_value(brightness):
    """Flat places are where it shows: rounding leaves either sign there, and the fit counts signs."""
    frame = photograph(3, 288, 480)
    frame[40:200, 60:300] = (90, 120, 40)
    expected = distance(block_features(brightness(frame)), np.ones(FEATURES), np.eye(FEATURES))
    for seed in range(3):
        rounded_elsewhere = brightness(frame) + np.random.default_rng(seed).normal(0, 1e-13, frame.shape[:2])
        value = distance(block_features(rounded_elsewhere), np.ones(FEATURES), np.eye(FEATURES))
        assert value == pytest.approx(expected, rel=1e-6)


def test_the_version_names_the_variant():
    registry = MetricRegistry.builtin()
    assert registry.get("niqe").version.startswith("matlab-")
    assert registry.get("niqe_basicsr").version.startswith("basicsr-")


def test_both_variants_are_measured_through_one_model():
    clip = Clip(photograph(0, 96, 192)[None], 8.0)
    measured = Engine(MetricRegistry.builtin().select("niqe*"), tiny=True, cache_dir=Path()).measure(clip).measurements
    matlab, basicsr = (measurement.value for measurement in measured)
    assert matlab == pytest.approx(basicsr, rel=0.05)
    assert matlab != basicsr


def test_the_shape_of_gaussian_noise_is_two():
    """Known answer: after normalisation, Gaussian noise stays near Gaussian; Laplacian noise is peaked."""
    rng = np.random.default_rng(0)
    shapes = [block_features(np.round(draw(128, 10, (192, 192))))[:, 0].mean() for draw in (rng.normal, rng.laplace)]
    assert shapes[0] == pytest.approx(2.6, abs=0.4)
    assert shapes[1] < shapes[0] - 0.3


def test_each_block_has_36_features_and_the_rest_is_left_out():
    assert block_features(luma(photograph(0, 200, 300))).shape == (6, FEATURES)


def test_a_tiny_model_measures_up_to_eight_frames():
    clip = Clip(np.stack([photograph(seed, 96, 192) for seed in range(10)]), 8.0)
    values = Niqe(BackboneSource(tiny=True)).features("niqe_frames", Subject(clip=clip))
    assert values.shape == (8,)
    assert np.isfinite(values).all()


def test_noise_and_heavy_blocks_are_further_from_what_was_learnt_from_photographs():
    learnt = np.concatenate([block_features(luma(photograph(seed, 288, 480))) for seed in range(4)])
    model = learnt.mean(axis=0), np.cov(learnt, rowvar=False)
    clean = photograph(9, 288, 480)
    noisy = [
        np.clip(clean + np.random.default_rng(0).normal(0, s, clean.shape), 0, 255).astype(np.uint8) for s in (8, 30)
    ]
    values = [distance(block_features(luma(frame)), *model) for frame in (clean, *noisy)]
    assert values == sorted(values)


@pytest.mark.parametrize(("height", "width"), [(2, 2), (96, 96), (191, 95)])
def test_frames_without_two_blocks_are_refused(height, width):
    with pytest.raises(CannotMeasure, match="needs two blocks of 96x96 pixels"):
        block_features(luma(photograph(0, height, width)))


def test_a_plain_colour_has_no_texture_to_measure():
    with pytest.raises(CannotMeasure, match="with texture, got 0"):
        distance(block_features(np.full((192, 192), 90.0)), np.ones(FEATURES), np.eye(FEATURES))


def test_a_local_model_is_read(tmp_path):
    path = tmp_path / "model.npz"
    np.savez(path, mu_pris_param=np.zeros((1, 36)), cov_pris_param=np.eye(36))
    mean, covariance = read_model(path)
    assert mean.shape == (36,)
    assert covariance.shape == (36, 36)
    assert Niqe(BackboneSource(path=path)).identity.startswith("niqe@")


def test_a_file_that_is_no_model_is_refused(tmp_path):
    path = tmp_path / "model.npz"
    np.savez(path, something=np.zeros(3))
    with pytest.raises(WeightsBroken, match="no pristine model"):
        read_model(path)


def test_the_absent_model_says_where_it_is(tmp_path):
    with pytest.raises(WeightsMissing, match=r"niqe_pris_params\.npz"):
        Niqe(BackboneSource(cache_dir=Path(tmp_path), offline=True))
