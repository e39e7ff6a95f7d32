"""The one door where files are read and the one where they are written.

Read: regular files only (no device, pipe or address), within the budget; bytes become text, text becomes JSON, and what
cannot be read says file, line and mend in the reader's own kind of error. Written: whole or not at all, beside the
place and renamed, with what to do where the disk refuses.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pytest_vdb.budget import budget
from pytest_vdb.errors import OutputError, VdbError

CHECK_THE_PATH = "check the path"
CHECK_THE_DISK = "check the disk's space and permissions"

_BLOCK = 1 << 20
"""Bytes that are read at once."""
_DEEPEST = 256
"""Levels of JSON. Python itself ends at a thousand up to 3.11 and at tens of thousands since 3.14, and code that walks
through what it read ends long before."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)

_LITTER = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "icon\r"})


# Reading ------------------------------------------------------------------------------------------------------------


def expanded(path: str | Path) -> Path:
    """`~` as the home folder, also where no shell has done so (`--output=~/x`); of nobody's home it stays."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path's raises where nobody of that name lives here


def regular(path: str | Path, *, error: type[VdbError], mend: str = CHECK_THE_PATH) -> Path:
    """A path that becomes an input: an ordinary file that is there, never a device, a pipe or an address.

    Args:
        path: as the user gave it.
        error: the kind of error that is raised.
        mend: what the user can do where there is none.

    Raises:
        VdbError: of that kind; no such file, or what it is instead.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as problem:  # ValueError: a NUL in the name
        raise error(_why_unreadable(problem), where=path, mend=mend) from None
    if not stat.S_ISREG(mode):
        kind = next((name for is_it, name in _KINDS if is_it(mode)), "no ordinary file")
        raise error(f"{kind}, not a file", where=path, mend=mend)
    return path


def is_file(path: str | Path) -> bool:
    """Whether an ordinary file is there; of a path that the system cannot even spell (`Path.is_file` raises), no."""
    return stat.S_ISREG(_mode(path))


def is_folder(path: str | Path) -> bool:
    """Whether a folder is there; of a path that the system cannot even spell (`Path.is_dir` raises), no."""
    return stat.S_ISDIR(_mode(path))


def is_there(path: str | Path) -> bool:
    """Whether anything is there; of a path that the system cannot even spell (`Path.exists` raises), no."""
    return _mode(path) != 0


def names_in(folder: str | Path) -> tuple[frozenset[str], frozenset[str]] | None:
    """The names of the ordinary files in a folder, and of all else there: folders, and links wherever they lead.

    None: it cannot be listed.
    """
    try:
        with os.scandir(folder) as found:
            kinds = {entry.name: entry.is_file(follow_symlinks=False) for entry in found}
    except (OSError, ValueError):
        return None
    plain = frozenset(name for name, is_plain in kinds.items() if is_plain)
    return plain, frozenset(kinds) - plain


def _mode(path: str | Path) -> int:
    try:
        return Path(path).stat().st_mode
    except (OSError, ValueError):  # not there; a name that is too long; a NUL, half a character
        return 0


def read_bytes(path: str | Path, *, error: type[VdbError], mend: str = CHECK_THE_PATH) -> bytes:
    """A file's bytes.

    Raises:
        VdbError: of the kind `error`; see `regular`.
        TooLarge: more than the budget.
    """
    path = regular(path, error=error, mend=mend)
    try:
        budget().check(path.stat().st_size, where=path)
        return path.read_bytes()
    except OSError as problem:
        raise error(_why_unreadable(problem), where=path, mend="check its permissions") from None


def read_text(path: str | Path, *, error: type[VdbError], mend: str = CHECK_THE_PATH) -> str:
    """A text file's text: UTF-8, with or without a byte order mark.

    Raises:
        VdbError: of the kind `error`; see `regular`, and for what is not UTF-8 the line.
    """
    data = read_bytes(path, error=error, mend=mend)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        raise error("not UTF-8", where=f"{path}:{line}", mend="save the file as UTF-8") from None


