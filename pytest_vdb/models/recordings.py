"""Clips that exist already: finding them, and joining each to the prompt it answers.

A clip answers the prompt that a manifest names for it; else the one whose id is its name (`cat.mp4`, `cat-s1.mp4` for
a further sample); else the one whose text is its name, as VBench calls its files (`a cat runs-0.mp4`).
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_vdb import files, video
from pytest_vdb.errors import ClipFileError, PromptError
from pytest_vdb.escaping import encodable
from pytest_vdb.files import is_file, is_folder
from pytest_vdb.records import Prompt
from pytest_vdb.video import STILLS

_VIDEOS = (
    "mp4 m4v mov qt 3gp 3g2 f4v mkv mk3d webm avi divx wmv asf flv ogv mpg mpeg mpe m1v m2v vob ts mts m2ts mxf dv rm "
    "nut y4m ivf obu h263 h264 264 avc h265 265 hevc mjpeg mjpg"
)
CLIP_SUFFIXES = frozenset((".gif", ".npy", ".npz", *(f".{name}" for name in _VIDEOS.split())))
"""What is a clip by its name, and fails if it cannot be read. A file of another name is one if it holds a video."""

MANIFESTS = ("manifest.jsonl", "clips.jsonl", "manifest.csv")
"""Looked for in the folder of the clips; the first one that is there counts."""

_FILE_FIELDS = ("file", "clip", "path", "video")
_TEXT_FIELDS = ("prompt", "text", "caption")
_ID_FIELDS = ("id", "prompt_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One clip on disk."""

    path: Path
    name: str
    """Relative to the folder it was found in, `/` between parts: what messages and pairing by name use."""
    prompt: Prompt | None = None
    """What it answers; None: nothing tells."""
    sample_index: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """What lies in a folder of clips."""

    clips: tuple[Path, ...]
    left_out: tuple[str, ...] = ()
    """What is no clip, in sentences: for whoever wonders where a file is."""


def recordings(
    source: Path, prompts: Sequence[Prompt] = (), *, manifest: Path | None = None, found: Found | None = None
) -> tuple[Recording, ...]:
    """The clips of a folder in the order of their names, each with its prompt.

    Args:
        source: a clip, or a folder of clips (with folders of images among them, at any depth).
        prompts: what the clips may answer.
        manifest: JSONL or CSV with `file`, `prompt` (the text), `id`, `sample`; None: one of `MANIFESTS` in the folder.
        found: what `find` has found there already.

    Raises:
        ClipFileError: no such file or folder, or no clip in it.
        PromptError: a manifest that cannot be read, or that names a file that is not there, or one twice.
    """
    paths = (found or find(source)).clips
    folder = source if is_folder(source) and paths != (source,) else source.parent
    rows = _manifest(folder, manifest)
    by_id = {prompt.id: prompt for prompt in prompts}
    by_text = {_as_file_name(prompt.text): prompt for prompt in reversed(prompts)}
    joined = []
    for path in paths:
        row = rows.get(os.path.realpath(path))
        known = (path, by_id, by_text)
        prompt, sample = _of_name(*known) if row is None else _of_row(row, *known)
        joined.append(Recording(path=path, name=_name_of_clip(path, folder), prompt=prompt, sample_index=sample))
    return tuple(joined)


def clips_in(source: Path) -> tuple[Path, ...]:
    """The clips of a folder, in natural order of their names; the file itself where a file is given.

    Raises:
        ClipFileError: no such file or folder, or no clip in it.
    """
    return find(source).clips


def is_manifest(path: Path) -> bool:
    """Whether a file of prompts says which clip answers which: its first row names a file."""
    if path.suffix.lower() not in (".jsonl", ".csv") or not _is_there(path):
        return False
    return any(name in row.fields for row in _rows(path)[:1] for name in _FILE_FIELDS)


# Finding ------------------------------------------------------------------------------------------------------------


def find(source: Path) -> Found:
    """The clips of a folder, in natural order of their names, and what was left out; the file where a file is given.

    A folder that holds images and no clip is one clip itself. A folder that can be reached twice counts once.

    Raises:
        ClipFileError: no such file or folder, no file but a device or a pipe, or no clip in it.
    """
    if not _is_there(source):
        raise ClipFileError("there is no such file or folder", where=source, mend=files.CHECK_THE_PATH)
    if not is_folder(source):
        return Found((files.regular(source, error=ClipFileError),))
    walk = _Walk()
    try:
        below = walk.clips_below(source)
    except (OSError, RecursionError) as error:
        said = getattr(error, "strerror", None) or "folders within folders without end"
        raise ClipFileError(f"cannot be looked through: {said}", where=source, mend="check its permissions") from None
    clips = sorted(below, key=lambda path: _natural(path.relative_to(source).as_posix()))
    if not clips:
        raise ClipFileError(
            "the folder holds no clip", where=source, mend=f"put clips in it: {' '.join(sorted(CLIP_SUFFIXES))}"
        )
    return Found(tuple(clips), walk.left_out())


