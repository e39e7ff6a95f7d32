"""Modular pipelines: driven like all others, and read from a folder that is not trusted."""

import dataclasses
import json
import shutil

import pytest

from pytest_vdb.errors import RecipeError, WeightsBroken
from pytest_vdb.models import classes
from pytest_vdb.models.pipelines import memory
from pytest_vdb.models.pipelines.loading import load_pipeline
from pytest_vdb.models.recipes import resolve
from pytest_vdb.models.registry import Registry
from pytest_vdb.models.weights import folders, modular, tiny
from pytest_vdb.records import Prompt, Recipe

pytestmark = pytest.mark.slow  # builds pipelines

REGISTRY = Registry.from_catalog()
ECHO = REGISTRY.get("echo")
CAT = Prompt(id="p001", text="a red cat walks on grass")


@pytest.fixture
def local(source, tmp_path):
    """A folder of Echo's weights, and how to load from it."""
    folder = tmp_path / "weights" / ECHO.name
    shutil.copytree(tiny.ensure("EchoModularPipeline", source.cache_dir), folder)
    card = dataclasses.replace(ECHO, parts=())
    here = dataclasses.replace(source, mode="local", local_dir=folder.parent)

    def load():
        recipe = resolve(card, Recipe(dtype="float32", frames=9, height=32, width=32), "local")
        return load_pipeline(card, recipe, here).pipeline

    load.folder = folder
    return load


def change_index(folder, change):
    path = folder / folders.MODULAR_INDEX
    index = json.loads(path.read_text())
    change(index)
    path.write_text(json.dumps(index))


@pytest.mark.parametrize("name", ["echo-i2v", "minimax-h3", "cosmos3-super-i2v-4step"])
def test_the_same_seed_gives_the_same_clip_after_reloading_and_another_seed_another(opened, name):
    first, recipe = opened(name)
    clip = first.generate(CAT, recipe, 7)
    assert clip.frames.shape == (recipe.frames, recipe.height, recipe.width, 3)
    assert clip.digest() != first.generate(CAT, recipe, 8).digest()
    first.close()
    again, _ = opened(name)
    assert again.generate(CAT, recipe, 7).digest() == clip.digest()


@pytest.mark.parametrize("name", ["echo-i2v", "minimax-h3-i2v", "cosmos3-super-i2v-4step"])
def test_the_conditioning_image_changes_the_clip(opened, name):
    model, recipe = opened(name)
    clips = [model.generate(dataclasses.replace(CAT, id=name), recipe, 7).digest() for name in ("p001", "p002")]
    assert clips[0] != clips[1]


def test_image_and_clip_of_a_character_change_the_clip_and_any_size_is_met(opened):
    model, recipe = opened("wan2.2-animate-2-14b-distilled", frames=6, height=112, width=16)
    clip = model.generate(CAT, recipe, 7)
    assert clip.frames.shape == (6, 112, 16, 3)
    assert clip.digest() != model.generate(dataclasses.replace(CAT, id="p002"), recipe, 7).digest()


def test_a_task_gets_the_components_that_it_needs_and_no_others(opened):
    model, _ = opened("minimax-h3")
    assert "transformer" in model.pipeline.components
    assert "transformer_ref" not in model.pipeline.components


def test_guidance_is_set_where_it_is_a_component(opened):
    model, recipe = opened("wan2.2-animate-2-14b", guidance=2.0)
    model.generate(CAT, recipe, 7)
    assert model.pipeline.guider.guidance_scale == 2.0


def test_another_scheduler_is_taken_by_blocks_that_ask_for_none_in_particular(opened):
    model, recipe = opened("wan2.2-animate-2-14b", scheduler="DPMSolverMultistepScheduler", steps=4)
    assert type(model.pipeline.scheduler).__name__ == "DPMSolverMultistepScheduler"
    assert model.generate(CAT, recipe, 7).frames.std() > 1


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("echo", {"steps": 4}, "distilled to eight noise levels"),
        ("echo", {"scheduler": "FlowMatchEulerDiscreteScheduler"}, "EchoModularPipeline has no scheduler"),
        ("echo", {"offload": "model"}, "try offload=group"),
        ("echo", {"cache": "first-block"}, "gives its denoiser no cache context"),
        ("cosmos3-super-i2v-4step", {"steps": 8}, "leave steps=4"),
        ("cosmos3-super-i2v-4step", {"guidance": 5.0}, "leave guidance=1"),
        ("cosmos3-super-i2v-4step", {"lora": "x.safetensors"}, "loads no LoRA"),
        ("minimax-h3", {"scheduler": "DDIMScheduler"}, "works with its own scheduler only"),
        ("minimax-h3", {"guidance": 5.0}, "takes no guidance"),
        ("minimax-h3", {"frames": 125}, "nearest: 124 or 141"),
        ("minimax-h3", {"steps": 1}, "at least 2 steps"),
        ("wan2.2-animate-2-14b", {"attention": "native"}, "needs the backend flex"),
        ("wan2.2-animate-2-14b", {"backend": "onnx"}, "complex numbers"),
    ],
)
def test_what_blocks_cannot_follow_is_refused_before_anything_is_loaded(name, settings, said):
    with pytest.raises(RecipeError, match=said):
        resolve(REGISTRY.get(name), Recipe(**settings), "tiny")


