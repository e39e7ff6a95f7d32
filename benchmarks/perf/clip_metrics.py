"""How fast the clip metrics are: CPU time on one thread, as ratios against a named peer in the same run.

python benchmarks/perf/clip_metrics.py
"""

import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pytest_vdb.metrics import frames, openclip
from pytest_vdb.metrics.change import temporal_flicker
from pytest_vdb.metrics.engine import Engine
from pytest_vdb.metrics.features import BackboneSource
from pytest_vdb.metrics.picture import sharpness
from pytest_vdb.metrics.registry import MetricRegistry
from pytest_vdb.records import Clip


def main() -> None:
    torch.set_num_threads(1)
    clip = Clip(np.random.default_rng(0).integers(0, 256, (49, 480, 720, 3), np.uint8), 8.0)
    plain = [spec for spec in MetricRegistry.builtin() if spec.scope == "clip" and not spec.features]
    engine = Engine(plain, cache_dir=Path())
    print("CPU seconds on one thread, least of three, 49 frames of 480x720 unless said otherwise")
    print(f"  all {len(plain)} metrics without a network: {seconds(engine.measure, clip):.2f} s")
    compare("temporal_flicker", seconds(temporal_flicker, clip), "float32 numpy", seconds(plain_flicker, clip))
    compare("sharpness", seconds(sharpness, clip), "float32 numpy", seconds(plain_sharpness, clip))
    small = Clip(clip.frames[:32], 8.0)
    ours, theirs = seconds(our_frames, small, network()), seconds(pillows, small)
    compare("CLIP preprocessing, 32 frames", ours, "open_clip's transform", theirs)


def network() -> openclip.OpenClip:
    """A tiny network that asks for frames of the usual size."""
    tiny = openclip.OpenClip(BackboneSource(tiny=True))
    tiny._preprocessing = tiny._preprocessing | {"size": (224, 224)}
    return tiny


def plain_flicker(clip: Clip) -> float:
    return float(np.abs(np.diff(clip.frames.astype(np.float32) / 255, axis=0)).mean())


def plain_sharpness(clip: Clip) -> float:
    grey = clip.frames.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) / 255
    laplacian = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    details = grey[:, ::2, ::2] - grey[:, ::2, 1::2] - grey[:, 1::2, ::2] + grey[:, 1::2, 1::2]
    noise = (np.median(np.abs(details), axis=(1, 2)) / 2 / 0.6745) ** 2
    return float(np.maximum((laplacian - 4 * grey[:, 1:-1, 1:-1]).var(axis=(1, 2)) - 20 * noise, 0).mean())


def our_frames(clip: Clip, of_network: openclip.OpenClip) -> None:
    for start in range(0, len(clip.frames), 8):
        of_network.prepare(frames.to_device(clip.frames[start : start + 8], "cpu"))


def pillows(clip: Clip) -> None:
    from open_clip.transform import PreprocessCfg, image_transform_v2

    transform = image_transform_v2(PreprocessCfg(size=224), is_train=False)
    for frame in clip.frames:
        transform(Image.fromarray(frame))


def seconds(function: object, *arguments: object) -> float:
    times = []
    for _ in range(3):
        started = time.process_time()
        function(*arguments)
        times.append(time.process_time() - started)
    return min(times)


def compare(name: str, ours_s: float, peer: str, theirs_s: float) -> None:
    print(f"  {name}: {1000 * ours_s:.0f} ms, {peer} {1000 * theirs_s:.0f} ms: {theirs_s / ours_s:.1f}x")


if __name__ == "__main__":
    main()
