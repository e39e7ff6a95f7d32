"""`vdb backbones` and `vdb fetch`, without a network."""

from __future__ import annotations

import json

import pytest

from pytest_vdb.backbones.contract import BACKBONES
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
    for spec in BACKBONES.values():
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