def lines_of(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a text with their numbers, from 1, without those that are blank.

    Only line feeds end a line (with or without a carriage return): U+2028, U+0085 and form feeds stand inside JSON
    strings and prompts.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line.removesuffix("\r")


def lines_in(path: str | Path, *, error: type[VdbError], mend: str = CHECK_THE_PATH) -> Iterator[tuple[int, bytes]]:
    """The lines of a file with their numbers, from 1, without those that are blank; only one is held at a time.

    A line keeps its line feed, so that the last one tells whether it was finished.

    Raises:
        VdbError: of the kind `error`; see `regular`.
    """
    path = regular(path, error=error, mend=mend)
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.isspace():
                    yield number, line
    except OSError as problem:
        raise error(_why_unreadable(problem), where=path, mend="check its permissions") from None


def lines_beginning(beginning: bytes, path: str | Path, *, error: type[VdbError]) -> Iterator[bytes]:
    """The whole lines of a file that begin so, without their line feeds: in a fourth of the time that all of them take.

    Raises:
        VdbError: of the kind `error`; see `regular`.
    """
    path, wanted = regular(path, error=error), b"\n" + beginning
    try:
        with path.open("rb") as file:
            left = b"\n"
            while block := file.read(_BLOCK):
                block = left + block
                at = block.find(wanted)
                while at >= 0 and (end := block.find(b"\n", at + 1)) >= 0:
                    yield block[at + 1 : end]
                    at = block.find(wanted, end)
                left = block[block.rfind(b"\n") :]
    except OSError as problem:
        raise error(_why_unreadable(problem), where=path, mend="check its permissions") from None


def parse_json(text: str | bytes, *, where: str | Path, error: type[VdbError], mend: str | None = None) -> Any:
    """JSON as dicts, lists, strings and numbers.

    Raises:
        VdbError: of the kind `error`; not JSON, nested beyond reason, or a number or character that is none.
    """
    try:
        value = json.loads(text)
        if _is_nested_beyond(_DEEPEST, value):
            raise RecursionError
        json.dumps(value, ensure_ascii=False).encode()  # half a character (a lone surrogate) can be written nowhere
        return value
    except RecursionError:
        raise error("not JSON: nested too deeply", where=where, mend=mend) from None
    except UnicodeEncodeError:
        raise error("not JSON: it holds half a character (a lone surrogate)", where=where, mend=mend) from None
    except ValueError as problem:  # also not UTF-8, and integers of more than 4,300 digits
        raise error(f"not JSON: {problem}", where=where, mend=mend) from None


def _is_nested_beyond(most: int, value: Any) -> bool:
    """Whether lists and dicts lie in each other more often than that: asked level by level, never by recursion."""
    level = [value]
    for _ in range(most):
        inner = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list))
        level = [part for parts in inner for part in parts if isinstance(part, dict | list)]
        if not level:
            return False
    return True


def read_json(path: str | Path, *, error: type[VdbError], mend: str | None = None) -> Any:
    """A file of JSON; see `read_text` and `parse_json` for what is raised."""
    return parse_json(read_text(path, error=error, mend=mend or CHECK_THE_PATH), where=path, error=error, mend=mend)


def read_toml(path: str | Path, *, error: type[VdbError], mend: str | None = None) -> dict[str, Any]:
    """A file of TOML as dicts, lists, strings and numbers.

    Raises:
        VdbError: of the kind `error`; see `read_text`, or not TOML, with the line.
    """
    import tomllib

    text = read_text(path, error=error, mend=mend or CHECK_THE_PATH)
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise error("not TOML: nested too deeply", where=path, mend=mend) from None
    except ValueError as problem:  # TOMLDecodeError, and integers of more than 4,300 digits
        raise error(f"not TOML: {problem}", where=path, mend=mend) from None


def entries(folder: str | Path, *, error: type[VdbError]) -> tuple[list[Path], list[Path]]:
    """What lies in a folder, in the order of the names; and apart from that what systems leave in folders.

    Litter is what is hidden (`._clip.mp4`, `.DS_Store`) and the thumbnails and settings of Windows, macOS and Synology.

    Raises:
        VdbError: of the kind `error`; it cannot be listed.
    """
    folder = Path(folder)
    try:
        found = sorted(folder.iterdir())
    except OSError as problem:
        raise error(_why_unreadable(problem), where=folder, mend="check its permissions") from None
    kept = [entry for entry in found if not _is_litter(entry.name)]
    return kept, [entry for entry in found if _is_litter(entry.name)]


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in _LITTER


def left_out(paths: Sequence[Path], why: str = "left out, as systems leave them") -> tuple[str, ...]:
    """A sentence that names a few files; none where there is none."""
    if not paths:
        return ()
    more = f" and {len(paths) - 3:,} more" if len(paths) > 3 else ""
    return (f"{why}: {', '.join(path.name for path in paths[:3])}{more}",)


def _why_unreadable(problem: Exception) -> str:
    if isinstance(problem, FileNotFoundError):
        return "there is no such file"
    return f"cannot be read: {getattr(problem, 'strerror', None) or problem}"


# Writing ------------------------------------------------------------------------------------------------------------


def write(path: str | Path, content: str | bytes) -> Path:
    """Write a file so that it is either the old one or the new one, never half of it; its folder is made.

    Raises:
        OutputError: it cannot be written; nothing is left behind.
    """
    data = _as_bytes(content)
    return write_by(path, lambda part: part.write_bytes(data))


