"""A model in a process of its own, as any other model: asked for a clip, it hands on a file that the process wrote.

The file is read, never mapped: a process that cuts a mapped file short ends whoever looks at it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb import files
from pytest_vdb.arrays import read_open_npy
from pytest_vdb.errors import BadClip, CardError, PromptError, VdbError
from pytest_vdb.escaping import few, shortened, visible
from pytest_vdb.files import expanded
from pytest_vdb.models.card import ModelCard
from pytest_vdb.models.contract import ONE_BY_ONE, card_of, model
from pytest_vdb.models.isolation.child import Answer, Child
from pytest_vdb.models.isolation.emptying import emptied
from pytest_vdb.models.isolation.settings import WHERE, Isolation, read_settings
from pytest_vdb.models.isolation.walls import walled
from pytest_vdb.records import Clip, Prompt, Recipe, digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PREFIX = "isolated:"
"""How a selection names a folder with a card of an isolated model."""

CARD = "isolated.toml"
"""The card in that folder."""

_FAST = Path("/dev/shm")
_TOLD_PACKAGES = ("numpy", "torch", "diffusers", "transformers")
"""Those that a record names; the fingerprint has them all."""
_FOR_ALL = 0o777
_MOST_NOTES = 8
_LONGEST_NOTE = 300


class IsolatedModel:
    """Behind the `Model` protocol.

    Args:
        name: of the model.
        isolation: what to start, and how it is held.
        device: where it shall run, e.g. `cuda:0`.
    """

    pipeline: Any = None
    runs_elsewhere = True

    def __init__(self, name: str, isolation: Isolation, device: str) -> None:
        self._name = name
        self._isolation = isolation
        self._device = device
        self._child: Child | None = None
        self._exchange: _Exchange | None = None
        self._hello: Answer | None = None
        self.notes_of_clip: tuple[str, ...] = ()
        """What it said of the last clip."""
        self.revision: str | None = None
        self.devices = 1
        """Over how many its clips are shared."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Behind which wall, with which packages, what the limits do not hold, and what was said of the clip."""
        if self._child is None or self._hello is None:
            return self.notes_of_clip
        process = _sentence_of_process(self._isolation, self._hello, self.devices)
        return (process, *self._child.notes, *self.notes_of_clip)

    @property
    def has_ended(self) -> bool:
        """Whether its process was started and is gone: whoever asks next pays for another start."""
        return self._child is not None and self._child.has_ended

    def load(self, recipe: Recipe) -> None:
        """Start the process and have it load the model.

        Raises:
            WallMissing: the wall cannot be built here.
            ModelProcessError: the process cannot be started, or loading raised.
        """
        self.close()
        self._exchange = _Exchange()
        self.devices = recipe.devices
        asked = {"do": "load", "recipe": dataclasses.asdict(recipe), "device": self._device}
        try:
            self._child, self._hello = _greeted(self._name, self._isolation, self._exchange, self.devices)
            revision = self._child.ask(asked, self._isolation.start_seconds).revision
        except BaseException:
            self.close()
            raise
        self.revision = None if revision is None else _short(revision)

    def generate(self, prompt: Prompt, recipe: Recipe, seed: int) -> Clip:
        """Ask the process; one that is not there, or has ended, is started first.

        Raises:
            ModelProcessError, ModelOutOfMemory: see `Child.ask`.
            BadClip: what it wrote is no clip.
        """
        if self._child is None or self._child.has_ended:
            self.load(recipe)
        assert self._child is not None
        assert self._exchange is not None
        self.notes_of_clip = ()
        asked = {
            "do": "generate",
            "prompt": self._exchange.prompt_inside(prompt, self._child.exchange),
            "recipe": dataclasses.asdict(recipe),
            "seed": seed,
            "clip": f"{self._child.exchange}/{_Exchange.CLIP}",
        }
        try:
            said = self._child.ask(asked, self._isolation.seconds)
            frames = self._exchange.frames(said, where=f"model {self._name}")
        finally:
            if not self._exchange.clear():  # it fills the folder as fast as it is emptied
                self._child.kill()
        self.notes_of_clip = _notes_of_clip(said, self.devices)
        try:
            return Clip(frames, 0.0 if said.fps is None else said.fps)
        except BadClip as error:
            raise BadClip(error.what, where=f"model {self._name}", mend=error.mend) from None

    def generate_batch(self, prompts: Sequence[Prompt], recipe: Recipe, seeds: Sequence[int]) -> tuple[Clip, ...]:
        """One after another: the protocol has no batch."""
        clips = tuple(self.generate(prompt, recipe, seed) for prompt, seed in zip(prompts, seeds, strict=True))
        self.notes_of_clip = (*self.notes_of_clip, ONE_BY_ONE)
        return clips

    def close(self) -> None:
        """End the process and remove what it wrote."""
        child, exchange, self._child, self._exchange = self._child, self._exchange, None, None
        if child is not None:
            child.close()
        if exchange is not None:
            exchange.close()


