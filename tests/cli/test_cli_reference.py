"""`vdb reference build`, and scoring against what it wrote."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pytest_vdb.cli import main
from pytest_vdb.shapes import moving_shapes


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for folder in ("real", "made"):
        (tmp_path / folder).mkdir()
        for name in range(3):
            frames = moving_shapes(f"{folder} {name}", frames=9, height=24, width=32)
            np.save(tmp_path / folder / f"{name}.npy", frames)
    return tmp_path


@pytest.mark.slow
def test_a_built_reference_gives_what_the_folder_gives(place, capsys):
    assert main(["reference", "build", "real", "-o", "real.npz", "--tiny", "--device", "cpu"]) == 0
    assert "i3d: 3 clips" in capsys.readouterr().out
    values = []
    for reference in ("real", "real.npz"):
        arguments = ["score", "made", "--metrics", "fvd", "--tiny", "--device", "cpu", "--json"]
        assert main([*arguments, "--reference", reference]) == 0
        values.append(json.loads(capsys.readouterr().out)["set"][0]["value"])
    assert values[0] > 0
    assert values[1] == pytest.approx(values[0], rel=1e-6)


def test_absent_weights_and_an_unknown_network_are_errors(place, capsys):
    assert main(["reference", "build", "real", "-o", "real.npz", "--device", "cpu"]) == 1
    assert "weights of 'i3d'" in capsys.readouterr().err
    assert not (place / "real.npz").exists()
    assert main(["reference", "build", "real", "-o", "real.npz", "--backbone", "i3dd"]) == 1
    assert "did you mean 'i3d'" in capsys.readouterr().err


def test_a_short_reference_clip_is_said_and_left_out(place, capsys):
    np.save(place / "real" / "short.npy", moving_shapes("short", frames=7, height=24, width=32))
    assert main(["reference", "build", "real", "-o", "real.npz", "--tiny", "--device", "cpu"]) == 0
    said = capsys.readouterr()
    assert "i3d: 3 clips" in said.out
    assert "i3d of 3 of 4 clips: short.npy: i3d needs 9 frames, got 7" in said.err


def test_reference_clips_that_are_all_too_short_are_no_set(place, capsys):
    for path in (place / "real").glob("*.npy"):
        np.save(path, moving_shapes(path.name, frames=7, height=24, width=32))
    assert main(["reference", "build", "real", "-o", "real.npz", "--tiny", "--device", "cpu"]) == 1
    said = capsys.readouterr().err
    assert "of 0 of 3 clips: all: i3d needs 9 frames, got 7" in said
    assert "needs a reference set" not in said
    assert not (place / "real.npz").exists()
