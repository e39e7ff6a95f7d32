"""Metrics of single frames."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from pytest_vdb.degradations import degraded
from pytest_vdb.errors import CannotMeasure
from pytest_vdb.metrics.picture import clipped_pixels, colourfulness, exposure, sharpness
from pytest_vdb.metrics.pixels import luma
from pytest_vdb.records import Clip
from pytest_vdb.shapes import moving_shapes


def noise(frames=3, height=33, width=47, seed=0) -> Clip:
    return Clip(np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), np.uint8), 8.0)


def test_a_plain_colour_has_no_sharpness():
    assert sharpness(Clip(np.full((2, 16, 16, 3), 99, np.uint8), 8.0)).value == 0


def test_sharpness_is_the_variance_of_scipys_laplacian_where_there_is_no_noise():
    clip = Clip(moving_shapes("sharp", frames=3, height=32, width=48) // 64 * 64, 8.0)
    expected = [ndimage.laplace(luma(f).astype(np.float64) / 255)[1:-1, 1:-1].var() for f in clip.frames]
    assert sharpness(clip).series == pytest.approx(expected, rel=1e-3)  # edges move the median of the noise a hair


def test_noise_is_not_taken_for_sharpness():
    clean = np.repeat(np.repeat(noise(2, 16, 16).frames // 2 + 64, 8, axis=1), 8, axis=2)
    noisy = np.clip(clean + np.random.default_rng(1).normal(0, 12, clean.shape), 0, 255).round().astype(np.uint8)
    assert sharpness(Clip(noisy, 8.0)).value == pytest.approx(sharpness(Clip(clean, 8.0)).value, rel=0.15)
    assert sharpness(noise(2, 128, 128)).value < 0.02  # and of nothing but noise next to nothing is left, of 0.4


def test_sharpness_falls_with_every_step_of_blur():
    clip = Clip(np.repeat(np.repeat(noise(2, 16, 16).frames, 4, axis=1), 4, axis=2), 8.0)
    blurred = [ndimage.gaussian_filter(clip.frames, (0, s, s, 0)) for s in (0.5, 1, 1.5, 2)]
    values = [sharpness(Clip(frames, 8.0)).value for frames in (clip.frames, *blurred)]
    assert values == sorted(values, reverse=True)


def test_the_brightest_and_darkest_chequers_do_not_overflow():
    chequers = (np.indices((256, 256)) // 2).sum(axis=0) % 2 * 255
    clip = Clip(np.repeat(chequers[None, :, :, None], 3, axis=3).astype(np.uint8), 8.0)
    assert sharpness(clip).value == pytest.approx(4, rel=1e-3)


def test_frames_without_an_inside_are_refused():
    with pytest.raises(CannotMeasure, match="2x2 pixels are smaller than 3x3"):
        sharpness(noise(2, 2, 2))


def plain(*colour: int) -> Clip:
    return Clip(np.broadcast_to(np.array(colour, np.uint8), (2, 8, 8, 3)).copy(), 8.0)


@pytest.mark.parametrize(("colour", "brightness"), [((0, 0, 0), 0), ((255, 255, 255), 1), ((0, 255, 0), 0.587)])
def test_exposure_is_brightness(colour, brightness):
    assert exposure(plain(*colour)).value == pytest.approx(brightness, abs=0.004)


@pytest.mark.parametrize(("colour", "share"), [((0, 0, 0), 1), ((2, 2, 2), 1), ((3, 3, 3), 0), ((255, 255, 255), 1)])
def test_burnt_and_drowned_pixels_are_counted(colour, share):
    assert clipped_pixels(plain(*colour)).value == share


def test_grey_has_no_colour():
    grey = np.repeat(noise(2, 32, 32).frames[..., :1], 3, axis=3)
    assert colourfulness(Clip(grey, 8.0)).value == 0


def test_colourfulness_is_hasler_and_suesstrunks_formula():
    clip = noise(2, 31, 45)
    red, green, blue = np.moveaxis(clip.frames[0].astype(np.float64), -1, 0)
    rg, yb = red - green, (red + green) / 2 - blue
    expected = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
    assert colourfulness(clip).series[0] == pytest.approx(expected, rel=1e-12)


def test_saturation_makes_frames_more_colourful():
    clip = noise(1, 32, 32)
    grey = clip.frames.mean(axis=3, keepdims=True)
    values = [colourfulness(Clip(np.uint8(grey + s * (clip.frames - grey)), 8.0)).value for s in (0.25, 0.5, 1.0)]
    assert values == sorted(values)


@pytest.mark.parametrize("measure", [exposure, clipped_pixels, colourfulness])
def test_one_frame_of_one_pixel_is_measured(measure):
    assert len(measure(noise(1, 1, 1)).series) == 1


@pytest.mark.parametrize("side", [64, 128])
def test_every_further_blur_is_less_sharp(side):
    clip = Clip(moving_shapes("p001", frames=4, height=side, width=side), 8.0)
    values = [sharpness(degraded(clip, "blur", severity)).value for severity in range(6)]
    assert values == sorted(values, reverse=True)
    assert values[-1] > 0
