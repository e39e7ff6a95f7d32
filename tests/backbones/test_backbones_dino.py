"""DINOv2 through transformers: preprocessing, local folders, and the consistency read off it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import Dinov2Config, Dinov2Model

from pytest_vdb.backbones.contract import BackboneSource, Subject
from pytest_vdb.backbones.dino import Dino
from pytest_vdb.backbones.networks import frames
from pytest_vdb.backbones.networks.batches import seeded
from pytest_vdb.backbones.networks.frames import IMAGENET_MEAN, IMAGENET_STD
from pytest_vdb.errors import CannotMeasure, ClipTooShort, WeightsBroken, WeightsMissing
from pytest_vdb.metrics.similarity import clip_consistency, dino_consistency
from pytest_vdb.records import Clip

THROUGH_PILLOW = getattr(transformers, "BitImageProcessorPil", None) or transformers.BitImageProcessor
"""Which has had this name since transformers makes tensors by torchvision where it can."""


def picture(count=3, height=90, width=131, seed=0) -> Clip:
    coarse = np.random.default_rng(seed).integers(0, 256, (count, height // 8 + 2, width // 8 + 2, 3), np.uint8)
    soft = [np.asarray(Image.fromarray(f).resize((width, height), Image.Resampling.BICUBIC)) for f in coarse]
    return Clip(np.stack(soft), 8.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder as transformers saves one, with random weights."""
    path = tmp_path_factory.mktemp("dino")
    config = Dinov2Config(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, mlp_ratio=2, image_size=56)
    seeded(lambda: Dinov2Model(config)).save_pretrained(path)
    return path


@pytest.mark.parametrize(("height", "width"), [(90, 131), (480, 320), (300, 300), (33, 47)])
def test_features_are_those_of_transformers_used_by_hand(folder, height, width):
    """The reference: the published preprocessor's settings, Pillow frame by frame, and the plain model."""
    clip = picture(2, height, width)
    processor = THROUGH_PILLOW(
        size={"shortest_edge": 256},
        resample=Image.Resampling.BICUBIC,
        crop_size={"height": 224, "width": 224},
        image_mean=IMAGENET_MEAN,
        image_std=IMAGENET_STD,
    )
    pictures = processor([Image.fromarray(frame) for frame in clip.frames], return_tensors="pt")["pixel_values"]
    ours = Dino(BackboneSource(path=folder))
    assert (ours.prepare(frames.to_device(clip.frames, "cpu")) - pictures).abs().max() < 3 / 255 / min(IMAGENET_STD)
    with torch.inference_mode():
        tokens = Dinov2Model.from_pretrained(folder).eval()(pictures).last_hidden_state[:, 0]
    expected = torch.nn.functional.normalize(tokens, dim=-1).numpy()
    assert (ours.features("dino", Subject(clip=clip)) * expected).sum(axis=1) == pytest.approx(1, abs=1e-4)


def test_the_folder_is_named_by_its_weights(folder):
    name, _, digest = Dino(BackboneSource(path=folder)).identity.partition("@")
    assert name == folder.name
    assert len(digest) == 8


def test_tiny_weights_are_the_same_each_time():
    subject = Subject(clip=picture())
    first, second = (Dino(BackboneSource(tiny=True)).features("dino", subject) for _ in range(2))
    assert np.array_equal(first, second)
    assert first.shape == (3, 32)


def test_a_folder_that_lacks_weights_is_refused(folder, tmp_path):
    state = load_file(folder / "model.safetensors")
    state.pop(sorted(state)[-1])
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(WeightsBroken, match="lacks 1 of DINOv2's weights"):
        Dino(BackboneSource(path=tmp_path))


def test_a_broken_file_is_refused(folder, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 64)
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(WeightsBroken, match="cannot be read as DINOv2"):
        Dino(BackboneSource(path=tmp_path))


def test_an_empty_folder_says_what_is_missing(tmp_path):
    with pytest.raises(WeightsMissing, match=r"model\.safetensors"):
        Dino(BackboneSource(path=tmp_path))


def test_absent_weights_say_how_to_get_them():
    with pytest.raises(WeightsMissing, match="hf download facebook/dinov2-small"):
        Dino(BackboneSource(offline=True))


@pytest.mark.parametrize("measure", [clip_consistency, dino_consistency])
def test_consistency_is_the_mean_cosine_of_neighbours(measure):
    features = np.array([[1, 0], [0.6, 0.8], [0.6, -0.8]], np.float32)
    score = measure(features)
    assert score.series == pytest.approx([0.6, 0.36 - 0.64])
    assert score.value == pytest.approx(np.mean([0.6, -0.28]))


@pytest.mark.parametrize("measure", [clip_consistency, dino_consistency])
def test_consistency_needs_two_frames_that_differ(measure):
    with pytest.raises(ClipTooShort):
        measure(np.ones((1, 4), np.float32))
    with pytest.raises(CannotMeasure, match="frozen"):
        measure(np.tile(np.float32([[0.6, 0.8]]), (4, 1)))
