"""What a worker tells the controller besides pytest-xdist's own events, over a channel of its own.

execnet keeps the order of everything on one gateway: what is told before the collection ends has arrived by then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

_CHANNEL = "vdb_channel"
"""Key of the worker's input under which the channel lies."""


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
