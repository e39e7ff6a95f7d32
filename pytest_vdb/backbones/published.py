"""Which networks' published weights are on this machine, and getting those that are not. Looking imports no torch."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pytest_vdb.backbones.contract import BackboneSource, BackboneSpec
from pytest_vdb.files import expanded, is_file

WEIGHTS_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".npz")


def find(spec: BackboneSpec, *, cache_dir: Path) -> Path | None:
    """The file of a network's published weights, where one is on this machine.

    None, too, where it publishes none. Only looks at names: whether the file is whole and fits is known when the
    network is opened.
    """
    if not spec.repository:
        return None
    if spec.repository.startswith("https://"):
        name = spec.repository.rpartition("/")[2]
        places = (cache_dir / "backbones" / name, _torch_checkpoints() / name)
        return next((place for place in places if is_file(place)), None)
    return next(iter(sorted(_hub_files(spec.repository))), None)


def is_here(spec: BackboneSpec, *, cache_dir: Path) -> bool:
    """Whether a network needs no download: its weights are on this machine, or it publishes none."""
    return not spec.repository or find(spec, cache_dir=cache_dir) is not None


def fetch(spec: BackboneSpec, *, cache_dir: Path) -> str:
    """Download what a network needs and open it once, so that a damaged file is noticed now; returns its identity.

    Raises:
        WeightsMissing: it cannot be had: no network, or the hub refused.
        WeightsBroken: what came cannot be read.
    """
    return spec.open(BackboneSource(cache_dir=cache_dir)).identity


def _hub_files(repository: str) -> Iterable[Path]:
    """The weights among the finished downloads of a repository: the hub's client links a file only when it is whole."""
    from huggingface_hub.constants import HF_HUB_CACHE

    snapshots = Path(HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}" / "snapshots"
    return (path for path in snapshots.glob("*/**/*") if path.suffix in WEIGHTS_SUFFIXES and is_file(path))


def _torch_checkpoints() -> Path:
    """Where torchvision keeps its downloads, by torch's own rule."""
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch"
    return expanded(home) / "hub" / "checkpoints"
