"""Tiny pipelines: complete, the same from every process, and safe to build by two at once."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_vdb.errors import OutputError, UnknownName
from pytest_vdb.models import classes
from pytest_vdb.models.pipelines.loading import load_pipeline
from pytest_vdb.models.recipes import resolve
from pytest_vdb.models.registry import Registry
from pytest_vdb.models.source import WeightsSource
from pytest_vdb.models.weights import blueprints, tiny, tokenizers
from pytest_vdb.records import Recipe

pytestmark = pytest.mark.slow  # builds pipelines

FAST = ("WanPipeline", "CogVideoXPipeline", "AnimateDiffPipeline", "EchoModularPipeline")
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*_args, **_settings):
        raise AssertionError("a tiny pipeline touched the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("tiny")


def reload(pipeline_class: str, folder: Path):
    import diffusers

    kind = getattr(diffusers, pipeline_class)
    if classes.is_modular(kind):
        pipe = kind.from_pretrained(folder, local_files_only=True)
        pipe.load_components()
    else:
        overrides = tiny.load_overrides(pipeline_class)
        pipe = kind.from_pretrained(folder, local_files_only=True, use_safetensors=True, **overrides)
    tiny.after_load(pipe)
    return pipe


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def build_elsewhere(cache_dir: Path, *pipeline_classes: str) -> subprocess.Popen[str]:
    program = (
        "import sys, pathlib; from pytest_vdb.models.weights import tiny\n"
        "for name in sys.argv[2:]: tiny.ensure(name, pathlib.Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", program, str(cache_dir), *pipeline_classes]
    return subprocess.Popen(command, env=os.environ | OFFLINE, text=True)


def skip_without_its_library(pipeline_class: str) -> None:
    if pipeline_class == "ConsisIDPipeline":
        pytest.importorskip("cv2", reason="ConsisID needs opencv-python-headless")


@pytest.mark.parametrize(
    "pipeline_class",
    [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in tiny.pipeline_classes()],
)
def test_every_pipeline_is_built_and_loads_again_with_all_its_parts(pipeline_class, cache_dir):
    skip_without_its_library(pipeline_class)
    pipe = reload(pipeline_class, tiny.ensure(pipeline_class, cache_dir))
    assert type(pipe).__name__ == pipeline_class
    planned = blueprints.blueprint("tiny", pipeline_class).components
    present = {role for role, part in planned.items() if isinstance(part, dict)}
    assert {role for role in present if getattr(pipe, role, None) is None} == set()
    assert not list(tiny.ensure(pipeline_class, cache_dir).rglob("*.bin"))


def test_a_second_call_finds_the_folder_of_the_first(cache_dir):
    first = tiny.ensure("WanPipeline", cache_dir)
    built_at = (first / "model_index.json").stat().st_mtime_ns
    second = tiny.ensure("WanPipeline", cache_dir)
    assert second == first
    assert (second / "model_index.json").stat().st_mtime_ns == built_at


def test_another_definition_gets_another_folder(cache_dir, monkeypatch):
    before = tiny.ensure("WanPipeline", cache_dir).name
    changed = blueprints.blueprint("tiny", "WanPipeline").components["transformer"] | {"num_layers": 1}
    monkeypatch.setitem(blueprints.blueprint("tiny", "WanPipeline").components, "transformer", changed)
    assert tiny.ensure("WanPipeline", cache_dir).name != before


def test_building_leaves_the_processs_random_numbers_alone(tmp_path):
    import torch

    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    tiny.ensure("WanPipeline", tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_two_processes_at_once_leave_one_folder_of_the_same_bytes_as_ours(tmp_path):
    together = tmp_path / "together"
    racers = [build_elsewhere(together, "HunyuanVideoPipeline") for _ in range(2)]
    assert [racer.wait(timeout=120) for racer in racers] == [0, 0]
    (theirs,) = together.iterdir()
    assert files(theirs) == files(tiny.ensure("HunyuanVideoPipeline", tmp_path / "here"))
    reload("HunyuanVideoPipeline", theirs)


@pytest.mark.heavy
def test_another_process_builds_every_pipeline_to_the_same_bytes(cache_dir, tmp_path):
    names = [name for name in tiny.pipeline_classes() if name != "ConsisIDPipeline"]
    assert build_elsewhere(tmp_path, *names).wait(timeout=300) == 0
    assert {
        name for name in names if files(tiny.ensure(name, tmp_path)) != files(tiny.ensure(name, cache_dir))
    } == set()


def test_an_interrupted_build_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_args):
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OutputError, match=r"WanPipeline-\w+: cannot be written: no space left"):
        tiny.ensure("WanPipeline", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_no_more_leaves_nothing_behind(tmp_path):
    program = (
        "import resource, signal, sys, pathlib\n"
        "from pytest_vdb.errors import OutputError\nfrom pytest_vdb.models.weights import tiny\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "try: tiny.ensure('WanPipeline', pathlib.Path(sys.argv[1]))\n"
        "except OutputError as error: print('SAID', error)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "weights")]
    done = subprocess.run(command, env=os.environ | OFFLINE, text=True, capture_output=True, check=True)
    assert "cannot be written" in done.stdout.partition("SAID")[2]
    assert list((tmp_path / "weights").iterdir()) == []


def test_a_file_where_the_folder_of_weights_should_be_is_said(tmp_path):
    (tmp_path / "weights").write_text("")
    with pytest.raises(OutputError, match="a file is where the folder should be"):
        tiny.ensure("WanPipeline", tmp_path / "weights")


@pytest.mark.parametrize(
    "tear",
    [
        lambda folder: os.truncate(folder / "vae" / "diffusion_pytorch_model.safetensors", 1000),
        lambda folder: (folder / "model_index.json").write_text("{"),
        lambda folder: (folder / "transformer" / "config.json").unlink(),
        lambda folder: shutil.rmtree(folder / "tokenizer"),
        lambda folder: (shutil.rmtree(folder), folder.write_text("")),
    ],
)
def test_weights_that_are_torn_are_made_anew(tmp_path, tear):
    card = Registry.from_catalog().get("wan2.1-t2v-1.3b")
    source = WeightsSource(mode="tiny", device="cpu", cache_dir=tmp_path, offline=True)
    folder = tiny.ensure("WanPipeline", tmp_path)
    whole = files(folder)
    tear(folder)
    assert type(load_pipeline(card, resolve(card, Recipe(), "tiny"), source).pipeline).__name__ == "WanPipeline"
    assert files(folder) == whole
    assert list(tmp_path.iterdir()) == [folder]


def test_an_unknown_pipeline_names_its_neighbours(tmp_path):
    with pytest.raises(UnknownName, match="did you mean 'WanPipeline'"):
        tiny.ensure("WanPipelin", tmp_path)


@pytest.mark.parametrize("name", ["t5", "clip", "llama", "gemma", "qwen"])
def test_a_tokenizer_fits_the_encoders_and_tells_prompts_apart(name):
    tokenizer = getattr(tokenizers, name)()
    assert len(tokenizer) <= tokenizers.VOCABULARY_SIZE
    first, second = (tokenizer(text)["input_ids"] for text in ("A red cat, running.", "A red dog, running."))
    assert first != second
    assert tokenizer("A red cat, running.")["input_ids"] == first


def test_special_tokens_have_the_ids_that_the_architectures_name():
    assert tokenizers.llama()("<image>")["input_ids"].count(4) == 1
    assert tokenizers.qwen()("<|image_pad|><|video_pad|>")["input_ids"] == [5, 6]
    cat = tokenizers.clip()("cat")["input_ids"]
    assert (cat[0], cat[-1]) == (0, 1)
