"""What stands between an isolated model and the machine, as the command line that starts it.

bwrap is the wall: no network, of the file system the system's libraries and what is named, read-only, a process table
of its own, no environment. A container is one, too: Docker, Podman and Apptainer are written from documents and were
never tried. A venv is none: it separates dependencies.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pytest_vdb.errors import CardError, WallMissing
from pytest_vdb.files import is_file, is_folder, is_there
from pytest_vdb.models.isolation import serve
from pytest_vdb.models.isolation.settings import CONTAINERS, Isolation

NO_WALL = "a venv separates dependencies and holds nothing: the model reads, writes and sends what this session can"
UNTRIED_GPU = "graphics cards are handed through: written from documents, never tried"

EXCHANGE = "/exchange"
"""What the exchange folder is called behind a wall."""

_SERVER = "/vdb/serve.py"
_ALONE = "/vdb/model"
_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin")
_LINKER = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives")
_GRAPHICS = ("/dev/nvidia*", "/dev/dri", "/dev/kfd")
_HANDED_ON = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")
"""Of this session's environment: how many threads, and which card is this worker's."""
_OF_APPTAINER = ("APPTAINER", "SINGULARITY")
"""What the names of variables begin with that Apptainer obeys."""
_NOBODY = "65534"
_SECONDS = 60.0
"""For what asks a container's client, or tries the wall."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walled:
    """A command that is ready to be started."""

    command: tuple[str, ...]
    environment: dict[str, str]
    folder: str | None
    """The working folder, where the wall does not set it."""
    exchange: str
    """What the model calls the exchange folder."""
    notes: tuple[str, ...] = ()
    container: tuple[str, str] | None = None
    """Its client and its name."""

    def was_out_of_memory(self) -> bool:
        """What a container's engine says of its end."""
        return self.container is not None and self._asked("inspect", "-f", "{{.State.OOMKilled}}") == "true"

    def clear(self) -> None:
        """Remove the container: ending its client does not."""
        if self.container is not None:
            self._asked("rm", "-f")

    def _asked(self, *what: str) -> str:
        assert self.container is not None
        client, name = self.container
        try:
            ran = subprocess.run([client, *what, name], capture_output=True, text=True, timeout=_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return ran.stdout.strip()


def walled(isolation: Isolation, exchange: Path, ranks: int = 1) -> Walled:
    """The command line of a model behind its wall.

    Args:
        isolation: what its author said.
        exchange: the one folder that both sides write to.
        ranks: how many processes share each clip; a `command` of one's own sees to that itself.

    Raises:
        WallMissing: the wall's program is not here, or does not work here.
        CardError: the interpreter, the folder or a file that is named is not there.
    """
    if isolation.wall == "apptainer":
        return _in_apptainer(isolation, exchange, ranks)
    if isolation.wall in CONTAINERS:
        return _contained(isolation, exchange, ranks)
    return (_in_bwrap if isolation.wall == "bwrap" else _in_venv)(isolation, exchange, ranks)


@lru_cache(maxsize=1)
def why_no_bwrap() -> str | None:
    """Why bwrap builds no wall here; None: it does."""
    if shutil.which("bwrap") is None:
        return "bwrap is not installed"
    try:
        tried = subprocess.run(
            ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        return f"bwrap does not run: {problem}"
    return None if tried.returncode == 0 else f"bwrap builds no wall here: {tried.stderr.strip()}"


def graphics_cards() -> tuple[str, ...]:
    """The device files of graphics cards that are here."""
    return tuple(str(path) for pattern in _GRAPHICS for path in sorted(Path("/").glob(pattern.removeprefix("/"))))


def _in_venv(isolation: Isolation, exchange: Path, ranks: int) -> Walled:
    alone = str(_file_alone(isolation) or "")
    return Walled(
        command=_command_of(isolation, str(Path(serve.__file__).resolve()), alone, ranks),
        environment={**os.environ, **isolation.environment},
        folder=str(isolation.place or isolation.path(".")),
        exchange=str(exchange),
        notes=(NO_WALL,),
    )


def _in_bwrap(isolation: Isolation, exchange: Path, ranks: int) -> Walled:
    if (problem := why_no_bwrap()) is not None:
        raise WallMissing(
            problem, where=f"wall = {isolation.wall!r}", mend='apt install bubblewrap, or choose wall = "venv": no wall'
        )
    alone = _file_alone(isolation)
    inside = f"{_ALONE}/{alone.name}" if alone is not None else ""
    readable = [*_LINKER, *map(str, _readable(isolation))]
    cards = graphics_cards() if isolation.gpu else ()
    command = [
        *("bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"),
        *("--uid", _NOBODY, "--gid", _NOBODY, "--hostname", "model"),
        *(part for told in _environment_inside(isolation).items() for part in ("--setenv", *told)),
        *(part for system in _SYSTEM for part in _system_folder(Path(system))),
        *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"),
        *(part for path in readable for part in ("--ro-bind-try", path, path)),
        *("--ro-bind", str(Path(serve.__file__).resolve()), _SERVER),
        *(("--ro-bind", str(alone), inside) if alone is not None else ()),
        *(part for card in cards for part in ("--dev-bind-try", card, card)),
        *("--bind", str(exchange), EXCHANGE, "--chdir", str(isolation.place or (_ALONE if alone else EXCHANGE))),
        *_command_of(isolation, _SERVER, inside, ranks),
    ]
    return Walled(
        command=tuple(command),
        environment={"PATH": os.environ.get("PATH", os.defpath)},
        folder=None,
        exchange=EXCHANGE,
        notes=(UNTRIED_GPU,) if cards else (),
    )


def _contained(isolation: Isolation, exchange: Path, ranks: int) -> Walled:
    """Docker and Podman. Named and not removed by themselves, so that they can be asked whether memory ended them."""
    client, name = isolation.wall, f"vdb-{os.getpid()}-{secrets.token_hex(4)}"
    if shutil.which(client) is None:
        raise WallMissing(f"{client} is not installed", where=f"wall = {client!r}", mend="install it, or use bwrap")
    memory = () if isolation.memory_gib is None else (str(int(isolation.memory_gib * 2**30)),)
    cards = graphics_cards() if isolation.gpu else ()
    command = [
        *(client, "run", "--init", "--interactive", "--name", name, "--network", "none", "--read-only"),
        *("--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *("--user", f"{_NOBODY}:{_NOBODY}", "--pids-limit", str(isolation.pids)),
        *(part for size in memory for part in ("--memory", size, "--memory-swap", size)),
        *(() if isolation.cpus is None else ("--cpus", str(isolation.cpus))),
        *(() if not cards else ("--gpus", "all") if client == "docker" else ("--device", "nvidia.com/gpu=all")),
        *(part for key, value in _environment_inside(isolation).items() for part in ("--env", f"{key}={value}")),
        *(part for path in map(isolation.path, isolation.read) for part in ("--volume", f"{path}:{path}:ro")),
        *("--volume", f"{exchange}:{EXCHANGE}", str(isolation.image)),
        *(isolation.command or _told_ranks(ranks)),
    ]
    return Walled(
        command=tuple(command),
        environment=dict(os.environ),
        folder=None,
        exchange=EXCHANGE,
        notes=(UNTRIED_GPU,) if cards else (),
        container=(client, name),
    )


def _in_apptainer(isolation: Isolation, exchange: Path, ranks: int) -> Walled:
    """Apptainer has no engine that runs for it: its process is ended, and held by our own limits, as any other.

    Its own variables in this session's environment would open the wall (`APPTAINER_BIND`), so none goes along.

    Source: the manual pages of Apptainer 1.4, apptainer-run(1).
    """
    if shutil.which("apptainer") is None:
        raise WallMissing("apptainer is not installed", where="wall = 'apptainer'", mend="install it, or use bwrap")
    image = str(isolation.image)
    if "://" not in image:
        image = str(isolation.path(image))
        if not is_there(Path(image)):
            raise CardError(f"there is no image {image}", where="isolated", mend="build it: vdb isolate says how")
    cards = graphics_cards() if isolation.gpu else ()
    command = [
        *("apptainer", "--quiet", "run", "--containall", "--no-privs", "--net", "--network", "none"),
        *(("--nv",) if cards else ()),
        *(part for path in map(isolation.path, isolation.read) for part in ("--bind", f"{path}:{path}:ro")),
        *("--bind", f"{exchange}:{EXCHANGE}", image, *(isolation.command or _told_ranks(ranks))),
    ]
    own = {name: value for name, value in os.environ.items() if not name.startswith(_OF_APPTAINER)}
    inside = {name: value for name, value in _environment_inside(isolation).items() if name != "HOME"}  # its own matter
    return Walled(
        command=tuple(command),
        environment={**own, **{f"APPTAINERENV_{name}": value for name, value in inside.items()}},
        folder=None,
        exchange=EXCHANGE,
        notes=(UNTRIED_GPU,) if cards else (),
    )


def _command_of(isolation: Isolation, server: str, alone: str, ranks: int) -> tuple[str, ...]:
    """What is started behind the wall.

    Args:
        server: where our server lies there.
        alone: where the one file of the model lies there; empty: in its folder.
        ranks: how many processes.
    """
    if isolation.command:
        return isolation.command
    place, _, name = str(isolation.serve).rpartition(":")
    return str(_interpreter(isolation)), server, f"{alone or place}:{name}", *_told_ranks(ranks)


def _told_ranks(ranks: int) -> tuple[str, ...]:
    """What our server, and so an image that starts it, is told beside the model."""
    return (str(ranks),) if ranks > 1 else ()


def _file_alone(isolation: Isolation) -> Path | None:
    """The one file of a model that has no folder.

    Raises:
        CardError: it is not there, or it is a module, of which nobody knows where it lies.
    """
    if isolation.place is not None or isolation.command:
        if isolation.place is not None and not is_folder(isolation.place):
            raise CardError(f"there is no folder {isolation.place}", where="isolated", mend="name the model's folder")
        return None
    place = str(isolation.serve).rpartition(":")[0]
    path = isolation.path(place)
    if not place.endswith(".py") or not is_file(path):
        what = f"serve = {isolation.serve!r}: there is no file {place!r}"
        raise CardError(what, where=isolation.beside, mend="name a file, or the `folder` that the module lies in")
    return path.resolve()


def _interpreter(isolation: Isolation) -> Path:
    """The Python of the model: a venv's as it was named, because its link says where the venv is; else the file itself.

    Raises:
        CardError: there is none.
    """
    python = Path(sys.executable) if isolation.python is None else isolation.path(isolation.python)
    if not is_file(python):
        raise CardError(f"there is no Python {python}", where="isolated", mend="make the venv, or name its bin/python")
    return python if _is_of_venv(python) else python.resolve()


def _is_of_venv(python: Path) -> bool:
    return is_file(python.parent.parent / "pyvenv.cfg")


def _links_of(path: Path) -> Iterator[Path]:
    """A path and where its links lead, hop by hop."""
    while path.is_symlink():
        yield path
        path = path.parent / path.readlink()


def _readable(isolation: Isolation) -> Iterator[Path]:
    """What the model may read beside the system: its folder, its Python with all of it, and what is named."""
    if isolation.place is not None:
        yield isolation.place
    if not isolation.command:
        python = _interpreter(isolation)
        if _is_of_venv(python):
            yield python.parent.parent
            yield from (hop for hop in _links_of(python) if hop.parent != python.parent)
        yield python.resolve().parent.parent
    for told in isolation.read:
        path = isolation.path(told)
        if not is_there(path):
            raise CardError(f"there is no {path}", where="isolated: `read`", mend="name what is there")
        yield path


def _system_folder(path: Path) -> tuple[str, ...]:
    """As it is here: a link into `/usr`, or a folder, or nothing."""
    if path.is_symlink():
        return "--symlink", str(path.readlink()), str(path)
    return ("--ro-bind", str(path), str(path)) if is_folder(path) else ()


def _environment_inside(isolation: Isolation) -> Mapping[str, str]:
    """All that the model sees of an environment."""
    kept = {name: os.environ[name] for name in _HANDED_ON if name in os.environ}
    threads = {} if isolation.cpus is None else {"OMP_NUM_THREADS": str(isolation.cpus)}
    usual = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**usual, **kept, **threads, **isolation.environment}
