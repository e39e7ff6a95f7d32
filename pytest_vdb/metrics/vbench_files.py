"""VBench's own package: run it where it is installed."""

from __future__ import annotations

import importlib
import importlib.util
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytest_vdb import video
from pytest_vdb.errors import CannotMeasure
from pytest_vdb.metrics.contract import Score
from pytest_vdb.records import Clip, Prompt

CUSTOM = frozenset({"motion_smoothness", "human_action", "temporal_style", "overall_consistency"})
"""What VBench measures on any prompt; the other delegated dimensions ask about the objects of its own prompts."""


def delegate(dimension: str, clips: Sequence[Clip], prompts: Sequence[Prompt]) -> Score:
    """Let the `vbench` package measure one dimension. Not verified here: the package is not installable beside today's
    libraries; what is called is its interface at 45e79ec.

    The clips are handed over as H.264 files, since files are all that it reads.

    Returns:
        VBench's mean over the clips, with one value per clip where it gives them.

    Raises:
        CannotMeasure: the package is not installed, or none of the prompts is one that the dimension asks about.
    """
    if importlib.util.find_spec("vbench") is None:
        raise CannotMeasure(
            f"VBench's {dimension} needs the vbench package, which is not installed",
            mend="pip install vbench, into an environment of its own, and score the clips there",
        )
    package = importlib.import_module("vbench")
    assert package.__file__ is not None
    suite = Path(package.__file__).parent / "VBench_full_info.json"
    chosen = range(len(clips)) if dimension in CUSTOM else _asked_about(dimension, prompts, suite)
    if not chosen:
        raise CannotMeasure(
            f"none of the prompts is one of VBench's for {dimension}",
            mend="use VBench's own prompts: VBench_full_info.json",
        )
    with tempfile.TemporaryDirectory() as folder:
        videos, output = Path(folder, "videos"), Path(folder, "output")
        names = _names(chosen, prompts, by_number=dimension in CUSTOM)
        for index, name in names.items():
            video.write_preview(clips[index], videos / name)
        bench = package.VBench(_device(), str(suite), str(output))
        bench.evaluate(
            videos_path=str(videos),
            name="vdb",
            dimension_list=[dimension],
            mode="custom_input" if dimension in CUSTOM else "vbench_standard",
            prompt_list={name: prompts[index].text for index, name in names.items()} if dimension in CUSTOM else [],
        )
        mean, each = _dimension(json.loads((output / "vdb_eval_results.json").read_text())[dimension])
    return Score(mean, list(each.values()) or None, n=len(chosen))


def _dimension(result: Any) -> tuple[float, dict[str, float]]:
    """The mean and the value of each video; VBench writes booleans for the dynamic degree."""
    mean, each = result
    return float(mean), {entry["video_path"]: float(entry["video_results"]) for entry in each}


def _asked_about(dimension: str, prompts: Sequence[Prompt], suite: Path) -> list[int]:
    entries = json.loads(suite.read_text(encoding="utf-8"))
    asked = {entry["prompt_en"] for entry in entries if dimension in entry["dimension"]}
    return [index for index, prompt in enumerate(prompts) if prompt.text in asked]


def _names(chosen: Sequence[int], prompts: Sequence[Prompt], *, by_number: bool) -> dict[int, str]:
    """Each clip's file: `PROMPT-0.mp4`, `PROMPT-1.mp4`, as VBench looks for them, or just a number."""
    if by_number:
        return {index: f"{index:05d}.mp4" for index in chosen}
    counts: dict[str, int] = {}
    names = {}
    for index in chosen:
        text = prompts[index].text
        names[index] = f"{text}-{counts.setdefault(text, 0)}.mp4"
        counts[text] += 1
    return names


def _device() -> Any:
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
