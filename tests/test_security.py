"""SECURITY.md, line by line: each says what is read how, and a test here tries to break it."""

from __future__ import annotations

import ast
import json
import os
import pickle
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import pytest_vdb
from pytest_vdb import video
from pytest_vdb.backbones.contract import BackboneSource
from pytest_vdb.backbones.registry import BackboneRegistry
from pytest_vdb.backbones.weights import read_state
from pytest_vdb.cli import main
from pytest_vdb.errors import ClipFileError, TooLarge, VdbError, WeightsBroken
from pytest_vdb.models.pipelines.loading import load_pipeline
from pytest_vdb.models.recipes import resolve
from pytest_vdb.models.registry import Registry
from pytest_vdb.models.source import WeightsSource
from pytest_vdb.models.weights import tiny
from pytest_vdb.records import Clip, Recipe

BACKBONES = {network.name: network for network in BackboneRegistry.builtin()}
ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
SOURCES = sorted(Path(pytest_vdb.__file__).parent.rglob("*.py"))


class Runs:
    """Makes a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self):
        return os.system, (f"touch '{self.canary}'",)


@pytest.fixture
def canary(tmp_path) -> Iterator[Path]:
    """A file that is there as soon as something of a stranger has run."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists(), "code of a stranger was run"


# The page itself ------------------------------------------------------------------------------------------------------


def test_every_line_of_the_page_is_held_by_a_test_that_there_is():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "---" not in line]
    reading = [line for line in rows if line.count("|") == 4 and "held by" not in line]
    assert len(reading) >= 10
    for line in reading:
        assert re.search(r"`tests/[\w/]+\.py::\w+`", line), f"nothing holds: {line}"
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE):
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), f"{path} has no {name}"


def test_every_address_that_is_asked_is_on_the_page():
    hosts = {spec.repository.split("/")[2] for spec in BACKBONES.values() if spec.repository.startswith("https://")}
    assert hosts
    for host in hosts:
        assert f"`{host}`" in PAGE


def test_what_is_downloaded_from_an_address_is_checked_by_its_hash():
    for spec in BACKBONES.values():
        if spec.repository.startswith("https://"):
            assert re.fullmatch(r"[0-9a-f]{64}", spec.sha256) or re.search(r"-[0-9a-f]{8}\.\w+$", spec.repository)


# The package's own source ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nodes() -> list[tuple[str, ast.AST]]:
    """Every node of the package's source with the name of its file: a quarter of a million, parsed once."""
    trees = [(path.name, ast.parse(path.read_text(encoding="utf-8"))) for path in SOURCES]
    return [(name, node) for name, tree in trees for node in ast.walk(tree)]


@pytest.fixture(scope="module")
def calls(nodes: list[tuple[str, ast.AST]]) -> list[tuple[str, str, ast.Call]]:
    """Every call in the package: where, what by its dotted name, and the call."""
    found = [(name, node) for name, node in nodes if isinstance(node, ast.Call)]
    return [(f"{name}:{call.lineno}", ast.unparse(call.func), call) for name, call in found]


def keyword(call: ast.Call, name: str) -> str | None:
    return next((ast.unparse(given.value) for given in call.keywords if given.arg == name), None)


@pytest.mark.slow
def test_the_package_calls_nothing_that_runs_what_it_reads(nodes, calls):
    imported = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "runpy", "code"}
    for source, node in nodes:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not imported & {name.partition(".")[0] for name in names}, f"{source} imports {names}"
    for where, name, call in calls:
        assert name not in {"eval", "exec", "compile", "__import__"}, where
        assert not name.startswith(("torch.jit.", "jit.", "torch.package", "torch.hub.load")) or name.endswith(
            "load_state_dict_from_url"
        ), f"{where}: {name}"
        assert not name.startswith("yaml.") or name == "yaml.safe_dump", f"{where}: YAML is written and never read"
        if name == "torch.load":
            assert keyword(call, "weights_only") == "True", where
        if name in {"np.load", "numpy.load"}:
            assert keyword(call, "allow_pickle") == "False", where
        assert keyword(call, "trust_remote_code") in {None, "False"}, where


