"""What a model is conditioned on: the picture as a person sees it, the clip as it plays, or shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pytest_vdb import video
from pytest_vdb.errors import ClipFileError, PromptError
from pytest_vdb.models.conditioning import clip_for, image_for
from pytest_vdb.records import Clip, Prompt
from pytest_vdb.shapes import moving_shapes

RED, BLUE = (255, 0, 0), (0, 0, 255)


def photo(path, **more):
    """Red above, blue below, as it is seen."""
    seen = np.empty((48, 72, 3), np.uint8)
    seen[:24], seen[24:] = RED, BLUE
    Image.fromarray(np.ascontiguousarray(np.rot90(seen, 1)) if more else seen).save(path, quality=98, **more)
    return path


def conditioned(path) -> np.ndarray:
    return np.asarray(image_for(Prompt(id="p", text="t", image=str(path)), height=32, width=48)).astype(int)


def test_a_phones_photo_goes_in_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for path in (photo(tmp_path / "a.jpg"), photo(tmp_path / "b.jpg", exif=exif)):
        image = conditioned(path)
        assert np.abs(image[2:14] - RED).mean() < 8
        assert np.abs(image[18:30] - BLUE).mean() < 8


def test_a_photo_goes_in_as_diffusers_loads_it(tmp_path):
    load_image = pytest.importorskip("diffusers.utils").load_image
    colours = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8).repeat(2, 0).repeat(2, 1)
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.fromarray(np.rot90(colours, -1).copy()).save(tmp_path / "a.jpg", exif=exif)
    np.testing.assert_array_equal(conditioned(tmp_path / "a.jpg"), np.asarray(load_image(str(tmp_path / "a.jpg"))))


def test_of_an_animation_or_a_clip_the_first_frame_goes_in(tmp_path):
    frames = moving_shapes("clip", frames=3, height=32, width=48)
    images = [Image.fromarray(frame) for frame in frames]
    images[0].save(tmp_path / "a.png", save_all=True, append_images=images[1:])
    images[0].save(tmp_path / "a.webp", save_all=True, append_images=images[1:], lossless=True)
    video.write_lossless(Clip(frames, 8.0), tmp_path / "a.mkv")
    for name in ("a.png", "a.webp", "a.mkv"):
        np.testing.assert_array_equal(conditioned(tmp_path / name), frames[0])
        clip = clip_for(Prompt(id="p", text="t", video=str(tmp_path / name)), frames=3, height=32, width=48)
        np.testing.assert_array_equal(np.stack([np.asarray(image) for image in clip]), frames)


def test_an_image_that_is_not_there_is_said_and_never_drawn(tmp_path):
    with pytest.raises(PromptError, match=r"prompt p: its conditioning image .*gone\.jpg is not there"):
        conditioned(tmp_path / "gone.jpg")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no devices as files here")
def test_a_device_is_no_image():
    with pytest.raises(ClipFileError, match="a device, not a file"):
        conditioned("/dev/zero")
