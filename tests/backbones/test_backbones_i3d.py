"""The I3D network: the weights it takes, the weights it refuses, and the features of the reference implementations."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pytest_vdb.backbones.contract import BackboneSource, Subject  # noqa: E402
from pytest_vdb.backbones.i3d import I3D  # noqa: E402
from pytest_vdb.backbones.networks import i3d as layers  # noqa: E402
from pytest_vdb.errors import CannotMeasure, WeightsBroken, WeightsMissing  # noqa: E402
from pytest_vdb.metrics.frechet import frechet_distance  # noqa: E402
from pytest_vdb.records import Clip  # noqa: E402

ORACLES = Path(__file__).parents[2] / "fixtures" / "oracles"


def oracle(name):
    spec = importlib.util.spec_from_file_location(name, ORACLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def seeded_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("i3d") / "i3d_seeded_400.pt"
    torch.save(oracle("make_i3d").seeded_state_dict(), path)
    return path


@pytest.fixture(scope="module")
def tiny():
    return I3D(BackboneSource(tiny=True))


def noise_clip(frames=16, height=48, width=64, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), np.uint8)
    return Clip(pixels, 8)


def unfolded_state(seed=0):
    """An I3D as ports keep it: convolutions without bias, batch normalisation beside them."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, module in layers.InceptionI3d().named_modules():
        if not isinstance(module, torch.nn.Conv3d):
            continue
        state[f"{name}.conv3d.weight"] = torch.randn(module.weight.shape, generator=generator)
        if name == "logits":
            state[f"{name}.conv3d.bias"] = torch.randn(400, generator=generator)
            continue
        channels = len(module.weight)
        for part in ("weight", "bias", "running_mean"):
            state[f"{name}.bn.{part}"] = torch.randn(channels, generator=generator)
        state[f"{name}.bn.running_var"] = torch.rand(channels, generator=generator) + 0.1
        state[f"{name}.bn.num_batches_tracked"] = torch.tensor(0)
    return state


@pytest.mark.slow
def test_features_are_those_of_the_reference_implementations(seeded_file):
    backbone = I3D(BackboneSource(path=seeded_file))
    clip = Clip(oracle("videos").blobs(0, 1)[0], 8)
    expected = np.load(ORACLES / "fvd_features.npz")["real"][0]
    for name in ("i3d", "i3d_cd"):  # square clips are prepared alike
        np.testing.assert_allclose(backbone.features(name, Subject(clip=clip)), expected, atol=1e-4)


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_fvd_end_to_end_is_that_of_the_reference_implementations(seeded_file):
    backbone = I3D(BackboneSource(path=seeded_file))
    blobs = oracle("videos").blobs
    real, fake = (
        np.stack([backbone.features("i3d", Subject(clip=Clip(frames, 8))) for frames in clips])
        for clips in (blobs(0, 64), blobs(1, 64, noise=0.1))
    )
    published = json.loads((ORACLES / "fvd.json").read_text())
    assert frechet_distance(real, fake) == pytest.approx(published["styleganv"], rel=1e-4)
    assert frechet_distance(real, fake, ddof=0) == pytest.approx(published["cd_fvd"], rel=1e-4)


