"""A session that outlives whoever started it would hold its GPU, and nobody would hear of it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from pytest_vdb.cluster.jobs import DIES_WITH

_PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that the kernel sends when the thread ends that started this process."""


def die_with_who_started_us() -> None:
    """From now on this process is told to go when that one ends, also by SIGKILL; Linux alone knows how."""
    parent = os.environ.pop(DIES_WITH, None)
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):  # it ended before it could be asked for
        os.kill(os.getpid(), signal.SIGTERM)
