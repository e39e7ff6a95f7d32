"""VBench's dimensions: its formulas, its files, its package."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_vdb.backbones import amt
from pytest_vdb.backbones.contract import BackboneSource, Subject
from pytest_vdb.backbones.networks.amt import Interpolator
from pytest_vdb.errors import CannotMeasure, ClipTooShort
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


@pytest.mark.slow
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
    return tmp_path / "cache"


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


@pytest.mark.slow
def test_the_package_measures_any_prompt_where_it_can(vbench_package):
    networks_of(vbench_package, "overall_consistency")
    score = vbench_files.delegate("overall_consistency", [noise(), noise()], prompts_of("a cat", "two cats"))
    assert (score.value, score.series, score.n) == (6.5, [5, 8], 2)  # in the clips' order, not the folder's


@pytest.mark.slow
def test_dimensions_about_actions_and_objects_take_vbenchs_prompts_only(vbench_package):
    networks_of(vbench_package, "human_action")
    texts = ["a person is riding a bike", "a cat", *["a person is riding a bike"] * 5]
    score = vbench_files.delegate("human_action", [noise(2)] * 7, prompts_of(*texts))
    assert (score.value, score.n) == (pytest.approx(1 / 5), 5)
    with pytest.raises(CannotMeasure, match="none of the prompts is one of VBench's for human_action"):
        vbench_files.delegate("human_action", [noise(2)], prompts_of("a cat"))


@pytest.mark.slow
def test_what_fails_inside_the_package_is_said_in_its_last_words(vbench_package):
    networks_of(vbench_package, "scene")
    with pytest.raises(CannotMeasure, match="VBench's scene failed: ZeroDivisionError: division by zero"):
        vbench_files.delegate("scene", [noise(2)], prompts_of("a cat"))


@pytest.mark.slow
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
