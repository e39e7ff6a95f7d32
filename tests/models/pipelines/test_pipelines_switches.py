"""Switches: refused by name before anything is loaded, or really set."""

import dataclasses
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from pytest_vdb.errors import RecipeError, WeightsBroken
from pytest_vdb.models import classes
from pytest_vdb.models.classes import pipeline_class
from pytest_vdb.models.pipelines import memory, schedulers, switches
from pytest_vdb.models.pipelines.loading import load_pipeline
from pytest_vdb.models.recipes import resolve
from pytest_vdb.models.registry import Registry
from pytest_vdb.records import Prompt, Recipe

pytestmark = pytest.mark.slow  # real pipelines

REGISTRY = Registry.from_catalog()
WAN = REGISTRY.get("wan2.1-t2v-1.3b")
CAT = Prompt(id="p001", text="a red cat walks on grass")


@pytest.fixture
def made(source):
    """The clip of a tiny model under some settings, and the pipeline while it is open."""
    models = []

    def made_(name=WAN.name, **settings):
        card = REGISTRY.get(name)
        recipe = resolve(card, Recipe(**settings), "tiny")
        model = REGISTRY.open(card, recipe, source)
        models.append(model)
        return model.generate(CAT, recipe, 1), model

    yield made_
    for model in models:
        model.close()


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("svd-xt", {"vae_tiling": True}, "its VAE (AutoencoderKLTemporalDecoder) has no tiling"),
        ("svd-xt", {"negative_prompt": "blurry"}, "StableVideoDiffusionPipeline takes no negative_prompt"),
        ("svd-xt", {"lora": "x.safetensors"}, "StableVideoDiffusionPipeline loads no LoRA"),
        ("svd-xt", {"cache": "first-block"}, "its denoiser (UNetSpatioTemporalConditionModel) has no cache"),
        ("svd-xt", {"attention": "flash"}, "does not dispatch attention to backends"),
        ("svd-xt", {"compile": "repeated-blocks"}, "names no repeated blocks; try compile=full"),
        (WAN.name, {"strength": 0.5}, "WanPipeline takes no strength"),
        (WAN.name, {"attention": "flsh"}, "did you mean 'flash'?"),
        (WAN.name, {"cache": "first-blok"}, "did you mean 'first-block'?"),
        (WAN.name, {"cache": "first-block:much"}, "'much' is no number"),
        (WAN.name, {"cache": "first-block:1e999"}, "'1e999' is no number"),
        (WAN.name, {"cache": "taylorseer:0"}, "'0' is no number of steps: write e.g. taylorseer:2"),
        (WAN.name, {"cache": "pab:0.5"}, "'0.5' is no number of steps"),
        (WAN.name, {"lora": "a" * 300}, "there is no such file or folder, and no repository is called so"),
        (WAN.name, {"lora": "a" * 300 + "/b"}, "there is no such file or folder"),
        (WAN.name, {"lora": "nul\0.safetensors"}, "there is no such file or folder"),
        (WAN.name, {"lora": __file__}, "only .safetensors files are read"),
        (WAN.name, {"lora": str(Path(__file__).parent)}, "there is no .safetensors file in that folder"),
        (WAN.name, {"cache": "faster-cache"}, "WanPipeline fails with it in diffusers"),
        (WAN.name, {"scheduler": "UniPCMultistep"}, "did you mean 'UniPCMultistepScheduler'?"),
        (WAN.name, {"quantization": "torchao-int9"}, "did you mean 'torchao-int8'?"),
        (WAN.name, {"layerwise_casting": "float8"}, "did you mean 'float8_e"),
        ("wan2.1-v2v-1.3b", {"cache": "first-block"}, "gives its denoiser no cache context"),
        ("ltx-2", {"cache": "first-block"}, "does not know where its denoiser's blocks"),
        ("ltx-2.5", {"guidance": 3.0}, "LTX2DFRPipeline takes no guidance"),
        ("helios-base", {"scheduler": "DDIMScheduler"}, "works with its own scheduler only"),
        ("ltx-2-upsampler", {"scheduler": "DDIMScheduler"}, "has no scheduler"),
        ("ltx-2-upsampler", {"backend": "onnx"}, "has no denoiser"),
        ("text2video-zero", {"steps": 3}, "at least 4 steps"),
        ("text2video-zero", {"guidance": 1.0}, "it generates with guidance only"),
        ("text2video-zero-sdxl", {"guidance": 0.5}, "it generates with guidance only"),
        ("anyflow-far-1.3b", {"attention": "_native_math"}, "its causal attention needs the backend flex"),
        ("sana-wm", {"backend": "onnx"}, "does not export to ONNX: it computes with complex numbers"),
        ("animatediff-sdxl", {"dtype": "fp16"}, "use bfloat16 or float32"),
        ("cogvideox-5b", {"max_sequence_length": 300}, "its text length is fixed"),
        ("cogvideox-5b-i2v", {"max_sequence_length": 226}, "its text length is fixed"),
        ("consisid", {"quantization": "torchao-int8"}, "torchao cannot read one of its layers"),
        ("cosmos3-nano", {"scheduler": "DDIMScheduler"}, "noise levels"),
        ("skyreels-v2-df-1.3b-540p", {"scheduler": "FlowMatchEulerDiscreteScheduler"}, "FlowMatch schedulers refuse"),
        ("ltx-video-0.9.5", {"scheduler": "UniPCMultistepScheduler"}, "in the middle of its own schedule"),
        ("hunyuanvideo", {"scheduler": "DPMSolverMultistepScheduler"}, "gives its scheduler noise levels"),
        ("kandinsky-6.0-vsr", {"scheduler": "UniPCMultistepScheduler"}, "works with its own scheduler only"),
        ("ltx-video-0.9.8-13b-long-i2v", {"scheduler": "UniPCMultistepScheduler"}, "takes no generator"),
        (WAN.name, {"scheduler": "DDIMScheduler"}, "DDIMScheduler cannot follow a flow-matching model"),
        ("modelscope-t2v", {"scheduler": "FlowMatchEulerDiscreteScheduler"}, "this one predicts noise"),
        ("ltx-video-0.9.8-13b-long-i2v", {"scheduler": "DDIMScheduler"}, "cannot follow a flow-matching model"),
    ],
)
def test_what_a_pipeline_lacks_is_refused_by_name_before_loading(name, settings, said):
    with pytest.raises(RecipeError) as caught:
        resolve(REGISTRY.get(name), Recipe(**settings), "tiny")
    assert f"model {name}: cannot follow {next(iter(settings))}" in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "settings", [{"vae_tiling": False}, {"offload": "none"}, {"compile": "none"}, {"backend": "torch"}]
)
def test_what_is_switched_off_needs_no_support(settings):
    resolve(REGISTRY.get("svd-xt"), Recipe(**settings), "tiny")