def test_folding_changes_nothing():
    state = unfolded_state()
    folded = layers.folded(state)
    x = torch.randn(1, 192, 3, 5, 5)
    scale = {part: state[f"Mixed_3b.b1a.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")}
    plain = torch.nn.functional.conv3d(x, state["Mixed_3b.b1a.conv3d.weight"])
    expected = torch.nn.functional.batch_norm(plain, **scale, eps=1e-5)
    got = torch.nn.functional.conv3d(x, folded["Mixed_3b.b1a.weight"], folded["Mixed_3b.b1a.bias"])
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_other_names_are_matched_by_order_and_shape():
    state = unfolded_state()
    names = dict.fromkeys(name.rpartition(".")[0].rpartition(".")[0] for name in state)
    renamed = {name: f"features.{number}" for number, name in enumerate(names)}
    other = {}
    for key, value in state.items():
        unit, part, leaf = key.rsplit(".", 2)
        other[f"{renamed[unit]}.{'convolution' if part == 'conv3d' else 'norm'}.{leaf}"] = value
    expected = layers.folded(state)
    for key, value in layers.folded(other).items():
        torch.testing.assert_close(value, expected[key])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_a_torchscript_archive_brings_its_own_epsilon(tmp_path):
    class Holder(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    state, root = unfolded_state(), Holder()
    for key in state:
        *parents, _leaf = key.split(".")
        module = root
        for depth, name in enumerate(parents):
            if not hasattr(module, name):
                child = Holder()
                prefix = ".".join(parents[: depth + 1])
                if name == "conv3d":
                    weight = state[f"{prefix}.weight"]
                    child = torch.nn.Conv3d(*weight.shape[1::-1], weight.shape[2], bias=f"{prefix}.bias" in state)
                elif name == "bn":
                    child = torch.nn.BatchNorm3d(len(state[f"{prefix}.weight"]), eps=1e-2)
                module.add_module(name, child)
            module = getattr(module, name)
    root.load_state_dict(state)
    path = tmp_path / "i3d_torchscript.pt"
    torch.jit.script(root).save(path)

    network, identity = layers.load(path)
    spread = torch.sqrt(state["Mixed_5c.b0.bn.running_var"] + 1e-2)
    expected = state["Mixed_5c.b0.conv3d.weight"] * (state["Mixed_5c.b0.bn.weight"] / spread).view(-1, 1, 1, 1, 1)
    torch.testing.assert_close(network.get_submodule("Mixed_5c.b0").weight.data, expected)
    assert identity.startswith("i3d-unverified:")


@pytest.mark.slow
def test_safetensors_are_read(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "i3d.safetensors"
    save_file(unfolded_state(), path)
    network, _ = layers.load(path)
    torch.testing.assert_close(network.logits.weight.data, unfolded_state()["logits.conv3d.weight"])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: s.pop("Mixed_4d.b2b.conv3d.weight"), "57 3D convolutions, 58 expected"),
        (lambda s: s.update({"logits.conv3d.weight": torch.zeros(600, 1024, 1, 1, 1)}), "'logits'"),
        (lambda s: s["Mixed_4d.b2b.bn.bias"].fill_(float("nan")), "'Mixed_4d.b2b.conv3d' holds numbers that are not"),
    ],
)
def test_another_architecture_is_refused(spoil, message):
    state = unfolded_state()
    spoil(state)
    with pytest.raises(WeightsBroken, match=message):
        layers.folded(state)


def test_pickled_objects_and_torn_files_are_refused(tmp_path):
    pickled, torn = tmp_path / "pickled.pt", tmp_path / "torn.pt"
    torch.save({"model": Clip(np.zeros((1, 2, 2, 3), np.uint8), 8)}, pickled)
    torn.write_bytes(b"PK\x03\x04 and then nothing")
    for path in (pickled, torn):
        with pytest.raises(WeightsBroken, match=path.name):
            layers.load(path)


def test_absent_weights_say_how_to_get_them(tmp_path):
    with pytest.raises(WeightsMissing, match="no such file"):
        I3D(BackboneSource(path=tmp_path / "nothing.pt"))


def test_padding_is_tensorflows():
    assert layers.same_padding(224, 7, 2) == (2, 3)
    assert layers.same_padding(7, 3, 2) == (1, 1)
    assert layers.same_padding(8, 3, 1) == (1, 1)
    assert layers.same_padding(8, 2, 2) == (0, 0)


def test_styleganv_crops_and_cd_fvd_squashes():
    wide = np.zeros((9, 112, 224, 3), np.uint8)
    wide[:, :, :56] = 255  # the left quarter: cropped away by one, squashed into view by the other
    assert layers.as_styleganv(wide).shape == layers.as_cd_fvd(wide).shape == (1, 3, 9, 224, 224)
    assert layers.as_styleganv(wide).mean() == pytest.approx(-1, abs=0.01)
    assert layers.as_cd_fvd(wide).mean() == pytest.approx(-0.5, abs=0.01)


@pytest.mark.parametrize("size", [(2, 2), (225, 31), (7, 301)])
def test_any_size_has_features(tiny, size):
    feature = tiny.features("i3d", Subject(clip=noise_clip(9, *size)))
    assert feature.shape == (400,)
    assert np.isfinite(feature).all()


def test_a_clip_shorter_than_nine_frames_has_none(tiny):
    with pytest.raises(CannotMeasure, match="I3D needs 9 frames, got 8"):
        tiny.features("i3d", Subject(clip=noise_clip(8)))


@pytest.mark.slow
def test_batch_and_threads_change_no_feature(tiny):
    clips = torch.cat([layers.as_styleganv(noise_clip(seed=seed).frames) for seed in range(3)])
    alone = np.concatenate([tiny.logits(clip[None]) for clip in clips])
    np.testing.assert_allclose(tiny.logits(clips), alone, atol=1e-5)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2 if threads == 1 else 1)
        np.testing.assert_allclose(tiny.logits(clips), alone, atol=1e-5)
    finally:
        torch.set_num_threads(threads)
