"""How fast the set and paired metrics are beside the libraries they replace: CPU time on one thread, the least of runs.

    python benchmarks/perf/metrics_speed.py            # all; a minute or two
    python benchmarks/perf/metrics_speed.py frechet    # one of: frechet, frames, networks, fvd

Each pair is timed in turns in this one process, so that a busy machine slows both. A peer that is not installed is left
out and said (`pip install pytest-vdb[perf]` brings them). Networks have seeded random weights: speed does not care.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from pytest_vdb.backbones import i3d, perceptual
from pytest_vdb.backbones.contract import BackboneSource
from pytest_vdb.backbones.networks import i3d as layers
from pytest_vdb.backbones.networks import perceptual as images
from pytest_vdb.backbones.networks.batches import seeded
from pytest_vdb.metrics.frechet import frechet_distance
from pytest_vdb.metrics.fsim import fsim_frames
from pytest_vdb.metrics.kernels import KVD_KERNEL, jedi_distance, mmd2
from pytest_vdb.metrics.moments import Moments
from pytest_vdb.metrics.psnr import psnr_frames
from pytest_vdb.metrics.ssim import ms_ssim_frames, ssim_frames

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

Timed = Callable[[], object]
Frames = NDArray[np.uint8]


def main() -> None:
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":  # NumPy reads it once, when it is imported
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ONE_THREAD)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    parts = {"frechet": frechet, "frames": frames, "networks": networks, "fvd": fvd}
    asked = sys.argv[1:] or list(parts)
    if unknown := set(asked) - set(parts):
        sys.exit(f"no part {', '.join(sorted(unknown))}; there are: {', '.join(parts)}")
    print("CPU time on one thread, least of several runs in turns; ratio: how many times as fast as the peer")
    for part in asked:
        parts[part]()


# --- Fréchet distance -------------------------------------------------------------------------------------------------


def frechet() -> None:
    heading("Fréchet distance")
    for dimensions, target in ((400, 10), (768, 10), (2048, 500)):
        first, second = sample(256, dimensions, 0), sample(256, dimensions, 1)
        compare(
            f"features, n=256, d={dimensions}",
            lambda a=first, b=second: frechet_distance(a, b),
            {"scipy sqrtm": lambda a=first, b=second: by_sqrtm(a, b)},
            target=target,
            runs=1 if dimensions > 1000 else 5,
        )
    for dimensions in (400, 768, 2048):
        pair = Moments.of(sample(10_000, dimensions, 0)), Moments.of(sample(10_000, dimensions, 1))
        compare(
            f"moments, n=10,000, d={dimensions}",
            lambda p=pair: frechet_distance(*p),
            {"scipy sqrtm": lambda p=pair: by_sqrtm_of(*((m.mean, m.covariance()) for m in p))},
            target=4,
            runs=1 if dimensions > 1000 else 5,
        )
    first, second = sample(3000, 1280, 0), sample(3000, 1280, 1)
    compare(
        "JEDi, n=3000, d=1280",
        lambda: jedi_distance(first, second),
        {"by its kernel": lambda: by_kernel(first, second)},
    )
    first, second = sample(1000, 400, 0), sample(1000, 400, 1)
    compare("KVD, n=1000, d=400", lambda: mmd2(first, second, KVD_KERNEL, unbiased=True), {})


def sample(n: int, dimensions: int, seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal((n, dimensions)) * (1 + 0.1 * seed) + 0.1 * seed


def by_sqrtm(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """As pytorch-fid and StyleGAN-V do."""
    return by_sqrtm_of(*((features.mean(axis=0), np.cov(features, rowvar=False)) for features in (first, second)))


def by_sqrtm_of(
    first: tuple[NDArray[np.float64], NDArray[np.float64]], second: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> float:
    root = scipy.linalg.sqrtm(first[1] @ second[1])
    step = first[0] - second[0]
    return float(step @ step + np.trace(first[1] + second[1] - 2 * np.real(root)))


def by_kernel(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    def mean(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        return float(((a @ b.T / a.shape[1]) ** 2).mean())

    return 100 * (mean(first, first) + mean(second, second) - 2 * mean(first, second))


# --- frame by frame, without a network --------------------------------------------------------------------------------


def frames() -> None:
    heading("against a reference, without a network")
    first, second = pair_of_clips(16, 256, 256)
    tensors = as_levels(first), as_levels(second)
    images = optional("skimage.metrics")
    torchmetrics = optional("torchmetrics.functional.image")
    piq = optional("piq")
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    compare(
        "PSNR, 16 frames of 256x256",
        lambda: psnr_frames(first, second),
        {"scikit-image": images and (lambda: [images.peak_signal_noise_ratio(*p) for p in zip(first, second)])},  # noqa: B905
    )
    compare(
        "SSIM, 16 frames of 256x256",
        lambda: ssim_frames(first, second),
        {
            "torchmetrics": torchmetrics
            and (lambda: torchmetrics.structural_similarity_index_measure(*tensors, data_range=1.0)),
            "scikit-image": images
            and (lambda: [images.structural_similarity(*p, channel_axis=2, **gaussian) for p in zip(first, second)]),  # noqa: B905
            "piq": piq and (lambda: piq.ssim(*tensors, downsample=False)),
        },
        target=5,
    )
    compare(
        "MS-SSIM, 16 frames of 256x256",
        lambda: ms_ssim_frames(first, second),
        {
            "torchmetrics": torchmetrics
            and (lambda: torchmetrics.multiscale_structural_similarity_index_measure(*tensors, data_range=1.0)),
            "piq": piq and (lambda: piq.multi_scale_ssim(*tensors)),
        },
    )
    for height, width in ((256, 256), (480, 720)):
        few = tuple(clip[:4] for clip in pair_of_clips(4, height, width))
        levels = tuple(as_levels(clip) for clip in few)
        compare(
            f"FSIMc, 4 frames of {height}x{width}",
            lambda p=few: fsim_frames(*p),
            {"piq": piq and (lambda p=levels: piq.fsim(*p))},
            target=3,
        )


def pair_of_clips(count: int, height: int, width: int) -> tuple[Frames, Frames]:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 256, (count, height, width, 3), np.uint8)
    return first, np.clip(0.7 * first + rng.normal(30, 20, first.shape), 0, 255).astype(np.uint8)


def as_levels(clip: Frames) -> torch.Tensor:
    return torch.from_numpy(clip).permute(0, 3, 1, 2).float().div(255).contiguous()


# --- frame by frame, through a network --------------------------------------------------------------------------------


def networks() -> None:
    heading("against a reference, through a network: one pair of 256x256")
    first, second = pair_of_clips(1, 256, 256)
    levels = as_levels(first), as_levels(second)
    trunk = seeded(images.alexnet)
    heads = [torch.full((width,), 1 / width) for width in (64, 192, 384, 256, 256)]
    ours = perceptual._Pairwise(images.Lpips(trunk, heads), "seeded", "cpu")
    package = optional("lpips")
    theirs = package and package.LPIPS(net="alex", pnet_rand=True, pretrained=False, verbose=False)
    peers = {"lpips": theirs and quietly(lambda: theirs(levels[0] * 2 - 1, levels[1] * 2 - 1))}
    compare("LPIPS", lambda: ours.between(first, second), peers, target=1)
    ours.between(first, second, reference="kept")
    compare("LPIPS, reference kept", lambda: ours.between(first, second, reference="kept"), peers, target=1.7)

    trunk = seeded(lambda: images.vgg16(images.L2Pool))
    even = torch.ones(1475)
    ours_too = perceptual._Pairwise(images.Dists(trunk, even, even), "seeded", "cpu")
    peers = {"piq": optional("piq") and quietly(piq_dists(*levels))}
    compare("DISTS", lambda: ours_too.between(first, second), peers, target=1)
    ours_too.between(first, second, reference="kept")
    compare("DISTS, reference kept", lambda: ours_too.between(first, second, reference="kept"), peers, target=1.7)


def piq_dists(first: torch.Tensor, second: torch.Tensor) -> Timed:
    """piq's DISTS without its downloads: random VGG16, even weights."""
    from piq import perceptual as theirs
    from torchvision.models import vgg16

    weights = list(torch.split(torch.full((1, 1475, 1, 1), 1 / 2950), [3, 64, 128, 256, 512, 512], dim=1)) * 2
    distance = theirs.DISTS.__new__(theirs.DISTS)
    theirs.ContentLoss.__init__(
        distance,
        vgg16(weights=None).features,
        layers=["3", "8", "15", "22", "29"],
        weights=weights,
        allow_layers_weights_mismatch=True,
    )
    distance.model = distance.replace_pooling(distance.model)
    return lambda: distance(first, second)


