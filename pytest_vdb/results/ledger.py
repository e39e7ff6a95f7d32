"""What `vdb score` keeps: one file of scored clips that any number of sessions append to, and read as one table.

A clip is its folder and its name. What is said of it last counts: by which model it was made, which prompt it answers;
what was measured of the same file in however many sessions is put together. A clip under a new name is the same clip.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_vdb import files
from pytest_vdb.errors import RecordError
from pytest_vdb.privacy import Privacy
from pytest_vdb.records import Record, Run, from_json, to_json
from pytest_vdb.results import journal, vbench

SCORE, SCORE_SET = "score", "score-set"
"""The benchmarks of `vdb score`'s records: of each clip, and of all clips together."""
PREFERENCE = "arena-preference"
"""The benchmark of `vdb arena count`'s records, of each model one."""
STRENGTHS = "bradley-terry"
"""The version of their measurement."""
SCORES = "scores"
"""The folder of an output folder in which ledgers are kept, unless the user names another place."""

FILE = "file"
"""The digest of the clip's file, among the settings of a record's recipe."""
FOLDER, RENAMED_FROM = "folder", "renamed_from"
"""Beside these settings: where the clip lay, and the folder and the name under which it lay before."""

Clip = tuple[str, str]
"""Its folder as `folder_of` spells it, and its name there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The records of a ledger, each clip once."""

    run: Run
    """With what they were measured last."""
    records: tuple[Record, ...]
    warnings: tuple[str, ...] = ()


class Ledger:
    """The records of earlier sessions and of this one: a JSONL file, and beside it the features of set metrics."""

    def __init__(self, path: Path, privacy: Privacy | None = None) -> None:
        self.path = path
        self._privacy = privacy or Privacy(project_of(path))
        self.warnings: list[str] = []
        self._measured: dict[str, Record] = {}
        self._clips: dict[Clip, Record] = {}
        self._holding: dict[str, set[Clip]] = {}
        """By the digest of a file the clips that held it at some time."""
        if files.is_there(path):
            records, self.warnings = journal.read_records(path)
            for record in records:
                self._remember(record)

    def find(self, key: str) -> Record | None:
        """The last record of what `key` is the digest of: the same file, prompt, reference and weights."""
        return self._measured.get(key)

    def clip(self, folder: str, name: str) -> Record | None:
        """The last record of a clip, whatever it held then."""
        return self._clips.get((folder, name))

    def former_name(self, content: str) -> Clip | None:
        """What a file was called when it was scored, where it is not there any more."""
        home = project_of(self.path)
        for folder, name in sorted(self._holding.get(content, ())):
            record = self._clips.get((folder, name))
            known = record is not None and record.recipe.get(FILE) == content and is_told(folder)
            if known and not files.is_there(home / folder / name):
                return folder, name
        return None

    def folders(self, model: str) -> list[str]:
        """The folders whose clips a model is said to have made, without those that are known to be gone."""
        home = project_of(self.path)
        named = {folder for (folder, _), record in self._clips.items() if record.model == model and folder}
        return sorted(folder for folder in named if not is_told(folder) or files.is_folder(home / folder))

    def append(self, record: Record) -> None:
        """Write one line at once, while others may append theirs.

        Raises:
            OutputError: it cannot be written.
        """
        record = self._privacy.record(record)
        files.append(self.path, to_json(record).encode())
        self._remember(record)

    def describe(self, run: Run) -> None:
        """Say beside the records with what they were measured last: what a report needs besides.

        Raises:
            OutputError: it cannot be written.
        """
        files.write(about(self.path), to_json(replace(run, options=self._privacy.plain(run.options))) + "\n")

    def _remember(self, record: Record) -> None:
        if record.recipe_digest:
            self._measured[record.recipe_digest] = record
        self._clips.pop(_former(record), None)
        self._clips[_folder_of_record(record), record.nodeid] = record
        self._holding.setdefault(str(record.recipe.get(FILE)), set()).add((_folder_of_record(record), record.nodeid))


