"""What is said of an isolated model: what to start, behind which wall, and how much it may use."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import msgspec

from pytest_vdb.errors import CardError, UnknownName
from pytest_vdb.files import expanded

Wall = Literal["bwrap", "venv", "docker", "podman", "apptainer"]

CONTAINERS = ("docker", "podman", "apptainer")
"""Walls with an image, which brings its own server."""

_PARTS_OF_A_MOUNT = frozenset(":,")

_MOST = {"memory_gib": 2**20, "seconds": 10**7, "start_seconds": 10**7, "cpus": 2**16, "pids": 2**16}
"""What a system takes as a limit; more is no limit but an error somewhere else."""

_TAG = "__vdb_isolation__"

Target = TypeVar("Target", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolation:
    """How a model's process is started and held. Paths are relative to the file that says them."""

    serve: str | None = None
    """What is asked for clips, as `module:name` or `file.py:name`; None: what `@isolated` stands on."""
    command: tuple[str, ...] = ()
    """A server of one's own instead of `serve`: it speaks the protocol of docs/isolated.md."""
    python: str | None = None
    """The interpreter of `serve`; None: the one of this session."""
    folder: str | None = None
    """Where the model's files lie: read-only, and the working folder. None: the file of `serve` alone."""
    wall: Wall = "bwrap"
    image: str | None = None
    """Of a container; of Apptainer a file, or an address with `://`."""
    read: tuple[str, ...] = ()
    """Further folders and files that it may read, e.g. of weights."""
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)
    memory_gib: float | None = None
    """None: as much as there is."""
    seconds: float = 3600.0
    """For one clip."""
    start_seconds: float = 600.0
    """To start, and to load."""
    cpus: int | None = None
    """None: all."""
    pids: int = 512
    """Processes and threads."""
    gpu: bool = True
    """Whether it sees the graphics cards, where there are any."""
    beside: str = "."
    """The folder of the file that says all this: set by whoever reads it."""

    def __post_init__(self) -> None:
        for name, most in _MOST.items():
            value = getattr(self, name)
            if value is not None and not 0 < value <= most:
                mend = f"give a number above 0, of at most {most:,}"
                raise CardError(f"`{name}` is {value}", where=WHERE, mend=mend)
        if self.wall in CONTAINERS and not self.image:
            raise CardError(f"wall = {self.wall!r} without an `image`", where=WHERE, mend="name the image")
        for name in self.environment:
            if not name or "=" in name:
                raise CardError(
                    f"no variable can be called {name!r}", where=WHERE, mend="environment = {NAME = 'VALUE'}"
                )
        for text in filter(None, self._texts()):
            if "\0" in text:
                raise CardError(f"{text!r} has a null byte", where=WHERE, mend="leave it away")
        for told in self.read if self.wall in CONTAINERS else ():
            if set(str(self.path(told))) & _PARTS_OF_A_MOUNT:
                mend = f"{self.wall} takes what follows a colon or a comma for an option: rename it"
                raise CardError(f"`read` has {str(self.path(told))!r}", where=WHERE, mend=mend)

    def _texts(self) -> tuple[str | None, ...]:
        named = (self.serve, self.python, self.folder, self.image)
        return (*named, *self.command, *self.read, *self.environment, *self.environment.values())

    def path(self, told: str) -> Path:
        """A path as it was told, made absolute; symbolic links stay, because a venv's interpreter is one."""
        return Path(self.beside).absolute() / expanded(told)

    @property
    def place(self) -> Path | None:
        """The model's folder."""
        return None if self.folder is None else self.path(self.folder).resolve()


WHERE = "isolated"
"""Where an error in these settings comes from."""

_KNOWN = tuple(field.name for field in dataclasses.fields(Isolation) if field.name != "beside")


def isolated(**settings: Any) -> Callable[[Target], Target]:
    """Run what `@model` tags in a process of its own, behind a wall; it stays the plain class or function.

    Without `serve` or `command` the process imports the file in which this stands: that file is then imported twice, in
    this process and in the other one. A model that nobody trusts lies in a file of its own, which `serve` names.

    Args:
        settings: `serve`, `command`, `python`, `folder`, `wall`, `image`, `read`, `environment`, `memory_gib`,
            `seconds`, `start_seconds`, `cpus`, `pids`, `gpu`: see docs/isolated.md.

    Raises:
        CardError: a setting that there is not, or of a wrong value.
    """
    caller = inspect.currentframe()
    here = Path(caller.f_back.f_code.co_filename if caller is not None and caller.f_back is not None else ".")

    def tag(target: Target) -> Target:
        itself = {} if {"serve", "command"} & settings.keys() else {"serve": f"{here.name}:{target.__qualname__}"}
        setattr(target, _TAG, read_settings({**itself, **settings}, beside=here.parent, where=f"@{WHERE} in {here}"))
        return target

    return tag


def isolation_of(target: object) -> Isolation | None:
    """What `@isolated` said of it; None: nothing."""
    told = vars(target).get(_TAG) if hasattr(target, "__dict__") else None
    return told if isinstance(told, Isolation) else None


def read_settings(table: Mapping[str, Any], *, beside: Path, where: str | Path) -> Isolation:
    """Settings by name.

    Args:
        table: of plain values.
        beside: the folder that relative paths start from.
        where: for errors.

    Raises:
        CardError: with the setting.
    """
    for key in table:
        if key not in _KNOWN:
            misses = UnknownName("setting", key, _KNOWN)
            raise CardError(misses.what, where=where, mend=misses.mend or f"known: {', '.join(_KNOWN)}")
    wall = table.get("wall", "bwrap")
    if wall not in get_args(Wall):
        misses = UnknownName("wall", str(wall), get_args(Wall))
        raise CardError(misses.what, where=where, mend=misses.mend or f"one of: {', '.join(get_args(Wall))}")
    if ("serve" in table) == ("command" in table) and wall not in CONTAINERS:
        raise CardError("needs either `serve` or `command`", where=where, mend='e.g. serve = "model:Noise"')
    try:
        return msgspec.convert({**table, "beside": str(beside)}, Isolation)
    except CardError as error:
        raise CardError(error.what, where=where, mend=error.mend) from None
    except (msgspec.ValidationError, TypeError) as error:
        raise CardError(str(error).replace(" - at `$.", ", in `"), where=where) from None
