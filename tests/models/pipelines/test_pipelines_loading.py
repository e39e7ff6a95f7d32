"""Weights from a folder: what is wrong with them is said before or instead of a traceback."""

import contextlib
import dataclasses
import json
import os
import shutil

import pytest
import transformers
from safetensors.torch import load_file, save_file

from pytest_vdb.errors import CardError, RecipeError, WeightsBroken, WeightsMissing
from pytest_vdb.models.card import Part
from pytest_vdb.models.classes import part_class
from pytest_vdb.models.pipelines.loading import load_pipeline
from pytest_vdb.models.recipes import resolve
from pytest_vdb.models.registry import Registry
from pytest_vdb.models.source import WeightsSource
from pytest_vdb.models.weights import tiny
from pytest_vdb.records import Prompt, Recipe

pytestmark = pytest.mark.slow  # loads pipelines

TRANSFORMER = "transformer/diffusion_pytorch_model.safetensors"
VAE = "vae/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def pipeline_folder(tmp_path_factory):
    return tiny.ensure("WanPipeline", tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def local(pipeline_folder, tmp_path):
    """A folder of local weights with one model, and how to load from it."""
    folder = tmp_path / "weights" / "wan2.1-t2v-1.3b"
    shutil.copytree(pipeline_folder, folder)
    card = dataclasses.replace(Registry.from_catalog().get("wan2.1-t2v-1.3b"), float32=())
    source = WeightsSource(mode="local", device="cpu", cache_dir=tmp_path, local_dir=folder.parent, offline=True)

    def load(card=card, source=source, **settings):
        recipe = resolve(card, Recipe(dtype="float32", frames=9, height=32, width=32, **settings), "local")
        return load_pipeline(card, recipe, source)

    load.folder, load.card, load.source = folder, card, source
    return load


def test_a_folder_of_models_or_one_models_own_folder_is_found(local):
    assert type(local().pipeline).__name__ == "WanPipeline"
    own = dataclasses.replace(local.source, local_dir=local.folder)
    assert local(source=own).revision is None


def test_local_weights_are_driven_like_all_others(local):
    registry = Registry.from_catalog()
    recipe = resolve(local.card, Recipe(dtype="float32", frames=9, height=32, width=32, steps=2), "local")
    model = registry.open(local.card, recipe, local.source)
    assert model.generate(Prompt(id="p", text="a cat"), recipe, 1).frames.shape == (9, 32, 32, 3)
    model.close()


def test_a_part_may_lie_in_the_models_own_folder(local):
    card = Registry.from_catalog().get("animatediff")
    shutil.copytree(tiny.ensure("AnimateDiffPipeline", local.source.cache_dir), local.folder.parent / card.name)
    loaded = load_pipeline(card, resolve(card, Recipe(dtype="float32"), "local"), local.source)
    assert type(loaded.pipeline.motion_adapter).__name__ == "MotionAdapter"
    assert type(loaded.pipeline.scheduler).__name__ == card.scheduler["class"]
    shutil.rmtree(local.folder.parent / card.name / "motion_adapter")
    with pytest.raises(WeightsMissing, match=r"not in it: motion_adapter \(guoyww/animatediff-motion-adapter-v1-5-2\)"):
        load_pipeline(card, resolve(card, Recipe(), "local"), local.source)


def test_the_dtype_is_followed_but_for_what_the_card_keeps_in_float32(local):
    import torch

    recipe = resolve(local.card, Recipe(frames=9, height=32, width=32), "local")
    loaded = load_pipeline(dataclasses.replace(local.card, float32=("vae",)), recipe, local.source)
    assert loaded.pipeline.transformer.dtype == torch.bfloat16
    assert loaded.pipeline.text_encoder.dtype == torch.bfloat16
    assert loaded.pipeline.vae.dtype == torch.float32


def test_a_missing_folder_says_what_is_there_instead(local):
    local.folder.rename(local.folder.parent / "wan")
    with pytest.raises(
        WeightsMissing, match=r"neither a folder 'wan2.1-t2v-1.3b' nor a model_index.json.*holds: wan\n"
    ):
        local()
    with pytest.raises(WeightsMissing, match="--vdb-weights-dir"):
        local(source=dataclasses.replace(local.source, local_dir=None))


def test_the_wrong_folder_is_no_pipeline(local):
    shutil.move(local.folder, local.folder.parent / "inside")
    local.folder.mkdir()
    shutil.move(local.folder.parent / "inside", local.folder / "snapshot")
    with pytest.raises(WeightsBroken, match=r"it has no model_index.json\n  did you mean 'snapshot' in it"):
        local()


def test_a_torn_weight_file_is_named_with_both_sizes(local):
    path = local.folder / TRANSFORMER
    whole = path.stat().st_size
    os.truncate(path, whole - 100)
    with pytest.raises(WeightsBroken, match=rf"torn: its header promises {whole} bytes, it has {whole - 100}"):
        local()


def test_a_file_that_only_has_the_name_of_safetensors_is_refused(local):
    (local.folder / VAE).write_bytes(b"<html>502 Bad Gateway</html>" * 40)
    with pytest.raises(WeightsBroken, match=r"vae.*is not a safetensors file"):
        local()


def test_pickled_weights_are_refused(local):
    (local.folder / TRANSFORMER).rename(local.folder / "transformer" / "diffusion_pytorch_model.bin")
    with pytest.raises(WeightsBroken, match=r"transformer: has only pickled weights \(diffusion_pytorch_model.bin\)"):
        local()


def test_a_missing_component_or_shard_is_named(local):
    shutil.rmtree(local.folder / "vae")
    with pytest.raises(WeightsBroken, match=r"names the component 'vae', but there is no such folder"):
        local()
    shutil.copytree(local.folder / "transformer", local.folder / "vae")
    index = {"weight_map": {"a": "diffusion_pytorch_model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (local.folder / "vae" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(WeightsBroken, match=r"1 of its shards are missing: model-00002-of-00002.safetensors"):
        local()


@pytest.mark.parametrize("file", [TRANSFORMER, VAE])
def test_a_weight_that_stands_in_no_file_is_named(local, file):
    """diffusers loads the network without it; generating would end in an error of torch's about meta tensors."""
    weights = load_file(local.folder / file)
    absent = min(weights)
    del weights[absent]
    save_file(weights, local.folder / file, {"format": "pt"})
    with pytest.raises(WeightsBroken, match=rf"wan2.1-t2v-1.3b: its {file.partition('/')[0]} lacks {absent}"):
        local()


@pytest.mark.parametrize("verbosity", ["warning", "error"])
def test_a_weight_of_a_text_encoder_that_stands_in_no_file_is_named(local, verbosity):
    """transformers fills it with random values: there would be pixels, and they would mean nothing."""
    file = local.folder / "text_encoder" / "model.safetensors"
    weights = load_file(file)
    absent = next(name for name in sorted(weights) if "SelfAttention" in name)
    del weights[absent]
    save_file(weights, file, {"format": "pt"})
    with quiet(verbosity), pytest.raises(WeightsBroken, match=rf"its UMT5EncoderModel lacks {absent}"):
        local()


@contextlib.contextmanager
def quiet(verbosity):
    before = transformers.logging.get_verbosity()
    getattr(transformers.logging, f"set_verbosity_{verbosity}")()
    yield
    transformers.logging.set_verbosity(before)


def test_the_weights_of_another_architecture_are_refused(local):
    config = local.folder / "transformer" / "config.json"
    config.write_text(
        config.read_text()
        .replace('"num_layers": 2', '"num_layers": 2, "ffn_dim_": 1')
        .replace('"ffn_dim": 32', '"ffn_dim": 48')
    )
    with pytest.raises(WeightsBroken, match="WanPipeline cannot be loaded from it"):
        local()


def edited(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("model_index.json", b"[" * 5000 + b"]" * 5000, "model_index.json: not JSON"),
        ("model_index.json", b"[1, 2]", "model_index.json: is no JSON object"),
        ("model_index.json", b'{"vae": ["diffusers", 3]}', "model_index.json: `vae` is not a library and a class"),
        ("model_index.json", b'{"\xff": 1}', "model_index.json:1: not UTF-8"),
        ("vae/config.json", b"\xff\xfe{}", "vae/config.json:1: not UTF-8"),
        ("vae/config.json", b'{"z_dim": NaN', "vae/config.json: not JSON"),
        ("vae/config.json", b"3", "vae/config.json: is no JSON object"),
        ("tokenizer/tokenizer.json", b'{"a": "\\ud800"}', "tokenizer/tokenizer.json: not JSON: .*half a character"),
        ("text_encoder/config.json", b"", "text_encoder/config.json: not JSON"),
        ("vae/config.json", b'{"z_dim": ' + b"7" * 5000 + b"}", "vae/config.json: not JSON"),
    ],
)
def test_a_file_of_a_pipeline_that_is_no_json_is_named(local, file, content, said):
    (local.folder / file).write_bytes(content)
    with pytest.raises(WeightsBroken, match=said):
        local()


@pytest.mark.parametrize(
    ("file", "changes", "said"),
    [
        ("text_encoder/config.json", {"d_model": "wide"}, "WanPipeline cannot be loaded from it: StrictDataclass"),
        ("text_encoder/config.json", {"num_heads": None}, "WanPipeline cannot be loaded from it"),
        ("transformer/config.json", {"num_layers": "two"}, "WanPipeline cannot be loaded from it: TypeError"),
        ("transformer/config.json", {"num_layers": 2**31}, "transformer/config.json: `num_layers` is 2147483648, more"),
        ("transformer/config.json", {"num_layers": 10**5}, "its configuration describes more than 100,000 parts"),
        ("transformer/config.json", {"rope": {"length": [1, 2**40]}}, "`length` is 1099511627776"),
        ("tokenizer/tokenizer_config.json", {"extra_ids": 2**31}, "`extra_ids` is 2147483648, more than 65536"),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": {}}, "WanPipeline cannot be loaded from it"),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": 10**9}, "`num_train_timesteps` is 1000000000"),
    ],
)
def test_a_configuration_of_the_wrong_types_or_beyond_reason_is_named(local, file, changes, said):
    edited(local.folder / file, **changes)
    with pytest.raises(WeightsBroken, match=said):
        local()


