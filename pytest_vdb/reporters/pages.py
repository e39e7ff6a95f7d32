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
from pytest_vdb.files import is_file, is_folder, is_there, plain_files
from pytest_vdb.results.journal import RUNS

if TYPE_CHECKING:
    import jinja2

TEMPLATES = Path(__file__).parent / "templates"
LEADERBOARD = "leaderboard.html"
BESIDE = "leaderboard-files"
"""The folder beside the leaderboard in which its further pages lie, by kind."""
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
        if not relative:
            return None
        folder, _, name = relative.rpartition("/")
        listed = self._folder_of(run, folder)
        if listed is not None and name in listed.files:  # thousands of clips of a run lie in one folder
            return listed.address + quote(name, safe="")
        path = within(run, relative)
        if path is None or (
            self.root is not None and (listed is None or not _is_file_in(self.root / RUNS / run, path))
        ):
            return None
        return self._address(run, path)

    def _address(self, run: str, path: str) -> str:
        return self.up + "/".join(quote(part, safe="") for part in (RUNS, run, *path.split("/")))

    def _folder_of(self, run: str, folder: str) -> _Folder | None:
        """What lies there, listed once; None: no such folder in the run, or nobody knows."""
        key = run, folder
        if key not in self._folders:
            path = within(run, f"{folder}/_" if folder else "_")
            found = None
            if path is not None and self.root is not None:
                inner = path.rpartition("/")[0]
                files = _plain_files_in_run(self.root / RUNS / run, inner)
                found = None if files is None else _Folder(self._address(run, path).removesuffix("_"), files)
            self._folders[key] = found
        return self._folders[key]


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder of a run."""

    address: str
    """With the slash at its end."""
    files: frozenset[str]
    """Its ordinary files that links may lead to on every system."""


def _plain_files_in_run(run: Path, folder: str) -> frozenset[str] | None:
    """The ordinary files of a folder in a run, wherever links lead; None: it does not lie in it."""
    try:
        inner = (run / folder).resolve()
        if not inner.is_relative_to(run.resolve()) or not is_folder(inner):
            return None
    except (OSError, ValueError, RuntimeError):  # a name that no system has, a link that leads to itself
        return None
    return frozenset(name for name in plain_files(inner) if not _ELSEWHERE.search(name))


def _is_file_in(run: Path, path: str) -> bool:
    """Whether a file lies there, and in the run, wherever links lead."""
    if not is_there(run / path):  # asked first: to follow links takes ten times as long
        return False
    try:
        file = (run / path).resolve()
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