@pytest.mark.slow
def test_no_shell_is_asked(calls):
    for where, name, call in calls:
        assert name not in {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}, where
        assert keyword(call, "shell") in {None, "False"}, where
        if name in {"subprocess.run", "subprocess.Popen", "subprocess.check_output"} and call.args:
            assert not isinstance(call.args[0], ast.Constant | ast.JoinedStr), f"{where}: a command as one text"


# Weights --------------------------------------------------------------------------------------------------------------


def hostile_weights(folder: Path, canary: Path) -> list[Path]:
    """Pickles under every name and in every wrapping that weights come in."""
    evil = Runs(canary)
    for name in ("plain.pt", "plain.pth", "plain.bin", "ViT-B-32-plain.pt"):
        (folder / name).write_bytes(pickle.dumps(evil))
    torch.save({"state_dict": evil, "x": torch.zeros(2)}, folder / "zip.pt")
    torch.save({"w": torch.zeros(2), "e": evil}, folder / "ViT-B-32-zip.pt")
    torch.save(evil, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    return sorted(path for path in folder.iterdir() if path != canary)


LIGHT = [name for name, spec in BACKBONES.items() if spec.size_mib < 100]
"""Networks that are built in a moment; the others read their files by the same door."""


@pytest.mark.slow
@pytest.mark.parametrize("backbone", LIGHT)
def test_no_network_runs_the_pickle_that_is_given_as_its_weights(backbone, tmp_path, canary):
    (tmp_path / "weights").mkdir()
    for path in hostile_weights(tmp_path / "weights", canary):
        with pytest.raises(VdbError):
            BACKBONES[backbone].open(BackboneSource(path=path, cache_dir=tmp_path, offline=True))
        assert not canary.exists(), path.name


@pytest.mark.slow
def test_no_clip_network_runs_the_pickle_that_is_given_as_its_weights(tmp_path, canary):
    (tmp_path / "weights").mkdir()
    for path in hostile_weights(tmp_path / "weights", canary):
        if path.name.startswith("ViT"):
            with pytest.raises(WeightsBroken):
                BACKBONES["clip"].open(BackboneSource(path=path, cache_dir=tmp_path, offline=True))


def test_a_pickle_called_safetensors_is_not_unpickled(tmp_path, canary):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(pickle.dumps(Runs(canary)))
    for backbone in ("raft", "i3d"):
        with pytest.raises(WeightsBroken):
            BACKBONES[backbone].open(BackboneSource(path=path, offline=True))


def test_a_checkpoint_that_grows_in_memory_is_held_to_the_budget(tmp_path, monkeypatch):
    monkeypatch.setenv("VDB_BUDGET", "10M")
    torch.save({"w": torch.zeros(1).expand(10**8)}, tmp_path / "repeated.pt")
    with pytest.raises(TooLarge, match=r"repeated\.pt: 381 MiB"):
        read_state(tmp_path / "repeated.pt")
    torch.save({"w": torch.zeros(5 * 10**6)}, tmp_path / "honest.pt")
    assert read_state(tmp_path / "honest.pt")["w"].numel() == 5 * 10**6, "weights as large as their file are no bomb"


@pytest.mark.parametrize(
    ("backbone", "name", "config"),
    [
        ("dino", "config.json", {"model_type": "dinov2", "attn_implementation": "someone/kernel"}),
        ("dino", "config.json", {"model_type": "dinov2", "deep": [{"_attn_implementation": {"": "someone/kernel:f"}}]}),
        ("clip", "open_clip_config.json", {"model_cfg": {"text_cfg": {"hf_model_name": "someone/network"}}}),
        ("clip", "open_clip_config.json", {"model_cfg": {"vision_cfg": {"timm_model_name": "hf-hub:someone/else"}}}),
    ],
)
def test_a_configuration_cannot_fetch_code(backbone, name, config, tmp_path):
    (tmp_path / name).write_text(json.dumps(config))
    save_file({"w": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsBroken, match=r"asks for '.*someone/.*which would be fetched from the hub"):
        BACKBONES[backbone].open(BackboneSource(path=tmp_path, offline=True))


@pytest.fixture(scope="module")
def pipeline_folder(tmp_path_factory) -> Path:
    return tiny.ensure("WanPipeline", tmp_path_factory.mktemp("tiny"))


def planted(folder: Path, canary: Path) -> None:
    """Python of a stranger wherever a library might look for it."""
    code = f"import os\nos.system(\"touch '{canary}'\")\nclass Evil:\n    pass\nEvilPipeline = Evil\n"
    for place in (folder, *(path for path in folder.iterdir() if path.is_dir())):
        for name in ("evil.py", "pipeline.py", "__init__.py"):
            (place / name).write_text(code)


@pytest.mark.parametrize(
    "index",
    [
        {"scheduler": ["os", "system"]},
        {"scheduler": ["builtins", "exec"]},
        {"scheduler": ["evil", "Evil"]},
        {"extra": ["evil", "Evil"]},
        {"extra": ["subprocess", "Popen"]},
        {"_class_name": ["pipeline", "EvilPipeline"]},
        {"_class_name": "EvilPipeline", "custom_pipeline": "pipeline"},
    ],
    ids=str,
)
def test_a_pipeline_cannot_name_code_to_run(index, pipeline_folder, tmp_path, canary):
    folder = tmp_path / "wan2.1-t2v-1.3b"
    shutil.copytree(pipeline_folder, folder)
    planted(folder, canary)
    path = folder / "model_index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **index}))
    card = Registry.from_catalog().get("wan2.1-t2v-1.3b")
    source = WeightsSource(mode="local", device="cpu", cache_dir=tmp_path, local_dir=tmp_path, offline=True)
    recipe = resolve(card, Recipe(dtype="float32", frames=9, height=32, width=32), "local")
    try:
        opened = load_pipeline(card, recipe, source).pipeline
    except VdbError:
        return
    assert type(opened).__name__ == "WanPipeline", "what the index names is not what was opened"


# Clips and the network ------------------------------------------------------------------------------------------------

LISTS = {
    "concat.mp4": "ffconcat version 1.0\nfile {secret}\n",
    "hls.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{secret}\n#EXT-X-ENDLIST\n",
    "sdp.mp4": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n",
    "dash.mp4": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    "<Representation><BaseURL>file://{secret}</BaseURL></Representation></AdaptationSet></Period></MPD>",
}


@pytest.mark.parametrize("name", LISTS)
def test_a_clip_that_names_another_file_is_not_followed(name, tmp_path):
    secret = tmp_path / "secret.mkv"
    video.write_lossless(Clip(np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8), 8.0), secret)
    (tmp_path / name).write_text(LISTS[name].format(secret=secret))
    with pytest.raises(ClipFileError, match=name):
        video.read(tmp_path / name)


class Asked(BaseException):
    """Somebody opened a connection."""


@pytest.fixture
def no_network(monkeypatch):
    def connect(self, address, *_):
        if self.family != socket.AF_UNIX:
            raise Asked(address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket.socket, "connect_ex", connect)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *asked, **_: (_ for _ in ()).throw(Asked(asked)))


def test_scoring_asks_the_network_for_nothing(tmp_path, monkeypatch, no_network, capsys):
    """Also where a network of a metric is missing: the run is offline."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("VDB_CACHE_DIR", str(tmp_path / "cache"))
    clip = Clip(np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8), 8.0)
    video.write_lossless(clip, tmp_path / "clips" / "a.mkv")
    assert main(["score", "clips", "--metrics", "sharpness,clip_consistency", "-o", "s.jsonl", "--device", "cpu"]) == 0
    assert main(["report", "s.jsonl", "-o", "page"]) == 0
    assert "sharpness" in capsys.readouterr().out


def test_importing_and_listing_ask_the_network_for_nothing():
    script = (
        "import socket\n"
        "def no(*asked): raise SystemExit(f'asked {asked}')\n"
        "socket.socket.connect = socket.getaddrinfo = no\n"
        "from pytest_vdb.cli import main\n"
        "for command in ('models', 'metrics', 'backbones', 'prompts'):\n"
        "    main([command])\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
