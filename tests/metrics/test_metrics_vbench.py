"""VBench's dimensions: its preprocessing, its networks' outputs, its formulas, its files."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import transforms

from pytest_vdb.backbones import aesthetic, amt, dino, musiq, raft
from pytest_vdb.backbones.contract import BackboneSource, Subject
from pytest_vdb.backbones.networks import frames
from pytest_vdb.backbones.networks import musiq as layers_of_musiq
from pytest_vdb.backbones.networks.amt import Interpolator
from pytest_vdb.backbones.openclip import OpenClip
from pytest_vdb.errors import CannotMeasure, ClipTooShort, WeightsBroken, WeightsMissing
from pytest_vdb.metrics import vbench, vbench_files
from pytest_vdb.metrics.engine import Engine
from pytest_vdb.metrics.registry import MetricRegistry
from pytest_vdb.records import Clip, Prompt
from pytest_vdb.shapes import moving_shapes


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
    expected = transforms.Normalize(frames.IMAGENET_MEAN, frames.IMAGENET_STD)(resized / 255)
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
    assert layers_of_musiq.prepare(frames.to_device(noise(1, height, width).frames, "cpu")).shape[-2:] == size


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
        "motion_smoothness",
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
        (amt.Amt, "lalala125/AMT"),
    ],
)
def test_absent_networks_say_what_is_missing(tmp_path, monkeypatch, open_it, name):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    with pytest.raises(WeightsMissing, match=name):
        open_it(BackboneSource(cache_dir=tmp_path, offline=True))


@pytest.mark.parametrize("open_it", [dino.DinoV1, musiq.Musiq, amt.Amt, aesthetic._linear])
def test_a_file_of_another_network_is_refused(tmp_path, open_it):
    path = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsBroken, match=r"other\.pth"):
        open_it(path if open_it is aesthetic._linear else BackboneSource(path=path))


def test_the_linear_layer_is_read(tmp_path):
    path = tmp_path / "sa_0_4_vit_l_14_linear.pth"
    torch.save({"weight": torch.full((1, 768), 2.0), "bias": torch.ones(1)}, path)
    assert aesthetic._linear(path)(torch.ones(1, 768)).item() == 2 * 768 + 1


# the dimensions that the vbench package measures

STAND_IN = """
import json, os

class VBench:
    def __init__(self, device, full_info_dir, output_path):
        self.output = output_path
        assert os.path.exists(full_info_dir)
        os.makedirs(output_path, exist_ok=True)

    def evaluate(self, videos_path, name, prompt_list=[], dimension_list=None, local=False, read_frame=False,
                 mode="vbench_standard", **kwargs):
        (dimension,) = dimension_list
        if dimension == "scene":
            raise ZeroDivisionError("division by zero")
        files = sorted(os.listdir(videos_path), reverse=True)
        print("noise on stdout")
        each = [{"video_path": os.path.join(videos_path, file), "video_results": len(prompt_list[file]) if prompt_list
                 else file.endswith("-0.mp4")} for file in files]
        result = [sum(float(one["video_results"]) for one in each) / len(each), each]
        with open(os.path.join(self.output, name + "_eval_results.json"), "w") as file:
            json.dump({dimension: result}, file)
"""
SUITE = [
    {"prompt_en": "a person is riding a bike", "dimension": ["human_action"]},
    {"prompt_en": "a cat", "dimension": ["scene"]},
]


@pytest.fixture
def vbench_package(tmp_path, monkeypatch):
    """A package with the interface of VBench 0.1.5, in the path of a Python; and VBench's cache, empty."""
    package = tmp_path / "site" / "vbench"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(STAND_IN)
    (package / "VBench_full_info.json").write_text(json.dumps(SUITE))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setenv("VBENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("VDB_VBENCH_PYTHON", sys.executable)
    vbench_files._package.cache_clear()
    yield tmp_path / "cache"
    vbench_files._package.cache_clear()


def networks_of(cache: Path, dimension: str) -> None:
    for name, _ in vbench_files.FILES[dimension]:
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).write_bytes(b"")