@dataclass(slots=True)
class _Walk:
    """A way through a folder and those below it."""

    visited: set[str] = field(default_factory=set)
    litter: list[Path] = field(default_factory=list)
    strangers: list[Path] = field(default_factory=list)
    stills: list[Path] = field(default_factory=list)
    """Images beside clips: frames of nothing."""

    def clips_below(self, folder: Path) -> list[Path]:
        self.visited.add(os.path.realpath(folder))
        entries, litter = files.entries(folder, error=ClipFileError)
        self.litter += litter
        clips, stills = [], []
        for entry in entries:
            if is_file(entry) and entry.suffix.lower() in STILLS and not video.is_animated(entry):
                stills.append(entry)
            elif is_file(entry) and self._is_clip(entry):
                clips.append(entry)
            elif not is_folder(entry) and entry.name not in MANIFESTS:
                self.strangers.append(entry)
        inner = [entry for entry in entries if is_folder(entry)]
        for below in sorted(inner, key=Path.is_symlink):  # what links lead to: last
            if os.path.realpath(below) not in self.visited:
                clips += self.clips_below(below)
        if stills and not clips:
            return [folder]
        self.stills += stills
        return clips

    def _is_clip(self, path: Path) -> bool:
        suffix = path.suffix.lower()
        return suffix in CLIP_SUFFIXES or suffix in STILLS or video.holds_video(path)

    def left_out(self) -> tuple[str, ...]:
        return (
            *files.left_out(self.strangers, "left out, as no clips"),
            *files.left_out(self.stills, "left out, as images beside clips"),
            *files.left_out(self.litter),
        )


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return False
    return True


def _name_of_clip(path: Path, folder: Path) -> str:
    """As it can be written into a record."""
    return encodable(path.relative_to(folder).as_posix())


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts clip-2 before clip-10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


# Joining by name ----------------------------------------------------------------------------------------------------


def _of_name(path: Path, by_id: Mapping[str, Prompt], by_text: Mapping[str, Prompt]) -> tuple[Prompt | None, int]:
    """The prompt that a clip's name tells, and the number of the sample."""
    stem = path.name if is_folder(path) else path.stem
    if stem in by_id:
        return by_id[stem], 0
    if _as_file_name(stem) in by_text:
        return by_text[_as_file_name(stem)], 0
    numbered = re.fullmatch(r"(.+?)[-_]s?(\d{1,9})", stem, flags=re.DOTALL)
    if numbered is None:
        return None, 0
    name, sample = numbered[1], int(numbered[2])
    prompt = by_id.get(name) or by_text.get(_as_file_name(name))
    return prompt, sample if prompt else 0


def _as_file_name(text: str) -> str:
    """What survives of a prompt's text in the name of a file: letters and digits."""
    return " ".join(re.findall(r"\w+", text.casefold().replace("_", " ")))


# Manifests ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    """What a manifest says of one clip."""

    fields: Mapping[str, Any]
    where: str
    """File and line."""
    number: int

    def text(self, names: Sequence[str]) -> str | None:
        """The first of these fields that says something.

        Raises:
            PromptError: it is no text and no whole number.
        """
        for name in names:
            value = self.fields.get(name)
            if value is None or value == "":
                continue
            if not isinstance(value, str | int) or isinstance(value, bool):
                raise PromptError(f"{name} is {value!r}, not text", where=self.where, mend=f'write "{name}": "..."')
            return str(value)
        return None


def _manifest(folder: Path, given: Path | None) -> dict[str, _Row]:
    """The manifest's row of each clip, by the clip's real path."""
    path = given or next((folder / name for name in MANIFESTS if is_file(folder / name)), None)
    if path is None:
        return {}
    rows: dict[str, _Row] = {}
    for row in _rows(path):
        name = row.text(_FILE_FIELDS)
        if name is None:
            raise PromptError(
                f"row {row.number} names no file",
                where=row.where,
                mend=f"name the clip in {' or '.join(_FILE_FIELDS)}",
            )
        places = [place for place in (folder / name, path.parent / name) if _is_there(place)]
        if not places:
            raise PromptError(
                f"row {row.number} names {name!r}, which is not there", where=row.where, mend=f"looked in {folder}"
            )
        clip = os.path.realpath(places[0])
        if clip in rows:
            raise PromptError(
                f"row {row.number} names {name!r}, as row {rows[clip].number} does",
                where=row.where,
                mend="say once what a clip answers",
            )
        rows[clip] = row
    return rows


def _of_row(
    row: _Row,
    path: Path,
    by_id: Mapping[str, Prompt],
    by_text: Mapping[str, Prompt],
) -> tuple[Prompt | None, int]:
    """The prompt that a manifest's row names: a known one by id or text, else a new one."""
    name, text, sample = row.text(_ID_FIELDS), row.text(_TEXT_FIELDS), row.text(["sample"])
    if sample is not None and not re.fullmatch(r"[0-9]{1,9}", sample):
        raise PromptError(f"sample is {sample!r}, no number from 0", where=row.where, mend='write "sample": 1')
    index = int(sample or 0)
    if name is not None and name in by_id:
        return by_id[name], index
    if text is None:
        prompt, by_name = _of_name(path, by_id, by_text)
        return prompt, index or by_name
    known = by_text.get(_as_file_name(text))
    if known is not None:
        return known, index
    return Prompt(
        id=name or _name_of_clip(path.with_suffix(""), path.parent),
        text=text,
        category=row.text(["category"]) or "uncategorised",
    ), index


def _rows(path: Path) -> list[_Row]:
    text = files.read_text(path, error=PromptError)
    if path.suffix.lower() == ".csv":
        return _rows_of_csv(text, path)
    rows: list[_Row] = []
    mend = 'write {"file": ..., "prompt": ...}'
    for line, content in files.lines_of(text):
        where = f"{path}:{line}"
        fields = files.parse_json(content, where=where, error=PromptError, mend=mend)
        if not isinstance(fields, dict):
            raise PromptError("a line that is no JSON object", where=where, mend=mend)
        rows.append(_Row(fields, where, len(rows) + 1))
    return rows


def _rows_of_csv(text: str, path: Path) -> list[_Row]:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    try:
        return [_Row(fields, f"{path}:{rows.line_num}", number) for number, fields in enumerate(rows, start=1)]
    except csv.Error as error:
        raise PromptError(
            f"not CSV: {error}", where=f"{path}:{rows.line_num + 1}", mend="the first line names the columns"
        ) from None
