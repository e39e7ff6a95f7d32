"""A pipeline of known work: it keeps the device busy for so long in each stage, and notes when by the device's clock.

What our hooks see of it is held against its own notes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from pytest_vdb.components import STAGES
from pytest_vdb.profiling.division import DECODE, DENOISE, ENCODE, POST, TEXT

from .cards import Card


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """How long each stage is busy, and how much memory decoding takes."""

    short_s: float
    """Of every stage but denoising."""
    step_s: float
    steps: int
    decode_mib: int


@dataclass(slots=True)
class Notes:
    """What happened, by the device's clock."""

    spans: dict[str, list[tuple[Any, Any]]] = field(default_factory=lambda: {stage: [] for stage in STAGES})
    steps: list[Any] = field(default_factory=list)


class Denoiser(torch.nn.Module):  # type: ignore[misc]
    """Called as `transformer`."""

    def __init__(self, pipeline: WorkingPipeline) -> None:
        super().__init__()
        self._note = pipeline.busy

    def forward(self, seconds: float) -> None:
        self._note(DENOISE, seconds)


class Scheduler:
    """Its steps take no time."""

    def __init__(self, pipeline: WorkingPipeline) -> None:
        self._pipeline = pipeline

    def step(self) -> None:
        self._pipeline.notes.steps.append(self._pipeline.card.moment())


class Processor:
    """Called as `video_processor`."""

    def __init__(self, pipeline: WorkingPipeline) -> None:
        self._pipeline = pipeline

    def postprocess_video(self) -> None:
        self._pipeline.busy(POST, self._pipeline.work.short_s)


class Vae:
    """Takes memory while it decodes."""

    def __init__(self, pipeline: WorkingPipeline) -> None:
        self._pipeline = pipeline

    def encode(self) -> None:
        self._pipeline.busy(ENCODE, self._pipeline.work.short_s)

    def decode(self) -> None:
        block = self._pipeline.card.hold(self._pipeline.work.decode_mib)
        self._pipeline.busy(DECODE, self._pipeline.work.short_s)
        del block


class WorkingPipeline:
    """Built like one of diffusers, as far as the profiler looks.

    Args:
        card: what is kept busy.
        work: how.
    """

    def __init__(self, card: Card, work: Work) -> None:
        self.card = card
        self.work = work
        self.notes = Notes()
        self.transformer = Denoiser(self)
        self.scheduler = Scheduler(self)
        self.vae = Vae(self)
        self.video_processor = Processor(self)

    def encode_prompt(self) -> None:
        self.busy(TEXT, self.work.short_s)

    def __call__(self) -> None:
        self.notes = Notes()
        self.encode_prompt()
        self.vae.encode()
        for _ in range(self.work.steps):
            self.transformer(self.work.step_s)
            self.scheduler.step()
        self.vae.decode()
        self.video_processor.postprocess_video()

    def busy(self, stage: str, seconds: float) -> None:
        """Work, noted."""
        start = self.card.moment()
        self.card.work(seconds)
        self.notes.spans[stage].append((start, self.card.moment()))

    def stage_s(self, stage: str) -> float:
        """Seconds of a stage by its own notes, after the device has finished; denoising ends with the last step."""
        spans = self.notes.spans[stage]
        if stage == DENOISE:
            return self.card.seconds(spans[0][0], self.notes.steps[-1])
        return sum(self.card.seconds(start, end) for start, end in spans)
