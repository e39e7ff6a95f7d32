import hashlib

import numpy as np
import pytest

from pytest_vdb.errors import BadClip
from pytest_vdb.shapes import moving_shapes


def test_a_name_renders_the_same_bytes_on_every_machine():
    frames = moving_shapes("golden", frames=5, height=33, width=47)
    assert hashlib.sha256(frames.tobytes()).hexdigest() == (
        "1c85ea8e54d370d13ce2bb46daac5be48c1b1488b93dd43d2f8971694d5e9629"
    )


def test_another_name_renders_another_scene():
    first, second = (moving_shapes(name, frames=1, height=32, width=32) for name in ("p001", "p002"))
    assert np.abs(first.astype(int) - second).mean() > 5


def test_a_longer_clip_continues_a_shorter_one():
    short, long = (moving_shapes("a", frames=count, height=24, width=40) for count in (3, 9))
    np.testing.assert_array_equal(short, long[:3])


@pytest.mark.parametrize("name", ["p001", "p002", "", "日本語", "../../x", "\ud800"])
def test_something_moves_smoothly_in_every_scene(name):
    frames = moving_shapes(name, frames=16, height=64, width=64).astype(float) / 255
    change = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
    assert change.min() > 0.005
    assert change.max() < 0.06
    assert frames.std() > 0.1


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 1, 9), (1, 9, 1), (3, 7, 5)])
def test_any_size_can_be_rendered(size):
    frames, height, width = size
    clip = moving_shapes("tiny", frames=frames, height=height, width=width)
    assert clip.shape == (*size, 3)
    assert clip.dtype == np.uint8


def test_a_size_of_nothing_is_refused():
    with pytest.raises(BadClip, match="0 frames of 8x8"):
        moving_shapes("a", frames=0, height=8, width=8)
