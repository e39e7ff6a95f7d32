"""V-JEPA 2: features of any clip, from a folder of weights or a tiny network."""

import numpy as np
import pytest

pytest.importorskip("transformers")

from pytest_vdb.backbones.contract import BackboneSource, Subject
from pytest_vdb.backbones.vjepa import VJepa, evenly
from pytest_vdb.errors import WeightsBroken, WeightsMissing
from pytest_vdb.records import Clip


def noise(frames, height=40, width=56):
    return Clip(np.random.default_rng(0).integers(0, 256, (frames, height, width, 3), np.uint8), 8)


@pytest.fixture(scope="module")
def tiny():
    return VJepa(BackboneSource(tiny=True))


@pytest.mark.parametrize("frames", [1, 2, 9, 80])
def test_a_clip_of_any_length_is_one_vector(tiny, frames):
    feature = tiny.features("vjepa", Subject(clip=noise(frames)))
    assert feature.shape == (48,)
    assert np.isfinite(feature).all()


def test_long_clips_are_sampled_evenly_and_odd_ones_padded():
    assert evenly(5, 2).tolist() == [0, 1, 2, 3, 4, 4]
    assert len(evenly(200, 2)) == 64
    assert evenly(200, 2)[[0, -1]].tolist() == [0, 199]


def test_a_saved_folder_is_opened_and_named(tiny, tmp_path):
    folder = tmp_path / "my-vjepa"
    tiny.model.save_pretrained(folder)
    opened = VJepa(BackboneSource(path=folder))
    assert opened.identity.startswith("my-vjepa@")
    clip = Subject(clip=noise(4))
    np.testing.assert_allclose(opened.features("vjepa", clip), tiny.features("vjepa", clip), atol=1e-6)


def test_a_broken_or_empty_folder_is_said_to_be(tmp_path):
    with pytest.raises(WeightsMissing, match="no such file"):
        VJepa(BackboneSource(path=tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(WeightsBroken, match="cannot be read"):
        VJepa(BackboneSource(path=tmp_path))