def prompts_of(*texts: str) -> list[Prompt]:
    return [Prompt(id=f"p{i}", text=text) for i, text in enumerate(texts)]


def test_without_the_package_its_dimensions_are_none_and_say_so(tmp_path, monkeypatch):
    monkeypatch.delenv("VDB_VBENCH_PYTHON", raising=False)
    specs = [spec for spec in MetricRegistry.builtin().select("vbench.*") if spec.scope == "set"]
    engine = Engine(specs, cache_dir=tmp_path)
    clips, prompts = [noise()], prompts_of("a cat")
    measurements = engine.measure_set([engine.measure(clips[0])], clips=clips, prompts=prompts)
    assert {m.name.removeprefix("vbench.") for m in measurements} == set(vbench_files.FILES)
    assert all(m.value is None and "needs the vbench package" in m.reason for m in measurements)


def test_a_python_that_is_none_is_said(monkeypatch):
    monkeypatch.setenv("VDB_VBENCH_PYTHON", "/no/such/python")
    with pytest.raises(CannotMeasure, match="/no/such/python cannot be run"):
        vbench_files.delegate("scene", [noise()], prompts_of("a cat"))


@pytest.mark.parametrize("dimension", vbench_files.FILES)
def test_absent_networks_are_named_and_not_downloaded(vbench_package, dimension):
    prompts = prompts_of("a person is riding a bike", "a cat")
    suite = [{"prompt_en": prompt.text, "dimension": [dimension]} for prompt in prompts]
    (vbench_package.parent / "site" / "vbench" / "VBench_full_info.json").write_text(json.dumps(suite))
    with pytest.raises(CannotMeasure, match=r"is not on this machine\n.*get https://"):
        vbench_files.delegate(dimension, [noise(), noise()], prompts)


def test_the_package_measures_any_prompt_where_it_can(vbench_package):
    networks_of(vbench_package, "overall_consistency")
    score = vbench_files.delegate("overall_consistency", [noise(), noise()], prompts_of("a cat", "two cats"))
    assert (score.value, score.series, score.n) == (6.5, [5, 8], 2)  # in the clips' order, not the folder's


def test_dimensions_about_actions_and_objects_take_vbenchs_prompts_only(vbench_package):
    networks_of(vbench_package, "human_action")
    texts = ["a person is riding a bike", "a cat", *["a person is riding a bike"] * 5]
    score = vbench_files.delegate("human_action", [noise(2)] * 7, prompts_of(*texts))
    assert (score.value, score.n) == (pytest.approx(1 / 5), 5)
    with pytest.raises(CannotMeasure, match="none of the prompts is one of VBench's for human_action"):
        vbench_files.delegate("human_action", [noise(2)], prompts_of("a cat"))


def test_what_fails_inside_the_package_is_said_in_its_last_words(vbench_package):
    networks_of(vbench_package, "scene")
    with pytest.raises(CannotMeasure, match="VBench's scene failed: ZeroDivisionError: division by zero"):
        vbench_files.delegate("scene", [noise(2)], prompts_of("a cat"))


@pytest.mark.parametrize(
    ("shape", "expected", "frames"),
    [
        ((5, 130, 150), 0.6635761354114296, [0.6656228590581532, 0.6615294117647059]),
        ((6, 144, 128), 0.6782834343228031, [0.6782646406363471, 0.6783022280092592]),
    ],
)
def test_motion_smoothness_is_vbenchs(tmp_path, shape, expected, frames):
    """VBench's own code at 45e79ec with the same weights and pictures; the checkpoint is laid out like `amt-s.pth`."""
    path = tmp_path / "amt-s.pth"
    torch.save({"epoch": 300, "state_dict": filled(Interpolator()).state_dict()}, path)
    clip = Clip(moving_shapes("amt", frames=shape[0], height=shape[1], width=shape[2]), 8.0)
    score = vbench.motion_smoothness(amt.Amt(BackboneSource(path=path)).features("vbench_amt", Subject(clip=clip)))
    assert score.value == pytest.approx(expected, abs=1e-5)
    assert score.series == pytest.approx(frames, abs=1e-5)


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
