"""One GPU per worker, chosen before the worker imports anything."""

from __future__ import annotations

import os
from collections.abc import Sequence


def visible_gpus() -> list[str]:
    """UUIDs of the GPUs that this process may use, in the caller's own order. Never initialises CUDA.

    `CUDA_VISIBLE_DEVICES` holds indices or (abbreviated) UUIDs; an entry that names no GPU ends the list, as in CUDA.
    """
    uuids = _all_gpus()
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None or not uuids:
        return uuids
    visible: list[str] = []
    for entry in (part.strip() for part in chosen.split(",")):
        found = [uuids[int(entry)]] if entry.isdigit() and int(entry) < len(uuids) else _by_prefix(entry, uuids)
        if len(found) != 1:
            break
        visible += found
    return visible


def _by_prefix(entry: str, uuids: Sequence[str]) -> list[str]:
    return [uuid for uuid in uuids if entry and uuid.startswith(entry)]


def _all_gpus() -> list[str]:
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        return [_text(pynvml.nvmlDeviceGetUUID(handle)) for handle in handles]
    finally:
        pynvml.nvmlShutdown()


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def number_of_workers() -> int | None:
    """What `-n auto` means: the number of GPUs; None (pytest-xdist decides) without any or when its variable is set."""
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    return len(visible_gpus()) or None


def pin(specs: Sequence[object]) -> None:
    """Worker i gets GPU i modulo their number; a replacement inherits its predecessor's spec, and so its GPU."""
    gpus = visible_gpus()
    for index, spec in enumerate(specs):
        if gpus:
            spec.env["CUDA_VISIBLE_DEVICES"] = gpus[index % len(gpus)]  # type: ignore[attr-defined]
