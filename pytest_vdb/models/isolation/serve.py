"""The model's side of the protocol: JSON lines in on stdin, JSON lines out on stdout; see docs/isolated.md.

    python serve.py module:name
    python serve.py model.py:name
    python serve.py module:name 4

`name` is what `@model` tags: a class that is constructed without arguments and has `generate(prompt, recipe, seed)`,
or a function of these. It returns a clip: an object with `frames` and `fps`, or the two as a pair. A method
`load(recipe, device)` is called before the first clip.

With a number it is started by torchrun as so many ranks, which needs torch. Every rank has the model, is asked the same
and calls it; the first one speaks and writes the clip. What it asks of the others goes through torchrun's own store, so
whoever waits for a request waits in no collective. A rank that raises cannot know where the others are: the process is
ended then.

One file that needs the standard library and numpy alone, and Python 3.8 or later: it runs where pytest-vdb cannot be
installed. There `from pytest_vdb import Clip, model` gives stand-ins, so a model's file needs no other text.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib
import importlib.util
import json
import os
import pathlib
import secrets
import socket
import sys
import threading
import time
import traceback
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

VERSION = 1
"""Of the protocol."""

MOST_CHARACTERS = 2000
"""Of a message or a note."""

_DIES_WITH_PARENT = 1
"""PR_SET_PDEATHSIG in <linux/prctl.h>."""

_RANK = "rank"
"""In the place of the number: this process is one of them."""

_SECRET = "VDB_RANKS"
"""Variable that the ranks of one model share: what they tell each other is found by nobody else."""

_AS_LONG_AS_IT_TAKES = datetime.timedelta(days=365)
"""For a request, or for another rank: whoever asks has a limit of its own."""

_LOOK_EVERY_S = 0.05
_UNTIL_STUCK_S = 2.0
"""How long the first rank may go on after another one raised; then it waits in a collective that nobody ends."""


class Served:
    """The model behind the answers.

    Args:
        named: `module:name` or `file.py:name`.
    """

    def __init__(self, named: str) -> None:
        self._named = named
        self._object: Any = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """What is said to one request, a dict; an error is an answer, too."""
        try:
            said = {"hello": self._hello, "load": self._load, "generate": self._generate}[request["do"]](request)
            return dict(said, ok=True, id=request["id"])
        except Exception as error:  # noqa: BLE001 - whatever the model raises is an answer
            sys.stderr.write("".join(traceback.format_exception(type(error), error, error.__traceback__)[1:]))
            return {
                "ok": False,
                "id": request["id"],
                "type": "MemoryError" if isinstance(error, MemoryError) else type(error).__name__,
                "message": _as_json_text(error),
                "fatal": "CUDA error" in str(error),  # the process can use its device no more
            }

    def _hello(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["version"] != VERSION:
            raise ValueError("this server speaks version %d, not %r" % (VERSION, request["version"]))  # noqa: UP031
        return {"version": VERSION, "python": sys.version.split()[0], "packages": _installed_packages()}

    def _load(self, request: dict[str, Any]) -> dict[str, Any]:
        importlib.import_module("numpy")  # here, and not in the first clip's time
        target = _target(self._named)
        self._object = target() if isinstance(target, type) else target
        load = getattr(self._object, "load", None)
        if callable(load):
            load(types.SimpleNamespace(**request["recipe"]), request["device"])
        revision = getattr(self._object, "revision", None)
        return {} if revision is None else {"revision": str(revision)}

    def _generate(self, request: dict[str, Any]) -> dict[str, Any]:
        import numpy as np

        ask = getattr(self._object, "generate", self._object)
        prompt, recipe = (types.SimpleNamespace(**request[key]) for key in ("prompt", "recipe"))
        made = ask(prompt, recipe, request["seed"])
        frames, fps = (made.frames, made.fps) if hasattr(made, "frames") else made
        frames = np.ascontiguousarray(frames)
        if request["clip"] is not None:
            np.save(request["clip"], frames, allow_pickle=False)
        notes = getattr(self._object, "notes", None) or ()
        return {
            "fps": float(fps),
            "shape": list(frames.shape),
            "dtype": str(frames.dtype),
            "notes": [_as_json_text(note) for note in ((notes,) if isinstance(notes, str) else notes)],
            "peak_memory_mib": _peak_memory_mib(),
        }


class Ranks:
    """All ranks behind the answers of the first one.

    Args:
        served: this rank's own model.
    """

    def __init__(self, served: Served) -> None:
        import torch.distributed as dist

        self._served = served
        self._store, self._rank, self._size = next(iter(dist.rendezvous("env://")))
        self._asked = 0

    def lead(self, say: Callable[[dict[str, Any]], None], requests: Iterator[dict[str, Any]]) -> None:
        """Be the first rank: answer, and let the others do the same."""
        for request in requests:
            if request["do"] == "hello":
                say(self._served.answer(request))
                continue
            self._tell(dict(request, clip=None))
            with self._watched(request, say):
                said = self._answer(request)
                if said["ok"]:
                    said = self._agreed(request, said)
            say(dict(said, fatal=not said["ok"]))
        self._tell({"do": "close"})

    def follow(self) -> None:
        """Be another rank: do what the first one is asked, until it ends."""
        while True:
            self._asked += 1
            self._store.wait([self._key()], _AS_LONG_AS_IT_TAKES)
            request = json.loads(self._store.get(self._key()))
            if request["do"] == "close":
                return
            said = self._answer(request)
            self._store.set(self._key(self._rank if said["ok"] else "failed"), json.dumps(said))

    def _tell(self, request: dict[str, Any]) -> None:
        self._asked += 1
        self._store.set(self._key(), json.dumps(request))

    def _key(self, of: object = "asked") -> str:
        return "vdb/%s/%d/%s" % (os.environ[_SECRET], self._asked, of)  # noqa: UP031

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["do"] != "load":
            return self._served.answer(request)
        place = int(os.environ["LOCAL_RANK"])
        device = "cuda:%d" % place if request["device"].startswith("cuda") else request["device"]  # noqa: UP031
        self._join(device)
        return self._served.answer(dict(request, device=device))

    def _join(self, device: str) -> None:
        import torch
        import torch.distributed as dist

        backend = "gloo"
        if device.startswith("cuda"):
            torch.cuda.set_device(device)
            backend = "cpu:gloo,cuda:nccl"
        if not dist.is_initialized():
            own = dist.PrefixStore("group", self._store)
            dist.init_process_group(
                backend, store=own, rank=self._rank, world_size=self._size, timeout=_AS_LONG_AS_IT_TAKES
            )

    def _agreed(self, request: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
        """The first rank's answer once the others are done, too; or that of one that raised."""
        done = [self._key(rank) for rank in range(1, self._size)]
        pause = 0.0005
        while not self._store.check(done):
            if self._store.check([self._key("failed")]):
                return dict(json.loads(self._store.get(self._key("failed"))), id=request["id"])
            time.sleep(pause)
            pause = min(2 * pause, _LOOK_EVERY_S)
        peaks = [json.loads(self._store.get(key)).get("peak_memory_mib") for key in done]
        for key in (self._key(), *done):
            self._store.delete_key(key)
        if said.get("peak_memory_mib") is not None and None not in peaks:
            said["peak_memory_mib"] += sum(peaks)
        return said

    @contextlib.contextmanager
    def _watched(self, request: dict[str, Any], say: Callable[[dict[str, Any]], None]) -> Iterator[None]:
        """While the first rank is busy, look whether another one raised: it would be waited for without an end."""
        ended, failed = threading.Event(), self._key("failed")
        own = self._store  # where there can be, a connection of its own: the other one may be waiting
        if hasattr(own, "clone"):
            own = own.clone()

        def look() -> None:
            while not ended.wait(_LOOK_EVERY_S):
                if own.check([failed]) and not ended.wait(_UNTIL_STUCK_S):
                    say(dict(json.loads(own.get(failed)), id=request["id"], fatal=True))
                    os._exit(1)

        watcher = threading.Thread(target=look, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()


def main(named: str, ranks: str = "1") -> None:
    """Answer until `close` or the end of stdin.

    Args:
        named: `module:name` or `file.py:name`.
        ranks: how many processes; `rank` is one of them.
    """
    _end_with_parent()
    if ranks not in ("1", _RANK):
        _become_torchrun(named, ranks)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the model and its libraries print is no answer
    sys.stdout = sys.stderr
    sys.path[0] = str(pathlib.Path.cwd())  # this file's folder holds other modules than the model's
    found = importlib.util.find_spec("pytest_vdb")
    if found is None or found.origin is None:  # a folder of that name is no package
        sys.modules["pytest_vdb"] = _stand_in()
    served = Served(named)

    def say(said: dict[str, Any]) -> None:
        answers.write(json.dumps(said) + "\n")
        answers.flush()

    if ranks != _RANK:
        for request in _requests():
            say(served.answer(request))
    elif os.environ["RANK"] == "0":
        Ranks(served).lead(say, _requests())
    else:
        answers.close()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # torchrun gives every rank the same stdin
        Ranks(served).follow()


def _requests() -> Iterator[dict[str, Any]]:
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        if request["do"] == "close":
            return
        yield request


def _become_torchrun(named: str, ranks: str) -> None:
    """All ranks on this machine; torchrun ends the others when one is gone."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # behind a wall no name of the machine can be looked up
    os.environ[_SECRET] = secrets.token_hex(16)
    # its usual rendezvous unpickles what anybody who reaches its port has put there; this one keeps texts only
    store = ("--rdzv-backend", "static", "--rdzv-endpoint", "127.0.0.1:%d" % _free_port())  # noqa: UP031
    here = ("--nproc-per-node", ranks, *store)
    own = (str(pathlib.Path(__file__).resolve()), named, _RANK)
    os.execv(sys.executable, (sys.executable, "-m", "torch.distributed.run", *here, *own))


def _free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])


def _as_json_text(what: object) -> str:
    """As text that every JSON reader takes: half a pair of UTF-16, as in names of files, is none."""
    return str(what)[:MOST_CHARACTERS].encode("utf-8", "backslashreplace").decode()


def _target(named: str) -> Any:
    place, _, name = named.rpartition(":")
    if place.endswith(".py"):
        spec = importlib.util.spec_from_file_location(pathlib.Path(place).stem, place)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(place)
    return getattr(module, name)


def _installed_packages() -> dict[str, str]:
    from importlib import metadata

    found = ((one.metadata["Name"], one.version) for one in metadata.distributions())
    return {str(name): str(version) for name, version in found if name}


def _peak_memory_mib() -> float | None:
    """Of this process since it began, resident; None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _end_with_parent() -> None:
    """A session that was killed leaves nobody behind who holds the GPU."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, 9)


class _Clip(NamedTuple):
    frames: Any
    fps: float


def _stand_in() -> Any:
    """What a model's file needs of pytest-vdb to be imported without it."""
    module: Any = types.ModuleType("pytest_vdb")
    module.Clip = _Clip
    module.model = module.metric = module.backbone = module.isolated = lambda *_, **__: lambda target: target
    return module


if __name__ == "__main__":
    main(*sys.argv[1:])
