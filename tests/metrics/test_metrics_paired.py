"""PSNR, SSIM, MS-SSIM, FSIM and FSIMc against reference implementations, and what they refuse."""

import numpy as np
import pytest

from pytest_vdb.backbones.pairs import to_short_side
from pytest_vdb.errors import CannotMeasure
from pytest_vdb.metrics.fsim import fsim, fsim_frames, fsimc
from pytest_vdb.metrics.psnr import psnr, psnr_frames
from pytest_vdb.metrics.resize import PARTS
from pytest_vdb.metrics.ssim import ms_ssim, ms_ssim_frames, ssim, ssim_frames
from pytest_vdb.records import Clip

GOLDEN = {
    "ssim": [0.307044482513, 0.356782117683, 0.403896921628],
    "ms_ssim": [0.879703591618, 0.904417131428, 0.922377121806],
    "fsimc": [0.723266356967, 0.767655509481, 0.809542248192],
    "psnr": [21.1101683424, 21.1114146033, 21.1142685689],
}
PAIRED = [psnr, ssim, ms_ssim, fsim, fsimc]


def ramps(frames=3, height=192, width=192, seed=0):
    """Made of whole numbers only, so that it is the same everywhere; and a worse copy."""
    rows, columns = np.mgrid[0:height, 0:width]
    first = np.stack(
        [np.stack([(rows * (3 + t) + columns * c) % 256 for c in (1, 2, 5)], axis=-1) for t in range(frames)]
    )
    noise = np.random.RandomState(seed).randint(-40, 41, first.shape)
    return first.astype(np.uint8), np.clip(first + noise, 0, 255).astype(np.uint8)


def noise_clip(frames=3, height=24, width=40, seed=0):
    return Clip(np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), np.uint8), 8)


def test_the_values_of_piq_and_scikit_image_on_whole_numbers():
    """Computed once with piq 0.8.0 and scikit-image 0.26.0 in float64 on these very frames."""
    first, second = ramps()
    np.testing.assert_allclose(ssim_frames(first, second), GOLDEN["ssim"], atol=2e-6)
    np.testing.assert_allclose(ms_ssim_frames(first, second), GOLDEN["ms_ssim"], atol=5e-6)
    np.testing.assert_allclose(fsim_frames(first, second).colour, GOLDEN["fsimc"], atol=5e-6)
    np.testing.assert_allclose(psnr_frames(first, second), GOLDEN["psnr"], rtol=1e-11)


@pytest.mark.parametrize("size", [(11, 11), (45, 61), (300, 17)])
def test_ssim_of_any_size_and_length_is_the_plain_definition(size):
    first, second = (noise_clip(19, *size, seed).frames for seed in (0, 1))
    second = (0.6 * first + 0.4 * second).astype(np.uint8)
    np.testing.assert_allclose(
        ssim_frames(first, second)[[0, 18]], [plain_ssim(first[t], second[t]) for t in (0, 18)], atol=2e-6
    )


def plain_ssim(x, y):
    from scipy.ndimage import correlate1d

    window = np.exp(-(np.arange(-5, 6) ** 2) / 4.5)
    window /= window.sum()

    def mean(image):
        for axis in (0, 1):
            image = correlate1d(image, window, axis=axis)
        return image[5:-5, 5:-5]

    x, y = x.astype(np.float64) / 255, y.astype(np.float64) / 255
    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    return np.mean((2 * mx * my + 1e-4) * (2 * cov + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4)))


@pytest.mark.parametrize("level", [0, 20, 128, 200, 250])
def test_flat_bright_frames_lose_no_digits(level):
    first = np.full((1, 64, 64, 3), level, np.uint8)
    second = first.copy()
    second[:, ::2, ::2] = min(level + 40, 255)
    assert ssim_frames(first, second)[0] == pytest.approx(plain_ssim(first[0], second[0]), abs=5e-6)


def test_identical_clips_score_one_and_have_no_psnr():
    clip = noise_clip(2, 200, 180)
    for measure in (ssim, ms_ssim, fsim, fsimc):
        assert measure(clip, clip)[""].value == pytest.approx(1, abs=1e-6)
    score = psnr(clip, clip)[""]
    assert score.value is None
    assert "identical" in score.reason


def test_identical_frames_are_left_out_of_psnr_and_counted():
    clip = noise_clip(3)
    changed = clip.frames.copy()
    changed[1] ^= 1
    score = psnr(clip, Clip(changed, 8))[""]
    assert score.value == pytest.approx(20 * np.log10(255))
    assert "2 of 3 frames are identical" in score.reason


@pytest.mark.parametrize("measure", PAIRED)
def test_clips_of_different_lengths_are_refused(measure):
    with pytest.raises(CannotMeasure, match="the clip has 3 frames and its reference 4"):
        measure(noise_clip(3), noise_clip(4))


@pytest.mark.parametrize("measure", PAIRED)
def test_a_reference_of_another_size_is_compared_only_where_both_shrink_to_one(measure):
    clip, reference = noise_clip(1, 512, 768), noise_clip(1, 256, 384, seed=1)
    scores = measure(clip, reference)
    assert set(scores) == set(PARTS)
    assert scores[""].value is None
    assert "768x512 and of 384x256" in scores[""].reason
    assert scores["256"].value is not None
    assert "enlarging adds nothing" in scores["512"].reason


@pytest.mark.parametrize("measure", PAIRED[1:])
def test_tiny_frames_are_no_number(measure):
    tiny = noise_clip(2, 2, 2)
    scores = measure(tiny, noise_clip(2, 2, 2, seed=1))
    assert all(score.value is None for score in scores.values())
    assert "2x2 pixels are smaller" in scores[""].reason


def test_a_plain_colour_has_no_features():
    plain = Clip(np.full((1, 64, 64, 3), 90, np.uint8), 8)
    assert "no features" in fsim(plain, plain)[""].reason
    assert fsim(plain, noise_clip(1, 64, 64))[""].value < 0.5


@pytest.mark.parametrize("measure", PAIRED)
def test_worse_copies_score_lower(measure):
    first, _ = ramps(2)
    noise = np.random.default_rng(0).normal(0, 1, first.shape)
    clips = [Clip(np.clip(first + sd * noise, 0, 255).astype(np.uint8), 8) for sd in (4, 12, 36)]
    values = [measure(clip, Clip(first, 8))[""].value for clip in clips]
    assert values[0] > values[1] > values[2]


@pytest.mark.parametrize("measure", PAIRED[1:])
def test_threads_change_nothing_that_is_shown(measure):
    import torch

    first, second = ramps(2)
    threads, values = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            values.append(measure(Clip(first, 8), Clip(second, 8))[""].value)
    finally:
        torch.set_num_threads(threads)
    assert values[0] == pytest.approx(values[1], abs=1e-6)


def test_shrinking_keeps_the_aspect_and_what_is_small_enough():
    frames = noise_clip(1, 300, 451).frames
    assert to_short_side(frames, 100).shape == (1, 100, 150, 3)
    assert to_short_side(frames, 300) is frames
