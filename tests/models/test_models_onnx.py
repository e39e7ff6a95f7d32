"""ONNX: exported networks agree with torch, whole pipelines run on them, and what cannot be exported says why."""

import json
import shutil

import numpy as np
import pytest

from pytest_vdb.cli import main
from pytest_vdb.errors import OutputError, RecipeError
from pytest_vdb.models.onnx import backend, graphs
from pytest_vdb.records import Prompt

pytestmark = pytest.mark.slow  # exports networks

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

WAN = "wan2.1-t2v-1.3b"
CAT = Prompt(id="p001", text="a red cat walks on grass")


@pytest.mark.heavy
def test_a_pipeline_on_onnxruntime_makes_torchs_clip_again_and_again(opened):
    model, recipe = opened(WAN)
    plain = model.generate(CAT, recipe, 7)
    model, recipe = opened(WAN, backend="onnx")
    clip = model.generate(CAT, recipe, 7)
    assert np.abs(clip.frames.astype(int) - plain.frames.astype(int)).max() <= 2
    assert {part.name: part.provider for part in model.onnx_parts} == {
        "transformer": "CPUExecutionProvider",
        "vae-decoder": "CPUExecutionProvider",
    }
    assert "transformer ran in onnxruntime (CPUExecutionProvider)" in model.notes
    assert model.generate(CAT, recipe, 7).digest() == clip.digest()
    assert model.generate(CAT, recipe, 8).digest() != clip.digest()
    made = {folder: folder.stat().st_mtime_ns for part in model.onnx_parts for folder, _ in part.exports()}
    assert len(made) == 2
    for part in model.onnx_parts:
        assert [about["max_abs_difference"] < 1e-4 for _, about in part.exports()] == [True]
    model.close()
    again, recipe = opened(WAN, backend="onnx")
    assert again.generate(CAT, recipe, 7).digest() == clip.digest()
    assert {folder: folder.stat().st_mtime_ns for folder in made} == made  # reused, not exported anew


