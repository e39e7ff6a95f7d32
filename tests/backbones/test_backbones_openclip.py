"""CLIP through open_clip: preprocessing, local weights, and what must not change a feature."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pytest_vdb.backbones.contract import BackboneSource, Subject
from pytest_vdb.backbones.networks import batches, frames
from pytest_vdb.backbones.openclip import OpenClip
from pytest_vdb.errors import UnknownName, WeightsBroken, WeightsMissing
from pytest_vdb.records import Clip, Prompt

TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1},
}


def picture(frames=3, height=90, width=131, seed=0) -> Clip:
    """Soft coloured noise: as smooth as a photograph."""
    coarse = np.random.default_rng(seed).integers(0, 256, (frames, height // 8 + 2, width // 8 + 2, 3), np.uint8)
    return Clip(
        np.stack([np.asarray(Image.fromarray(f).resize((width, height), Image.Resampling.BICUBIC)) for f in coarse]),
        8.0,
    )


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    """A folder as open_clip saves one, with random weights."""
    import open_clip

    folder = tmp_path_factory.mktemp("clip")
    model = batches.seeded(lambda: open_clip.CLIP(**TINY))
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": TINY, "preprocess_cfg": {"size": 32}}))
    return folder


@pytest.fixture(scope="module")
def tiny():
    return OpenClip(BackboneSource(tiny=True))


@pytest.mark.parametrize(("height", "width"), [(90, 131), (131, 90), (64, 64), (33, 35), (2, 2), (480, 720), (7, 300)])
def test_preprocessing_is_open_clips_own_within_two_levels(tiny, height, width):
    from open_clip.transform import PreprocessCfg, image_transform_v2

    clip = picture(2, height, width)
    transform = image_transform_v2(PreprocessCfg(size=64), is_train=False)
    expected = torch.stack([transform(Image.fromarray(frame)) for frame in clip.frames])
    ours = tiny.prepare(frames.to_device(clip.frames, "cpu"))
    levels = (ours - expected).abs() * 255 * torch.tensor(PreprocessCfg().std)[:, None, None]
    assert ours.shape == expected.shape
    assert levels.max() < 2.01
    assert levels.mean() < 0.05


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize(
    ("height", "width"), [(480, 720), (720, 480), (90, 131), (131, 90), (64, 64), (30, 500), (7, 9), (1, 1), (65, 64)]
)
def test_what_is_cut_off_need_not_be_resized(height, width, interpolation):
    clip = frames.to_device(picture(2, height, width).frames, "cpu")
    whole = frames.centre(frames.resize_short_side(clip, 64, interpolation), 64)
    assert torch.equal(frames.resize_and_centre(clip, 64, interpolation), whole)


@pytest.mark.parametrize("resize_mode", ["squash", "longest"])
def test_the_other_ways_to_resize_are_open_clips_own(clip_folder, tmp_path, resize_mode):
    from open_clip.transform import PreprocessCfg, image_transform_v2

    (tmp_path / "open_clip_model.safetensors").symlink_to(clip_folder / "open_clip_model.safetensors")
    settings = {"size": 32, "resize_mode": resize_mode}
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": TINY, "preprocess_cfg": settings}))
    clip, ours = picture(), OpenClip(BackboneSource(path=tmp_path))
    transform = image_transform_v2(PreprocessCfg(size=(32, 32), resize_mode=resize_mode), is_train=False)
    expected = torch.stack([transform(Image.fromarray(frame)) for frame in clip.frames])
    assert (ours.prepare(frames.to_device(clip.frames, "cpu")) - expected).abs().max() < 0.04


def test_float_resizing_as_on_a_gpu_is_within_a_level_or_two():
    clip = picture(2, 120, 160)
    on_cpu = frames.resize(frames.to_device(clip.frames, "cpu"), (48, 64))
    as_on_gpu = torch.nn.functional.interpolate(
        frames.to_device(clip.frames, "cpu").float(), size=(48, 64), mode="bicubic", antialias=True
    )
    assert (as_on_gpu.round().clamp(0, 255) - on_cpu.float()).abs().max() <= 2


def test_similarity_is_open_clips_own(clip_folder):
    """The reference: open_clip used as its README says, frame by frame."""
    import open_clip

    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{clip_folder}")
    clip, prompt = picture(), Prompt(id="p", text="two dogs run")
    with torch.inference_mode():
        pictures = torch.stack([transform(Image.fromarray(frame)) for frame in clip.frames])
        image = torch.nn.functional.normalize(model.eval().encode_image(pictures), dim=-1)
        text = torch.nn.functional.normalize(model.encode_text(open_clip.tokenize([prompt.text])), dim=-1)
    ours = OpenClip(BackboneSource(path=clip_folder))
    subject = Subject(clip=clip, prompt=prompt)
    assert ours.features("clip_text", subject) == pytest.approx(text[0].numpy(), abs=1e-6)
    assert (ours.features("clip_image", subject) * image.numpy()).sum(axis=1) == pytest.approx(1, abs=1e-4)


def test_weights_are_named_by_their_digest(clip_folder):
    identity = OpenClip(BackboneSource(path=clip_folder)).identity
    name, _, digest = identity.partition("@")
    assert name == clip_folder.name
    assert len(digest) == 8


def test_tiny_weights_are_small_and_leave_torchs_generator_alone():
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    tiny = OpenClip(BackboneSource(tiny=True))
    assert torch.equal(torch.rand(1), expected)
    assert sum(p.numel() for p in tiny.model.parameters()) < 1_600_000


def test_the_batch_and_the_threads_change_no_feature(tiny):
    clip = picture(batches.BATCH_ON_CPU + 3)
    subject = Subject(clip=clip)
    whole = tiny.features("clip_image", subject)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        threaded = tiny.features("clip_image", subject)
    finally:
        torch.set_num_threads(before)
    alone = [tiny.features("clip_image", Subject(clip=Clip(clip.frames[t : t + 1], clip.fps))) for t in (0, 9, 18)]
    assert np.abs(np.concatenate(alone) - whole[[0, 9, 18]]).max() < 1e-5
    assert np.abs(threaded - whole).max() < 1e-5


def test_frames_that_may_not_be_written_to_are_read(tiny):
    clip = picture()
    clip.frames.flags.writeable = False
    assert tiny.features("clip_image", Subject(clip=clip)).shape == (3, 32)


def test_a_file_must_say_its_architecture(tmp_path):
    (tmp_path / "mine.safetensors").write_bytes(b"")
    with pytest.raises(WeightsBroken, match="does not begin with an open_clip architecture"):
        OpenClip(BackboneSource(path=tmp_path / "mine.safetensors"))


def test_a_folder_without_weights_is_refused(tmp_path):
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": TINY}))
    with pytest.raises(WeightsMissing, match="holds no CLIP"):
        OpenClip(BackboneSource(path=tmp_path))


@pytest.mark.slow
def test_a_published_name_is_looked_up_and_a_typo_is_told():
    with pytest.raises(UnknownName, match="did you mean 'ViT-L-14:openai'"):
        OpenClip(BackboneSource(path=Path("ViT-L-14:openay"), offline=True))
    with pytest.raises(WeightsMissing, match=r"timm/vit_large_patch14_clip_224\.openai"):
        OpenClip(BackboneSource(path=Path("ViT-L-14:openai"), offline=True))


@pytest.mark.slow
def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("code ran",))

    path = tmp_path / "ViT-S-32-alt-x.pt"
    torch.save({"x": Evil()}, path)
    with pytest.raises(WeightsBroken):
        OpenClip(BackboneSource(path=path))