def test_a_tokenizer_that_takes_any_length_is_no_giant(local):
    edited(local.folder / "tokenizer" / "tokenizer_config.json", model_max_length=10**30)
    assert type(local().pipeline).__name__ == "WanPipeline"


@pytest.mark.parametrize("shard", ["/etc/passwd", "../secret.safetensors", "model.bin", "a/b.safetensors", 3])
def test_shards_are_safetensors_beside_their_index(local, shard):
    index = local.folder / "transformer" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "diffusion_pytorch_model.safetensors", "b": shard}}))
    with pytest.raises(WeightsBroken, match=r"index.json: `weight_map`"):
        local()


def test_a_device_or_a_pipe_in_the_folder_is_no_file(local):
    (local.folder / "vae" / "config.json").unlink()
    (local.folder / "vae" / "config.json").symlink_to("/dev/zero")
    with pytest.raises(WeightsBroken, match=r"config.json: a device, not a file"):
        local()
    (local.folder / "vae" / "config.json").unlink()
    os.mkfifo(local.folder / "vae" / "config.json")
    with pytest.raises(WeightsBroken, match=r"config.json: a pipe, not a file"):
        local()


def test_weights_may_be_links_as_in_the_hubs_cache(local, tmp_path):
    blob = tmp_path / "blobs" / ("a" * 64)
    blob.parent.mkdir()
    shutil.move(local.folder / TRANSFORMER, blob)
    (local.folder / TRANSFORMER).symlink_to(blob)
    assert type(local().pipeline).__name__ == "WanPipeline"


