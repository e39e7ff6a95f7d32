"""VBench's own package, run where it is installed: in this Python or, since its pins rarely fit beside others, in
another one that `VDB_VBENCH_PYTHON` names.

Checked against the code at 45e79ec and the package 0.1.5. It downloads what it lacks without asking and says little
when something fails, so we look first whether its networks are here, and run it in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytest_vdb import video
from pytest_vdb.errors import CannotMeasure
from pytest_vdb.files import is_file, is_there
from pytest_vdb.metrics.contract import Score
from pytest_vdb.records import Clip, Prompt

INTERPRETER = "VDB_VBENCH_PYTHON"
"""Names the Python that has the package."""

CUSTOM = frozenset({"temporal_style", "overall_consistency"})
"""What VBench measures on any prompt. The other delegated dimensions ask about what its own prompts name: the object,
or the action, which it reads from the file's name."""

MOST_SAMPLES = 5
"""Per prompt: VBench looks for no more."""

_HUB = "https://huggingface.co/OpenGVLab/VBench_Used_Models/resolve/main/"
_CLIP = "https://openaipublic.azureedge.net/clip/models/"
_GRIT = (("grit_model/grit_b_densecap_objectdet.pth", f"{_HUB}grit_b_densecap_objectdet.pth"),)
_VICLIP = (
    ("ViCLIP/ViClip-InternVid-10M-FLT.pth", f"{_HUB}ViClip-InternVid-10M-FLT.pth"),
    (
        "ViCLIP/bpe_simple_vocab_16e6.txt.gz",
        "https://raw.githubusercontent.com/openai/CLIP/main/clip/bpe_simple_vocab_16e6.txt.gz",
    ),
)
FILES: dict[str, tuple[tuple[str, str], ...]] = {
    "object_class": _GRIT,
    "multiple_objects": _GRIT,
    "color": _GRIT,
    "spatial_relationship": _GRIT,
    "human_action": (
        (
            "umt_model/l16_ptk710_ftk710_ftk400_f16_res224.pth",
            f"{_HUB}l16_ptk710_ftk710_ftk400_f16_res224.pth",
        ),
    ),
    "scene": (
        (
            "caption_model/tag2text_swin_14m.pth",
            "https://huggingface.co/spaces/xinyu1205/recognize-anything/resolve/main/tag2text_swin_14m.pth",
        ),
    ),
    "appearance_style": (
        (
            "clip_model/ViT-B-32.pt",
            f"{_CLIP}40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af/ViT-B-32.pt",
        ),
    ),
    "temporal_style": _VICLIP,
    "overall_consistency": _VICLIP,
}
"""Dimension -> the files that it loads, below VBench's cache folder, and where they are published."""

_FIND = """
import importlib.util
found = importlib.util.find_spec("vbench")
print(next(iter(found.submodule_search_locations or ()), "") if found else "")
"""

_RUN = """
import json, sys
asked = json.load(sys.stdin)
import torch
from vbench import VBench
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
VBench(device, asked.pop("suite"), asked.pop("output")).evaluate(**asked)
"""


def delegate(dimension: str, clips: Sequence[Clip], prompts: Sequence[Prompt]) -> Score:
    """Let the `vbench` package measure one dimension.

    The clips are handed over as H.264 files, since files are all that it reads.

    Returns:
        VBench's mean over the clips (over their frames, where it counts frames), with one value per clip that it rated.

    Raises:
        CannotMeasure: no Python with the package, none of the prompts is one that the dimension asks about, its
            networks are not here, or it failed: with its last words.
    """
    python = os.environ.get(INTERPRETER) or sys.executable
    suite = _package(python) / "VBench_full_info.json"
    custom = dimension in CUSTOM
    names = _file_names(clips) if custom else _as_vbench_calls_them(_asked_about(dimension, prompts, suite), prompts)
    if not names:
        raise CannotMeasure(
            f"none of the prompts is one of VBench's for {dimension}", mend=f"use VBench's own prompts: {suite.name}"
        )
    _look_for_networks(dimension)
    with tempfile.TemporaryDirectory() as folder:
        videos = Path(folder, "videos")
        for index, name in names.items():
            video.write_preview(clips[index], videos / name)
        asked = {
            "suite": str(suite),
            "output": str(Path(folder, "output")),
            "videos_path": str(videos),
            "name": "vdb",
            "dimension_list": [dimension],
            "mode": "custom_input" if custom else "vbench_standard",
            "prompt_list": {name: prompts[index].text for index, name in names.items()} if custom else [],
            "local": True,  # networks from its cache folder, as far as it can
        }
        mean, rated = _evaluate(python, dimension, asked)
    values = [rated[name] for name in names.values() if name in rated]
    return Score(mean, values or None, n=len(values) or len(names))