def quietly(function: Timed) -> Timed:
    def without_gradients() -> object:
        with torch.no_grad():
            return function()

    return without_gradients


# --- FVD from pixels to number ----------------------------------------------------------------------------------------


class StockUnit(nn.Module):
    """A convolution as ports have it: padded by hand, then batch normalisation, then the rectifier."""

    def __init__(self, unit: layers.Unit) -> None:
        super().__init__()
        channels, inputs, kernel = unit.out_channels, unit.in_channels, unit.kernel_size
        self.conv = nn.Conv3d(inputs, channels, kernel, unit.stride, bias=False)
        self.conv.weight.data.copy_(unit.weight.data)
        self.norm = nn.BatchNorm3d(channels, eps=1e-5)
        self.norm.bias.data.copy_(unit.bias.data)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        axes = zip(x.shape[2:], self.conv.kernel_size, self.conv.stride, strict=True)
        ends = [end for axis in reversed(list(axes)) for end in layers.same_padding(*axis)]
        return functional.relu(self.norm(self.conv(functional.pad(x, ends))))


def fvd() -> None:
    heading("FVD end to end: 16 clips of 16 frames of 128x128, the reference's features at hand")
    rng = np.random.default_rng(0)
    clips = rng.integers(0, 256, (16, 16, 128, 128, 3), np.uint8)
    reference = sample(256, 400, 0)
    stock = seeded(lambda: layers.InceptionI3d().eval().requires_grad_(False))
    with tempfile.TemporaryDirectory() as folder:
        torch.save(stock.state_dict(), Path(folder) / "i3d.pt")
        ours = i3d.I3D(BackboneSource(path=Path(folder) / "i3d.pt"))
    for name, unit in [(name, part) for name, part in stock.named_modules() if isinstance(part, layers.Unit)]:
        parent, _, leaf = name.rpartition(".")
        setattr(stock.get_submodule(parent), leaf, StockUnit(unit).eval().requires_grad_(False))

    def by_us() -> float:
        return frechet_distance(np.concatenate([ours.logits(layers.as_styleganv(clip)) for clip in clips]), reference)

    def by_stock() -> float:
        with torch.no_grad():
            features = [stock(layers.as_styleganv(clip)).numpy() for clip in clips]
        return by_sqrtm(np.concatenate(features).astype(np.float64), reference)

    if not np.isclose(by_us(), by_stock(), rtol=1e-3):
        sys.exit("the two ways disagree: their times mean nothing")
    compare("FVD", by_us, {"stock PyTorch, as StyleGAN-V": by_stock}, target=1.2, runs=2)


# --- timing -----------------------------------------------------------------------------------------------------------


def compare(
    name: str, ours: Timed, peers: dict[str, Timed | None], *, target: float | None = None, runs: int = 7
) -> None:
    """Time ours and every peer in turns and print the ratios; `target`: what the ratio is meant to be at least."""
    timed = {"ours": ours} | {peer: function for peer, function in peers.items() if function is not None}
    if runs > 1:
        for function in timed.values():
            function()
    times: dict[str, list[float]] = {who: [] for who in timed}
    for _ in range(runs):
        for who, function in timed.items():
            times[who].append(cpu_s(function))
    mine = min(times.pop("ours"))
    against = [f"{peer} {1000 * min(t):.4g} ms: {min(t) / mine:.3g}x" for peer, t in times.items()]
    against += [f"{peer}: not installed" for peer, function in peers.items() if function is None]
    wanted = f"  (target {target:g}x)" if target else ""
    print(f"  {'; '.join([f'{name}: {1000 * mine:.4g} ms', *against])}{wanted}", flush=True)


def cpu_s(function: Timed) -> float:
    started = time.process_time()
    function()
    return time.process_time() - started


def optional(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


def heading(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