def test_offloading_by_groups_makes_the_same_clip(opened):
    """With the CPU for an accelerator: what is tested is that every part is brought where it is used, and back."""
    model, recipe = opened("minimax-h3")
    clip = model.generate(CAT, recipe, 7)
    memory.set_offload(model.pipeline, dataclasses.replace(recipe, offload="group"), "cpu")
    assert any(hasattr(part, "_diffusers_hook") for part in model.pipeline.transformer.modules())
    assert model.generate(CAT, recipe, 7).digest() == clip.digest()


def test_a_lora_is_loaded_and_scaled(opened, tmp_path):
    peft = pytest.importorskip("peft")
    import torch

    model, recipe = opened("echo")
    plain = model.generate(CAT, recipe, 7).digest()
    network = model.pipeline.transformer
    network.add_adapter(peft.LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    state = {name: torch.ones_like(value) for name, value in peft.get_peft_model_state_dict(network).items()}
    type(model.pipeline).save_lora_weights(tmp_path, transformer_lora_layers=state)
    model.close()
    path = next(tmp_path.glob("*.safetensors"))
    digests = []
    for scale in (0.0, 1.0):
        model, recipe = opened("echo", lora=str(path), lora_scale=scale)
        digests.append(model.generate(CAT, recipe, 7).digest())
    assert digests[0] == plain
    assert digests[1] != plain


def test_local_weights_are_read_from_the_folders_of_the_components_whatever_the_index_says(local):
    change_index(local.folder, lambda index: index["vae"][-1].update(pretrained_model_name_or_path="someone/else"))
    assert type(local()).__name__ == "EchoModularPipeline"


def test_the_index_of_the_other_kind_will_do(local):
    index = json.loads((local.folder / folders.MODULAR_INDEX).read_text())
    plain = {name: value[:2] if isinstance(value, list) else value for name, value in index.items()}
    (local.folder / folders.MODULAR_INDEX).unlink()
    (local.folder / folders.INDEX).write_text(json.dumps(plain))
    assert type(local()).__name__ == "EchoModularPipeline"


def test_code_in_the_folder_is_not_run(local, tmp_path):
    canary = tmp_path / "canary"
    code = f"from pathlib import Path\nPath({str(canary)!r}).touch()\nclass Blocks: pass\n"
    (local.folder / "blocks.py").write_text(code)
    (local.folder / "transformer" / "blocks.py").write_text(code)
    (local.folder / "modular_config.json").write_text(
        json.dumps({"auto_map": {"ModularPipelineBlocks": "blocks.Blocks"}, "requirements": {"os": ">=1"}})
    )
    assert type(local()).__name__ == "EchoModularPipeline"
    assert not canary.exists()


@pytest.mark.parametrize(
    "origin", [["os", "system"], ["builtins", "exec"], ["blocks", "Blocks"], ["transformers", "BertModel"]]
)
def test_a_class_that_the_blocks_do_not_ask_for_is_refused(local, origin):
    change_index(local.folder, lambda index: index.update(vae=[*origin, {"type_hint": origin}]))
    with pytest.raises(WeightsBroken, match=rf"modular_model_index.json: `vae` is {origin[0]}.{origin[1]}, and Echo"):
        local()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda index: index.pop("transformer"), r"does not name the component 'transformer'"),
        (lambda index: index.update(transformer=[3, "x", {}]), "`transformer` is not a library and a class"),
        (lambda index: index.update({"../x": ["diffusers", "Y", {}]}), r"'../x' is no name of a component"),
    ],
)
def test_an_index_that_is_none_names_the_key(local, change, said):
    change_index(local.folder, change)
    with pytest.raises(WeightsBroken, match=said):
        local()


def test_a_component_that_cannot_be_read_is_an_error_and_no_warning(local):
    (local.folder / "vocoder" / "config.json").write_text('{"in_channels": "many"}')
    with pytest.raises(WeightsBroken, match="EchoModularPipeline cannot be loaded from it"):
        local()


def test_settings_of_the_index_reach_the_pipeline(opened):
    model, _ = opened("cosmos3-super-i2v-4step")
    assert model.pipeline.config.distilled_sigmas == [1.0, 0.75, 0.5, 0.25]
    assert model.pipeline.config.enable_safety_checker is False


def test_what_is_saved_names_no_place_of_this_machine(source):
    folder = tiny.ensure("EchoModularPipeline", source.cache_dir)
    assert str(source.cache_dir) not in (folder / folders.MODULAR_INDEX).read_text()


def test_a_class_says_what_it_is_called_with_made_of_and_makes():
    import diffusers

    kind = diffusers.EchoModularPipeline
    assert classes.inputs(kind)["prompt"].default is classes.inputs(kind)["prompt"].empty
    assert classes.inputs(kind)["num_frames"].default == 241
    assert [each.__name__ for each in classes.component_classes(kind, "vae")] == ["AutoencoderKLLTX2Video"]
    assert classes.outputs(kind) == ("videos", "audio")
    assert "vae" in modular.needed(kind, ("prompt",))
    assert "video_processor" not in modular.needed(kind, ("prompt",))
    assert classes.inputs(diffusers.WanPipeline)["num_frames"].default == 81
    assert not classes.is_pipeline(diffusers.AutoencoderKLWan)
