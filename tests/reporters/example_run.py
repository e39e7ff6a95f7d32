"""A small run whose figures are computed from real clips: calibration models, tiny pipelines, and what can go wrong."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_vdb.analysis.tables import Leaderboard
from pytest_vdb.records import (
    Clip,
    ClipFiles,
    Environment,
    Failure,
    Gpu,
    Measurement,
    Record,
    Run,
    Status,
    digest,
)
from pytest_vdb.reporters import model_page
from pytest_vdb.reporters.formats import html
from pytest_vdb.shapes import moving_shapes
from pytest_vdb.video import write_poster, write_preview

PROMPTS = {
    "motion-01": ("motion dynamics", "A red kite loops twice over a windy beach, then dives."),
    "camera-01": ("camera movement", "A slow dolly through a library at dusk, ending on an open book."),
    "people-01": ("people and action", "An old man ties his shoelaces on a park bench."),
    "animals-01": ("animals", "Two otters hold hands and drift down a quiet river."),
    "physics-01": ("physics", "A glass of water tips over and the water runs off the table's edge."),
    "style-01": ("style", "A lighthouse in a storm, as a woodcut print that comes alive."),
}
RECIPE = {"frames": 9, "height": 64, "width": 96, "fps": 8.0, "steps": 2, "weights": "tiny", "dtype": "fp32"}
ENVIRONMENT = Environment(
    python="3.12.4",
    platform="Linux-6.8-x86_64",
    hardware="AMD EPYC 7B13",
    cpu="AMD EPYC 7B13",
    cpu_count=2,
    memory_mib=16_001,
    gpus=(),
    packages={"torch": "2.9.0", "diffusers": "0.36.0", "transformers": "4.57.1", "numpy": "2.3.4"},
    git_commit="1f0c2d9a7b3e4c5d6e7f8091a2b3c4d5e6f70819",
    git_dirty=True,
)
H100 = Gpu(name="NVIDIA H100 80GB HBM3", uuid="GPU-0", memory_mib=81_559)


def example_run(run_id: str = "20260114-093012-a1b2c3") -> Run:
    return Run(
        id=run_id,
        started_at="2026-01-14T09:30:12+00:00",
        finished_at="2026-01-14T09:31:05+00:00",
        exit_status=1,
        environment=ENVIRONMENT,
        options={"models": "default", "prompts": "smoke", "weights": "tiny", "arguments": ["benchmarks/"]},
        recipes={digest(RECIPE): RECIPE},
        suites={"smoke@1": "0123456789abcdef"},
    )


@lru_cache
def pixels(name: str, model: str, frames: int = 9) -> NDArray[np.uint8]:
    clean = moving_shapes(name, frames=frames, height=64, width=96)
    generator = np.random.default_rng(int(hashlib.sha256(f"{model}{name}".encode()).hexdigest()[:8], 16))
    match model:
        case "calibration-blurred":
            soft = clean.astype(np.float32)
            for axis in (1, 2):
                soft = sum(np.roll(soft, shift, axis) for shift in range(-3, 4)) / 7
            return soft.astype(np.uint8)
        case "calibration-noisy":
            return np.clip(clean + generator.normal(0, 25, clean.shape), 0, 255).astype(np.uint8)
        case "calibration-frozen":
            return np.repeat(clean[:1], frames, axis=0)
        case "calibration-shapes":
            return clean
        case _:  # what untrained pipelines make: smooth coloured fog
            fog = generator.normal(128, 40, (frames, 8, 12, 3)).repeat(8, 1).repeat(8, 2)
            return np.clip(fog, 0, 255).astype(np.uint8)


@lru_cache
def clip_of(name: str, model: str) -> tuple[Clip, str]:
    """With its digest."""
    clip = Clip(frames=pixels(name, model), fps=8.0)
    return clip, clip.digest()


@lru_cache
def scores(name: str, model: str, *, tiny: bool) -> tuple[Measurement, ...]:
    frames = pixels(name, model)
    grey = frames.astype(np.float64).mean(-1) / 255
    flicker = float(np.abs(np.diff(grey, axis=0)).mean())
    sharpness = float(np.abs(np.diff(grey, axis=2)).mean())
    steps = tuple(float(step) for step in np.abs(np.diff(grey, axis=0)).mean((1, 2)))
    absent = "the weights of ViT-B-32 are not here; get them with: vdb fetch clip"
    similarity = float(np.tanh(sharpness)) if tiny else None
    return (
        Measurement(name="temporal_flicker", value=flicker, unit="1", better="lower", series=steps),
        Measurement(name="sharpness", value=sharpness, unit="1", better="higher"),
        Measurement(
            name="clip_similarity",
            value=similarity,
            unit="1",
            better="higher",
            reason=None if tiny else absent,
            wiring=tiny,
        ),
    )


def readings(model: str, prompt: str, *, reused: bool) -> tuple[Measurement, ...]:
    noise = int(hashlib.sha256(f"{model}-{prompt}-latency".encode()).hexdigest()[:4], 16) / 65_536
    latency = (0.004 if model.startswith("calibration") else 0.9) * (1 + 0.1 * noise)
    why = "the clip was reused from the cache: nothing was timed" if reused else None
    return (
        Measurement(
            name="latency", value=None if reused else latency, unit="s", better="lower", kind="performance", reason=why
        ),
        Measurement(
            name="throughput",
            value=None if reused else 9 / latency,
            unit="frames/s",
            better="higher",
            kind="performance",
            reason=why,
        ),
        Measurement(
            name="peak_rss",
            value=None if reused else 812.0 + 300 * noise,
            unit="MiB",
            better="lower",
            kind="performance",
            reason=why,
        ),
    )


def answer(
    run: Run, model: str, prompt: str, *, folder: Path | None = None, reused: bool = False, **more: Any
) -> Record:
    """One passed test; with a `folder` its preview and poster are written there."""
    tiny = not model.startswith("calibration")
    category, text = PROMPTS.get(prompt, ("uncategorised", prompt))
    clip, told = clip_of(prompt, model)
    files = ClipFiles(digest=told, frames=len(clip.frames), height=64, width=96, fps=8.0)
    if folder is not None:
        preview, poster = f"clips/{model}-{prompt}.mp4", f"clips/{model}-{prompt}.jpg"
        (folder / "clips").mkdir(parents=True, exist_ok=True)
        write_preview(clip, folder / preview)
        write_poster(clip, folder / poster)
        files = ClipFiles(
            **{f: getattr(files, f) for f in ("digest", "frames", "height", "width", "fps")}
            | {"preview": preview, "poster": poster}
        )
    known: dict[str, Any] = {
        "run": run.id,
        "nodeid": f"benchmarks/test_generation.py::test_generation[{model}-{prompt}]",
        "benchmark": "test_generation",
        "model": model,
        "status": "passed",
        "prompt": prompt,
        "prompt_text": text,
        "category": category,
        "seed": 1234,
        "task": "t2v",
        "weights": "tiny" if tiny else "none",
        "recipe": RECIPE,
        "recipe_digest": digest(RECIPE),
        "suite": "smoke@1",
        "hardware": run.environment.hardware,
        "environment": run.environment.digest(),
        "duration_s": 1.2,
        "measurements": scores(prompt, model, tiny=tiny) + readings(model, prompt, reused=reused),
        "clip": files,
        "reused_from": "20260113-080000-ffffff" if reused else None,
    }
    return Record(**known | more)


def lost(run: Run, model: str, prompt: str, status: Status, kind: str, message: str, **more: Any) -> Record:
    """One test that did not pass: no clip, no measurement."""
    failure = Failure(
        type=kind, message=message, traceback=f"Traceback (most recent call last):\n  ...\n{kind}: {message}"
    )
    lacking = {"measurements": (), "clip": None, "failure": failure, "status": status}
    return answer(run, model, prompt, **lacking | more)


def pages_of_models(board: Leaderboard, root: Path | None = None) -> str:
    """The pages that the leaderboard leads to, of all its models."""
    pages = html.Pages(board, root=root)
    return "\n".join(pages[path] for path in pages if path.startswith(model_page.MODELS))


CALIBRATION = ("calibration-shapes", "calibration-blurred", "calibration-noisy")
TINY = ("wan2.1-t2v-1.3b", "cogvideox-2b", "ltx-video-0.9")


def example_records(run: Run, *, folder: Path | None = None) -> list[Record]:
    """Three calibration models, three tiny pipelines (one test fails, one clip is reused), one skipped model."""
    records = [answer(run, model, prompt, folder=folder) for model in CALIBRATION for prompt in PROMPTS]
    for model in TINY:
        for prompt in PROMPTS:
            if (model, prompt) == ("cogvideox-2b", "physics-01"):
                records.append(
                    lost(run, model, prompt, "failed", "BadClip", "every pixel is (0, 0, 0): one constant colour")
                )
            else:
                reused = (model, prompt) == ("ltx-video-0.9", "style-01")
                records.append(answer(run, model, prompt, folder=folder, reused=reused))
    absent = "the weights of hunyuanvideo are not on this machine (39 GB); get them with: vdb fetch hunyuanvideo"
    for prompt in PROMPTS:
        records.append(lost(run, "hunyuanvideo", prompt, "skipped", "WeightsMissing", absent, weights="hub"))
    return records