@pytest.mark.parametrize(
    ("settings", "mode", "said"),
    [
        *(({"offload": kind}, "tiny", "lives on the CPU already") for kind in ("model", "sequential", "group")),
        ({"lora_scale": 0.5}, "tiny", "there is no LoRA to scale"),
        ({"quantization": "bitsandbytes-nf4"}, "random", "random ones are not"),
        ({"backend": "onnx", "compile": "full"}, "tiny", "compile would act on networks that torch does not run"),
        ({"backend": "onnx", "dtype": "bf16"}, "tiny", "add dtype=float32"),
    ],
)
def test_what_the_device_or_the_weights_cannot_follow_is_refused_before_loading(source, settings, mode, said):
    recipe = resolve(WAN, Recipe(**settings), mode)
    with pytest.raises(RecipeError, match=said):
        load_pipeline(WAN, recipe, dataclasses.replace(source, mode=mode))


@pytest.mark.parametrize(("quantization", "package"), [("torchao-int8", "torchao"), ("quanto-int8", "optimum-quanto")])
def test_a_package_that_is_not_installed_is_named(source, quantization, package):
    if find_spec(package.partition("-")[0]):
        pytest.skip(f"{package} is installed here")
    recipe = resolve(WAN, Recipe(quantization=quantization), "tiny")
    with pytest.raises(RecipeError, match=f"pip install {package}"):
        load_pipeline(WAN, recipe, source)


