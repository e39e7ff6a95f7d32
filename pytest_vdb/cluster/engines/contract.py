"""What an engine is: how many shards it runs at a time, and a way to run them. Placement, retries, queues are its own.

A new engine is a module with an `ENGINE` in this room, or an `Engine` as an entry point of the group
`pytest_vdb.engines`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_vdb.cluster.running import Task
from pytest_vdb.errors import EngineError

RETRIES = 3
"""How often an engine tries a shard again whose session died: a test that kills is quarantined after three."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """What the user said of the machines."""

    workers: int | None = None
    """Shards at a time; None: as many as the engine has places for."""
    gpus: int | None = None
    """Of each shard; None: one where there are any."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The engine's own, from its table in the file of machines."""


class Tasks(list[Task]):
    """What an engine is given to run, in this order; one that grows asks for `more` whenever it looks up.

    Args:
        tasks: to begin with.
        ask: what else there is by now, and nothing that it has told before.
    """

    def __init__(self, tasks: Iterable[Task], ask: Callable[[], Iterable[Task]] = tuple) -> None:
        super().__init__(tasks)
        self._ask = ask

    def more(self) -> list[Task]:
        """Tasks that shall be run besides, each told once."""
        found = list(self._ask())
        self.extend(found)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What became of a task."""

    task: Task
    problem: str | None = None
    """Why the engine has given it up; None: its session ended as sessions do."""
    tries: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One way to run shards."""

    name: str
    """As `--vdb-on` takes it."""
    extra: str | None
    """Of this package, which brings its library; None: it needs none."""
    workers: Callable[[Machines], int]
    """How many shards it will run at a time."""
    gpus: Callable[[Machines], int]
    """How many GPUs each of them has for itself; 0: it runs on processors."""
    run: Callable[[Tasks, Machines], Generator[Ended]]
    """Yields each task as it ends; closed early, it ends what still runs."""
    grows: bool = False
    """Whether `run` asks for more tasks while it runs: then what is left of a shard is split when workers idle."""


def needs_library(engine: str, problem: ImportError) -> EngineError:
    """The sentence of an engine whose library is not installed."""
    mend = f"pip install 'pytest-vdb[{engine}]'"
    return EngineError(f"{engine} needs a library that is not installed: {problem}", where="--vdb-on", mend=mend)
