"""The model's side of the protocol: JSON lines in on stdin, JSON lines out on stdout; see docs/isolated.md.

    python serve.py module:name
    python serve.py model.py:name

`name` is what `@model` tags: a class that is constructed without arguments and has `generate(prompt, recipe, seed)`,
or a function of these. It returns a clip: an object with `frames` and `fps`, or the two as a pair. A method
`load(recipe, device)` is called before the first clip.

One file that needs the standard library and numpy alone, and Python 3.8 or later: it runs where pytest-vdb cannot be
installed. There `from pytest_vdb import Clip, model` gives stand-ins, so a model's file needs no other text.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import pathlib
import sys
import traceback
import types
from typing import Any, NamedTuple

VERSION = 1
"""Of the protocol."""

MOST_CHARACTERS = 2000
"""Of a message or a note."""

_DIES_WITH_PARENT = 1
"""PR_SET_PDEATHSIG in <linux/prctl.h>."""


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
                "message": str(error)[:MOST_CHARACTERS],
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
        return {}

    def _generate(self, request: dict[str, Any]) -> dict[str, Any]:
        import numpy as np

        ask = getattr(self._object, "generate", self._object)
        prompt, recipe = (types.SimpleNamespace(**request[key]) for key in ("prompt", "recipe"))
        made = ask(prompt, recipe, request["seed"])
        frames, fps = (made.frames, made.fps) if hasattr(made, "frames") else made
        frames = np.ascontiguousarray(frames)
        np.save(request["clip"], frames, allow_pickle=False)
        notes = getattr(self._object, "notes", None) or ()
        return {
            "fps": float(fps),
            "shape": list(frames.shape),
            "dtype": str(frames.dtype),
            "notes": [str(note)[:MOST_CHARACTERS] for note in ((notes,) if isinstance(notes, str) else notes)],
            "peak_memory_mib": _peak_memory_mib(),
        }


def main(named: str) -> None:
    """Answer until `close` or the end of stdin."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the model and its libraries print is no answer
    sys.stdout = sys.stderr
    _end_with_parent()
    sys.path[0] = str(pathlib.Path.cwd())  # this file's folder holds other modules than the model's
    found = importlib.util.find_spec("pytest_vdb")
    if found is None or found.origin is None:  # a folder of that name is no package
        sys.modules["pytest_vdb"] = _stand_in()
    served = Served(named)
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "close":
            return
        answers.write(json.dumps(served.answer(request)) + "\n")
        answers.flush()


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
    main(sys.argv[1])
