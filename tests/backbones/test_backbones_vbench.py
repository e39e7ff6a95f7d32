"""The networks that VBench looks through: its preprocessing, their authors' answers, files that do not fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision import transforms

from pytest_vdb.backbones import aesthetic, amt, dino, musiq, raft
from pytest_vdb.backbones.contract import BackboneSource, Subject
from pytest_vdb.backbones.networks import dino as layers_of_dino
from pytest_vdb.backbones.networks import frames
from pytest_vdb.backbones.networks import musiq as layers_of_musiq
from pytest_vdb.backbones.networks.amt import Interpolator
from pytest_vdb.backbones.openclip import OpenClip
from pytest_vdb.errors import CannotMeasure, ClipTooShort, WeightsBroken, WeightsMissing
from pytest_vdb.records import Clip

pytestmark = pytest.mark.slow  # networks of their real size


def noise(frames=3, height=40, width=56, seed=0, fps=8.0) -> Clip:
    return Clip(np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), np.uint8), fps)


def filled(model: torch.nn.Module) -> torch.nn.Module:
    """The same weights as were put into the reference when its answers were written down."""
    rng, state = np.random.default_rng(0), model.state_dict()
    for name in sorted(state):
        state[name] = torch.from_numpy(rng.normal(0, 0.05, tuple(state[name].shape)).astype(np.float32))
    model.load_state_dict(state)
    return model.eval()


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (100, 37, [-0.012854842469096184, -0.011904649436473846]),
        (64, 300, [-0.010084081441164017, -0.009234054014086723]),
        (256, 256, [-0.009833361953496933, -0.009659560397267342]),
    ],
)
def test_musiq_answers_as_pyiqas_does(height, width, expected):
    """pyiqa 0.1.16, whose MUSIQ VBench calls, with the same weights and pictures."""
    pictures = torch.from_numpy(np.random.default_rng(height).random((2, 3, height, width)).astype(np.float32))
    with torch.inference_mode():
        answer = filled(layers_of_musiq.MultiScaleTransformer())(pictures * 2 - 1)
    assert answer.tolist() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (64, 64, [0.109411, 0.065005, -0.07472, 0.199483]),
        (64, 100, [0.106909, 0.066979, -0.075461, 0.200556]),
        (131, 64, [0.107314, 0.065787, -0.075128, 0.199779]),
    ],
)
def test_dino_answers_as_its_authors_does(height, width, expected):
    """facebookresearch/dino 7c446df with the same weights and pictures, stretched positions included."""
    model = filled(layers_of_dino.vision_transformer(img_size=64, embed_dim=48, depth=2, num_heads=3))
    pictures = np.random.default_rng(height + width).normal(0, 1, (1, 3, height, width)).astype(np.float32)
    with torch.inference_mode():
        answer = layers_of_dino.class_token(model, torch.from_numpy(pictures))
    assert answer[0, :4].tolist() == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(("height", "width"), [(40, 56), (56, 40), (300, 500), (2, 2)])
def test_frames_are_prepared_as_vbench_prepares_them(height, width):
    """The reference: torchvision's transforms, as VBench composes them at 45e79ec."""
    clip = noise(2, height, width)
    tensors = torch.from_numpy(clip.frames).float().permute(0, 3, 1, 2)
    resized = transforms.Resize(32, antialias=False)(tensors)
    expected = transforms.Normalize(frames.IMAGENET_MEAN, frames.IMAGENET_STD)(resized / 255)
    ours = dino.DinoV1(BackboneSource(tiny=True)).prepare(frames.to_device(clip.frames, "cpu"))
    assert (ours - expected).abs().max() < 1e-4
    bicubic = transforms.Resize(64, interpolation=transforms.InterpolationMode.BICUBIC, antialias=False)
    network = OpenClip(BackboneSource(tiny=True))
    mean, std = network.preprocessing["mean"], network.preprocessing["std"]
    expected = transforms.Normalize(mean, std)(transforms.CenterCrop(64)(bicubic(tensors)) / 255)
    assert (network.prepare_as_vbench(frames.to_device(clip.frames, "cpu")) - expected).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("height", "width", "size"), [(480, 720, (341, 512)), (40, 56, (40, 56)), (900, 30, (512, 17))]
)
def test_musiq_sees_at_most_512_pixels(height, width, size):
    assert layers_of_musiq.prepare(frames.to_device(noise(1, height, width).frames, "cpu")).shape[-2:] == size


def test_frames_are_sampled_at_eight_per_second():
    network = raft.RaftLarge(BackboneSource(tiny=True))
    lengths = {fps: len(network.features("vbench_flow", Subject(clip=noise(9, 122, 131, fps=fps)))) for fps in (8, 24)}
    assert lengths == {8: 8, 24: 2}


def test_flow_refuses_what_vbench_cannot_take():
    network = raft.RaftLarge(BackboneSource(tiny=True))
    with pytest.raises(CannotMeasure, match="samples 1 of 2 frames"):
        network.features("vbench_flow", Subject(clip=noise(2, 128, 128, fps=30.0)))
    with pytest.raises(CannotMeasure, match="smaller than the 128x128"):
        network.features("vbench_flow", Subject(clip=noise(2)))


@pytest.mark.parametrize(
    ("open_it", "name"),
    [
        (dino.DinoV1, "model.safetensors"),
        (aesthetic.Aesthetic, "sa_0_4"),
        (musiq.Musiq, "musiq_spaq"),
        (raft.RaftLarge, "C_T_V1"),
        (amt.Amt, "lalala125/AMT"),
    ],
)
def test_absent_networks_say_what_is_missing(tmp_path, monkeypatch, open_it, name):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    with pytest.raises(WeightsMissing, match=name):
        open_it(BackboneSource(cache_dir=tmp_path, offline=True))


@pytest.mark.parametrize("open_it", [dino.DinoV1, musiq.Musiq, amt.Amt, aesthetic.Aesthetic])
def test_a_file_of_another_network_is_refused(tmp_path, open_it):
    path = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsBroken, match=r"other\.pth"):
        open_it(BackboneSource(path=path))


def test_the_linear_layer_is_read(tmp_path):
    path = tmp_path / "sa_0_4_vit_l_14_linear.pth"
    torch.save({"weight": torch.full((1, 768), 2.0), "bias": torch.ones(1)}, path)
    assert aesthetic.linear(path)(torch.ones(1, 768)).item() == 2 * 768 + 1


def test_the_interpolator_has_the_checkpoints_parameters():
    state = Interpolator().state_dict()
    assert len(state) == 213
    assert sum(tensor.numel() for tensor in state.values()) == 2_990_543
    assert state["update3.convc1.weight"].shape == (64, 392, 1, 1)


def test_frames_that_cannot_be_interpolated_are_refused():
    network = amt.Amt(BackboneSource(tiny=True))
    with pytest.raises(ClipTooShort):
        network.features("vbench_amt", Subject(clip=noise(2, 128, 128)))
    with pytest.raises(CannotMeasure, match="smaller than AMT-S"):
        network.features("vbench_amt", Subject(clip=noise(3, 112, 160)))
