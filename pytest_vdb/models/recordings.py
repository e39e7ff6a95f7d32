"""Clips that exist already: finding them, and joining each to the prompt it answers.

A clip answers the prompt that a manifest names for it; else the one whose id is its name (`cat.mp4`, `cat-s1.mp4` for
a further sample); else the one whose text is its name, as VBench calls its files (`a cat runs-0.mp4`).
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_vdb.errors import ClipFileError, PromptError
from pytest_vdb.records import Prompt
from pytest_vdb.video import STILLS

_VIDEOS = (".mp4", ".m4v", ".mkv", ".webm", ".mov", ".avi", ".mpg", ".mpeg", ".ts", ".flv", ".wmv", ".ogv", ".y4m")
CLIP_SUFFIXES = frozenset((*_VIDEOS, ".gif", ".npy", ".npz"))
"""What is taken for a clip in a folder; a file that is named itself is read whatever its suffix."""

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


def recordings(source: Path, prompts: Sequence[Prompt] = (), *, manifest: Path | None = None) -> tuple[Recording, ...]:
    """The clips of a folder in the order of their names, each with its prompt.

    Args:
        source: a clip, or a folder of clips (with folders of images among them, at any depth).
        prompts: what the clips may answer.
        manifest: JSONL or CSV with `file`, `prompt` (the text), `id`, `sample`; None: one of `MANIFESTS` in the folder.

    Raises:
        ClipFileError: no such file or folder, or no clip in it.
        PromptError: a manifest that cannot be read, or that names a file that is not there.
    """
    paths = clips_in(source)
    folder = source if source.is_dir() and paths != (source,) else source.parent
    lines = _manifest(folder, manifest)
    by_id = {prompt.id: prompt for prompt in prompts}
    by_text = {_as_file_name(prompt.text): prompt for prompt in reversed(prompts)}
    found = []
    for path in paths:
        line = lines.get(path.resolve())
        known = (path, by_id, by_text)
        prompt, sample = _of_name(*known) if line is None else _of_line(line, *known)
        name = path.relative_to(folder).as_posix()
        found.append(Recording(path=path, name=name, prompt=prompt, sample_index=sample))
    return tuple(found)


def clips_in(source: Path) -> tuple[Path, ...]:
    """The clips of a folder, in natural order of their names; the file itself where a file is given.

    Raises:
        ClipFileError: no such file or folder, or no clip in it.
    """
    if not source.exists():
        raise ClipFileError("there is no such file or folder", where=source, mend="check the path")
    if source.is_file():
        return (source,)
    found = sorted(_walk(source), key=lambda path: _natural(path.relative_to(source).as_posix()))
    if not found:
        raise ClipFileError(
            "the folder holds no clip", where=source, mend=f"put clips in it: {' '.join(sorted(CLIP_SUFFIXES))}"
        )
    return tuple(found)


def is_manifest(path: Path) -> bool:
    """Whether a file of prompts says which clip answers which: its first row names a file."""
    if path.suffix.lower() not in (".jsonl", ".csv") or not path.is_file():
        return False
    return any(name in row for row in _rows(path)[:1] for name in _FILE_FIELDS)


def _walk(folder: Path) -> Iterable[Path]:
    """Clips below a folder. A folder that holds images and no clip is one clip itself."""
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    below = [entry for entry in entries if entry.is_file() and entry.suffix.lower() in CLIP_SUFFIXES]
    for inner in (entry for entry in entries if entry.is_dir()):
        below += _walk(inner)
    if not below and any(entry.suffix.lower() in STILLS and entry.is_file() for entry in entries):
        return [folder]
    return below


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts clip-2 before clip-10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


# Joining by name ----------------------------------------------------------------------------------------------------


def _of_name(path: Path, by_id: Mapping[str, Prompt], by_text: Mapping[str, Prompt]) -> tuple[Prompt | None, int]:
    """The prompt that a clip's name tells, and the number of the sample."""
    stem = path.name if path.is_dir() else path.stem
    if stem in by_id:
        return by_id[stem], 0
    if _as_file_name(stem) in by_text:
        return by_text[_as_file_name(stem)], 0
    numbered = re.fullmatch(r"(.+?)[-_]s?(\d+)", stem, flags=re.DOTALL)
    if numbered is None:
        return None, 0
    name, sample = numbered[1], int(numbered[2])
    prompt = by_id.get(name) or by_text.get(_as_file_name(name))
    return prompt, sample if prompt else 0


def _as_file_name(text: str) -> str:
    """What survives of a prompt's text in the name of a file: letters and digits."""
    return " ".join(re.findall(r"\w+", text.casefold().replace("_", " ")))


# Manifests ----------------------------------------------------------------------------------------------------------


def _manifest(folder: Path, given: Path | None) -> dict[Path, dict[str, Any]]:
    """The manifest's line of each clip."""
    path = given or next((folder / name for name in MANIFESTS if (folder / name).is_file()), None)
    if path is None:
        return {}
    lines = {}
    for number, row in enumerate(_rows(path), start=1):
        name = next((str(row[field]) for field in _FILE_FIELDS if row.get(field)), None)
        if name is None:
            raise PromptError(
                f"row {number} names no file", where=path, mend=f"name the clip in {' or '.join(_FILE_FIELDS)}"
            )
        places = [place for place in (folder / name, path.parent / name) if place.exists()]
        if not places:
            raise PromptError(
                f"row {number} names {name!r}, which is not there", where=path, mend=f"looked in {folder}"
            )
        lines[places[0].resolve()] = row
    return lines


def _of_line(
    line: Mapping[str, Any],
    path: Path,
    by_id: Mapping[str, Prompt],
    by_text: Mapping[str, Prompt],
) -> tuple[Prompt | None, int]:
    """The prompt that a manifest's line names: a known one by id or text, else a new one."""
    name = next((str(line[field]) for field in _ID_FIELDS if line.get(field) not in (None, "")), None)
    text = next((str(line[field]) for field in _TEXT_FIELDS if line.get(field)), None)
    sample = str(line.get("sample") or 0)
    index = int(sample) if sample.isdecimal() else 0
    if name is not None and name in by_id:
        return by_id[name], index
    if text is None:
        prompt, by_name = _of_name(path, by_id, by_text)
        return prompt, index or by_name
    known = by_text.get(_as_file_name(text))
    if known is not None:
        return known, index
    category = str(line.get("category") or "uncategorised")
    return Prompt(id=name or path.stem, text=text, category=category), index


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".csv":
            return list(csv.DictReader(io.StringIO(text)))
        rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise PromptError(f"cannot be read: {error}", where=path, mend="one JSON object a line, in UTF-8") from None
    if not all(isinstance(row, dict) for row in rows):
        raise PromptError("a line that is no JSON object", where=path, mend='write {"file": ..., "prompt": ...}')
    return rows
