"""How much a process and all that it starts may use: a control group where one can be made, else the process's own.

Version 1 and 2 of Linux's control groups. Without one the limit is of addresses (`RLIMIT_AS`): what a process reserves
and never touches counts, and each of its processes has the limit for itself. The launcher is `sh`, whose `exec` keeps
the process: whoever is started is held from its first instruction on.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_vdb.files import is_file, is_folder

GROUPS = Path("/sys/fs/cgroup")

NO_GROUP = "no control group can be made here"

_ENTER = 'for group in $1; do echo $$ > "$group/cgroup.procs" || exit 125; done; shift; exec "$@"'
_WITHIN = 'ulimit -v "$1" && ulimit -f "$2" && shift 2 && exec "$@"'
_NAME = "vdb-"
_BLOCK = 512
"""Bytes that `ulimit -f` counts in (POSIX)."""
_CPU_PERIOD_US = 100_000
_TRIES = 50
"""To remove a group: its last process is gone a moment after it was killed."""


@dataclass(frozen=True, slots=True)
class Group:
    """Control groups of one process: one of version 2, or one per controller of version 1."""

    folders: tuple[Path, ...]

    def oom_kills(self) -> int:
        """How often the kernel ended a process of it for its memory."""
        for folder in self.folders:
            for name in ("memory.events", "memory.oom_control"):
                with contextlib.suppress(OSError, ValueError):
                    for line in (folder / name).read_text().splitlines():
                        if line.startswith("oom_kill "):
                            return int(line.split()[1])
        return 0

    def remove(self) -> None:
        """End whoever is still in it, as those that left their parents are; a group that will not go stays."""
        for folder in self.folders:
            for _ in range(_TRIES):
                _end_all_in(folder)
                try:
                    folder.rmdir()
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.01)


def _end_all_in(group: Path) -> None:
    with contextlib.suppress(OSError, ValueError):
        for number in map(int, (group / "cgroup.procs").read_text().split()):
            if number > 0:  # 0 is somebody whom this process cannot see, and to a signal this process's own group
                os.kill(number, signal.SIGKILL)


def grouped(memory: int | None, pids: int, cpus: int | None, groups: Path = GROUPS) -> Group | None:
    """A new group with these limits; None where none can be made.

    Args:
        memory: bytes, without swap.
        pids: processes and threads.
        cpus: how many may be busy at once.
        groups: where the kernel shows its groups.
    """
    name = f"{_NAME}{os.getpid()}-{secrets.token_hex(4)}"
    own = dict(_own_groups())
    if is_file(groups / "cgroup.controllers"):
        return _made_groups([(_below(groups, own.get("", "")) / name, _values_of_version_2(memory, pids, cpus))])
    wanted = {"memory": _memory_of_version_1(memory), "pids": [("pids.max", str(pids))], "cpu": _cpu_of_version_1(cpus)}
    places = {kind: _below(groups / kind, own.get(kind, "")) / name for kind in wanted}
    return _made_groups([(places[kind], values) for kind, values in wanted.items() if values])


def _remove_left_over(place: Path) -> None:
    """The groups of sessions that were killed; one that has a process is not removed by the kernel."""
    import psutil

    for folder in place.glob(f"{_NAME}*-*"):
        number = folder.name.removeprefix(_NAME).partition("-")[0]
        if number.isdigit() and not psutil.pid_exists(int(number)):
            with contextlib.suppress(OSError):
                folder.rmdir()


def _below(controller: Path, own: str) -> Path:
    """This process's own group, so that what holds it holds what it starts; the top where a container hides it."""
    return controller / own if is_folder(controller / own) else controller


def launcher(group: Group | None, memory: int | None, file_size: int) -> tuple[list[str], str | None]:
    """What stands before a command so that it is held; and what that does not hold, in words.

    Args:
        group: its own.
        memory: bytes.
        file_size: bytes of the largest file that it may write, where there is no group.
    """
    if group is not None:
        return ["sh", "-c", _ENTER, "sh", " ".join(map(str, group.folders))], None
    held = f"its memory is held by addresses (RLIMIT_AS), process by process: {NO_GROUP}" if memory else NO_GROUP
    addresses = str(memory // 1024) if memory else "unlimited"
    return ["sh", "-c", _WITHIN, "sh", addresses, str(file_size // _BLOCK)], f"{held}; its processes are not counted"


def _own_groups() -> Iterable[tuple[str, str]]:
    """Controller (empty: version 2) and this process's own group, relative."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            for kind in kinds.split(","):
                yield kind, path.strip("/")


def _values_of_version_2(memory: int | None, pids: int, cpus: int | None) -> list[tuple[str, str]]:
    values = [("pids.max", str(pids))]
    if memory:
        values += [("memory.max", str(memory)), ("memory.swap.max", "0")]
    if cpus:
        values += [("cpu.max", f"{cpus * _CPU_PERIOD_US} {_CPU_PERIOD_US}")]
    return values


def _memory_of_version_1(memory: int | None) -> list[tuple[str, str]]:
    return [("memory.limit_in_bytes", str(memory)), ("memory.memsw.limit_in_bytes", str(memory))] if memory else []


def _cpu_of_version_1(cpus: int | None) -> list[tuple[str, str]]:
    if not cpus:
        return []
    return [("cpu.cfs_period_us", str(_CPU_PERIOD_US)), ("cpu.cfs_quota_us", str(cpus * _CPU_PERIOD_US))]


_WHERE_THERE_IS_SWAP = ("memory.memsw.limit_in_bytes", "memory.swap.max")
"""Files that a kernel without swap accounting does not have."""


def _made_groups(wanted: Sequence[tuple[Path, list[tuple[str, str]]]]) -> Group | None:
    """Every group with its values, or none of them."""
    group = Group(tuple(folder for folder, _ in wanted))
    try:
        for folder, values in wanted:
            _remove_left_over(folder.parent)
            folder.mkdir()
            for name, value in values:
                if name not in _WHERE_THERE_IS_SWAP or os.access(folder / name, os.W_OK):
                    (folder / name).write_text(value)
    except OSError:  # not ours to make, or a controller that is not handed down
        group.remove()
        return None
    return group