def test_a_name_of_diffusers_that_is_no_pipeline_is_refused(local):
    with pytest.raises(CardError, match="utils of diffusers is no pipeline"):
        local(card=dataclasses.replace(local.card, pipeline="utils"))


def test_a_part_is_a_class_of_the_libraries_and_of_nothing_else():
    for name in ("os.system", "builtins.exec", "subprocess.Popen", "Nothing"):
        with pytest.raises(CardError, match=f"the installed libraries have no {name}"):
            part_class(Part(component="vae", type=name, repository="toys/vae"))


def test_a_class_that_diffusers_lacks_is_named_with_the_version(local):
    with pytest.raises(
        CardError, match=r"diffusers .* has no WanTimeTravelPipeline\n  pip install --upgrade diffusers"
    ):
        local(card=dataclasses.replace(local.card, pipeline="WanTimeTravelPipeline"))


def test_a_repository_is_needed_for_the_hub_and_a_preset_for_random_weights(local):
    with pytest.raises(RecipeError, match="no repository is known"):
        resolve(dataclasses.replace(local.card, repository=None), Recipe(), "hub")
    card = dataclasses.replace(local.card, architecture=None)
    with pytest.raises(WeightsMissing, match="not published where we could read it"):
        load_pipeline(card, resolve(card, Recipe(), "random"), dataclasses.replace(local.source, mode="random"))
