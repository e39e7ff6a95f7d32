"""Clips that machines share have reached their storage when a session ends, or it says that they have not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_vdb.escaping import visible
from pytest_vdb.plugin.session import SESSION
from pytest_vdb.plugin.stopping import Stopping

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

_SAID = "vdb_shared_clips"
"""Key of a worker's output: what it has to say."""
_PATIENCE_S = 60.0
_PATIENCE_OF_THE_STOPPED_S = 5.0
"""A machine that is taken away will be gone soon."""


class SharingClips:
    """On every process that makes clips, and on the controller of those."""

    def __init__(self, config: pytest.Config, stopping: Stopping) -> None:
        self.config = config
        self._stopping = stopping
        self._said: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """The last clips may be under way."""
        session = self.config.stash.get(SESSION, None)
        if session is None:
            return
        patience_s = _PATIENCE_S if self._stopping.signal is None else _PATIENCE_OF_THE_STOPPED_S
        said = session.settle_clips(patience_s)
        if hasattr(self.config, "workeroutput"):
            self.config.workeroutput[_SAID] = said
        self._said += said

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: WorkerController) -> None:
        """What a worker had to say."""
        self._said += getattr(node, "workeroutput", {}).get(_SAID, ())

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Each once."""
        for said in dict.fromkeys(self._said):
            terminalreporter.write_line(visible(f"vdb {said}"), yellow=True)
