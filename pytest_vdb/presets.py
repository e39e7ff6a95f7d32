"""Recipes by which others published figures, by name: `--vdb-recipe ml-energy` is all of its settings.

Frames and sizes are the model's own unless a preset says otherwise; what is given after a preset wins over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pytest_vdb.errors import UnknownName, near_misses


@dataclass(frozen=True, slots=True)
class Preset:
    """A published recipe."""

    settings: tuple[str, ...]
    """As `--vdb-recipe` takes them."""
    source: str


PRESETS: Mapping[str, Preset] = {
    "ml-energy": Preset(
        ("steps=50", "dtype=bfloat16", "vae_tiling=true", "vae_slicing=true", "compile=none"),
        "ML.ENERGY leaderboard, text to video (github ml-energy/leaderboard 0cd52da)",
    ),
    "mlperf-wan2.2": Preset(
        ("frames=81", "height=720", "width=1280", "steps=20", "guidance=4.0", "dtype=bfloat16"),
        "MLPerf Inference v6.0, Wan 2.2 T2V A14B (github mlcommons/inference_results_v6.0); the second expert's "
        "guidance of 3 is the card's",
    ),
}


def expanded(settings: Iterable[str], *, where: str) -> list[str]:
    """The settings with every preset among them replaced by its own.

    Raises:
        UnknownName: what has no `=` and looks like a preset's name.
    """
    found: list[str] = []
    for setting in settings:
        preset = PRESETS.get(setting.strip())
        if preset is None and "=" not in setting and near_misses(setting, PRESETS):
            raise UnknownName("preset of a recipe", setting, PRESETS, where=where)
        found += preset.settings if preset is not None else [setting]
    return found
