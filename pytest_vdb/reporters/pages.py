"""What all pages share: their templates and policy, and the links from one to another and to what lies beside them.

A page asks nothing of anyone: no request, no library, every text escaped. Its policy (CSP) allows its own style and
script by their hashes, pictures that lie inside it, and clips beside it.
"""

from __future__ import annotations

import base64
import hashlib
import io
import posixpath
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pytest_vdb.escaping import visible
from pytest_vdb.files import is_file, names_in
from pytest_vdb.results.journal import RUNS

if TYPE_CHECKING:
    import jinja2

TEMPLATES = Path(__file__).parent / "templates"
LEADERBOARD = "leaderboard.html"
BESIDE = "leaderboard-files"
"""The folder beside the leaderboard in which its further pages lie, by kind."""
UP = "../../"
"""From these pages to the folder of the leaderboard."""
POSTER_BYTES, POSTER_PIXELS = 2**20, 2**25
"""Of one poster at most: ours are a small part of it, and what is larger is none of ours."""
MOST_TEXT = 2_000
"""Characters of a prompt on a clip's card: the whole of it is in records.jsonl."""


_ELSEWHERE = re.compile(r"[\\:\x00]")
"""What leads to another folder or drive on some system."""


@cache
def page_of_template(name: str) -> jinja2.Template:
    """A template in which all that comes from outside is escaped, and what is not given is an error."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["shown"] = visible
    return environment.get_template(name)


def policy(style: str, script: str = "", *, connect: bool = False) -> str:
    """The Content-Security-Policy that lets exactly this style and this script run.

    Args:
        connect: let the script ask the server that the page came from, and nobody else.
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src '{_hash(style)}'",
            f"script-src '{_hash(script)}'",
            "img-src data: 'self'",
            "media-src 'self'",
            *(("connect-src 'self'",) if connect else ()),
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


class Files:
    """What lies in the folders of runs, by links that cannot lead out of them.

    Args:
        root: the folder that holds `runs/RUN/`: links are made only to what lies there. None: to where it would be.
        up: the way from the page to that folder, `../../` of a page two folders below it.
    """

    def __init__(self, root: Path | None, *, up: str = "") -> None:
        self.root = root
        self.up = up
        self._folders: dict[tuple[str, str], _Folder | None] = {}

    def link(self, run: str, relative: str | None) -> str | None:
        """URL of a file in a run's folder; None when there is no such file or it would lie outside of that folder."""
        folder, _, name = (relative or "").rpartition("/")
        try:
            listed = self._folders[run, folder]
        except KeyError:  # listed once: hundreds of thousands of clips lie in a few folders
            listed = self._folders[run, folder] = self._folder_of(run, folder)
        if listed is None or not name:
            return None
        if name in listed.files and _needs_no_quotes(name):
            return listed.address + name
        if self.root is None:
            is_there = within(run, name) is not None
        else:
            run_folder = self.root / RUNS / run if name in listed.others else None
            is_there = name in listed.files or (run_folder is not None and _is_file_in(run_folder, listed, name))
        return f"{listed.address}{quote(name, safe='')}" if is_there else None

    def _folder_of(self, run: str, folder: str) -> _Folder | None:
        """What lies there; None: there is no such folder in the run."""
        path = within(run, f"{folder}/_" if folder else "_")
        if path is None:
            return None
        inner = path.split("/")[:-1]
        address = self.up + "".join(f"{quote(part, safe='')}/" for part in (RUNS, run, *inner))
        if self.root is None:
            return _Folder(address, "/".join(inner))
        names = _names_in_run(self.root / RUNS / run, "/".join(inner))
        return None if names is None else _Folder(address, "/".join(inner), *names)


_needs_no_quotes = re.compile(r"[A-Za-z0-9_.~-]+").fullmatch
"""Asked first: of hundreds of thousands of names nearly all are so, and to quote one takes five times as long."""


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder of a run."""

    address: str
    """URL, with the slash at its end."""
    path: str
    """From the run's folder."""
    files: frozenset[str] = frozenset()
    """Names of its ordinary files that mean the same on every system."""
    others: frozenset[str] = frozenset()
    """Names of its links and folders."""


def _names_in_run(run: Path, folder: str) -> tuple[frozenset[str], frozenset[str]] | None:
    """The ordinary files of a folder, and what else lies there; None: the folder is not in the run."""
    try:
        inner = (run / folder).resolve()
        names = names_in(inner) if inner.is_relative_to(run.resolve()) else None
    except (OSError, ValueError, RuntimeError):  # a name that no system has, a link that leads to itself
        return None
    if names is None:
        return None
    files, others = (frozenset(one for one in of if not _ELSEWHERE.search(one)) for of in names)
    return files, others


def _is_file_in(run: Path, folder: _Folder, name: str) -> bool:
    """Whether it is a file, and in the run, wherever links lead."""
    try:
        file = (run / folder.path / name).resolve()
        return file.is_relative_to(run.resolve()) and is_file(file)
    except (OSError, ValueError, RuntimeError):
        return False


def within(run: str, relative: str) -> str | None:
    """The path of a file below its run's folder, or None where it could lead elsewhere on some system."""
    parts = posixpath.normpath(relative).split("/")
    if run in {"", ".", ".."} or re.search(r"[/\\\x00]", run) or _ELSEWHERE.search(relative):
        return None
    return None if parts[0] in {"", ".", ".."} else "/".join(parts)


def content_of_poster(file: Path) -> bytes | None:
    """The content of a picture that can be decoded, or None: whatever else calls itself a poster stays out."""
    from PIL import Image

    try:
        with file.open("rb") as stream:
            content = stream.read(POSTER_BYTES + 1)
        if len(content) > POSTER_BYTES or not content.startswith(b"\xff\xd8\xff"):
            return None
        with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
            if image.width * image.height > POSTER_PIXELS:
                return None
            image.draft("RGB", (64, 64))  # decodes all of it, small
            image.load()
    except Exception:  # noqa: BLE001 - Pillow raises what it likes at broken files; one costs its picture, not the page
        return None
    return content


def markup(text: str) -> Any:
    """What is markup already: a style, a script, a drawing of `charts`, which escapes what it is given."""
    from markupsafe import Markup

    return Markup(text)


@cache
def source_of_template(name: str) -> str:
    """The text of a style or script that lies beside the pages."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