def test_tiling_and_slicing_are_set_on_the_vae(made):
    _, model = made(vae_tiling=True, vae_slicing=True)
    assert model.pipeline.vae.use_tiling
    assert model.pipeline.vae.use_slicing
    _, model = made(vae_tiling=False)
    assert not model.pipeline.vae.use_tiling


def test_the_attention_backend_is_set_and_taken_back_when_the_model_is_closed(made):
    from diffusers.models.attention_dispatch import _AttentionBackendRegistry

    before = _AttentionBackendRegistry.get_active_backend()[0]
    _, model = made(attention="_native_math")
    assert {block.attn1.processor._attention_backend.value for block in model.pipeline.transformer.blocks} == {
        "_native_math"
    }
    model.close()
    assert _AttentionBackendRegistry.get_active_backend()[0] == before


def test_layerwise_casting_stores_weights_in_eight_bits(made):
    import torch

    plain, _ = made()
    cast, model = made(layerwise_casting="float8_e4m3fn")
    assert torch.float8_e4m3fn in {parameter.dtype for parameter in model.pipeline.transformer.parameters()}
    assert cast.digest() != plain.digest()


@pytest.mark.parametrize("cache", ["first-block:0.1", "pab", "taylorseer:3", "magcache"])
def test_a_cache_is_enabled_and_an_uncalibrated_one_is_noted(made, cache):
    _, model = made(cache=cache, steps=4)
    assert model.pipeline.transformer.is_cache_enabled
    assert any("not calibrated" in note for note in model.notes) is (cache == "magcache")


def test_a_cache_that_skips_changes_the_clip(made):
    assert made(cache="magcache", steps=4)[0].digest() != made(steps=4)[0].digest()


def test_another_scheduler_follows_the_same_flow(made):
    clip, model = made(scheduler="UniPCMultistepScheduler", steps=4)
    config = model.pipeline.scheduler.config
    assert (config.use_flow_sigmas, config.prediction_type) == (True, "flow_prediction")
    assert config.flow_shift == pytest.approx(7.0)
    assert clip.digest() != made(steps=4)[0].digest()


def test_a_scheduler_of_another_kind_is_refused_when_it_meets_the_published_one_too(made):
    _, wan = made()
    with pytest.raises(ValueError, match="DDIMScheduler cannot follow a flow-matching model"):
        schedulers.change_scheduler(wan.pipeline, {"class": "DDIMScheduler"})
    _, modelscope = made("modelscope-t2v")
    with pytest.raises(ValueError, match="this one predicts noise"):
        schedulers.change_scheduler(modelscope.pipeline, {"class": "FlowMatchEulerDiscreteScheduler"})


def test_the_full_size_scheduler_is_compared_before_anything_is_made():
    with pytest.raises(RecipeError, match="DDIMScheduler cannot follow a flow-matching model"):
        resolve(REGISTRY.get("cosmos-predict2.5-2b"), Recipe(scheduler="DDIMScheduler"), "hub")


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("sana-wm", {"dtype": "bf16"}, r"sana-wm: cannot follow dtype=bfloat16\n.*add dtype=float32"),
        ("kandinsky-6.0-vsr", {"compile": "repeated-blocks"}, "add compile=none"),
    ],
)
def test_what_fails_on_a_cpu_only_is_refused_there_only(source, name, settings, said):
    card = REGISTRY.get(name)
    recipe = resolve(card, Recipe(**settings), "tiny")
    with pytest.raises(RecipeError, match=said):
        load_pipeline(card, recipe, source)
    switches.check_environment(card, recipe, dataclasses.replace(source, device="cuda"))


@pytest.mark.parametrize("name", [WAN.name, "animatediff-depth", "ltx-2", "kandinsky-6.0-pro-distilled"])
@pytest.mark.parametrize("offload", ["model", "group"])
def test_offloading_makes_the_same_clip(made, name, offload):
    """With the CPU for an accelerator: what is tested is that every part is brought where it is used, and back.

    What was moved lies elsewhere in memory, and some versions of torch then add up in another order.
    """
    plain, model = made(name)
    recipe = resolve(REGISTRY.get(name), Recipe(offload=offload), "tiny")
    memory.set_offload(model.pipeline, recipe, "cpu")
    clip = model.generate(CAT, recipe, 1)
    denoiser = next(classes.denoisers(model.pipeline))
    hooked = denoiser.modules() if offload == "group" else [denoiser]
    assert any(hasattr(part, "_hf_hook") or hasattr(part, "_diffusers_hook") for part in hooked)
    assert np.abs(clip.frames.astype(int) - plain.frames.astype(int)).max() <= 1