@pytest.mark.slow
def test_export_writes_checked_files_and_says_the_difference(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VDB_CACHE_DIR", str(tmp_path / "cache"))
    arguments = ["export", WAN, "--parts", "denoiser", "--output", str(tmp_path / "out"), "--device", "cpu", "--json"]
    assert main(arguments) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["part"] == "transformer"
    assert 0 < found["max_abs_difference"] < 1e-4
    about = json.loads((tmp_path / "out" / "transformer" / "about.json").read_text())
    assert about["max_abs_difference"] == found["max_abs_difference"]
    assert (tmp_path / "out" / "transformer" / "model.onnx").is_file()
    assert main(arguments[:-1]) == 0  # over an earlier export
    assert "max |torch - onnx|" in capsys.readouterr().out


def test_another_folder_is_not_overwritten(tmp_path):
    from pytest_vdb.cli.export import _copy
    from pytest_vdb.errors import OptionError

    (tmp_path / "mine").mkdir()
    with pytest.raises(OptionError, match="exists and is no export"):
        _copy(tmp_path, tmp_path / "mine")


def test_tensorrt_is_said_to_be_absent_and_unverified(capsys):
    from importlib.util import find_spec

    if find_spec("tensorrt"):
        pytest.skip("TensorRT is installed")
    assert main(["export", WAN, "--to", "tensorrt"]) == 1
    said = capsys.readouterr().err
    assert "TensorRT is not installed" in said
    assert "unverified" in said


def test_an_unknown_part_is_refused_before_anything_is_loaded(capsys):
    assert main(["export", WAN, "--parts", "denoisr"]) == 1
    assert "did you mean 'denoiser'?" in capsys.readouterr().err


class _Network:
    """A network of one layer, in the form that parts take."""

    def __new__(cls, forward):
        import torch

        class Own(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = torch.nn.Linear(3, 3)

        Own.forward = forward
        return Own().eval()


def _part(network, folder, *, required=False):
    part = backend.Part("transformer", network, network.forward, folder, "cpu")
    part.required = required
    return part


@pytest.mark.slow
def test_named_outputs_and_nested_inputs_come_back_as_torch_gave_them(tmp_path):
    import torch
    from diffusers.models.modeling_outputs import Transformer2DModelOutput

    def forward(self, x, scale, extra=None, flag=True):
        return Transformer2DModelOutput(sample=self.layer(x) * scale + extra["a"] if flag else x)

    network = _Network(forward)
    part = _part(network, tmp_path)
    x, extra = torch.ones(2, 3), {"a": torch.zeros(2, 3)}
    with torch.no_grad():
        expected = network(x, 2.0, extra=extra)
        found = part(x, 2.0, extra=extra)
    assert type(found) is Transformer2DModelOutput
    assert torch.allclose(found.sample, expected.sample, atol=1e-6)
    part(x, 3.0, extra=extra)
    assert len(part.exports()) == 2  # a plain value is part of the file
    (_, about), _ = part.exports()
    assert about["inputs"] == {"x": ["torch.float32", 2, 3], "extra_a": ["torch.float32", 2, 3]}


def test_what_cannot_be_exported_stays_in_torch_or_is_refused_with_the_reason(tmp_path):
    import torch

    def forward(self, x):
        return self.layer(x) * (2 if x.sum() > 0 else 3)  # data decides: no graph

    network = _Network(forward)
    x = torch.ones(1, 3)
    part = _part(network, tmp_path)
    assert torch.equal(part(x), network(x))
    assert part.refused
    assert "torch.onnx.export" in part.refused
    assert part.notes() == (f"transformer stayed in torch: {part.refused}",)
    with pytest.raises(graphs.NotExportable, match=r"Own: torch\.onnx\.export"):
        _part(network, tmp_path, required=True)(x)


def test_squeezing_what_is_not_one_and_filling_truth_values_come_out_as_in_torch(tmp_path):
    import torch

    def forward(self, x, mask):
        filled = mask.squeeze(1).masked_fill(x > 1, True)
        return self.layer(x.squeeze(1)).masked_fill(filled, 5.0)

    network = _Network(forward)
    part = _part(network, tmp_path, required=True)
    x, mask = torch.tensor([[0.0, 2.0, 0.0], [0.0, 0.0, 2.0]]), torch.eye(2, 3).bool()
    with torch.no_grad():
        assert torch.allclose(part(x, mask), network(x, mask), atol=1e-6)


def test_a_graph_that_disagrees_with_torch_is_refused(tmp_path):
    import torch

    network = _Network(lambda self, x: self.layer(x) + torch.rand_like(x))
    part = _part(network, tmp_path)
    part(torch.ones(1, 3))
    assert "differs from torch by" in part.refused


@pytest.mark.parametrize(
    "tear",
    [
        lambda folder: (folder / "model.onnx").write_bytes(b"torn"),
        lambda folder: (folder / "model.onnx").unlink(),
        lambda folder: (folder / "about.json").write_text('{"inputs": '),
        lambda folder: (folder / "about.json").write_bytes(b"\xff"),
        lambda folder: (folder / "about.json").write_text("[]"),
        lambda folder: (folder / "about.json").unlink(),
        lambda folder: (shutil.rmtree(folder), folder.write_text("")),
    ],
)
def test_an_export_that_is_torn_is_made_anew(tmp_path, tear):
    import torch

    network = _Network(lambda self, x: self.layer(x))
    x = torch.ones(1, 3)
    with torch.no_grad():
        expected = _part(network, tmp_path)(x)
        (folder,) = tmp_path.iterdir()
        tear(folder)
        again = _part(network, tmp_path, required=True)
        assert torch.equal(again(x), expected)
    assert [folder for folder, _ in again.exports()] == [folder]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_cache_that_cannot_be_written_is_said(tmp_path):
    import torch

    (tmp_path / "file").write_text("")
    part = _part(_Network(lambda self, x: self.layer(x)), tmp_path / "file" / "onnx")
    with pytest.raises(OutputError, match="a file is where the folder should be"):
        part(torch.ones(1, 3))


def test_an_argument_that_no_file_can_take_is_named(tmp_path):
    import torch

    network = _Network(lambda self, x, cache=None: self.layer(x))
    part = _part(network, tmp_path)
    part(torch.ones(1, 3), cache=object())
    assert part.refused == "its argument cache is a object, which no ONNX file can take"


@pytest.mark.slow
def test_a_denoiser_that_cannot_be_exported_refuses_the_model_before_generation(opened, monkeypatch):
    from diffusers import UNetSpatioTemporalConditionModel

    forward = UNetSpatioTemporalConditionModel.forward

    def deciding(self, sample, timestep, *args, **kwargs):
        return forward(self, sample if sample.sum() > 0 else -sample, timestep, *args, **kwargs)

    monkeypatch.setattr(UNetSpatioTemporalConditionModel, "forward", deciding)
    with pytest.raises(RecipeError, match="cannot follow backend=onnx") as caught:
        opened("svd-xt", backend="onnx")
    assert "the denoiser cannot be exported: UNetSpatioTemporalConditionModel: torch.onnx.export" in str(caught.value)
