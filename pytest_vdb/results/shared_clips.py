"""Clips that machines share: an address behind the cache folder of each, so that one finds what another has made.

A thread sends what was made, so that no test waits for it; what is asked for and is not in the folder is waited for.
While the storage cannot be reached, every clip is a miss, and that is said once: the folder has it all the same.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from pytest_vdb import files
from pytest_vdb.errors import OutputError, StorageError
from pytest_vdb.storage import Storage

_AWAY_FOR_S = 60.0
"""How long a storage that did not answer is not asked again: its library may take minutes to say so."""


class SharedClips:
    """Files of a cache folder, and the storage that has them, too.

    Args:
        storage: whose objects have the names that the files have in the folder.
        folder: of this machine.
    """

    def __init__(self, storage: Storage, folder: Path) -> None:
        self.problems: list[str] = []
        """What did not reach the storage, or could not be asked for, and why."""
        self._storage = storage
        self._folder = folder
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="vdb-clips")
        self._sending: list[Future[None]] = []
        self._asked_from = 0.0
        """On the monotonic clock."""

    def fetch(self, names: Sequence[str]) -> bool:
        """Bring files into the folder.

        Args:
            names: the last one is there when all are.

        Returns:
            Whether they are in the folder now.
        """
        if time.monotonic() < self._asked_from:
            return False
        try:
            if not self._storage.has(names[-1]):
                return False
            for name in names:
                files.write(self._folder / name, self._storage.get(name))
        except (StorageError, OutputError) as problem:
            self._note(problem)
            return False
        return True

    def send(self, names: Sequence[str]) -> None:
        """Have the thread put files of the folder, the last one last."""
        self._sending.append(self._sender.submit(self._put, tuple(names)))

    def settle(self, patience_s: float) -> list[str]:
        """Wait until everything is sent.

        Args:
            patience_s: how long.

        Returns:
            What is wrong, a sentence each: nothing is lost by it but the sharing.
        """
        _, left = wait(self._sending, timeout=patience_s)
        self._sender.shutdown(wait=False, cancel_futures=True)
        late = [f"{len(left)} clips did not reach {self._storage.address} within {patience_s:g} s"] if left else []
        return [*dict.fromkeys(self.problems), *late]

    def _put(self, names: Sequence[str]) -> None:
        try:
            for name in names:
                self._storage.put(name, files.read_bytes(self._folder / name, error=OutputError))
        except (StorageError, OutputError) as problem:
            self._note(problem)

    def _note(self, problem: StorageError | OutputError) -> None:
        self.problems.append(f"shared clips: {problem}")
        self._asked_from = time.monotonic() + _AWAY_FOR_S