def test_sequential_offloading_leaves_nothing_of_the_model_in_memory(source):
    """It cannot generate with the CPU for an accelerator: accelerate mistakes stored weights for placed ones."""
    pytest.importorskip("accelerate")
    loaded = load_pipeline(WAN, resolve(WAN, Recipe(), "tiny"), source)
    memory.set_offload(loaded.pipeline, resolve(WAN, Recipe(offload="sequential"), "tiny"), "cpu")
    for part in (loaded.pipeline.transformer, loaded.pipeline.vae):
        assert {parameter.device.type for parameter in part.parameters()} == {"meta"}


def test_the_card_changes_the_published_scheduler_but_not_the_tiny_one(made):
    _, model = made("skyreels-v2-t2v-14b-540p")
    assert model.pipeline.scheduler.config.flow_shift == 8.0
    schedulers.change_scheduler(model.pipeline, {"flow_shift": 3.0})
    assert model.pipeline.scheduler.config.flow_shift == 3.0


def test_half_precision_is_followed(made):
    import torch

    clip, model = made(dtype="bf16")
    assert model.pipeline.transformer.dtype == torch.bfloat16
    assert clip.digest() != made()[0].digest()


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickled.", b"\xff" * 100])
def test_a_lora_that_is_torn_or_no_safetensors_is_named(source, tmp_path, content):
    pytest.importorskip("peft")
    path = tmp_path / "style.safetensors"
    path.write_bytes(content)
    for lora in (path, tmp_path):
        recipe = resolve(WAN, Recipe(lora=str(lora)), "tiny")
        with pytest.raises(WeightsBroken, match=r"style.safetensors: is not a safetensors file"):
            load_pipeline(WAN, recipe, source)


def test_a_lora_of_another_model_is_refused(source, tmp_path):
    pytest.importorskip("peft")
    import torch
    from safetensors.torch import save_file

    path = tmp_path / "style.safetensors"
    save_file({"unet.down.lora_A.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(RecipeError, match=r"cannot follow lora="):
        load_pipeline(WAN, resolve(WAN, Recipe(lora=str(path)), "tiny"), source)


def test_a_lora_is_loaded_and_scaled(made, tmp_path, source):
    peft = pytest.importorskip("peft")
    import torch

    loaded = load_pipeline(WAN, resolve(WAN, Recipe(), "tiny"), source).pipeline
    loaded.transformer.add_adapter(peft.LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    state = peft.get_peft_model_state_dict(loaded.transformer)
    type(loaded).save_lora_weights(tmp_path, transformer_lora_layers={k: torch.ones_like(v) for k, v in state.items()})
    path = next(tmp_path.glob("*.safetensors"))
    digests = {made(lora=str(path), lora_scale=scale)[0].digest() for scale in (0.0, 1.0)}
    assert len(digests) == 2
    assert made()[0].digest() in digests


@pytest.mark.slow
def test_quantised_weights_are_eight_bit_integers(made):
    pytest.importorskip("torchao")
    clip, model = made(quantization="torchao-int8")
    assert "Int8" in type(model.pipeline.transformer.blocks[0].attn1.to_q.weight).__name__
    assert clip.digest() != made()[0].digest()


@pytest.mark.slow
def test_a_compiled_model_makes_nearly_the_same_clip(made):
    import numpy as np

    plain, _ = made()
    compiled, _ = made(compile="repeated-blocks")
    assert np.abs(compiled.frames.astype(int) - plain.frames.astype(int)).max() <= 2


def test_components_are_found_by_their_annotations():
    kind = pipeline_class(REGISTRY.get("animatediff"))
    assert {option.__name__ for option in classes.component_classes(kind, "unet")} == {
        "UNet2DConditionModel",
        "UNetMotionModel",
    }
    assert classes.component_classes(kind, "transformer") == ()
