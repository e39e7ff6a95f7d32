"""What machines share: a folder, or any address that fsspec knows (`s3://bucket/job`, `gs://`, `az://`, `memory://`).

Object stores can neither append nor rename, so an object has one writer, who puts it whole. Every trouble of theirs is
one kind of error, `StorageError`: who cannot reach a storage waits and tries again, whichever library says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pytest_vdb import files
from pytest_vdb.errors import OutputError, StorageError

Answer = TypeVar("Answer")

_AT_ONCE = 16
"""Objects that are asked for at a time: each costs a round trip."""
_AWAY_FOR_S = 120.0
"""How long a storage that is away is waited for."""
_ASKED_AGAIN_S = 2.0
_EXTRAS = {"s3": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure"}
"""Protocol -> the extra that brings its library."""


class Storage(Protocol):
    """Objects by their names, which are relative and have slashes."""

    address: str

    def put(self, name: str, data: bytes) -> None:
        """Write an object, whole or not at all.

        Raises:
            StorageError: the storage did not take it, or cannot be reached.
        """

    def get(self, name: str) -> bytes:
        """An object.

        Raises:
            StorageError: there is none, or the storage cannot be reached.
        """

    def names(self, below: str) -> list[str]:
        """The objects below a name, in order; none where there is nothing.

        Raises:
            StorageError: the storage cannot be reached.
        """

    def has(self, name: str) -> bool:
        """Whether an object is there.

        Raises:
            StorageError: the storage cannot be reached.
        """

    def remove(self, name: str) -> None:
        """Take an object away; nothing happens where there is none.

        Raises:
            StorageError: the storage cannot be reached, or does not let go of it.
        """


def storage_at(address: str, *, folder: Path | None = None) -> Storage:
    """The storage at a folder or an address.

    Args:
        address: as the user gave it.
        folder: what a relative path is relative to; the working folder if not given.

    Raises:
        StorageError: the library of that kind of storage is not installed.
    """
    if "://" not in address or address.startswith("file://"):
        path = files.expanded(address.removeprefix("file://"))
        return Folder(((folder or Path.cwd()) / path).absolute())
    return Remote(address.rstrip("/"))


def get_all(storage: Storage, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Objects with their names, in order; several are under way at a time where each costs a round trip.

    Raises:
        StorageError: one of them cannot be read.
    """
    names = list(names)
    if isinstance(storage, Folder):
        for name in names:
            yield name, storage.get(name)
        return
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from zip(names, pool.map(storage.get, names), strict=True)


def put_all(storage: Storage, objects: Iterable[tuple[str, bytes]]) -> None:
    """Write objects, several at a time.

    Raises:
        StorageError: one of them was not taken.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda one: storage.put(*one), objects))


def patiently(ask: Callable[[], Answer]) -> Answer:
    """The answer of a storage that may be away for a while.

    Raises:
        StorageError: it is away for minutes.
    """
    until = time.monotonic() + _AWAY_FOR_S
    while True:
        try:
            return ask()
        except StorageError:
            if time.monotonic() > until:
                raise
            time.sleep(_ASKED_AGAIN_S)


class Folder:
    """A folder that all machines see."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.address = str(folder)

    def put(self, name: str, data: bytes) -> None:
        """Beside its place, and renamed."""
        try:
            files.write(self._folder / name, data)
        except OutputError as problem:
            raise StorageError(problem.what, where=problem.where, mend=problem.mend) from problem

    def get(self, name: str) -> bytes:
        """The file's bytes."""
        return files.read_bytes(self._folder / name, error=StorageError)

    def names(self, below: str) -> list[str]:
        """Files in the folder and those below it, without what is being written."""
        top = self._folder / below
        if not files.is_folder(top):
            return []
        found = (path for path in top.rglob("*") if not path.name.startswith(".") and files.is_file(path))
        return sorted(path.relative_to(self._folder).as_posix() for path in found)

    def has(self, name: str) -> bool:
        """Whether the file is there."""
        return files.is_file(self._folder / name)

    def remove(self, name: str) -> None:
        """Delete the file."""
        try:
            (self._folder / name).unlink(missing_ok=True)
        except OSError as problem:
            raise StorageError(f"cannot be removed: {problem.strerror}", where=self._folder / name) from problem


class Remote:
    """Whatever fsspec reaches."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._system, self._top = _file_system_of(address)

    def put(self, name: str, data: bytes) -> None:
        """One put."""
        self._asked("put", name, lambda path: self._system.pipe_file(path, data))

    def get(self, name: str) -> bytes:
        """One get."""
        found: bytes = self._asked("read", name, self._system.cat_file)
        return found

    def names(self, below: str) -> list[str]:
        """One listing."""
        found = self._asked("listed", below, lambda path: list(self._system.find(path)))
        cut = len(self._top.rstrip("/")) + 1
        return sorted(path[cut:] for path in found if path[cut:] != below)

    def has(self, name: str) -> bool:
        """One look."""
        return bool(self._asked("looked for", name, self._system.exists))

    def remove(self, name: str) -> None:
        """One delete."""
        if self.has(name):
            self._asked("removed", name, self._system.rm_file)

    def _asked(self, doing: str, name: str, ask: Any) -> Any:
        path = f"{self._top}/{name}"
        try:
            self._system.invalidate_cache()  # s3fs keeps listings: who comes later would not see who was before
            return ask(path)
        except Exception as problem:  # each library of a storage has its own kinds of errors
            said = f"cannot be {doing}: {type(problem).__name__}: {str(problem)[:300]}"
            mend = "check the address, the credentials and the network"
            raise StorageError(said, where=f"{self.address}/{name}", mend=mend) from problem


def _file_system_of(address: str) -> tuple[Any, str]:
    """fsspec's file system, and the path in it."""
    import fsspec

    try:
        return fsspec.core.url_to_fs(address)  # type: ignore[no-any-return]
    except ImportError as problem:
        extra = _EXTRAS.get(address.partition("://")[0])
        mend = f"pip install 'pytest-vdb[{extra}]'" if extra else "install that library"
        raise StorageError(f"its library is missing: {problem}", where=address, mend=mend) from problem
    except Exception as problem:  # an unknown protocol, a file of settings that is broken
        mend = "give a folder, or an address like s3://bucket/job"
        raise StorageError(f"no storage: {problem}", where=address, mend=mend) from problem
