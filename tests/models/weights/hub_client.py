"""Loads models from the hub that HF_ENDPOINT names, in a process of its own, as huggingface_hub wants.

Reads one JSON object a line (`repository`; `revision`, `pipeline`, `parts`, `offline`), answers each with one line.
"""

import json
import sys
from pathlib import Path

from pytest_vdb.errors import VdbError
from pytest_vdb.models.card import ModelCard, Part
from pytest_vdb.models.pipelines.loading import load_pipeline
from pytest_vdb.models.recipes import resolve
from pytest_vdb.models.source import WeightsSource
from pytest_vdb.records import Recipe

for line in sys.stdin:
    ask = json.loads(line)
    card = ModelCard(
        name="toy",
        family="toy",
        pipeline=ask.get("pipeline", "WanPipeline"),
        parts=tuple(Part(**part) for part in ask.get("parts", ())),
        repository=ask["repository"],
        task=ask.get("task", "t2v"),
        revision=ask.get("revision"),
        download_gb=1.5,
        defaults=Recipe(frames=9, height=32, width=32, fps=8.0, dtype="float32"),
    )
    source = WeightsSource(mode="hub", device="cpu", cache_dir=Path(sys.argv[1]), offline=ask.get("offline", False))
    try:
        loaded = load_pipeline(card, resolve(card, Recipe(), "hub"), source)
        answer = {"revision": loaded.revision, "class": type(loaded.pipeline).__name__}
        if ask.get("components"):
            answer["components"] = sorted(k for k, part in loaded.pipeline.components.items() if part is not None)
    except VdbError as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    print("ANSWER", json.dumps(answer), flush=True)
