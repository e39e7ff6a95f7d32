"""Frames of one clip, converted one after the other, are what each would be alone."""

from __future__ import annotations

import av
import numpy as np
import pytest

from pytest_vdb.video.converting import Converter


def frame(width: int, height: int, pixel_format: str) -> av.VideoFrame:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=pixel_format)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p10le", "bgr0", "gray", "nv12"])
def test_a_frame_is_converted_as_it_would_be_alone_whatever_came_before(pixel_format):
    converted = Converter()
    for width, height in [(64, 48), (64, 48), (96, 64), (1280, 720), (64, 48)]:
        one = frame(width, height, pixel_format)
        alone = one.to_ndarray(format="rgb24")
        assert np.array_equal(converted(one, "rgb24").to_ndarray(), alone)


def test_ranges_that_the_frame_does_not_tell_are_taken():
    one = frame(64, 48, "yuv420p")
    full = Converter()(one, "rgb24", src_color_range="JPEG", dst_color_range="JPEG").to_ndarray()
    assert not np.array_equal(full, Converter()(one, "rgb24").to_ndarray())