class _Exchange:
    """The one folder that both sides write to; nobody but the two reaches it."""

    CLIP = "clip.npy"
    NAME = "vdb-exchange-"

    def __init__(self) -> None:
        place = _FAST if os.access(_FAST, os.W_OK) else Path(tempfile.gettempdir())
        _sweep(place, self.NAME)
        while True:  # between making and locking, another session may take it for one that was left
            self._kept = tempfile.TemporaryDirectory(prefix=self.NAME, dir=place, ignore_cleanup_errors=True)
            self._lock = _locked(Path(self._kept.name), wait=True)
            self.folder = Path(self._kept.name) / "shared"
            try:
                self.folder.mkdir()
                break
            except FileNotFoundError:
                self.close()
        self.folder.chmod(_FOR_ALL)  # a container's user is another one; the folder around it is ours alone

    def frames(self, said: Answer, *, where: str) -> NDArray[np.uint8]:
        """What the process wrote: a plain file, of the shape and type that it said.

        Raises:
            BadClip: what it is instead.
        """
        path = self.folder / self.CLIP
        try:
            number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as problem:
            raise BadClip(f"its clip is no plain file: {problem.strerror}", where=where, mend=_MEND) from None
        if not stat.S_ISREG(os.fstat(number).st_mode):
            os.close(number)
            raise BadClip("its clip is no plain file", where=where, mend=_MEND)
        with os.fdopen(number, "rb") as file:
            array = read_open_npy(file, where=f"{where}: its clip", error=BadClip, mend=_MEND)
        if (array.shape, str(array.dtype)) != (said.shape, said.dtype):
            told = f"{said.dtype} {said.shape}"
            raise BadClip(f"it wrote {array.dtype} {array.shape} and said {visible(told)}", where=where, mend=_MEND)
        return array

    def prompt_inside(self, prompt: Prompt, inside: str) -> dict[str, Any]:
        """A prompt whose conditioning files lie where the process can read them.

        Raises:
            PromptError: one of them cannot be read.
        """
        told = dataclasses.asdict(prompt)
        for kind in ("image", "video"):
            if told[kind] is not None:
                source = Path(told[kind])
                name = f"{kind}{source.suffix}"
                files.write(self.folder / name, files.read_bytes(source, error=PromptError))
                told[kind] = f"{inside}/{name}"
        return told

    def clear(self) -> bool:
        """Remove all that lies in it, whatever it is; whether that was possible."""
        self.folder.chmod(_FOR_ALL)  # the process may have shut us out
        return emptied(self.folder)

    def close(self) -> None:
        """Remove it."""
        with contextlib.suppress(OSError):  # it may be gone
            self.clear()
        self._kept.cleanup()
        if self._lock is not None:
            os.close(self._lock)


_MEND = "write the frames as uint8 (T, H, W, 3) by numpy.save to the path that was asked for"


def card_of_folder(term: str, beside: Path | None = None) -> tuple[ModelCard, Isolation]:
    """The card of `isolated:FOLDER`, which holds an `isolated.toml` with the tables `[model]` and `[isolated]`.

    Args:
        term: as it was selected.
        beside: what a relative FOLDER is relative to; the working folder if not given.

    Raises:
        CardError: no such file, or what is wrong in it.
    """
    folder = (beside or Path.cwd()).joinpath(expanded(term.removeprefix(PREFIX))).resolve()
    path = folder / CARD
    table = files.read_toml(path, error=CardError, mend=f"write one: vdb isolate MODEL -o {folder}")
    about, settings = table.get("model", {}), table.get(WHERE, {})
    if not isinstance(about, dict) or not isinstance(settings, dict) or table.keys() - {"model", WHERE}:
        raise CardError(f"its tables are [model] and [{WHERE}]", where=path, mend="see docs/isolated.md")
    isolation = read_settings({"folder": ".", **settings}, beside=folder, where=f"{path}: [{WHERE}]")
    return _card_of_table(about, path), isolation


