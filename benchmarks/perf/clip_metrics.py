"""How fast the clip metrics are: CPU time on one thread, as ratios against a named peer in the same run.

python benchmarks/perf/clip_metrics.py
"""

import importlib.util
import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image
from safetensors.torch import save_file

from pytest_vdb.backbones import openclip
from pytest_vdb.backbones.contract import BackboneSource
from pytest_vdb.backbones.networks import frames
from pytest_vdb.metrics.change import temporal_flicker
from pytest_vdb.metrics.engine import Engine
from pytest_vdb.metrics.picture import sharpness
from pytest_vdb.metrics.registry import MetricRegistry
from pytest_vdb.models.weights import tokenizers
from pytest_vdb.records import Clip, Prompt

PROMPT = Prompt(id="perf", text="a red ball rolls over the grass")


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
    similarity(Clip(np.concatenate([clip.frames, clip.frames[:15]]), 8.0))


def similarity(clip: Clip) -> None:
    """The whole similarity of 64 frames, ViT-B/32 with random weights on both sides: speed does not care."""
    name = "CLIP similarity, 64 frames, ViT-B/32"
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "ViT-B-32-random.safetensors"
        logging.disable()  # open_clip warns that the weights are random
        save_file(open_clip.create_model("ViT-B-32").state_dict(), weights)
        wanted = MetricRegistry.builtin().select("clip_similarity")
        engine = Engine(wanted, backbone_paths={"clip": weights}, cache_dir=Path(folder), offline=True)
        ours = seconds(engine.measure, clip, PROMPT)
    if importlib.util.find_spec("torchmetrics") is None:
        print(f"  {name}: {1000 * ours:.0f} ms; torchmetrics is not installed (pip install pytest-vdb[perf])")
        return
    theirs = seconds(clip_score(), torch.from_numpy(clip.frames).permute(0, 3, 1, 2))
    compare(name, ours, "torchmetrics' CLIPScore", theirs)


def clip_score() -> Callable[[torch.Tensor], object]:
    """torchmetrics' metric, with a network and a processor made here instead of downloaded.

    torchmetrics 1.9 expects of CLIP what transformers 4 returned, so the network returns that.
    """
    from torchmetrics.multimodal import CLIPScore
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    class Network(CLIPModel):
        def get_image_features(self, *args: object, **settings: object) -> torch.Tensor:
            return super().get_image_features(*args, **settings).pooler_output

        def get_text_features(self, *args: object, **settings: object) -> torch.Tensor:
            return super().get_text_features(*args, **settings).pooler_output

    def made() -> tuple[CLIPModel, CLIPProcessor]:
        processor = CLIPProcessor(image_processor=CLIPImageProcessor(), tokenizer=tokenizers.clip())
        return Network(CLIPConfig()).eval(), processor

    metric = CLIPScore(made)

    def score(frames: torch.Tensor) -> object:
        with torch.inference_mode():
            metric.reset()
            metric.update(list(frames), [PROMPT.text] * len(frames))  # called as a function it would do all this twice
            return metric.compute()

    return score


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
