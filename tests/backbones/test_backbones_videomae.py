"""VideoMAE: features of any clip, from a folder, from the authors' own checkpoint, or from a tiny network."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from pytest_vdb.backbones.contract import BackboneSource, Subject
from pytest_vdb.backbones.videomae import VideoMae
from pytest_vdb.errors import ClipTooShort, WeightsBroken, WeightsMissing
from pytest_vdb.metrics.contract import ReferenceFeatures
from pytest_vdb.metrics.fvd import fvd_videomae
from pytest_vdb.records import Clip

ORACLES = Path(__file__).parents[2] / "fixtures" / "oracles"

WIDTH, DEPTH, HIDDEN, HEADS = 128, 2, 192, 2


def noise(frames, height=40, width=56, seed=0):
    return Clip(np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), np.uint8), 8)


def authors_state(seed=0):
    """A small checkpoint with the names of the authors' code, in half precision as they publish it."""
    generator = torch.Generator().manual_seed(seed)

    def some(*shape, scale=0.05):
        return (torch.randn(shape, generator=generator) * scale).half()

    state = {"patch_embed.proj.weight": some(WIDTH, 3, 2, 14, 14), "patch_embed.proj.bias": some(WIDTH)}
    for block in range(DEPTH):
        layer = {
            "norm1.weight": some(WIDTH, scale=1),
            "norm1.bias": some(WIDTH),
            "attn.q_bias": some(WIDTH, scale=1),
            "attn.v_bias": some(WIDTH, scale=1),
            "attn.qkv.weight": some(3 * WIDTH, WIDTH),
            "attn.proj.weight": some(WIDTH, WIDTH),
            "attn.proj.bias": some(WIDTH),
            "norm2.weight": some(WIDTH, scale=1),
            "norm2.bias": some(WIDTH),
            "mlp.fc1.weight": some(HIDDEN, WIDTH),
            "mlp.fc1.bias": some(HIDDEN),
            "mlp.fc2.weight": some(WIDTH, HIDDEN),
            "mlp.fc2.bias": some(WIDTH),
        }
        state |= {f"blocks.{block}.{name}": value for name, value in layer.items()}
    state |= {"fc_norm.weight": some(WIDTH, scale=1), "fc_norm.bias": some(WIDTH)}
    return state | {"head.weight": some(174, WIDTH), "head.bias": some(174)}