def fingerprint(name: str, isolation: Isolation) -> str:
    """Changes with what the process is started from, with the model's own files, and with the packages that it has.

    Starts it for one question.

    Raises:
        WallMissing, ModelProcessError: as `IsolatedModel.load`.
    """
    exchange = _Exchange()
    try:
        child, hello = _greeted(name, isolation, exchange)
        child.close()
    finally:
        exchange.close()
    settings = dataclasses.asdict(isolation)
    of_pixels = {key: settings[key] for key in ("serve", "command", "wall", "image", "read", "cpus")}
    environment = sorted(isolation.environment.items())
    return digest([of_pixels, environment, hello.python, sorted(hello.packages.items()), _own_texts(isolation)])


def _greeted(name: str, isolation: Isolation, exchange: _Exchange, ranks: int = 1) -> tuple[Child, Answer]:
    of_all = dataclasses.replace(isolation, pids=ranks * isolation.pids)
    child = Child(name, of_all, walled(isolation, exchange.folder, ranks))
    try:
        return child, child.hello(isolation.start_seconds)
    except BaseException:
        child.kill()
        raise


def _own_texts(isolation: Isolation) -> list[str]:
    """The Python files of the model's folder but for those of a venv in it, or its one file."""
    place = isolation.place
    if place is None:
        named = [isolation.path(str(isolation.serve).rpartition(":")[0])] if isolation.serve else []
        return [files.read_text(path, error=CardError) for path in named if files.is_file(path)]
    venvs = {path.parent for path in place.rglob("pyvenv.cfg")}
    own = (path for path in sorted(place.rglob("*.py")) if not venvs.intersection(path.parents))
    return [f"{path.relative_to(place)}\n{path.read_text(encoding='utf-8', errors='replace')}" for path in own]


def _card_of_table(about: dict[str, Any], path: Path) -> ModelCard:
    told = dict(about)
    name, notes, defaults = told.pop("name", path.parent.name), told.pop("notes", ""), told.pop("defaults", {})
    family = told.pop("family", WHERE)
    if not all(isinstance(text, str) for text in (name, notes, family)) or not isinstance(defaults, dict):
        raise CardError("`name`, `notes` and `family` are texts, `defaults` is a table", where=path)
    if isinstance(told.get("tags"), list):
        told["tags"] = tuple(told["tags"])
    try:
        tagged = model(name, **told, **defaults)(type("Isolated", (), {}))
    except VdbError as error:
        raise CardError(error.what, where=f"{path}: [model]", mend=error.mend) from None
    except TypeError as error:  # a setting that is given twice, or no text for a key
        raise CardError(str(error), where=f"{path}: [model]") from None
    card = card_of(tagged)
    assert card is not None
    return dataclasses.replace(card, family=family, notes=notes, where=str(path))


def _sentence_of_process(isolation: Isolation, hello: Answer, ranks: int) -> str:
    versions = {name.lower(): version for name, version in hello.packages.items()}
    told = [f"{name} {versions[name]}" for name in _TOLD_PACKAGES if name in versions]
    processes = "a process" if ranks == 1 else f"{ranks} processes"
    return _short(f"in {processes} of its own ({isolation.wall}): {few([f'Python {hello.python}', *told])}")


def _notes_of_clip(said: Answer, ranks: int) -> tuple[str, ...]:
    own = tuple(_short(note) for note in said.notes[:_MOST_NOTES])
    if said.peak_memory_mib is None:
        return own
    who = "its process has" if ranks == 1 else f"its {ranks} processes have together"
    return (*own, _short(f"{who} held {said.peak_memory_mib:.0f} MiB at most since it began"))


def _short(text: str) -> str:
    return shortened(visible(text), _LONGEST_NOTE)


def _locked(folder: Path, *, wait: bool = False) -> int | None:
    """A lock on a folder for as long as this process lives; None: somebody has it, or there are no locks here.

    Args:
        wait: until nobody else has it.
    """
    try:
        import fcntl

        number = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(number, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(number)
        return None
    return number


def _sweep(place: Path, name: str) -> None:
    """Remove the folders of sessions that were killed: what lies in them is memory."""
    for folder in place.glob(f"{name}*"):
        number = _locked(folder)
        if number is not None:
            with contextlib.suppress(OSError):  # another session sweeps, too
                emptied(folder)
                folder.rmdir()
            os.close(number)
