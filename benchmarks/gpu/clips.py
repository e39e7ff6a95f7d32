"""Clips through all default metrics, networks of full size with random weights; their values against a processor's.

Speed does not care what a network has learnt. A few clips are measured again and again: nothing of a clip is kept
between two measurings.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pytest_vdb.bench.pool import side_by_side
from pytest_vdb.metrics.contract import MetricSpec
from pytest_vdb.metrics.engine import Engine
from pytest_vdb.metrics.registry import MetricRegistry
from pytest_vdb.records import Clip
from pytest_vdb.shapes import moving_shapes

from .cards import Card
from .models import PROMPT
from .plan import Plan
from .rows import Check, Figure, Row, Told, compare

GOAL_S = 10.0
DIFFERENT = 4
"""Clips that are measured in turns."""
FPS = 8.0
CLOSE = 2e-3
"""Of values between -1 and 1: a card adds in another order, and may multiply with fewer bits (TF32)."""


def rows(plan: Plan, card: Card, left_s: Callable[[], float]) -> Iterator[Row]:
    """Of generated clips, then of pairs."""
    registry = MetricRegistry.builtin()
    plain = registry.select("default", paired=False)
    pairs = tuple(spec for spec in registry.select("default", paired=True) if spec not in plain)
    frames, height, width = plan.clip_shape
    names = [f"gpu-{at}" for at in range(min(DIFFERENT, plan.clips))]
    clips = [Clip(moving_shapes(name, frames=frames, height=height, width=width), FPS) for name in names]
    shape = f"{frames}x{height}x{width}"
    with TemporaryDirectory() as folder:
        networks = Networks(
            plan.is_rehearsal, {} if plan.is_rehearsal else _weights_for((*plain, *pairs), Path(folder))
        )
        on_card, on_processor = (networks.engine(plain, device, Path(folder)) for device in (card.device, "cpu"))
        on_card.measure(clips[0], PROMPT)  # opens the networks
        yield _timed(
            f"{plan.clips} clips of {shape} through {len(plain)} default metrics",
            lambda clip: on_card.measure(clip, PROMPT),
            itertools.islice(itertools.cycle(clips), plan.clips),
            plan.clips,
            left_s,
        )
        yield from _as_on_a_processor(on_card, on_processor, clips[0])
        on_pairs = networks.engine(pairs, card.device, Path(folder))
        yield _pairs_of_clips(on_pairs, clips, shape, left_s)


@dataclass(frozen=True, slots=True)
class Networks:
    """Tiny ones, or those whose random weights lie at these paths."""

    are_tiny: bool
    paths: Mapping[str, Path]

    def engine(self, metrics: Sequence[MetricSpec], device: str, folder: Path) -> Engine:
        """What measures through them."""
        return Engine(
            metrics, device=device, tiny=self.are_tiny, backbone_paths=self.paths, cache_dir=folder, offline=True
        )


def _timed(
    what: str, measure: Callable[[Clip], object], clips: Iterator[Clip], wanted: int, left_s: Callable[[], float]
) -> Figure:
    """As many as the time is enough for, as many side by side as `vdb score` takes."""
    began = time.perf_counter()
    for done, _ in enumerate(side_by_side(measure, clips), start=1):
        if left_s() <= 0 and done < wanted:
            each = (time.perf_counter() - began) / done
            return Figure(
                what=what,
                unit="s",
                goal=f"< {GOAL_S:g} s",
                reason=f"the time was over after {done} of them, {each:.3g} s each",
            )
    seconds = time.perf_counter() - began
    return Figure(what=what, value=seconds, unit="s", goal=f"< {GOAL_S:g} s", met=seconds < GOAL_S)


def _as_on_a_processor(on_card: Engine, on_processor: Engine, clip: Clip) -> Iterator[Check]:
    """Every value of one clip, through the same weights."""
    ours = {one.name: one for one in on_card.measure(clip, PROMPT).measurements}
    theirs = {one.name: one for one in on_processor.measure(clip, PROMPT).measurements}
    for name, second in theirs.items():
        value = Told(ours[name].value, ours[name].reason)
        yield compare(
            name, value, Told(second.value, second.reason), source="the same on the processor", absolute=CLOSE
        )


def _pairs_of_clips(engine: Engine, clips: Sequence[Clip], shape: str, left_s: Callable[[], float]) -> Figure:
    """Seconds of one pair: a whole set would take minutes."""
    what = f"a pair of clips of {shape} through {len(engine.metrics)} default metrics of pairs"
    if left_s() <= 0:
        return Figure(what=what, unit="s", reason="the time was over")
    first, second = clips[0], clips[-1]
    engine.measure(_cut(first, 2), PROMPT, _cut(second, 2))  # opens the networks
    began = time.perf_counter()
    scores = engine.measure(first, PROMPT, second)
    seconds = time.perf_counter() - began
    valued = sum(one.value is not None for one in scores.measurements)
    return Figure(what=what, value=seconds, unit="s", reason=f"{valued} of {len(scores.measurements)} values")


def _cut(clip: Clip, frames: int) -> Clip:
    return Clip(clip.frames[:frames], clip.fps)


# Weights that nobody trained, in files as a user's own would be ------------------------------------------------------


def _weights_for(specs: Sequence[MetricSpec], folder: Path) -> dict[str, Path]:
    """A path for each network; one without a maker stays missing, and its metrics say so."""
    needed = dict.fromkeys(network for spec in specs for network in spec.backbones)
    return {name: WEIGHTS[name](folder) for name in needed if name in WEIGHTS}


def _clip_weights(folder: Path) -> Path:
    import open_clip
    from safetensors.torch import save_file

    logging.disable()  # open_clip warns that they are random
    path = folder / "ViT-B-32-random.safetensors"
    try:
        save_file(open_clip.create_model("ViT-B-32").state_dict(), path)
    finally:
        logging.disable(logging.NOTSET)
    return path


def _lpips_weights(folder: Path) -> Path:
    import torch

    from pytest_vdb.backbones.networks.batches import seeded
    from pytest_vdb.backbones.networks.perceptual import alexnet, even_heads

    trunk = seeded(alexnet)
    heads = {f"lin{level}.model.1.weight": head for level, head in enumerate(even_heads(trunk))}
    place = _place_of_weights(folder, "lpips")
    torch.save(trunk.state_dict(), place / "alexnet-random.pth")
    torch.save(heads, place / "alex.pth")
    return place


def _dists_weights(folder: Path) -> Path:
    import torch

    from pytest_vdb.backbones.networks.batches import seeded
    from pytest_vdb.backbones.networks.perceptual import L2Pool, even_heads, vgg16

    trunk = seeded(lambda: vgg16(L2Pool))
    even = torch.cat([torch.ones(3), *(head.flatten() for head in even_heads(trunk))])
    place = _place_of_weights(folder, "dists")
    torch.save(trunk.state_dict(), place / "vgg16-random.pth")
    torch.save({"alpha": even, "beta": even}, place / "weights.pt")
    return place


def _place_of_weights(folder: Path, name: str) -> Path:
    place = folder / name
    place.mkdir()
    return place


WEIGHTS: Mapping[str, Callable[[Path], Path]] = {
    "clip": _clip_weights,
    "lpips": _lpips_weights,
    "dists": _dists_weights,
}
"""Network of the default metrics -> what writes its weights and returns the path that `--vdb-backbone` would take."""
