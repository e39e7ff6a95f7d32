"""Where a model's weights are taken from, as one session has it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pytest_vdb.records import WeightsMode


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsSource:
    """Where a model's weights are taken from and where they go."""

    mode: WeightsMode
    device: str
    """A torch device, e.g. `cpu` or `cuda:0`."""
    cache_dir: Path
    """Where `tiny` weights are kept between runs, and what was verified of the downloaded ones."""
    local_dir: Path | None = None
    """For `local`: a folder with one folder per model, or one model's own folder."""
    offline: bool = False
    """Never ask the hub, even for `hub` weights: what is not on this machine is missing."""
    trust_remote_code: bool = False
    """Let a repository's own Python code run. Off, and there is no need for it in the catalogue."""
