"""A model of the catalogue in a process of its own makes the clips that it makes here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pytest_vdb.cli import main
from pytest_vdb.errors import ModelProcessError
from pytest_vdb.models.isolated import IsolatedModel, card_of_folder
from pytest_vdb.models.recipes import resolve
from pytest_vdb.models.registry import Registry
from pytest_vdb.models.source import WeightsSource
from pytest_vdb.models.weights import tiny
from pytest_vdb.records import Clip, Prompt, Recipe, WeightsMode

PROMPT = Prompt(id="p001", text="a red ball", tags=("one", "two"))


def isolated_clip(folder: Path, recipe: Recipe) -> tuple[Clip, tuple[str, ...]]:
    card, isolation = card_of_folder(f"isolated:{folder}")
    model = IsolatedModel(card.name, isolation, "cpu")
    try:
        return model.generate(PROMPT, resolve(card, recipe, "hub"), 11), model.notes
    finally:
        model.close()


def clip_here(name: str, recipe: Recipe, mode: WeightsMode, folder: Path) -> Clip:
    registry = Registry.from_catalog()
    card = registry.get(name)
    full = resolve(card, recipe, mode)
    model = registry.open(card, full, WeightsSource(mode=mode, device="cpu", cache_dir=folder, local_dir=folder))
    try:
        return model.generate(PROMPT, full, 11)
    finally:
        model.close()


def test_a_model_without_weights(tmp_path):
    assert main(["isolate", "calibration-shapes", "--as", "venv", "-o", str(tmp_path / "box")]) == 0
    recipe = Recipe(frames=4, height=32, width=32, fps=8.0)
    made, _ = isolated_clip(tmp_path / "box", recipe)
    assert np.array_equal(made.frames, clip_here("calibration-shapes", recipe, "hub", tmp_path).frames)


@pytest.mark.slow
def test_a_pipeline_with_weights_of_a_folder(tmp_path, monkeypatch):
    weights = tiny.ensure("WanPipeline", tmp_path / "weights")
    main(["isolate", "wan2.1-t2v-1.3b", "--as", "venv", "-o", str(tmp_path / "box")])
    text = (tmp_path / "box" / "model.py").read_text()
    (tmp_path / "box" / "model.py").write_text(
        text.replace("# weights_dir = ...  #", f"weights_dir = {str(weights)!r}  #")
    )
    assert "pytest-vdb==" in (tmp_path / "box" / "requirements.txt").read_text()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    recipe = Recipe(frames=9, height=32, width=32, fps=8.0, steps=2, dtype="float32")
    made, notes = isolated_clip(tmp_path / "box", recipe)
    assert "torch" in notes[0]
    assert np.array_equal(made.frames, clip_here("wan2.1-t2v-1.3b", recipe, "local", weights).frames)


@pytest.mark.slow
def test_weights_that_are_not_here_are_told_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    main(["isolate", "wan2.1-t2v-1.3b", "--as", "venv", "-o", str(tmp_path / "box")])
    with pytest.raises(ModelProcessError, match="WeightsMissing"):
        isolated_clip(tmp_path / "box", Recipe(frames=9))
