"""What runs of many models cost to keep and to read: a run is written as a session writes it, and commands read it.

python benchmarks/perf/scale.py [--models 300] [--prompts 1000] [--folder FOLDER]
                                [--only report,compare,model,pair,gate] [--cores N]

Twenty metrics: sixteen of quality, four costs. Each command is a process of its own, on as many cores as are named
(`compare` has a process of its own for each, four at most); printed are its CPU seconds, the time on the clock and the
most memory that one process held. A folder that is named keeps its runs for the next time. Two runs of 300 models take
ten minutes to write and about a gigabyte.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from pytest_vdb import files
from pytest_vdb.records import ClipFiles, Environment, Measurement, Recipe, Record, Run, seed_of
from pytest_vdb.results.journal import Journal

QUALITY = (
    ("temporal_flicker", "1", "lower"),
    ("frozen_frames", "1", "lower"),
    ("motion_amount", "px/frame", "neutral"),
    ("warping_error", "1", "lower"),
    ("motion_smoothness", "1", "higher"),
    ("motion_coherence", "1", "higher"),
    ("sharpness", "1", "higher"),
    ("exposure", "1", "neutral"),
    ("clipped_pixels", "1", "lower"),
    ("colourfulness", "levels", "neutral"),
    ("clip_similarity", "cosine", "higher"),
    ("clip_consistency", "cosine", "higher"),
    ("dino_consistency", "cosine", "higher"),
    ("vbench.subject_consistency", "1", "higher"),
    ("vbench.motion_smoothness", "1", "higher"),
    ("vbench.aesthetic_quality", "1", "higher"),
)
COSTS = (
    ("latency", "s", "lower"),
    ("throughput", "frames/s", "higher"),
    ("peak_rss", "MiB", "lower"),
    ("energy", "J", "lower"),
)
HERE = Environment(
    python="3.12.1",
    platform="Linux-6.8-x86_64",
    hardware="NVIDIA H100 80GB HBM3",
    cpu="AMD EPYC 9654",
    cpu_count=96,
    memory_mib=1_500_000,
    packages={"torch": "2.9.0", "diffusers": "0.42.0", "transformers": "5.10.2"},
)
BENCHMARK = "benchmarks/test_generation.py::test_generation"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=300)
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", default="report,compare,model,pair,gate")
    parser.add_argument("--cores", type=int)
    asked = parser.parse_args()
    if asked.cores is not None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: asked.cores])
    with tempfile.TemporaryDirectory() as elsewhere:
        folder = (asked.folder or Path(elsewhere)).resolve()
        runs = [kept(folder, day, asked.models, asked.prompts) for day in (1, 2)]
        for command in asked.only.split(","):
            print(f"{command:8} {measured(arguments(command, folder, runs))}", flush=True)


def arguments(command: str, folder: Path, runs: list[Path]) -> list[str]:
    """Of `vdb`."""
    first, second = map(str, runs)
    match command:
        case "report":
            return ["report", first, "-o", str(folder / "page")]
        case "compare":
            return ["compare", second, first]
        case "model":
            return ["compare", second, first, "--model", "model-001"]
        case "pair":
            return ["compare", first, "model-000", "model-001"]
        case "gate":
            rules = "sharpness:-2%,clip_similarity:-2%,latency:+10%"
            return ["gate", second, "--baseline", first, "--fail-on", rules]
    raise SystemExit(f"no such command: {command}")


def measured(command: list[str]) -> str:
    """CPU seconds, seconds and MiB of a process."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "pytest_vdb", *command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    cpu, held = usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1024
    ended = os.waitstatus_to_exitcode(status)
    return f"{cpu:6.1f} CPU s  {seconds:6.1f} s  {held:6} MiB  (exit {ended})"


def kept(folder: Path, day: int, models: int, prompts: int) -> Path:
    """The folder of a run, which is written where it is not there yet."""
    run = Run(id=f"202601{day:02}-000000-abcdef", started_at=f"2026-01-{day:02}T00:00:00+00:00", environment=HERE)
    place = folder / "runs" / run.id
    if not files.is_folder(place):
        began = time.perf_counter()
        write(folder, run, models, prompts, day)
        seconds = time.perf_counter() - began
        size = (place / "records.jsonl").stat().st_size / 1e6
        print(
            f"written  {seconds:.1f} s, {size:.1f} MB, {1e6 * size / models / prompts:.0f} bytes a record", flush=True
        )
    return place


def write(folder: Path, run: Run, models: int, prompts: int, day: int) -> None:
    """Values of a model differ by prompt; those of two days by noise alone."""
    journal = Journal.create(folder, run)
    for model in range(models):
        steady, noisy = (np.random.default_rng([model, of]) for of in (0, day))
        level = 0.5 + 0.3 * model / models + 0.05 * steady.standard_normal((prompts, len(QUALITY)))
        quality = np.clip(level + 0.002 * noisy.standard_normal(level.shape), 0.001, 0.999)
        costs = (5 + model % 7) * np.exp(0.02 * noisy.standard_normal((prompts, len(COSTS))))
        blank = record_of_model(run, model)
        for prompt in range(prompts):
            journal.append(record_of_prompt(blank, prompt, model, (*quality[prompt], *costs[prompt])))
    journal.finish(dataclasses.replace(run, finished_at=run.started_at, exit_status=0, collected=models * prompts))


def record_of_model(run: Run, model: int) -> Record:
    recipe = Recipe(
        frames=81,
        height=480,
        width=832,
        fps=16.0,
        steps=50,
        guidance=5.0,
        scheduler="unipc",
        dtype="bf16",
        weights="hub",
    )
    return Record(
        run=run.id,
        nodeid=f"{BENCHMARK}[model-{model:03}-",
        benchmark=BENCHMARK,
        model=f"model-{model:03}",
        status="passed",
        task="t2v",
        weights="hub",
        revision=hashlib.sha1(f"{model}".encode()).hexdigest(),
        recipe=recipe.settings(),
        recipe_digest=recipe.digest(),
        suite="standard@1",
        suite_digest="0123456789abcdef",
        hardware=HERE.hardware,
        environment=HERE.digest(),
    )


def record_of_prompt(blank: Record, prompt: int, model: int, values: tuple[float, ...]) -> Record:
    named = f"p{prompt:03}"
    digest = hashlib.sha256(f"{model} {prompt}".encode()).hexdigest()
    return dataclasses.replace(
        blank,
        nodeid=f"{blank.nodeid}{named}]",
        prompt=named,
        prompt_text=f"A steady shot of scene {prompt}: a red bicycle leans on a white fence while leaves fall, dusk",
        category=("motion", "people", "physics", "style")[prompt % 4],
        seed=seed_of(0, named, 0),
        worker="gw0",
        started_at=f"2026-01-01T{prompt % 24:02}:{prompt % 60:02}:{model % 60:02}.123+00:00",
        duration_s=round(float(values[-4]) + 1.0, 6),
        clip=ClipFiles(
            digest=digest,
            frames=81,
            height=480,
            width=832,
            fps=16.0,
            lossless=digest[:32],
            preview=f"clips/{blank.model}-{named}-{digest[:8]}.mp4",
            poster=f"clips/{blank.model}-{named}-{digest[:8]}.jpg",
        ),
        measurements=tuple(
            Measurement(name=name, value=float(value), unit=unit, better=better, kind=kind)
            for (name, unit, better, kind), value in zip(DEFINITIONS, values, strict=True)
        ),
    )


DEFINITIONS = (*((*one, "quality") for one in QUALITY), *((*one, "performance") for one in COSTS))


if __name__ == "__main__":
    main()