def _evaluate(python: str, dimension: str, asked: dict[str, Any]) -> tuple[float, dict[str, float]]:
    """VBench's mean, and its value per file's name."""
    ran = subprocess.run([python, "-c", _RUN], input=json.dumps(asked), capture_output=True, text=True, check=False)
    written = Path(asked["output"], f"{asked['name']}_eval_results.json")
    if ran.returncode != 0 or not is_there(written):
        said = [line.strip() for line in ran.stderr.splitlines() if line.strip()]
        raise CannotMeasure(
            f"VBench's {dimension} failed: {said[-1] if said else f'exit status {ran.returncode}'}",
            mend=f"see that VBench itself works in {python}: its README says what else it needs",
        )
    try:
        mean, each = json.loads(written.read_text(encoding="utf-8"))[dimension]
        return float(mean), {Path(one["video_path"]).name: float(one["video_results"]) for one in each}
    except (ValueError, TypeError, KeyError) as error:
        raise CannotMeasure(
            f"VBench's {dimension} wrote a result that is none: {type(error).__name__}: {error}",
            mend="this pytest-vdb knows the results of vbench 0.1.5",
        ) from None


def _package(python: str) -> Path:
    """The folder of the package.

    Raises:
        CannotMeasure: that Python has none, or is none.
    """
    try:
        found = subprocess.run([python, "-c", _FIND], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotMeasure(
            f"{python} cannot be run: {type(error).__name__}",
            mend=f"name the Python that has vbench: {INTERPRETER}=PATH",
        ) from None
    if not found:
        raise CannotMeasure(
            f"this needs the vbench package, which {python} does not have",
            mend=f"pip install vbench, into an environment of its own, and name its Python: {INTERPRETER}=PATH",
        )
    return Path(found)


def _look_for_networks(dimension: str) -> None:
    """VBench would download them on its own.

    Raises:
        CannotMeasure: with each absent file, where it is published and where VBench looks for it.
    """
    cache = Path(os.environ.get("VBENCH_CACHE_DIR") or Path.home() / ".cache" / "vbench")
    absent = [(cache / name, url) for name, url in FILES[dimension] if not is_file(cache / name)]
    if absent:
        raise CannotMeasure(
            f"VBench's {dimension} looks through {absent[0][0].name}, which is not on this machine",
            mend="; ".join(f"get {url} and put it into {path.parent}" for path, url in absent),
        )


def _asked_about(dimension: str, prompts: Sequence[Prompt], suite: Path) -> list[int]:
    """The places of the prompts that VBench asks this dimension of."""
    entries = json.loads(suite.read_text(encoding="utf-8"))
    asked = {entry["prompt_en"] for entry in entries if dimension in entry["dimension"]}
    return [index for index, prompt in enumerate(prompts) if prompt.text in asked]


def _file_names(clips: Sequence[Clip]) -> dict[int, str]:
    return {index: f"{index:05d}.mp4" for index in range(len(clips))}


def _as_vbench_calls_them(chosen: Sequence[int], prompts: Sequence[Prompt]) -> dict[int, str]:
    """`PROMPT-0.mp4`, `PROMPT-1.mp4`, ... as VBench looks for them; it looks for five of a prompt."""
    counts: dict[str, int] = {}
    names = {}
    for index in chosen:
        text = prompts[index].text
        count = counts.setdefault(text, 0)
        if count < MOST_SAMPLES:
            names[index] = f"{text}-{count}.mp4"
        counts[text] += 1
    return names