def plain_features(state, frames):
    """What cd-fvd computes, from its description: a plain transformer over patches, written down once more."""
    state = {name: value.float() for name, value in state.items()}
    pixels = torch.from_numpy(frames).permute(3, 0, 1, 2).float() / 255
    pixels = functional.interpolate(pixels, size=(224, 224), mode="bilinear", align_corners=False)
    weight = state["patch_embed.proj.weight"]
    x = functional.conv3d(pixels[None], weight, state["patch_embed.proj.bias"], stride=(2, 14, 14))
    steps = x.shape[2]
    place = np.arange(8 * 256)[:, None] / 10000 ** (2 * (np.arange(WIDTH) // 2) / WIDTH)
    place[:, 0::2], place[:, 1::2] = np.sin(place[:, 0::2]), np.cos(place[:, 1::2])
    grid = torch.from_numpy(place).float().T.reshape(1, WIDTH, 8, 16, 16)
    if steps != 8:
        grid = functional.interpolate(grid, scale_factor=((steps + 0.1) / 8, 1, 1), mode="trilinear")
    x = (x + grid).flatten(2).transpose(1, 2)

    def norm(x, name):
        return functional.layer_norm(x, (WIDTH,), state[f"{name}.weight"], state[f"{name}.bias"], 1e-6)

    for block in range(DEPTH):
        at = f"blocks.{block}."
        bias = torch.cat([state[f"{at}attn.q_bias"], torch.zeros(WIDTH), state[f"{at}attn.v_bias"]])
        qkv = norm(x, f"{at}norm1") @ state[f"{at}attn.qkv.weight"].T + bias
        q, k, v = qkv.view(1, -1, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        attention = (q @ k.transpose(-2, -1) * (WIDTH // HEADS) ** -0.5).softmax(dim=-1)
        heads = (attention @ v).transpose(1, 2).flatten(2)
        x = x + heads @ state[f"{at}attn.proj.weight"].T + state[f"{at}attn.proj.bias"]
        inner = functional.gelu(norm(x, f"{at}norm2") @ state[f"{at}mlp.fc1.weight"].T + state[f"{at}mlp.fc1.bias"])
        x = x + inner @ state[f"{at}mlp.fc2.weight"].T + state[f"{at}mlp.fc2.bias"]
    return norm(x.mean(dim=1), "fc_norm")[0].numpy()


@pytest.fixture(scope="module")
def tiny():
    return VideoMae(BackboneSource(tiny=True))


@pytest.mark.slow
@pytest.mark.parametrize("frames", [16, 6, 19])
def test_the_authors_checkpoint_gives_cd_fvds_features(tmp_path, frames):
    path = tmp_path / "vit_small_ssv2_ft.pth"
    torch.save({"module": authors_state()}, path)
    backbone = VideoMae(BackboneSource(path=path))
    assert backbone.identity.startswith("vit_small_ssv2_ft@")
    clip = noise(frames)
    expected = plain_features(authors_state(), clip.frames[: frames // 2 * 2])
    np.testing.assert_allclose(backbone.features("videomae", Subject(clip=clip)), expected, atol=2e-5)


@pytest.mark.parametrize("frames", [2, 3, 16, 40])
def test_a_clip_of_any_length_from_two_frames_is_one_vector(tiny, frames):
    feature = tiny.features("videomae", Subject(clip=noise(frames)))
    assert feature.shape == (32,)
    assert np.isfinite(feature).all()


def test_one_frame_is_too_short(tiny):
    with pytest.raises(ClipTooShort, match="needs 2 frames, got 1"):
        tiny.features("videomae", Subject(clip=noise(1)))


def test_tiny_weights_tell_clips_apart(tiny):
    first, second = (tiny.features("videomae", Subject(clip=noise(16, seed=seed))) for seed in (0, 1))
    assert np.abs(first - second).max() > 1e-3


def test_a_saved_folder_is_opened_and_named(tiny, tmp_path):
    folder = tmp_path / "my-videomae"
    tiny.model.save_pretrained(folder)
    opened = VideoMae(BackboneSource(path=folder))
    assert opened.identity.startswith("my-videomae@")
    clip = Subject(clip=noise(4))
    np.testing.assert_allclose(opened.features("videomae", clip), tiny.features("videomae", clip), atol=1e-6)


def test_the_biases_of_checkpoints_published_before_transformers_5_are_read_or_missed_aloud(tiny, tmp_path):
    """They were called `q_bias` and `v_bias`; some releases of transformers took zeros instead, without a word."""
    state = {name: value.clone() for name, value in tiny.model.state_dict().items()}
    for name in [name for name in state if name.endswith(("query.bias", "value.bias"))]:
        old = name.replace("query.bias", "q_bias").replace("value.bias", "v_bias")
        state.pop(name)
        state[old] = torch.full((32,), 0.5)
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    tiny.model.config.save_pretrained(tmp_path)
    try:
        opened = VideoMae(BackboneSource(path=tmp_path))
    except WeightsBroken:
        return
    assert opened.model.videomae.encoder.layer[0].attention.attention.query.bias.tolist() == [0.5] * 32


def test_weights_of_pretraining_alone_are_refused(tiny, tmp_path):
    tiny.model.save_pretrained(tmp_path)
    state = {name: value for name, value in load_file(tmp_path / "model.safetensors").items() if "fc_norm" not in name}
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsBroken, match=r"lacks 2 of VideoMAE's weights, 'fc_norm\.bias' first"):
        VideoMae(BackboneSource(path=tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [lambda state: state.pop("fc_norm.bias"), lambda state: state.clear()])
def test_a_file_of_another_network_is_refused(tmp_path, spoil):
    state = authors_state()
    spoil(state)
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(WeightsBroken, match=r"other\.pth cannot be read as VideoMAE"):
        VideoMae(BackboneSource(path=tmp_path / "other.pth"))


def test_absent_weights_say_how_to_get_them():
    with pytest.raises(WeightsMissing, match="hf download OpenGVLab/VideoMAE2 mae-g/vit_g_hybrid_pt_1200e_ssv2_ft"):
        VideoMae(BackboneSource(offline=True))


def test_the_distance_is_cd_fvds_on_the_reference_features():
    features = np.load(ORACLES / "fvd_features.npz")
    expected = json.loads((ORACLES / "fvd.json").read_text())["exact_float64_covariance_over_n"]
    reference = ReferenceFeatures(source="test", features=features["real"])
    assert fvd_videomae(list(features["fake"]), reference).value == pytest.approx(expected, rel=1e-9)
