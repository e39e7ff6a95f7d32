"""What a worker and the controller tell each other besides pytest-xdist's own events, over a channel of its own.

execnet keeps the order of everything on one gateway: what is told before the collection ends has arrived by then.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

_CHANNEL = "vdb_channel"
"""Key of the worker's input under which the channel lies."""
_HEARERS = pytest.StashKey[list[Callable[[str, str], None]]]()
"""Who listens on a worker: a channel has one callback."""


def listen(node: WorkerController, hear: Callable[[str, str], None]) -> None:
    """Have `hear(topic, text)` called with what this worker tells; not on the main thread."""
    channel = node.gateway.newchannel()
    channel.setcallback(lambda told: hear(*told))
    node.workerinput[_CHANNEL] = channel


def tell(config: pytest.Config, topic: str, text: str) -> None:
    """Tell the controller; nothing happens where there is none."""
    channel = getattr(config, "workerinput", {}).get(_CHANNEL)
    if channel is not None:
        channel.send((topic, text))


def tell_worker(node: WorkerController, topic: str, text: str) -> None:
    """Tell a worker that is up; one that has died since hears nothing, nor will it ask."""
    with contextlib.suppress(OSError):
        node.workerinput[_CHANNEL].send((topic, text))


def listen_to_controller(config: pytest.Config, hear: Callable[[str, str], None]) -> None:
    """On a worker: have `hear(topic, text)` called with what the controller tells; not on the main thread."""
    channel = getattr(config, "workerinput", {}).get(_CHANNEL)
    hearers = config.stash.setdefault(_HEARERS, [])
    hearers.append(hear)
    if channel is not None and len(hearers) == 1:
        channel.setcallback(lambda told: _all_hear(hearers, *told))


def _all_hear(hearers: Iterable[Callable[[str, str], None]], topic: str, text: str) -> None:
    for hear in hearers:
        hear(topic, text)