def write_by(path: str | Path, fill: Callable[[Path], object]) -> Path:
    """Let `fill` write a file beside `path`, then rename it into place; its folder is made.

    Raises:
        OutputError: it cannot be written; nothing is left behind.
    """
    path = _writable_place(path)
    part = path.with_name(f".{path.name[:32]}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fill(part)
        part.replace(path)
    except (OSError, ValueError) as problem:  # ValueError: a NUL in the name
        raise cannot_write(path, problem) from problem
    finally:
        with contextlib.suppress(OSError, ValueError):  # already renamed, or never made
            part.unlink(missing_ok=True)
    return path


def write_within(path: Path, content: str | bytes) -> None:
    """Write a file of a `new_folder`: nobody sees it before it is whole.

    Raises:
        OutputError: it cannot be written.
    """
    path = _writable_place(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_as_bytes(content))
    except (OSError, ValueError) as problem:  # ValueError: a NUL in the name
        raise cannot_write(path, problem) from problem


def _as_bytes(content: str | bytes) -> bytes:
    return content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content


@contextlib.contextmanager
def new_folder(folder: str | Path) -> Iterator[Path]:
    """A folder that takes the place of another when the context ends: what an earlier one held besides is gone.

    Args:
        folder: a folder of ours; no file of anybody else's may lie in it.

    Yields:
        Where to write its files, which is beside its place and not there yet; where nothing is written, the folder
        goes.

    Raises:
        OutputError: it cannot be written; the earlier folder is as it was, which holds of whatever else is raised.
    """
    place = Path(folder)
    mark = f"{os.getpid()}-{secrets.token_hex(4)}"
    part, old = (place.with_name(f".{place.name[:32]}.{mark}.{kind}") for kind in ("part", "old"))
    try:
        yield part
        with contextlib.suppress(FileNotFoundError):
            place.rename(old)
        with contextlib.suppress(FileNotFoundError):  # there is nothing to put there
            part.rename(place)
    except BaseException as problem:  # Ctrl-C may come between the two
        with contextlib.suppress(OSError):
            old.rename(place)
        if isinstance(problem, OSError):
            raise cannot_write(place, problem) from problem
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)  # not where something went wrong: it may be all that is left


def append(path: str | Path, line: bytes) -> None:
    """Add one line to a file, whole or not at all, while others add theirs; the file and its folder are made.

    Raises:
        OutputError: it cannot be written; the file is as it was.
    """
    path = _writable_place(path)
    make_folder(path.parent)
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
        try:
            with _alone(file):
                append_to(file, line)
        finally:
            os.close(file)
    except OSError as problem:
        raise cannot_write(path, problem) from problem


def append_to(file: int, line: bytes) -> None:
    """Add one line at the end of an open file that one process writes at a time, whole or not at all.

    A process that was killed may have left half a line there: then the new one starts afresh.

    Args:
        file: its number, opened for reading and appending.
        line: without its line break.

    Raises:
        OSError: the disk did not take it; the file is as it was, if the disk lets it be cut.
    """
    size = os.fstat(file).st_size
    whole = size == 0
    if not whole:
        os.lseek(file, size - 1, os.SEEK_SET)
        whole = os.read(file, 1) == b"\n"
    data = (b"" if whole else b"\n") + line + b"\n"
    try:
        written = 0
        while written < len(data):
            written += os.write(file, data[written:])
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(file, size)
        raise


@contextlib.contextmanager
def _alone(file: int) -> Iterator[None]:
    """Hold the file's lock, where the system and its disks have locks."""
    try:
        import fcntl
    except ImportError:  # Windows: whoever appends a line does it in one call
        yield
        return
    with contextlib.suppress(OSError):  # some network disks have none
        fcntl.flock(file, fcntl.LOCK_EX)
    yield  # closing the file lets go of it


def check_writable(path: str | Path) -> Path:
    """Whether a file can be written there at the end: asked before the work that it shall hold.

    Raises:
        OutputError: a folder stands there, or its folder cannot be made or written.
    """
    path = _writable_place(path)
    probe = path.with_name(f".{path.name[:32]}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        make_folder(path.parent)
        with contextlib.suppress(FileNotFoundError):
            path.lstat()  # a name that is too long is refused here
        probe.write_bytes(b"")
    except OSError as problem:
        raise cannot_write(path, problem) from problem
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
    return path


def make_folder(folder: str | Path) -> Path:
    """Make a folder and those above it.

    Raises:
        OutputError: it cannot be made.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as problem:
        raise cannot_write(folder, problem) from problem
    return folder


def _writable_place(path: str | Path) -> Path:
    """Where a file can be: its name is one that the system can spell, and no folder has it.

    Raises:
        OutputError: what it is instead.
    """
    path = Path(path)
    try:
        spelled = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:  # half a character
        spelled = False
    if not spelled:
        raise OutputError("no file can have this name", where=path, mend="choose another name")
    if not path.name or is_folder(path):
        raise OutputError("a folder, not a file", where=path, mend="name a file in it")
    return path


def cannot_write(path: Path, problem: Exception, *, mend: str = CHECK_THE_DISK) -> OutputError:
    """The error of a file or folder that the disk did not take."""
    if isinstance(problem, FileExistsError | NotADirectoryError):
        return OutputError("a file is where the folder should be", where=path, mend="move it or choose another place")
    return OutputError(f"cannot be written: {getattr(problem, 'strerror', None) or problem}", where=path, mend=mend)