def about(path: Path) -> Path:
    """Where `vdb score` says with what it scored: beside the records."""
    return path.with_suffix(".run.json")


def features_of(path: Path, key: str) -> Path:
    """Where `vdb score` keeps what the networks saw in the clip of that digest."""
    return path.with_suffix(".features") / f"{key}.npz"


def folder_of(clips: Path, ledger: Path) -> str:
    """How a ledger spells a folder of clips: relative to the project that it lies in (above `reports/scores/`, else its
    own folder); of a folder elsewhere the name and a digest, since where it is concerns nobody."""
    place, home = clips.resolve(), project_of(ledger)
    if place.is_relative_to(home):
        return place.relative_to(home).as_posix()
    return f"{place.name}#{hashlib.sha256(str(place).encode(errors='surrogateescape')).hexdigest()[:8]}"


def is_told(folder: str) -> bool:
    """Whether a folder is spelled as a path: of others nobody knows whether they are still there."""
    return bool(folder) and "#" not in folder


def project_of(ledger: Path) -> Path:
    """The folder that a ledger spells others relative to."""
    home = ledger.resolve().parent
    return home.parent.parent if (home.parent.name, home.name) == ("reports", SCORES) else home


def read(path: Path) -> Table:
    """A ledger's records, each clip once, with all that was measured of it in however many sessions.

    Raises:
        RecordError: it cannot be read or holds no record.
        NewerSchema: a newer pytest-vdb wrote it.
    """
    records, warnings = journal.read_records(path)
    if not records:
        why = f" ({len(warnings)} lines that are none)" if warnings else ""
        mend = "score clips: vdb score CLIPS"
        raise RecordError(f"it holds no record of a scored clip{why}", where=path, mend=mend)
    run = vbench.unknown_run(path.stem)
    if files.is_there(about(path)):
        try:
            run = from_json(files.read_bytes(about(path), error=RecordError), Run, where=about(path))
        except RecordError as problem:  # the records are all there: only what the session said of itself is not
            warnings.append(str(problem))
    return Table(run=run, records=_latest(records, path), warnings=tuple(warnings))


def _latest(records: Iterable[Record], path: Path) -> tuple[Record, ...]:
    clips: dict[Clip, Record] = {}
    for record in records:
        folder = _folder_of_record(record)
        kept = features_of(path, record.recipe_digest or "")
        record = replace(record, features=str(kept.relative_to(path.parent)) if files.is_file(kept) else None)
        earlier = clips.pop(_former(record), None)
        # Sessions of before folders were told: the same name is the same clip.
        earlier = clips.pop(("", record.nodeid), None) or earlier if folder else earlier
        earlier = clips.get((folder, record.nodeid), earlier)
        clips[folder, record.nodeid] = _together(earlier, record)
    return tuple(clips.values())


def _folder_of_record(record: Record) -> str:
    return str(record.recipe.get(FOLDER) or "")


def _former(record: Record) -> Clip:
    """Where a clip lay before; no clip has the answer of one that always lay there."""
    told = record.recipe.get(RENAMED_FROM)
    return (str(told[0]), str(told[1])) if isinstance(told, list | tuple) and len(told) == 2 else ("", "")


def _together(earlier: Record | None, record: Record) -> Record:
    """The later record, with what an earlier session measured besides: with a reference, say, or other networks."""
    same = earlier is not None and all(earlier.recipe.get(of) == record.recipe.get(of) for of in (FILE, "prompt"))
    if earlier is None or not same or earlier.failure is not None or record.failure is not None:
        return record
    measured = {m.name: m for m in earlier.measurements}
    measured |= {m.name: m for m in record.measurements if m.value is not None}
    left = [m for m in record.measurements if m.name not in measured]
    return replace(record, measurements=(*measured.values(), *left), features=record.features or earlier.features)
