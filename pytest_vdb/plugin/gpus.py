"""GPUs of each worker, chosen before it imports anything: one, or as many as a clip is shared over."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from pytest_vdb.plugin.session import given, options_of

if TYPE_CHECKING:
    import pytest

    from pytest_vdb.options import Options


@lru_cache(maxsize=1)
def visible_gpus() -> tuple[str, ...]:
    """UUIDs of the GPUs that this process may use, in the order of `CUDA_VISIBLE_DEVICES`. Never initialises CUDA."""
    from pytest_vdb.results.environment import graphics

    cards, _, _ = graphics()
    return tuple(card.uuid for card in cards if card.uuid is not None)


def gpus_of_a_worker(config: pytest.Config) -> int:
    """One, or more by the recipe; who says nothing of it does not pay for the options to be read."""
    told = (str(text) for name in ("recipe", "sweep") for text in given(config, name).value or ())
    return options_of(config).devices_of_a_clip if any("parallel" in text for text in told) else 1


def number_of_workers(each: int) -> int | None:
    """What `-n auto` means: as many as there are GPUs for; None (pytest-xdist decides) without any, or when its
    variable is set."""
    gpus = visible_gpus()
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") or not gpus:
        return None
    return places(len(gpus), each)


def pin(specs: Sequence[object], each: int) -> None:
    """Every worker gets its GPUs; a replacement inherits its predecessor's spec, and so its GPUs."""
    gpus = visible_gpus()
    for index, spec in enumerate(specs):
        if gpus:
            own = own_of_worker(index, gpus, each)
            spec.env["CUDA_VISIBLE_DEVICES"] = ",".join(own)  # type: ignore[attr-defined]


def places(gpus: int, each: int) -> int:
    """How many workers have GPUs of their own; too few for one are one's."""
    return max(1, gpus // each)


def own_of_worker(index: int, gpus: Sequence[str], each: int) -> tuple[str, ...]:
    """The GPUs of one worker; beyond the last place they are shared from the first one on."""
    place = index % places(len(gpus), each)
    return tuple(gpus[place * each : (place + 1) * each])


def why_too_few(options: Options, gpus: int) -> str | None:
    """Why this machine cannot run the session; None: it can, or others run it, or it runs on processors."""
    each = options.devices_of_a_clip
    if each <= max(gpus, 1) or not gpus or options.on is not None or options.device == "cpu":
        return None
    what = f"parallel shares each clip over {each} GPUs, and {gpus} can be used here"
    return f"--vdb-recipe: {what}: give fewer, or run it elsewhere with --vdb-on"
