"""`vdb backbones` and `vdb fetch`, without a network."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pytest_vdb.backbones.registry import BackboneRegistry
from pytest_vdb.cli import main


@pytest.fixture(autouse=True)
def caches(tmp_path, monkeypatch):
    """Empty caches of our own, and the switch that forbids downloads."""
    monkeypatch.setenv("VDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


def place(path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")


def here(capsys) -> set[str]:
    assert main(["backbones", "--json"]) == 0
    return {row["backbone"] for row in json.loads(capsys.readouterr().out) if row["here"]}


def test_every_network_is_listed_with_size_licence_and_source(capsys):
    assert main(["backbones"]) == 0
    shown = capsys.readouterr().out
    for spec in BackboneRegistry.builtin():
        assert f"\n{spec.name} " in shown
        assert spec.licence in shown


def test_a_network_is_here_when_a_cache_has_its_file(caches, capsys):
    assert here(capsys) == set()
    place(caches / "hub/models--facebook--dinov2-small/snapshots/abc/model.safetensors")
    place(caches / "torch/hub/checkpoints/raft_small_C_T_V2-01064c6d.pth")
    place(caches / "cache/backbones/niqe_pris_params.npz")
    place(caches / "hub/models--OpenGVLab--VideoMAE2/snapshots/abc/mae-g/vit_g_hybrid_pt_1200e_ssv2_ft.pth")
    assert here(capsys) == {"dino", "raft", "niqe", "videomae"}


def test_fetch_says_what_it_would_get_and_that_it_is_offline(capsys):
    assert main(["fetch", "raft", "--dry-run"]) == 0
    assert "to download: 3.8 MiB" in capsys.readouterr().out
    assert main(["fetch", "raft"]) == 1
    assert "this session is offline" in capsys.readouterr().err


def test_fetch_gets_nothing_that_is_here(caches, capsys):
    place(caches / "torch/hub/checkpoints/raft_small_C_T_V2-01064c6d.pth")
    assert main(["fetch", "raft"]) == 0
    assert "is here already" in capsys.readouterr().out


def test_a_misspelt_network_lists_the_near_misses(capsys):
    assert main(["fetch", "raftt"]) == 1
    assert "did you mean 'raft'" in capsys.readouterr().err


OWN = """
from pytest_vdb import backbone, metric

@backbone("colours", features="mean_colours", licence="MIT")
class Colours:
    '''The mean colour of each frame.'''

    def __init__(self, source):
        self.identity = "mean"

    def features(self, name, subject):
        return subject.clip.frames.mean(axis=(1, 2))

@metric("colour_drift", unit="levels", better="lower")
def colour_drift(mean_colours) -> float:
    return float(abs(mean_colours[-1] - mean_colours[0]).max())
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "networks_of_test.py").write_text(OWN)
    (tmp_path / "clips").mkdir()
    np.save(tmp_path / "clips" / "a.npy", np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8))
    return "networks_of_test.py"


def test_a_network_of_the_users_own_is_listed_with_its_place_and_metrics(own, capsys):
    assert main(["backbones", "colours", "--from", own, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["here"] == row["source"] == "networks_of_test.py:4 (Colours)"
    assert (row["about"], row["licence"]) == ("The mean colour of each frame.", "MIT")
    assert row["metrics"] == ["colour_drift"]
    assert main(["backbones", "--from", own]) == 0
    assert "networks_of_test.py:4 (Colours)" in capsys.readouterr().out
    assert main(["backbones", "colours"]) == 1
    assert "unknown network 'colours'" in capsys.readouterr().err


def test_a_network_of_the_users_own_needs_no_fetching(own, capsys):
    assert main(["fetch", "colours", "--from", own]) == 0
    assert "is here already" in capsys.readouterr().out


def test_clips_are_scored_through_a_network_of_the_users_own(own, capsys):
    asked = ["score", "clips", "--metrics", "colour_drift", "--from", own, "--json"]
    assert main(asked) == 0
    (clip,) = json.loads(capsys.readouterr().out)["clips"]
    assert clip["measurements"][0]["value"] > 0
    assert clip["measurements"][0]["version"] == "1+mean"
    assert main([*asked, "--backbone", "colors=clips"]) == 1
    assert "did you mean 'colours'" in capsys.readouterr().err
