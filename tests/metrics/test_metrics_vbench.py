"""VBench's dimensions: its preprocessing, its networks' outputs, its formulas, its files."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from torchvision import transforms

from pytest_vdb.errors import CannotMeasure, ClipTooShort, WeightsBroken, WeightsMissing
from pytest_vdb.metrics import aesthetic, dino, frames, musiq, raft, vbench, vbench_files
from pytest_vdb.metrics.engine import Engine
from pytest_vdb.metrics.features import BackboneSource, Subject
from pytest_vdb.metrics.openclip import OpenClip
from pytest_vdb.metrics.registry import MetricRegistry
from pytest_vdb.records import Clip, Prompt


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
        answer = filled(musiq.MultiScaleTransformer())(pictures * 2 - 1)
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
    ours = dino.DinoV1(BackboneSource(tiny=True))
    ours._side = 64
    ours._model = filled(dino._vision_transformer(img_size=64, embed_dim=48, depth=2, num_heads=3))
    pictures = np.random.default_rng(height + width).normal(0, 1, (1, 3, height, width)).astype(np.float32)
    with torch.inference_mode():
        answer = ours.class_token(torch.from_numpy(pictures))
    assert answer[0, :4].tolist() == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(("height", "width"), [(40, 56), (56, 40), (300, 500), (2, 2)])
def test_frames_are_prepared_as_vbench_prepares_them(height, width):
    """The reference: torchvision's transforms, as VBench composes them at 45e79ec."""
    clip = noise(2, height, width)
    tensors = torch.from_numpy(clip.frames).float().permute(0, 3, 1, 2)
    resized = transforms.Resize(32, antialias=False)(tensors)
    expected = transforms.Normalize(dino.IMAGENET_MEAN, dino.IMAGENET_STD)(resized / 255)
    ours = dino.DinoV1(BackboneSource(tiny=True)).prepare(frames.to_device(clip.frames, "cpu"))
    assert (ours - expected).abs().max() < 1e-4
    bicubic = transforms.Resize(64, interpolation=transforms.InterpolationMode.BICUBIC, antialias=False)
    network = OpenClip(BackboneSource(tiny=True))
    mean, std = network._preprocessing["mean"], network._preprocessing["std"]
    expected = transforms.Normalize(mean, std)(transforms.CenterCrop(64)(bicubic(tensors)) / 255)
    assert (network.prepare_as_vbench(frames.to_device(clip.frames, "cpu")) - expected).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("height", "width", "size"), [(480, 720, (341, 512)), (40, 56, (40, 56)), (900, 30, (512, 17))]
)
def test_musiq_sees_at_most_512_pixels(height, width, size):
    assert musiq.prepare(frames.to_device(noise(1, height, width).frames, "cpu")).shape[-2:] == size


def test_consistency_is_the_mean_cosine_with_the_previous_and_the_first():
    features = np.array([[1, 0], [0.6, 0.8], [0, 1], [-1, 0]], np.float32)
    score = vbench.subject_consistency(features)
    assert score.series == pytest.approx([0.6, (0.8 + 0) / 2, 0])
    assert score.value == pytest.approx(np.mean([0.6, 0.4, 0]))
    assert vbench.background_consistency(features) == score


def test_a_still_clip_is_perfectly_consistent():
    assert vbench.subject_consistency(np.tile(np.float32([[0.6, 0.8]]), (5, 1))).value == pytest.approx(1)


def test_one_frame_is_not_consistent_with_anything():
    with pytest.raises(ClipTooShort):
        vbench.subject_consistency(np.ones((1, 4), np.float32))


@pytest.mark.parametrize(
    ("flow", "expected"),
    [
        ([7] * 4 + [0] * 11, 1),
        ([7] * 3 + [0] * 12, 0),
        ([6] * 15, 0),
        ([0] * 15, 0),
        ([0], 1),  # two frames: VBench asks for round(0.5) = 0 fast pairs
    ],
)
def test_a_clip_is_dynamic_if_a_quarter_of_its_pairs_is_fast(flow, expected):
    assert vbench.dynamic_degree(np.array(flow, np.float32)).value == expected


def test_flicker_is_the_complement():
    assert vbench.temporal_flickering(noise()).value == pytest.approx(2 / 3, abs=0.01)
    assert vbench.temporal_flickering(Clip(np.repeat(noise(1).frames, 3, axis=0), 8.0)).value == 1


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


def test_the_prompt_free_dimensions_are_measured_with_tiny_networks(tmp_path):
    specs = [spec for spec in MetricRegistry.builtin().select("vbench.*") if spec.scope == "clip"]
    scores = Engine(specs, tiny=True, cache_dir=tmp_path).measure(noise(3, 128, 136))
    names = {measurement.name.removeprefix("vbench.") for measurement in scores.measurements}
    assert names == {
        "temporal_flickering",
        "subject_consistency",
        "background_consistency",
        "dynamic_degree",
        "aesthetic_quality",
        "imaging_quality",
    }
    assert all(measurement.value is not None for measurement in scores.measurements)
    assert all(m.wiring for m in scores.measurements if m.name != "vbench.temporal_flickering")


@pytest.mark.parametrize(
    ("open_it", "name"),
    [
        (dino.DinoV1, "model.safetensors"),
        (aesthetic.Aesthetic, "sa_0_4"),
        (musiq.Musiq, "musiq_spaq"),
        (raft.RaftLarge, "C_T_V1"),
    ],
)
def test_absent_networks_say_what_is_missing(tmp_path, monkeypatch, open_it, name):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    with pytest.raises(WeightsMissing, match=name):
        open_it(BackboneSource(cache_dir=tmp_path, offline=True))


@pytest.mark.parametrize("open_it", [dino.DinoV1, musiq.Musiq, aesthetic._linear])
def test_a_file_of_another_network_is_refused(tmp_path, open_it):
    path = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsBroken, match=r"other\.pth"):
        open_it(path if open_it is aesthetic._linear else BackboneSource(path=path))


def test_the_linear_layer_is_read(tmp_path):
    path = tmp_path / "sa_0_4_vit_l_14_linear.pth"
    torch.save({"weight": torch.full((1, 768), 2.0), "bias": torch.ones(1)}, path)
    assert aesthetic._linear(path)(torch.ones(1, 768)).item() == 2 * 768 + 1


@pytest.mark.skipif(importlib.util.find_spec("vbench") is not None, reason="vbench is installed here")
def test_without_the_package_its_dimensions_are_none_and_say_so(tmp_path):
    specs = [spec for spec in MetricRegistry.builtin().select("vbench.*") if spec.scope == "set"]
    engine = Engine(specs, cache_dir=tmp_path)
    clips, prompts = [noise()], [Prompt(id="p", text="a cat")]
    measurements = engine.measure_set([engine.measure(clips[0])], clips=clips, prompts=prompts)
    assert len(measurements) == 10
    assert all(m.value is None and "needs the vbench package" in m.reason for m in measurements)


def test_clips_are_called_what_vbench_looks_for():
    prompts = [Prompt(id=str(i), text=text) for i, text in enumerate(["a cat", "a dog", "a cat"])]
    assert vbench_files._names([0, 1, 2], prompts, by_number=False) == {
        0: "a cat-0.mp4",
        1: "a dog-0.mp4",
        2: "a cat-1.mp4",
    }
